"""What a protocol hands back: tasks, and in each task every model on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.accuracy import Accuracy
from engine.evaluation.bootstrap import Interval
from engine.evaluation.gallery import Stopwatch
from engine.evaluation.ranks import Difference, Ranks, Summary, chance, compare, summarise

__all__ = [
    "BASELINE",
    "AxisResult",
    "Curve",
    "ModelResult",
    "Protocol",
    "Report",
    "Task",
    "task_of",
]

Protocol = Literal["retrieval", "kway", "huang", "alignment"]

#: The model whose differences to the others the table shows.
BASELINE: Final = "automashupper"


@dataclass(frozen=True)
class AxisResult:
    """How well scores tell originals from copies that were altered along one axis.

    Args:
        axis: ``role: alteration``.
        auc: chance that an original scores above any altered copy [0, 1], ties are half.
        paired: the same against its own altered copies only.
        paired_ci95: interval of ``paired``, redrawn by song.
        pairs: how many originals and copies were compared.
    """

    axis: str
    auc: float
    paired: float
    paired_ci95: Interval
    pairs: int


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean score of the true pair, slid against each other.

    Args:
        role: of the stem.
        shifts: how much later the stem is read.
        score: one per shift.
        unit: of the shifts.
        baseline: what unrelated music scores; None where that was not measured.
    """

    role: str
    shifts: NDArray[np.float64]
    score: NDArray[np.float64]
    unit: Literal["beats", "s"] = "beats"
    baseline: float | None = None


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model in one task; no ``accuracy`` where there is no threshold, or no probability.

    ``against`` is this model minus each of the others, query by query.
    """

    model: str
    overall: Summary
    per_role: Mapping[str, Summary]
    strata: Mapping[str, Summary]
    scored_per_s: float
    against: Mapping[str, Difference] = field(default_factory=dict)
    axes: tuple[AxisResult, ...] = ()
    curves: tuple[Curve, ...] = ()
    accuracy: Accuracy | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """One question put to all models.

    Args:
        name: a word for scripts.
        about: a sentence for people.
        items: candidates in the gallery.
        chance: what drawing lots is expected to reach.
        results: one per model.
    """

    name: str
    about: str
    items: int
    chance: Mapping[str, float]
    results: tuple[ModelResult, ...]

    @property
    def has_threshold(self) -> bool:
        """Whether models whose score is a probability have an accuracy."""
        return "accuracy" in self.chance


@dataclass(frozen=True, eq=False)
class Report:
    """All tasks of a protocol; the first is the headline. ``seed`` is that of what was drawn."""

    protocol: Protocol
    songs: tuple[str, ...]
    tasks: tuple[Task, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
    seed: int = 0


def task_of(
    name: str,
    about: str,
    *,
    items: int,
    answers: Mapping[str, Ranks],
    watches: Mapping[str, Stopwatch],
    seed: int,
    strata: Mapping[str, NDArray[np.bool_]] | None = None,
    axes: Mapping[str, Sequence[AxisResult]] | None = None,
    curves: Mapping[str, Sequence[Curve]] | None = None,
    accuracies: Mapping[str, Accuracy | None] | None = None,
) -> Task:
    """Summarise the answers of every model.

    Args:
        name: see :class:`Task`.
        about: see :class:`Task`.
        items: see :class:`Task`.
        answers: ranks by model, all to the same queries.
        watches: by model.
        seed: of the intervals.
        strata: named subsets of the queries, (queries,) bool each.
        axes: by model, where the protocol has them.
        curves: by model, where the protocol has them.
        accuracies: by model, where the protocol has a threshold.
    """
    results = [
        ModelResult(
            model=model,
            overall=summarise(ranks, seed=seed),
            per_role=_summaries(ranks, _by_role(ranks), seed=seed),
            strata=_summaries(ranks, strata or {}, seed=seed),
            scored_per_s=watches[model].scored_per_s,
            against={
                other: compare(ranks, others, seed=seed)
                for other, others in answers.items()
                if other != model
            },
            axes=tuple((axes or {}).get(model, ())),
            curves=tuple((curves or {}).get(model, ())),
            accuracy=(accuracies or {}).get(model),
        )
        for model, ranks in answers.items()
    ]
    expected = chance(next(iter(answers.values())).candidates)
    if accuracies is not None:
        expected["accuracy"] = 0.5
    return Task(name, about, items, expected, tuple(results))


def _by_role(ranks: Ranks) -> dict[str, NDArray[np.bool_]]:
    roles = np.array(ranks.roles)
    return {role: roles == role for role in dict.fromkeys(ranks.roles)}


def _summaries(
    ranks: Ranks, subsets: Mapping[str, NDArray[np.bool_]], *, seed: int
) -> dict[str, Summary]:
    return {
        name: summarise(ranks.where(chosen), seed=seed)
        for name, chosen in subsets.items()
        if chosen.any()
    }
