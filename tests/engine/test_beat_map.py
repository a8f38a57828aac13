"""A warped clip's own beats: regions, bar lines, and the map as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from engine.clips.analysis import analyse_clip
from engine.clips.clip import BeatMap, ClipRequest
from engine.errors import UsageError
from engine.library.library import Library
from engine.rendering.tracks import clip_track
from tests.sounds import clicks

#: Four beats at 100 BPM, then 120 BPM; beat 0 is at half a second.
POINTS = ((0.5, 0.0), (2.9, 4.0), (6.9, 12.0))


@given(st.floats(-20, 40))
def test_the_map_is_linear_and_goes_on(beat: float) -> None:
    found = BeatMap(POINTS, 0, 12).time_at(beat)
    period = 0.6 if beat < 4 else 0.5
    anchor = (0.5, 0.0) if beat < 4 else (2.9, 4.0)
    assert found == pytest.approx(anchor[0] + (beat - anchor[1]) * period)


@pytest.mark.parametrize(
    ("start", "end", "first", "bars"),
    [
        (0, 16, 0, 4),
        (2, 18, 2, 4),  # whole bars are a loop, wherever it begins
        (0, 24, 0, 6),  # as long as it is, not whole phrases
        (-1, 16, -4, 5),  # an upbeat
        (0.1, 16, 0, 4),
        (3.8, 12, 4, 2),
        (0, 1, 0, 1),
        (0, 15, 0, 4),
    ],
)
def test_bars_of_a_region(start: float, end: float, first: float, bars: int) -> None:
    found = BeatMap(POINTS, start, end)
    assert (found.first_beat, found.bars) == (first, bars)
    grid = found.grid()
    assert grid.bars == bars
    assert grid.beats_s[0] == pytest.approx(found.time_at(first))


def test_markers_between_beats_are_kept() -> None:
    bent = BeatMap(((0.0, 0.0), (1.3, 2.5), (2.0, 4.0)), 0, 4)
    warp = bent.warp(1)
    assert (1.3, 2.5) in [(round(t, 9), b) for t, b in warp]
    assert [b for _, b in warp] == [0, 1, 2, 2.5, 3, 4]


@pytest.mark.parametrize(
    ("points", "start", "end"),
    [
        (((0.0, 0.0),), 0, 4),
        (((0.0, 0.0), (1.0, 0.0)), 0, 4),
        (((0.0, 0.0), (0.0, 1.0)), 0, 4),
        (((0.0, 0.0), (float("nan"), 1.0)), 0, 4),
        (POINTS, 4, 4),
        (POINTS, 0, float("inf")),
        (POINTS, -40, -20),
    ],
)
def test_what_is_no_map(points: tuple[tuple[float, float], ...], start: float, end: float) -> None:
    with pytest.raises(UsageError):
        BeatMap(points, start, end)


def test_a_mapped_clip_is_analysed_on_its_own_beats(tmp_path: Path) -> None:
    seconds, beats = np.array(POINTS).T
    times = np.interp(np.arange(8), beats, seconds)
    sound = clicks(times, 7)
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound.samples.T, sound.sample_rate)
    request = ClipRequest.warped(path, BeatMap(POINTS, 0, 8), gain_db=-6.0)
    with Library.open(tmp_path / "library") as library:
        found = analyse_clip(request, library, session_tempo_bpm=60.0)
        again = analyse_clip(request, library, session_tempo_bpm=200.0)
    np.testing.assert_allclose(found.grid.beats_s, BeatMap(POINTS, 0, 8).grid().beats_s)
    assert (found.method, found.bars, found.offset_beats(60.0)) == ("daw", 2, 0.0)
    np.testing.assert_array_equal(again.grid.beats_s, found.grid.beats_s)
    track = clip_track(found, 0)
    assert [point.beat for point in track.warp] == list(range(9))
    assert track.gain_db == -6.0


def test_louder_turns_up_the_level_and_nothing_else(tmp_path: Path) -> None:
    sound = clicks(0.5 * np.arange(16), 8)
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound.samples.T, sound.sample_rate)
    points = ((0.0, 0.0), (8.0, 16.0))
    with Library.open(tmp_path / "library") as library:
        found = analyse_clip(ClipRequest.warped(path, BeatMap(points, 0, 16)), library)
    louder = found.louder(6.0206)
    np.testing.assert_allclose(
        louder.rows["bands"].astype(float), 2 * found.rows["bands"].astype(float), rtol=2e-3
    )
    np.testing.assert_array_equal(louder.rows["chroma"], found.rows["chroma"])
    assert louder.peak_db == pytest.approx(found.peak_db + 6.0206)
