import numpy as np
import pytest

from engine.analysis.structure import find_windows, phrase_phase
from engine.grid import BeatGrid


def _grid(bars: int, metre: int = 4) -> BeatGrid:
    return BeatGrid.constant(120, end_s=bars * metre * 0.5, beats_per_bar=metre)


@pytest.mark.parametrize("metre", [3, 4])
def test_windows_step_by_half_their_length_and_stay_inside(metre: int) -> None:
    grid = _grid(20, metre)
    windows = find_windows(grid, {"drums": np.ones(grid.intervals, dtype=bool)})
    for bars, count in ((4, 9), (8, 4), (16, 1)):
        starts = [window.start_bar for window in windows if window.bars == bars]
        assert starts == list(range(0, 20 - bars + 1, bars // 2))
        assert len(starts) == count
    assert all(window.activity == {"drums": 1.0} for window in windows)


def test_windows_begin_on_phrases_after_a_pickup() -> None:
    grid = _grid(21)
    active = {"vocals": np.ones(grid.intervals, dtype=bool)}
    starts = [w.start_bar for w in find_windows(grid, active, first_bar=1) if w.bars == 8]
    assert starts == [1, 5, 9, 13]


def test_activity_is_the_share_of_beats_and_silent_windows_are_left_out() -> None:
    grid = _grid(16)
    vocals = np.zeros(64, dtype=bool)
    vocals[16:24] = True
    windows = find_windows(grid, {"vocals": vocals})
    four = {window.start_bar: window.activity["vocals"] for window in windows if window.bars == 4}
    assert four == {2: 0.5, 4: 0.5}


def test_a_short_loop_is_one_window() -> None:
    grid = _grid(2)
    windows = find_windows(grid, {"drums": np.ones(8, dtype=bool)})
    assert [(window.start_bar, window.bars) for window in windows] == [(0, 2)]


@pytest.mark.parametrize("phase", [0, 1, 2, 3])
def test_phrases_begin_where_things_change(phase: int) -> None:
    grid = _grid(41)
    section = np.maximum(np.arange(41) - phase, -1) // 4
    rng = np.random.default_rng(3)
    palette = rng.uniform(0, 1, (20, 6))
    levels = np.repeat(palette[section], 4, axis=0) + 0.05 * rng.standard_normal((164, 6))
    assert phrase_phase(grid, levels) == phase


def test_even_music_and_short_music_have_no_phrases() -> None:
    rng = np.random.default_rng(0)
    assert phrase_phase(_grid(64), 1 + 0.01 * rng.standard_normal((256, 5))) == 0
    assert phrase_phase(_grid(8), rng.uniform(0, 1, (32, 5))) == 0
