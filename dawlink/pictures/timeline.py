"""Beats, bars and time along the horizontal axis of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from dawlink.pictures.canvas import INK, MUTED, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Lines", "bar_step", "draw_bar_numbers", "draw_lines", "draw_time"]

#: Closer than this, lines are a grey film and left out [pixels].
_CLOSEST_LINES_PX: Final = 7.0
#: Room for a number on the axis [pixels].
_LABEL_PX: Final = 48.0
_TIME_STEPS_S: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
_MOST_TIMES: Final = 12


@dataclass(frozen=True, eq=False)
class Lines:
    """Where beats and bars begin, in units of the horizontal axis, and where it ends."""

    beats: NDArray[np.float64]
    bars: NDArray[np.float64]
    start: float
    end: float


def draw_lines(sheet: Sheet, row: int, lines: Lines) -> None:
    """Lines on beats, bars and numbered bars, each stronger; those without room are left out."""
    axes = sheet.rows[row]
    numbered = lines.bars[:: bar_step(lines, sheet.width_px)]
    shapes = (
        (lines.beats, 0.08, 0.5),
        (lines.bars, 0.18, 0.6),
        (numbered, 0.45, 0.7),
    )
    for positions, strength, width in shapes:
        if sheet.width_px / max(_shown(positions, lines), 1) >= _CLOSEST_LINES_PX:
            across = axes.get_xaxis_transform()
            axes.vlines(
                positions,
                0,
                1,
                transform=across,
                colors=INK,
                alpha=strength,
                linewidths=width,
                zorder=0.5,
            )


def bar_step(lines: Lines, width_px: float) -> int:
    """Every how many bars, a power of two, there is room for a number on the axis."""
    step = 1
    while width_px * step / max(_shown(lines.bars, lines), 1) < _LABEL_PX:
        step *= 2
    return step


def _shown(positions: NDArray[np.float64], lines: Lines) -> int:
    return int(np.count_nonzero((positions >= lines.start) & (positions <= lines.end)))


def draw_time(axes: Axes, duration_s: float) -> None:
    """Minutes and seconds below the last row."""
    step = next((s for s in _TIME_STEPS_S if duration_s / s <= _MOST_TIMES), _TIME_STEPS_S[-1])
    times = np.arange(0, duration_s * (1 + 1e-9), step)
    axes.set_xlim(0.0, duration_s)
    axes.set_xticks(times, [_clock(float(time), step) for time in times])


def _clock(time_s: float, step_s: float) -> str:
    decimals = 0 if step_s >= 1 else 2 if step_s == 0.25 else 1
    minutes, seconds = divmod(round(time_s, decimals), 60)
    return f"{int(minutes):02d}:{seconds:0{2 + (decimals and decimals + 1)}.{decimals}f}"


def draw_bar_numbers(sheet: Sheet, lines: Lines) -> None:
    """Numbers of the bars above the first row, 1 at the first downbeat of the map."""
    top = sheet.rows[0].secondary_xaxis("top")
    step = bar_step(lines, sheet.width_px)
    numbered = [
        (float(at), number)
        for number, at in enumerate(lines.bars)
        if number % step == 0 and lines.start - 1e-6 <= at < lines.end
    ]
    top.set_xticks([at for at, _ in numbered], [str(number + 1) for _, number in numbered])
    top.tick_params(colors=MUTED, labelcolor=INK)
    top.set_frame_on(False)
    sheet.rows[0].annotate(
        "bar 1" if _begins_inside_bar_1(lines) else "bar",
        (0, 1),
        (-9, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        color=MUTED,
        fontsize=7.5,
    )


def _begins_inside_bar_1(lines: Lines) -> bool:
    """Whether bar 1 begins before the picture and something worth naming of it is in there."""
    least = 0.02 * (lines.end - lines.start)
    return lines.bars[0] < lines.start - 1e-6 and (
        lines.bars.size < 2 or bool(lines.bars[1] > lines.start + least)
    )
