from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grid import SLACK_BEATS, BeatGrid

periods = st.lists(st.floats(0.25, 1.5), min_size=8, max_size=60)


@given(periods, st.floats(-2, 2))
def test_time_and_beat_are_inverse(steps: list[float], start: float) -> None:
    grid = BeatGrid(start + np.concatenate([[0.0], np.cumsum(steps)]))
    beats = np.linspace(-5, grid.intervals + 5, 200)
    np.testing.assert_allclose(grid.beat_at(grid.time_at(beats)), beats, atol=1e-9)


@given(periods, st.integers(2, 7))
def test_another_metre_keeps_the_beats_and_the_first_bar_line(
    steps: list[float], metre: int
) -> None:
    grid = BeatGrid(np.concatenate([[0.0], np.cumsum(steps)]))
    changed = grid.with_metre(metre)
    assert changed.beats_per_bar == metre
    assert changed.intervals % metre == 0
    np.testing.assert_allclose(grid.beat_at(changed.beats_s), np.arange(changed.beats_s.size))
    assert changed.beats_s[-1] >= grid.beats_s[-1] - SLACK_BEATS * steps[-1] - 1e-6


def test_another_metre_keeps_the_first_bar_line_that_is_heard() -> None:
    grid = BeatGrid.constant(120, downbeat_s=0.3, end_s=16)
    assert grid.beats_s[0] < 0
    changed = grid.with_metre(3)
    heard = changed.downbeats_s[changed.downbeats_s >= 0]
    np.testing.assert_allclose(heard[:3], [0.3, 1.8, 3.3])
    late = grid.with_metre(3, from_s=2.0)
    assert np.abs(late.downbeats_s - 2.3).min() < 1e-9


@given(periods, st.floats(-20, 0), st.floats(20, 80))
def test_covering_keeps_beats_and_bar_lines(steps: list[float], start: float, end: float) -> None:
    grid = BeatGrid(np.concatenate([[0.0], np.cumsum(steps)]))
    wide = grid.covering(start, end)
    assert grid.beat_at(wide.beats_s[0]) <= grid.beat_at(start) + SLACK_BEATS + 1e-6
    assert grid.beat_at(wide.beats_s[-1]) >= grid.beat_at(end) - SLACK_BEATS - 1e-6
    assert wide.intervals % 4 == 0
    moved = grid.beat_at(wide.beats_s)
    np.testing.assert_allclose(moved, np.rint(moved), atol=1e-6)
    assert round(moved[0]) % 4 == 0


def test_double_and_half_undo_each_other() -> None:
    grid = BeatGrid.constant(120, end_s=16)
    np.testing.assert_allclose(grid.doubled().halved().beats_s, grid.beats_s)
    assert grid.doubled().tempo_bpm == pytest.approx(240)
    assert grid.halved().tempo_bpm == pytest.approx(60)


@given(st.floats(0, 15))
def test_a_stated_downbeat_is_a_downbeat(time_s: float) -> None:
    grid = BeatGrid.constant(120, end_s=16).with_downbeat_at(time_s)
    assert np.abs(grid.downbeats_s - time_s).min() < 1e-9
    assert grid.beats_s[0] <= 0.5 * SLACK_BEATS + 1e-9
    assert grid.beats_s[-1] >= 16 - 0.5 * SLACK_BEATS - 1e-9
    np.testing.assert_allclose(np.diff(grid.beats_s), 0.5, atol=1e-9)


@pytest.mark.parametrize(
    "beats", [[0.0], [0.0, 0.0], [1.0, 0.5], [0.0, np.nan], [[0.0, 1.0], [2.0, 3.0]]]
)
def test_what_is_no_beat_map_is_refused(beats: list[float]) -> None:
    with pytest.raises(ValueError, match="beat"):
        BeatGrid(np.array(beats))


def test_tempo_shrugs_off_a_missed_beat() -> None:
    beats = np.delete(np.arange(0, 60, 0.5), 40)
    assert BeatGrid(beats).tempo_bpm == pytest.approx(120)


def test_a_beat_a_hair_after_the_start_adds_no_silent_bar() -> None:
    grid = BeatGrid(1e-4 + 0.5 * np.arange(17)).covering(0.0, 8.0)
    assert grid.bars == 4
    assert BeatGrid(0.1 + 0.5 * np.arange(17)).covering(0.0, 8.0).bars == 5
