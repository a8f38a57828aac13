from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from dawlink.pictures import plot_song
from dawlink.pictures.canvas import COLOURS
from engine.analysis.records import (
    BEAT_ROW,
    KeyEstimate,
    SongAnalysis,
    StemAnalysis,
    TempoEstimate,
)
from engine.analysis.structure import find_windows
from engine.audio.waveform import Waveform
from engine.errors import LibraryUnusable, UnwritableOutput, UsageError
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Key, Role
from tests.dawlink.pictures.drawn import columns_of, pixels, texts

RATE = 4000
A_MINOR = Key(9, "minor")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


def song(
    *,
    beats: int = 32,
    beats_per_bar: int = 4,
    tempo_bpm: float = 120.0,
    drift: float = 0.0,
    lead_in_s: float = 0.0,
    key: Key | None = A_MINOR,
    roles: tuple[Role, ...] = ("drums", "harmonic"),
    silent: tuple[Role, ...] = (),
    channels: int = 1,
    title: str = "A song",
) -> NewSong:
    """Noise in the first half of every stem, then silence."""
    tempo = tempo_bpm * (1 + drift * np.sin(np.arange(beats) * 2 * np.pi / beats))
    times = np.concatenate([[0.0], np.cumsum(60 / tempo)]) - lead_in_s
    grid = BeatGrid(times, beats_per_bar, 0.9)
    frames = round(float(times[-1]) * RATE)
    analysed, stems = [], []
    for number, role in enumerate(roles):
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, (channels, frames))
        samples[:, 0 if role in silent else frames // 2 :] = 0
        active = (np.arange(beats) < beats // 2) & (role not in silent)
        rows = np.zeros(beats, BEAT_ROW)
        rows["chroma"][active, number] = 1
        loudness = -np.inf if role in silent else -12.5
        analysed.append(StemAnalysis(role, rows, loudness, loudness + 8, active))
        stems.append(NewStem(role, Waveform(samples.astype(np.float32), RATE)))
    analysis = SongAnalysis(
        grid=grid,
        tempo=TempoEstimate(tempo_bpm, 0.81),
        key=KeyEstimate(key, 0.72 if key else 0.0, "chroma"),
        tuning_cents=0.0,
        tracker="click",
        tracked_on="drums",
        duration_s=frames / RATE,
        windows=find_windows(grid, {stem.role: stem.active for stem in analysed}),
        stems=tuple(analysed),
    )
    return NewSong(title, "multitrack", tuple(stems), analysis, artist="Someone")


def test_the_facts_stand_in_the_picture(library: Library, tmp_path: Path) -> None:
    row = library.add_song(song(beats=40))
    path = tmp_path / "song.svg"
    plot_song(library, row.id, path)
    found = texts(path)
    assert found[-2] == "Someone – A song"
    assert found[-1] == (
        "120.0 BPM (81% sure) | A minor · 8A (72% sure) | 4 beats per bar | "
        "beats: click on drums (90% sure) | 0:20"
    )
    assert found.index("drums") < found.index("harmonic") < found.index("tempo")
    assert {"−12.5 LUFS", "50% of beats", "of harmonic", "tonic A", "120.0 BPM"} <= set(found)
    assert {"A#", "F#"} <= set(found)  # pitch names
    assert {"bar", "1", "2", "9", "10", "00:18"} <= set(found)  # bars and times
    assert "of 4, 8 bars" in found


def test_a_drifting_tempo_and_a_lead_in_are_shown(library: Library, tmp_path: Path) -> None:
    row = library.add_song(song(beats=64, drift=0.05, lead_in_s=0.3))
    plot_song(library, row.id, tmp_path / "song.svg")
    found = texts(tmp_path / "song.svg")
    (spread,) = (text for text in found if "–" in text and text.endswith("BPM"))
    low, high = (float(number) for number in spread.removesuffix(" BPM").split("–"))
    assert low == pytest.approx(114, abs=0.3)
    assert high == pytest.approx(126, abs=0.3)
    assert "bar 1" in found


def test_waveform_and_shade_end_where_the_sound_ends(library: Library, tmp_path: Path) -> None:
    row = library.add_song(song(beats=32))
    path = tmp_path / "song.png"
    plot_song(library, row.id, path)
    image = pixels(path)
    assert image.shape[1] == 1600
    assert np.median(image) == 1  # dark on white
    left, right = 1.5 / 10, 9.8 / 10
    middle = (left + right) / 2
    for alpha in (1.0, 0.13):
        across = columns_of(path, COLOURS["drums"], alpha=alpha)
        drawn = across[across > left]
        half = drawn < middle + 0.005
        # beyond the middle there is the zero line at most
        assert np.count_nonzero(half) > 20 * np.count_nonzero(~half)
        assert drawn.min() < left + 0.01
        assert drawn[half].max() > middle - 0.01


@pytest.mark.parametrize(
    "new",
    [
        song(beats=7, beats_per_bar=7, roles=("drums",), key=None, lead_in_s=0.2),
        song(beats=1, beats_per_bar=1, roles=("bass",)),
        song(beats=3, beats_per_bar=3, roles=("mix",), channels=2),
        song(beats=600, drift=0.04, roles=("vocals", "drums", "bass", "other", "harmonic")),
        song(roles=("vocals", "drums"), silent=("vocals", "drums")),
        song(title="絆ふぉーえばー $x$ ű 🎵 " * 20),
        song(title="\n"),
    ],
    ids=["one-bar", "one-beat", "stereo", "long", "silent", "title", "no-title"],
)
def test_odd_songs_have_pictures_too(library: Library, tmp_path: Path, new: NewSong) -> None:
    row = library.add_song(new)
    plot_song(library, row.id, tmp_path / "song.png")
    assert pixels(tmp_path / "song.png").shape[1] == 1600


def test_a_picture_is_the_same_every_time_and_leaves_no_trace(
    library: Library, tmp_path: Path
) -> None:
    row = library.add_song(song())
    before = dict(matplotlib.rcParams)
    for suffix in ("png", "svg", "pdf"):
        paths = [tmp_path / "new" / f"{name}.{suffix}" for name in ("one", "two")]
        for path in paths:
            plot_song(library, row.id, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert dict(matplotlib.rcParams) == before
    assert len(list((tmp_path / "new").iterdir())) == 6


def test_what_cannot_be_drawn_is_said_and_the_old_picture_stays(
    library: Library, tmp_path: Path
) -> None:
    row = library.add_song(song())
    old = tmp_path / "old.png"
    old.write_text("old")
    with pytest.raises(UsageError, match=r"\.jpg"):
        plot_song(library, row.id, tmp_path / "song.jpg")
    with pytest.raises(UsageError):
        plot_song(library, "g000000000000", old)
    with pytest.raises(UnwritableOutput):
        plot_song(library, row.id, old / "song.png")  # a file where a folder should be
    library.audio_path(library.stems(row.id)[0].id).unlink()
    with pytest.raises(LibraryUnusable):
        plot_song(library, row.id, old)
    assert old.read_text() == "old"
    assert not list(tmp_path.glob(".part-*"))
