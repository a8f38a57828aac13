from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.features import active_beats, beat_features
from engine.analysis.records import KeyEstimate, SongAnalysis, StemAnalysis, TempoEstimate
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.evaluation.corpus import LibraryMixtures, load_songs
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Role

RATE = 8000
BARS = 2


def sine(hertz: float, peak: float = 0.4) -> Waveform:
    time_s = np.arange(RATE * 2 * BARS) / RATE
    return Waveform((peak * np.sin(2 * np.pi * hertz * time_s))[None].astype(np.float32), RATE)


def add(library: Library, title: str, stems: dict[Role, Waveform]) -> str:
    grid = BeatGrid.constant(120.0, end_s=2.0 * BARS)
    analysed = []
    for role, wave in stems.items():
        rows = beat_features(wave, grid)
        peak_db = 20 * np.log10(max(float(np.abs(wave.samples).max()), 1e-9))
        analysed.append(StemAnalysis(role, rows, -20.0, peak_db, active_beats(rows)))
    analysis = SongAnalysis(
        grid=grid,
        tempo=TempoEstimate(120.0, 1.0),
        key=KeyEstimate(None, 0.0, "none"),
        tuning_cents=0.0,
        tracker="test",
        tracked_on="mix",
        duration_s=2.0 * BARS,
        windows=(),
        stems=tuple(analysed),
    )
    new = tuple(NewStem(role, wave) for role, wave in stems.items())
    return library.add_song(NewSong(title, "multitrack", new, analysis)).id


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


def test_a_song_is_made_of_the_parts_that_sound(library: Library) -> None:
    stems: dict[Role, Waveform] = {
        "vocals": sine(440),
        "bass": sine(110),
        "other": sine(330, peak=0.05),  # stays below a tenth of full scale: silent
        "harmonic": sine(220),
    }
    (song,) = load_songs(library, [add(library, "one", stems)])
    assert song.parts == ("vocals", "bass")
    assert set(song.stems) == set(stems)
    assert song.stems["harmonic"].bars == BARS


def test_a_song_of_one_part_takes_no_part(library: Library) -> None:
    two = add(library, "two", {"vocals": sine(440), "drums": sine(200)})
    one = add(library, "one", {"vocals": sine(450)})
    assert [song.id for song in load_songs(library, [one, two])] == [two]
    with pytest.raises(UnusableInput, match="two or more"):
        load_songs(library, [one])


def test_a_mixture_has_the_features_of_the_summed_audio(library: Library, tmp_path: Path) -> None:
    stems: dict[Role, Waveform] = {"vocals": sine(440), "bass": sine(110), "other": sine(660)}
    (song,) = load_songs(library, [add(library, "one", stems)])
    found = LibraryMixtures(library, tmp_path / "kept").of(song, ["other", "bass"])
    total = Waveform(stems["bass"].samples + stems["other"].samples, RATE)
    expected = beat_features(total, BeatGrid.constant(120.0, end_s=2.0 * BARS))
    assert found.role == "mix"
    for field in ("chroma", "bands", "onsets"):
        difference = found.rows[field].astype(float) - expected[field].astype(float)
        assert np.abs(difference).max() < 1e-2 * max(1.0, float(expected[field].max())), field


def test_a_mixture_is_computed_once_and_a_damaged_one_again(
    library: Library, tmp_path: Path
) -> None:
    stems: dict[Role, Waveform] = {"vocals": sine(440), "bass": sine(110), "other": sine(660)}
    (song,) = load_songs(library, [add(library, "one", stems)])
    mixtures = LibraryMixtures(library, tmp_path / "kept")
    first = mixtures.of(song, ["other", "bass"]).rows
    (kept,) = (tmp_path / "kept").iterdir()
    np.save(kept, np.zeros_like(first))  # what is kept is what is read
    assert not mixtures.of(song, ["bass", "other"]).rows["bands"].any()
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(mixtures.of(song, ["bass", "other"]).rows, first)


def test_one_part_alone_is_the_stem_itself(library: Library, tmp_path: Path) -> None:
    (song,) = load_songs(library, [add(library, "a", {"vocals": sine(440), "bass": sine(110)})])
    mixtures = LibraryMixtures(library, tmp_path / "kept")
    assert mixtures.of(song, ["bass"]) is song.stems["bass"]
    assert not (tmp_path / "kept").exists()
