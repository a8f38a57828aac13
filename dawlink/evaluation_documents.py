"""A comparison of models as a JSON document, field by field as the interface contract names it.

The headline task's results stand on top; all tasks follow under ``tasks``. Intervals are
``[low, high]``; numbers that are not finite are null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from dawlink.documents import Document

if TYPE_CHECKING:
    from engine.evaluation.accuracy import Accuracy
    from engine.evaluation.bootstrap import Interval
    from engine.evaluation.ranks import Difference, Summary
    from engine.evaluation.report import Curve, ModelResult, Report, Task

__all__ = ["report_document"]


def report_document(report: Report) -> Document:
    """A report as the interface contract names its fields; the headline task is on top."""
    headline = report.tasks[0]
    return {
        "protocol": report.protocol,
        "seed": report.seed,
        "items": headline.items,
        "results": [_result_document(headline, result) for result in headline.results],
        "chance": headline.chance,
        "songs": list(report.songs),
        "notes": list(report.notes),
        "tasks": [
            {
                "name": task.name,
                "about": task.about,
                "items": task.items,
                "chance": task.chance,
                "results": [_result_document(task, result) for result in task.results],
            }
            for task in report.tasks
        ],
    }


def _result_document(task: Task, result: ModelResult) -> Document:
    document: Document = {"model": result.model, **_summary_document(result.overall)}
    document["per_role"] = _summaries(result.per_role)
    if task.has_threshold:
        document["accuracy"] = _accuracy_document(result.accuracy)
    document["scored_per_s"] = round(result.scored_per_s, 1)
    if result.strata:
        document["strata"] = _summaries(result.strata)
    document["against"] = {
        other: _difference_document(difference) for other, difference in result.against.items()
    }
    if result.axes:
        document["axes"] = [{**asdict(a), "paired_ci95": _ends(a.paired_ci95)} for a in result.axes]
    if result.curves:
        document["curves"] = [_curve_document(curve) for curve in result.curves]
    return document


def _difference_document(difference: Difference) -> Document:
    return {
        "r1": difference.r1,
        "mean_nr": difference.mean_nr,
        "ci95": {"r1": _ends(difference.r1_ci95), "mean_nr": _ends(difference.mean_nr_ci95)},
    }


def _accuracy_document(accuracy: Accuracy | None) -> Document | None:
    """None for models whose score is no probability."""
    return None if accuracy is None else {**asdict(accuracy), "ci95": _ends(accuracy.ci95)}


def _curve_document(curve: Curve) -> Document:
    document: Document = {
        "role": curve.role,
        f"shifts_{curve.unit}": curve.shifts.tolist(),
        "score": [score if math.isfinite(score) else None for score in curve.score.tolist()],
    }
    return document if curve.baseline is None else {**document, "baseline": curve.baseline}


def _summaries(summaries: Mapping[str, Summary]) -> Document:
    return {name: _summary_document(summary) for name, summary in summaries.items()}


def _summary_document(summary: Summary) -> Document:
    intervals = {name: _ends(interval) for name, interval in summary.ci95.items()}
    first_of = {
        str(size): {"share": found.share, "ci95": _ends(found.ci95)}
        for size, found in summary.first_of.items()
    }
    return {**asdict(summary), "ci95": intervals, "first_of": first_of}


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if interval.is_known else None
