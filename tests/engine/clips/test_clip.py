from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.audio.waveform import Waveform
from engine.clips.analysis import analyse_clip
from engine.clips.clip import ClipRequest
from engine.clips.region import bars_of_region, pickup_sounds, upbeat_sounds
from engine.errors import UsageError
from engine.files import sha256_of
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import SourceFile
from tests.engine.library.songs import beat_rows, song
from tests.sounds import RATE, clicks


def region(
    start: float,
    end: float,
    *,
    upbeat: bool = False,
    pickup: bool = False,
    bars: int | None = None,
) -> BeatGrid:
    grid = BeatGrid.constant(120, end_s=200)  # a bar is two seconds
    return bars_of_region(grid, start, end, upbeat=upbeat, pickup=pickup, bars=bars)


@pytest.mark.parametrize(
    ("start", "end", "upbeat", "first", "bars"),
    [
        (0.0, 8.0, False, 0.0, 4),
        (0.0, 8.1, False, 0.0, 4),  # a tail is not a bar
        (0.0, 9.0, False, 0.0, 8),  # phrases
        (0.0, 2.0, False, 0.0, 1),
        (0.0, 4.0, False, 0.0, 2),
        (0.1, 8.0, False, 0.0, 4),  # a region that begins just late
        (1.2, 8.0, False, 2.0, 4),
        (1.2, 8.0, True, 0.0, 4),  # what is sung before the bar line is kept
        (1.9, 8.0, True, 2.0, 4),  # a breath is not
        (3.0, 3.5, False, 4.0, 1),
    ],
)
def test_bars_of_a_region(start: float, end: float, upbeat: bool, first: float, bars: int) -> None:
    found = region(start, end, upbeat=upbeat)
    assert found.beats_s[0] == pytest.approx(first)
    assert found.bars == bars


def test_a_stated_length_is_kept() -> None:
    assert region(0, 30, bars=5).bars == 5


@pytest.mark.parametrize(
    ("start", "end", "bars", "first", "count"),
    [
        (1.875, 18.0, None, 0.0, 12),  # a note of a sixteenth has its bar
        (1.92, 18.0, None, 2.0, 8),  # a downbeat that is sung early has none
        (1.98, 18.0, None, 2.0, 8),  # a tracker's few milliseconds have none
        (1.875, 17.875, None, 2.0, 8),  # a loop stays one
        (1.875, 17.85, None, 2.0, 8),  # even when the tempo is not quite right
        (1.875, 18.0, 8, 2.0, 8),  # bars that are asked for are filled with music
        (1.875, 18.0, 9, 0.0, 9),
        (1.2, 18.0, 8, 2.0, 8),
    ],
)
def test_a_pickup_has_a_bar(
    start: float, end: float, bars: int | None, first: float, count: int
) -> None:
    found = region(start, end, pickup=True, bars=bars)
    assert found.beats_s[0] == pytest.approx(first)
    assert found.bars == count


def tones(*spans_s: tuple[float, float, float]) -> Waveform:
    """8.125 s of silence with tones of (start, end, level)."""
    at_s = np.arange(round(8.125 * RATE)) / RATE
    sound = np.zeros(at_s.size, np.float32)
    for start_s, end_s, level in spans_s:
        inside = (at_s >= start_s) & (at_s < end_s)
        sound[inside] = level * np.sin(2 * np.pi * 440 * at_s[inside])
    return Waveform(sound[None], RATE)


def test_notes_at_the_edges_are_told_from_breath() -> None:
    late = BeatGrid.constant(120, downbeat_s=10.125, start_s=10.0, end_s=18.125)
    song = (0.125, 8.0, 0.5)
    assert pickup_sounds(tones((0.0, 0.1, 0.5), song), 10.0, late)
    assert not pickup_sounds(tones((0.0, 0.1, 0.08), song), 10.0, late)  # breath
    assert not pickup_sounds(tones((0.11, 8.0, 0.5)), 10.0, late)  # a note on the downbeat
    assert not pickup_sounds(tones((0.0, 8.0, 0.5)), 10.125, late)


@pytest.mark.parametrize(
    ("asked", "bars", "kept", "note"),
    [
        ({}, 8, True, "fills 5 bars and is taken as 8"),
        ({"bars": 5}, 5, True, ""),
        ({"bars": 4}, 4, False, "first 0.12 s sound"),
        ({"end_s": 8.0}, 4, False, "--bars 5"),
    ],
)
def test_a_sung_pickup_is_kept_or_named(
    asked: dict[str, Any], bars: int, kept: bool, note: str, tmp_path: Path
) -> None:
    sound = tones((0.0, 0.1, 0.5), *((s, s + 0.4, 0.5) for s in np.arange(0.125, 8.1, 0.5)))
    soundfile.write(tmp_path / "voice.wav", sound.samples.T, RATE)
    request = ClipRequest(tmp_path / "voice.wav", tempo_bpm=120.0, downbeat_s=0.125, **asked)
    with Library.open(tmp_path / "library") as library:
        found = analyse_clip(request, library)
    assert found.bars == bars
    assert (found.downbeat_s < 0) == kept
    assert note in " ".join(found.notes)
    assert bool(found.notes) == bool(note)


