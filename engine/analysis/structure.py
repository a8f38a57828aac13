"""Bar-aligned windows of a song: the pieces of 4, 8 and 16 bars that can be asked for.

Music in phrases of four or eight bars starts them at some bar of the count: after a pickup bar the
phrases begin at bar 1, 5, 9. The phase is where most changes between neighbouring bars fall. The
windows start there and step on by half their length, so every phrase start of the song begins a
window of each length. A song shorter than four bars is one window of what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import WINDOW_BARS, Window
from engine.grid import BeatGrid
from engine.theory import Role

__all__ = ["find_windows", "phrase_phase"]

#: Bars of a phrase; its phase is searched.
PHRASE_BARS: Final = 4
#: The best phase must hold this times the average change, or the phase is 0.
CLEAR_PHASE: Final = 1.3
#: Fewer bars than this show no phrases.
FEWEST_BARS: Final = 12


def find_windows(
    grid: BeatGrid, active: Mapping[Role, NDArray[np.bool_]], *, first_bar: int = 0
) -> tuple[Window, ...]:
    """Windows in which anything sounds, by length, then by start.

    Args:
        grid: the song's beats.
        active: role → (intervals,) beats in which the stem sounds.
        first_bar: a bar that begins a phrase (see :func:`phrase_phase`).
    """
    windows: list[Window] = []
    for bars in WINDOW_BARS:
        starts = range(first_bar % (bars // 2), grid.bars - bars + 1, bars // 2)
        windows += [_window(grid, active, start, bars) for start in starts]
    if not windows:
        windows = [_window(grid, active, 0, max(grid.bars, 1))]
    return tuple(window for window in windows if any(window.activity.values()))


def phrase_phase(grid: BeatGrid, levels: NDArray[np.float64]) -> int:
    """The bar [0, 4) on which phrases begin; 0 when nothing tells.

    Args:
        grid: the song's beats.
        levels: (intervals, dimensions) what describes each beat, every dimension on a like scale.
    """
    if grid.bars < FEWEST_BARS:
        return 0
    metre = grid.beats_per_bar
    bars = levels[: grid.bars * metre].reshape(grid.bars, metre, -1).mean(axis=1)
    before = (bars[:-2] + bars[1:-1]) / 2
    change = np.abs(bars[2:] - before).sum(axis=1)
    number = np.arange(2, grid.bars)
    totals = np.array([change[number % PHRASE_BARS == p].mean() for p in range(PHRASE_BARS)])
    best = int(np.argmax(totals))
    return best if totals[best] > CLEAR_PHASE * totals.mean() else 0


def _window(
    grid: BeatGrid, active: Mapping[Role, NDArray[np.bool_]], start_bar: int, bars: int
) -> Window:
    metre = grid.beats_per_bar
    part = slice(start_bar * metre, (start_bar + bars) * metre)
    activity = {str(role): float(np.mean(beats[part])) for role, beats in active.items()}
    return Window(start_bar, bars, activity)
