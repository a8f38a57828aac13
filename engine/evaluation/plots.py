"""Pictures of a report: ranks with their intervals, axes of negatives, curves over a time shift.

PNG at 150 pixels per inch through matplotlib's object interface and Agg, so no display is needed
and no global state is touched. One colour per model in every panel (Okabe & Ito 2008, which people
with any colour vision can tell apart); grey dashes are chance.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.evaluation.bootstrap import Interval
from engine.evaluation.report import ModelResult, Report, Task
from engine.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_report"]

DPI: Final = 150
_WIDTH_IN: Final = 10.0
_COLOURS: Final = (
    "#9ca3af",
    "#56b4e9",
    "#e69f00",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#000000",
)
_CHANCE: Final = "#6b7280"
#: The first colours are pale: there they stand for the baselines.
_FIRST_OF_COSINES: Final = 3
#: Share of a category's width that its bars take together.
_BARS_WIDTH: Final = 0.8


def draw_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every picture that the report has material for; returns their paths.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    written = [_save(_ranks_figure(report), folder / f"{report.protocol}.png")]
    for task in report.tasks:
        if any(result.axes for result in task.results):
            written.append(_save(_axes_figure(task), folder / f"{task.name}-axes.png"))
        if any(result.curves for result in task.results):
            written.append(_save(_curves_figure(task), folder / f"{task.name}-curves.png"))
    return tuple(written)


def _figure(height_in: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH_IN, height_in), dpi=DPI, layout="constrained")


def _save(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    write_whole(path, buffer.getvalue())
    return path


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _ranks_figure(report: Report) -> Figure:
    """A row per task: R@k and accuracy on the left, mean normalised rank on the right."""
    figure = _figure(0.6 + 2.0 * len(report.tasks))
    grid = figure.subplots(len(report.tasks), 2, squeeze=False, width_ratios=(2, 1))
    for row, task in enumerate(report.tasks):
        measures, labels = ["r1", "r5", "r10"], ["R@1", "R@5", "R@10"]
        if task.has_threshold:
            measures.append("accuracy")
            labels.append("accuracy at 0.5")
        _draw_measures(grid[row][0], task, measures, labels)
        _draw_measures(grid[row][1], task, ("mean_nr",), ("mean NR (0 is best)",))
        first = task.results[0].overall
        title = f"{task.name}: {first.queries} queries of {first.songs} songs, 95 % by song"
        grid[row][0].set_title(title, fontsize=9, loc="left")
    grid[0][0].legend(fontsize=7, ncols=2, loc="upper left")
    return figure


def _draw_measures(axes: Axes, task: Task, measures: Sequence[str], labels: Sequence[str]) -> None:
    width = _BARS_WIDTH / len(task.results)
    for number, result in enumerate(task.results):
        figures = _figures(result)
        places = [i + width * (number - (len(task.results) - 1) / 2) for i in range(len(measures))]
        heights = [figures[m][0] for m in measures]
        whiskers = _whiskers(heights, [figures[m][1] for m in measures])
        axes.bar(places, heights, width, color=_colour(number), label=result.model)
        axes.errorbar(places, heights, whiskers, fmt="none", ecolor="#22262b", elinewidth=0.8)
    for place, measure in enumerate(measures):
        level = task.chance[measure]
        axes.plot([place - 0.45, place + 0.45], [level, level], "--", color=_CHANCE, linewidth=1)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(0, 1)
    axes.tick_params(axis="y", labelsize=7)


def _figures(result: ModelResult) -> dict[str, tuple[float, Interval]]:
    """Every measure with its interval; NaN, which draws no bar, where a model has none."""
    overall = result.overall
    found = {name: (getattr(overall, name), interval) for name, interval in overall.ci95.items()}
    accuracy = result.accuracy
    unknown = (math.nan, Interval(math.nan, math.nan))
    found["accuracy"] = unknown if accuracy is None else (accuracy.share, accuracy.ci95)
    return found


def _whiskers(values: Sequence[float], intervals: Sequence[Interval]) -> list[list[float]]:
    """Lengths below and above, 0 without an interval, which need not hold the value itself."""
    both = list(zip(values, intervals, strict=True))
    below = [max(v - i.low, 0.0) if i.is_known else 0.0 for v, i in both]
    above = [max(i.high - v, 0.0) if i.is_known else 0.0 for v, i in both]
    return [below, above]


def _axes_figure(task: Task) -> Figure:
    """How often an original beats its own altered copies, axis by axis."""
    names = [axis.axis for axis in task.results[0].axes]
    figure = _figure(1.2 + 0.35 * len(names))
    axes = figure.subplots()
    step = 0.6 / len(task.results)
    for number, result in enumerate(task.results):
        values = [axis.paired for axis in result.axes]
        places = [i + step * (number - (len(task.results) - 1) / 2) for i in range(len(names))]
        whiskers = _whiskers(values, [axis.paired_ci95 for axis in result.axes])
        axes.errorbar(
            values, places, xerr=whiskers, fmt="o", ms=4, color=_colour(number), label=result.model
        )
    axes.axvline(0.5, linestyle="--", color=_CHANCE, linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of altered copies that score below their original", fontsize=8)
    axes.legend(fontsize=7, loc="lower left")
    return figure


def _curves_figure(task: Task) -> Figure:
    """Mean score against the shift, a panel per role; every model on its own scale."""
    if task.results[0].curves[0].unit == "s":
        return _cosines_figure(task)
    roles = [curve.role for curve in task.results[0].curves]
    figure = _figure(0.8 + 2.6 * len(roles))
    panels = figure.subplots(len(roles), 1, squeeze=False)
    for row, role in enumerate(roles):
        axes = panels[row][0]
        for number, result in enumerate(task.results):
            _draw_curve(axes, result, role, _colour(number))
        axes.axvline(0, linestyle="--", color=_CHANCE, linewidth=1)
        axes.set_title(f"{role} under its vocal", fontsize=9, loc="left")
        axes.set_ylabel("score (standard deviations)", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[-1][0].set_xlabel("stem read this many beats late", fontsize=8)
    panels[0][0].legend(fontsize=7, ncols=4, loc="upper left")
    return figure


def _draw_curve(axes: Axes, result: ModelResult, role: str, colour: str) -> None:
    for curve in result.curves:
        spread = float(curve.score.std())
        if curve.role == role and spread > 0:
            standard = (curve.score - curve.score.mean()) / spread
            axes.plot(curve.shifts, standard, color=colour, linewidth=1, label=result.model)


def _cosines_figure(task: Task) -> Figure:
    """Mean cosine against the shift, a panel per role, with the level of unrelated music."""
    roles = [curve.role for curve in task.results[0].curves]
    figure = _figure(0.8 + 2.0 * len(roles))
    panels = figure.subplots(len(roles), 1, squeeze=False, sharex=True)
    for row, role in enumerate(roles):
        axes = panels[row][0]
        for number, result in enumerate(task.results):
            for curve in result.curves:
                if curve.role == role:
                    colour = _colour(number + _FIRST_OF_COSINES)
                    axes.plot(curve.shifts, curve.score, color=colour, label=result.model)
                    if curve.baseline is not None:
                        axes.axhline(curve.baseline, linestyle=":", color=colour, linewidth=1)
        axes.axvline(0, linestyle="--", color=_CHANCE, linewidth=1)
        axes.set_title(f"{role} by the rest of its song", fontsize=9, loc="left")
        axes.set_ylabel("mean cosine", fontsize=8)
        axes.tick_params(labelsize=7)
    panels[-1][0].set_xlabel("stem read this many seconds late (dotted: other songs)", fontsize=8)
    panels[0][0].legend(fontsize=7, loc="upper left")
    return figure