@pytest.mark.parametrize(
    ("seconds", "bars", "filled"), [(4.0, 2, 2), (6.0, 4, 3), (9.0, 8, 5), (14.0, 8, 7)]
)
def test_a_clip_that_is_lengthened_by_more_than_a_bar_says_so(
    seconds: float, bars: int, filled: int, tmp_path: Path
) -> None:
    sound = clicks(np.arange(0.0, seconds, 0.5), seconds)  # a bar is two seconds
    soundfile.write(tmp_path / "voice.wav", sound.samples.T, RATE)
    request = ClipRequest(tmp_path / "voice.wav", tempo_bpm=120.0, downbeat_s=0.0)
    with Library.open(tmp_path / "library") as library:
        found = analyse_clip(request, library)
        kept = analyse_clip(replace(request, bars=filled), library)
    assert (found.bars, kept.bars) == (bars, filled)
    told = [note for note in found.notes if f"--bars {filled}" in note]
    assert len(told) == (bars - filled > 1)
    assert not any("multiple" in note for note in kept.notes)


def test_upbeats_are_heard() -> None:
    sung = clicks(np.array([0.2, 0.4, 1.0, 1.5]), 3)
    assert upbeat_sounds(sung, 10.0, 11.0)
    late = clicks(np.array([1.0, 1.5, 2.0]), 3)
    assert not upbeat_sounds(late, 10.0, 11.0)
    assert not upbeat_sounds(sung, 10.0, 10.0)
    assert sung.sample_rate == RATE


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_s": -1.0},
        {"start_s": float("nan")},
        {"start_s": 4.0, "end_s": 4.0},
        {"end_s": float("inf")},
        {"tempo_bpm": 0.0},
        {"bars": 0},
        {"downbeat_s": float("nan")},
        {"downbeat_s": float("-inf")},
        {"beats_per_bar": 1},
        {"beats_per_bar": 13},
    ],
)
def test_regions_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ClipRequest(Path("clip.wav"), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "stated", [{}, {"tempo_bpm": 120.0}, {"tempo_bpm": 120.2, "downbeat_s": 0}]
)
def test_a_clip_of_a_known_waltz_is_in_three(tmp_path: Path, stated: dict[str, float]) -> None:
    """Whatever a person says of its tempo."""
    path = tmp_path / "voice.wav"
    sound = clicks(np.arange(0, 12, 0.5), 12)
    soundfile.write(path, sound.samples.T, sound.sample_rate)
    grid = BeatGrid.constant(120, end_s=12, beats_per_bar=3)
    rows, active = beat_rows(0, grid.intervals), np.ones(grid.intervals, bool)
    made = song(0, sources=(SourceFile(path, sha256_of(path), 1, 1),))
    heard = made.analysis.stems
    stems = tuple(replace(stem, features=rows, active=active) for stem in heard)
    made = replace(made, analysis=replace(made.analysis, grid=grid, stems=stems))
    with Library.open(tmp_path / "library") as library:
        library.add_song(made)
        found = analyse_clip(ClipRequest(path, **stated), library)
    assert found.grid.beats_per_bar == 3
    assert found.grid.tempo_bpm == pytest.approx(stated.get("tempo_bpm", 120.0), rel=0.005)
    assert found.method == ("person" if stated else "library")


@pytest.mark.parametrize("stated", [{}, {"tempo_bpm": 120.0}, {"downbeat_s": 1.0}])
def test_a_persons_metre_beats_that_of_the_song(tmp_path: Path, stated: dict[str, float]) -> None:
    path = tmp_path / "voice.wav"
    sound = clicks(np.arange(0, 12, 0.5), 12)
    soundfile.write(path, sound.samples.T, sound.sample_rate)
    made = song(0, sources=(SourceFile(path, sha256_of(path), 1, 1),))
    with Library.open(tmp_path / "library") as library:
        library.add_song(made)
        known = analyse_clip(ClipRequest(path, **stated), library)
        found = analyse_clip(ClipRequest(path, beats_per_bar=3, **stated), library)
    assert (known.grid.beats_per_bar, found.grid.beats_per_bar) == (4, 3)
    assert found.rows.size == 3 * found.bars
    at = found.grid.beat_at(stated.get("downbeat_s", float(known.grid.beats_s[0])))
    assert at == pytest.approx(3 * round(at / 3), abs=0.01)
