"""Ranks of the right answers and what is said about them.

The rank of the right answer is one plus the number of candidates that score higher, and a half for
each that scores the same: a model that cannot tell them apart gets the middle. R@k is the share of
right answers among the first k, where those that tie stand in random order: each counts as the
chance that it is among them, so such a model has R@k = k / candidates. The normalised rank NR is
rank / candidates, 0 is best, chance is about 0.5 (Riou et al. 2024, "Stem-JEPA", section 4).
Galleries of other sizes are compared by the chance that the right answer comes first of K: itself
and K - 1 others that are drawn from its candidates (the K-way test of Ciranni et al. 2025,
"COCOLA", over all draws at once). Intervals are redrawn by song.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

from engine.evaluation.bootstrap import Interval, SongBootstrap

__all__ = ["Difference", "Ranks", "Share", "Summary", "chance", "compare", "summarise"]

#: The k of R@k.
TOPS: Final = (1, 5, 10)
#: The K of "first of K".
SIZES: Final = (8, 16, 64)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The answers of one model to a list of queries; every model answers the same list.

    Args:
        songs: (queries,) song of each query.
        roles: (queries,) role of the right answer.
        rank: (queries,) rank of the right answer [1, candidates], halves possible.
        candidates: (queries,) how many there were, the right one included.
        tied: (queries,) how many others score the same as the right one.
    """

    songs: tuple[str, ...]
    roles: tuple[str, ...]
    rank: NDArray[np.float64]
    candidates: NDArray[np.int64]
    tied: NDArray[np.int64]

    def __post_init__(self) -> None:
        sizes = {len(self.songs), len(self.roles)}
        sizes |= {self.rank.size, self.candidates.size, self.tied.size}
        if len(sizes) > 1:
            raise ValueError("ranks of different lists of queries")

    @classmethod
    def of_scores(
        cls,
        songs: Sequence[str],
        roles: Sequence[str],
        answers: Iterable[tuple[NDArray[np.float64], int]],
    ) -> Ranks:
        """Ranks by the scores of all candidates.

        Args:
            songs: (queries,) song of each query.
            roles: (queries,) role of the right answer.
            answers: (queries,) the (candidates,) scores, and the place of the right one.
        """
        counts = [_counts(scores, right) for scores, right in answers]
        higher, tied, candidates = np.array(counts, dtype=np.int64).reshape(-1, 3).T
        return cls(tuple(songs), tuple(roles), 1.0 + higher + 0.5 * tied, candidates, tied)

    @property
    def normalised(self) -> NDArray[np.float64]:
        """(queries,) rank / candidates (0, 1]."""
        return self.rank / self.candidates

    def hits(self, top: int) -> NDArray[np.float64]:
        """(queries,) chance [0, 1] that the right answer is among the first ``top``.

        Those that tie stand in random order; without ties it is 1 or 0.
        """
        higher = self.rank - 1.0 - 0.5 * self.tied
        alike = 1.0 + self.tied
        chances: NDArray[np.float64] = np.clip(top - higher, 0.0, alike) / alike
        return chances

    def first_of(self, size: int) -> NDArray[np.float64]:
        """(queries,) chance [0, 1] to be first of ``size``: itself and others drawn by lot.

        Without ties C(n - 1 - h, size - 1) / C(n - 1, size - 1), where ``h`` of ``n`` candidates
        score higher; with ties the mean of that over the places that they share.

        Raises:
            ValueError: a query has fewer candidates.
        """
        if not 1 <= size <= self.candidates.min(initial=size):
            raise ValueError(f"there are not {size} candidates")
        higher = self.rank - 1.0 - 0.5 * self.tied
        alike = 1.0 + self.tied
        below = self.candidates - higher
        draws = comb(below, size) - comb(below - alike, size)
        chances: NDArray[np.float64] = draws / (alike * comb(self.candidates - 1, size - 1))
        return chances

    def where(self, chosen: NDArray[np.bool_]) -> Ranks:
        """Some of the queries."""
        index = np.flatnonzero(chosen)
        return Ranks(
            tuple(self.songs[i] for i in index),
            tuple(self.roles[i] for i in index),
            self.rank[index],
            self.candidates[index],
            self.tied[index],
        )


@dataclass(frozen=True)
class Share:
    """A share [0, 1] of the queries and its 95 % interval."""

    share: float
    ci95: Interval


@dataclass(frozen=True)
class Summary:
    """Figures of a list of ranks, their 95 % intervals by the same names, and what they rest on.

    ``first_of`` has the sizes for which every query has candidates enough.
    """

    queries: int
    songs: int
    r1: float
    r5: float
    r10: float
    mean_nr: float
    median_nr: float
    ci95: Mapping[str, Interval]
    first_of: Mapping[int, Share]


@dataclass(frozen=True)
class Difference:
    """One model minus another on the same queries: R@1 (more is better), mean NR (less is)."""

    r1: float
    r1_ci95: Interval
    mean_nr: float
    mean_nr_ci95: Interval


def summarise(ranks: Ranks, *, seed: int = 0) -> Summary:
    """Figures with intervals.

    Raises:
        ValueError: there is no query.
    """
    redrawn = SongBootstrap(ranks.songs, seed=seed)
    nr = ranks.normalised
    hits = {f"r{top}": ranks.hits(top) for top in TOPS}
    intervals = {name: redrawn.mean(values) for name, values in hits.items()}
    intervals |= {"mean_nr": redrawn.mean(nr), "median_nr": redrawn.median(nr)}
    first_of = {size: ranks.first_of(size) for size in SIZES if size <= ranks.candidates.min()}
    return Summary(
        queries=nr.size,
        songs=len(set(ranks.songs)),
        r1=float(hits["r1"].mean()),
        r5=float(hits["r5"].mean()),
        r10=float(hits["r10"].mean()),
        mean_nr=float(nr.mean()),
        median_nr=float(np.median(nr)),
        ci95=intervals,
        first_of={
            size: Share(float(chances.mean()), redrawn.mean(chances))
            for size, chances in first_of.items()
        },
    )


def compare(ranks: Ranks, baseline: Ranks, *, seed: int = 0) -> Difference:
    """``ranks`` minus ``baseline``, query by query.

    Raises:
        ValueError: they are not about the same queries.
    """
    if ranks.songs != baseline.songs or ranks.roles != baseline.roles:
        raise ValueError("only answers to the same queries can be compared")
    redrawn = SongBootstrap(ranks.songs, seed=seed)
    hits = ranks.hits(1) - baseline.hits(1)
    nr = ranks.normalised - baseline.normalised
    return Difference(float(hits.mean()), redrawn.mean(hits), float(nr.mean()), redrawn.mean(nr))


def chance(candidates: Sequence[int] | NDArray[np.int64]) -> dict[str, float]:
    """What drawing lots is expected to reach: k / N and (N + 1) / 2N."""
    count = np.asarray(candidates, dtype=np.float64)
    expected = {f"r{top}": float(np.minimum(top / count, 1.0).mean()) for top in TOPS}
    middle = (count + 1) / (2 * count)
    return expected | {"mean_nr": float(middle.mean()), "median_nr": float(np.median(middle))}


def _counts(scores: NDArray[np.float64], right: int) -> tuple[int, int, int]:
    """How many candidates score higher than ``right``, how many others the same, and all."""
    own = scores[right]
    return int((scores > own).sum()), int((scores == own).sum()) - 1, scores.size
