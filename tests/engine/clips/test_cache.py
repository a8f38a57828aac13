from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import engine.clips.analysis
from engine.cached_files import CachedFiles
from engine.clips.analysis import analyse_clip
from engine.clips.cache import ClipCache
from engine.clips.clip import BeatMap, ClipAnalysis, ClipRequest
from engine.library.library import Library
from tests.sounds import RATE, clicks

MAP = BeatMap(((0.0, 0.0), (8.0, 16.0)), 0.0, 16.0)
#: The same sound, played from another beat on, and at another tempo.
LATER = BeatMap(((0.0, 0.0), (8.0, 16.0)), 4.0, 16.0)
SLOWER = BeatMap(((0.0, 0.0), (8.0, 14.0)), 0.0, 14.0)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    sound = clicks(0.5 * np.arange(16), 8.0)
    soundfile.write(tmp_path / "voice.wav", sound.samples.T, RATE)
    return tmp_path / "voice.wav"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[ClipRequest]:
    """Every clip that was really listened to."""
    heard: list[ClipRequest] = []
    listen: Callable[..., ClipAnalysis] = engine.clips.analysis._analyse

    def listened(request: ClipRequest, *rest: object) -> ClipAnalysis:
        heard.append(request)
        return listen(request, *rest)

    monkeypatch.setattr(engine.clips.analysis, "_analyse", listened)
    return heard


def test_a_clip_is_kept_by_content_region_and_warp(
    voice: Path, library: Library, analysed: list[ClipRequest], tmp_path: Path
) -> None:
    cache = ClipCache(library.folder)
    for beat_map in (MAP, LATER, SLOWER):
        for _ in range(2):
            analyse_clip(ClipRequest.warped(voice, beat_map), library, cache=cache)
    assert [request.beat_map for request in analysed] == [MAP, LATER, SLOWER]
    elsewhere = tmp_path / "elsewhere" / voice.name
    elsewhere.parent.mkdir()
    shutil.copyfile(voice, elsewhere)
    found = analyse_clip(ClipRequest.warped(elsewhere, MAP), library, cache=cache)
    assert len(analysed) == 3
    assert found.request.path == elsewhere
    sound = clicks(0.4 * np.arange(20), 8.0)
    soundfile.write(voice, sound.samples.T, RATE)
    analyse_clip(ClipRequest.warped(voice, MAP), library, cache=cache)
    assert len(analysed) == 4


def test_what_is_on_disk_is_what_was_heard(
    voice: Path, library: Library, analysed: list[ClipRequest]
) -> None:
    request = ClipRequest.warped(voice, MAP)
    first = analyse_clip(request, library)
    again = analyse_clip(request, library)  # another cache: nothing of it in memory
    assert len(analysed) == 1
    np.testing.assert_array_equal(again.rows, first.rows)
    np.testing.assert_array_equal(again.grid.beats_s, first.grid.beats_s)
    np.testing.assert_array_equal(again.active, first.active)
    arrays = {"rows", "grid", "active"}
    facts = {name for name in ClipAnalysis.__dataclass_fields__ if name not in arrays}
    assert {n: getattr(again, n) for n in facts} == {n: getattr(first, n) for n in facts}


def test_where_nothing_can_be_written_memory_serves(
    voice: Path, library: Library, analysed: list[ClipRequest]
) -> None:
    (library.folder / "cache").write_text("in the way")
    cache = ClipCache(library.folder)
    for _ in range(3):
        analyse_clip(ClipRequest.warped(voice, MAP), library, cache=cache)
    assert len(analysed) == 1


def test_a_damaged_file_is_made_again(
    voice: Path, library: Library, analysed: list[ClipRequest]
) -> None:
    request = ClipRequest.warped(voice, MAP)
    analyse_clip(request, library)
    (kept,) = (library.folder / "cache" / "clips").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    analyse_clip(request, library)
    analyse_clip(request, library)
    assert len(analysed) == 2


def test_the_least_recently_used_file_goes(tmp_path: Path) -> None:
    files = CachedFiles(tmp_path, most_bytes=250)
    for age, name in enumerate(("c", "b", "a")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert files.find("a") == tmp_path / "a"  # used just now
    files.tidy()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c"}
    assert files.find("b") is None


def test_what_a_killed_process_left_unfinished_goes_after_a_while(tmp_path: Path) -> None:
    for name in (".part-old.wav", ".part-new.wav"):
        (tmp_path / name).write_bytes(b"half")
    os.utime(tmp_path / ".part-old.wav", (1000, 1000))
    CachedFiles(tmp_path, most_bytes=1 << 20).tidy()
    assert [path.name for path in tmp_path.iterdir()] == [".part-new.wav"]
