"""Which bars a region of a file fills, and whether what lies before its first bar line is music."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.audio.waveform import Waveform
from engine.grid import SLACK_BEATS, BeatGrid

__all__ = [
    "LEAST_PICKUP_BEATS",
    "OVERHANG_BEATS",
    "PHRASE_BARS",
    "bars_filled",
    "bars_of_region",
    "is_whole_bars",
    "pickup_sounds",
    "upbeat_sounds",
]

#: A clip may reach this far over a bar line before another bar is counted [beats].
OVERHANG_BEATS: Final = 0.3
#: An upbeat shorter than this is breath and attack, unless it is as loud as a note [beats].
LEAST_UPBEAT_BEATS: Final = 0.3
#: A pickup is at least about a sixteenth note; less is a downbeat that is sung early [beats].
LEAST_PICKUP_BEATS: Final = 0.2
#: A region this close to whole bars is a loop, even on a tracked grid, and stays one [beats].
_LOOP_BEATS: Final = 0.1
#: 20 dB under the average is breath and room [share of the clip's RMS].
_BREATH: Final = 0.1
#: 10 dB under the average is a note; the consonant of the next one is mostly softer
#: [share of the clip's RMS].
_NOTE: Final = 0.3
#: A region this close to whole bars is meant to be whole bars [beats].
WHOLE_BARS_BEATS: Final = 0.02
#: More than two bars are rounded up to a multiple of so many.
PHRASE_BARS: Final = 4


def bars_of_region(
    grid: BeatGrid,
    start_s: float,
    end_s: float,
    *,
    upbeat: bool,
    pickup: bool = False,
    bars: int | None = None,
) -> BeatGrid:
    """The part of ``grid`` that a region fills, in whole bars from its first downbeat.

    Args:
        grid: covers the region.
        start_s: beginning of the region.
        end_s: end of the region.
        upbeat: whether what lies before the first downbeat is worth a bar.
        pickup: whether it is worth one even when it is shorter than an upbeat. Neither a loop nor
            the bars that are asked for are broken up for it.
        bars: how many bars to take; counted when None.
    """
    bar = grid.beats_per_bar
    span = _span(grid, start_s, end_s, upbeat=upbeat, pickup=pickup, bars=bars)
    count = bars or _whole_phrases(span.bars)
    beats = np.arange(span.first * bar, (span.first + count) * bar + 1, dtype=np.float64)
    return replace(grid, beats_s=grid.time_at(beats))


def bars_filled(
    grid: BeatGrid, start_s: float, end_s: float, *, upbeat: bool, pickup: bool = False
) -> int:
    """How many bars :func:`bars_of_region` counts before it rounds them up to whole phrases."""
    return _span(grid, start_s, end_s, upbeat=upbeat, pickup=pickup, bars=None).bars


@dataclass(frozen=True)
class _Span:
    """Number of the first bar that a region fills, and how many it fills, at least one."""

    first: int
    bars: int


def _span(
    grid: BeatGrid, start_s: float, end_s: float, *, upbeat: bool, pickup: bool, bars: int | None
) -> _Span:
    """See :func:`bars_of_region`."""
    bar = grid.beats_per_bar
    start, end = grid.beat_at(start_s), grid.beat_at(end_s)
    first = int(np.ceil(start / bar - OVERHANG_BEATS / bar))
    before = first * bar - start
    loop = is_whole_bars(end - start, bar, _LOOP_BEATS)
    count = int(np.ceil((end - first * bar - OVERHANG_BEATS) / bar))
    pickup = pickup and before >= LEAST_PICKUP_BEATS and (bars > count if bars else not loop)
    if pickup or (upbeat and before >= LEAST_UPBEAT_BEATS):
        first, count = first - 1, count + 1
    return _Span(first, max(count, 1))


def upbeat_sounds(waveform: Waveform, region_start_s: float, downbeat_s: float) -> bool:
    """Whether the region sounds between its start and its first downbeat.

    Args:
        waveform: the region's audio.
        region_start_s: second of the file at which it begins.
        downbeat_s: second of the file of the first downbeat in it.
    """
    return _level_share(waveform, 0.0, downbeat_s - region_start_s) > _BREATH


def pickup_sounds(waveform: Waveform, region_start_s: float, grid: BeatGrid) -> bool:
    """Whether something as loud as a note lies before the region's first downbeat.

    The last :data:`~engine.grid.SLACK_BEATS` before it are those of a note on the downbeat.
    """
    bar = grid.beats_per_bar
    downbeat = bar * float(np.ceil(grid.beat_at(region_start_s) / bar))
    end_s = grid.time_at(downbeat - SLACK_BEATS)
    return _level_share(waveform, 0.0, end_s - region_start_s) > _NOTE


def _level_share(waveform: Waveform, from_s: float, to_s: float) -> float:
    """RMS level of a part of the region, as a share of that of all of it; 0 of no part."""
    low, high = (max(round(at_s * waveform.sample_rate), 0) for at_s in (from_s, to_s))
    part = waveform.samples[:, low:high]
    whole = float(np.sqrt(np.mean(np.square(waveform.samples))))
    return float(np.sqrt(np.mean(np.square(part)))) / whole if part.size and whole > 0 else 0.0


def is_whole_bars(beats: float, bar: int, within: float = WHOLE_BARS_BEATS) -> bool:
    """Whether so many beats are whole bars, ``within`` beats or so."""
    return abs(beats - bar * round(beats / bar)) < within


def _whole_phrases(bars: int) -> int:
    """Up to two bars as they are, then multiples of :data:`PHRASE_BARS`."""
    return bars if bars <= 2 else -(-bars // PHRASE_BARS) * PHRASE_BARS
