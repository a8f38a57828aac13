"""Intervals that respect that queries of one song are not independent: whole songs are redrawn.

Cluster bootstrap (Field & Welsh, "Bootstrapping clustered data", JRSS B 2007): songs are drawn with
replacement, each brings all of its queries, and the middle 95 % of the redrawn statistics is the
interval. With a handful of songs such an interval is rough; the number of songs is always stated
beside it. A single song has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Interval", "SongBootstrap"]

DRAWS: Final = 2000
#: Bounds of the middle 95 % [percent].
_BOUNDS: Final = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of the redrawn statistics; NaN where there is only one song."""

    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class SongBootstrap:
    """One set of redrawn songs for all statistics, so that differences are paired.

    Args:
        songs: (queries,) the song of each query.
        seed: of the draws.
        draws: how often the songs are redrawn.
    """

    def __init__(self, songs: Sequence[str], *, seed: int = 0, draws: int = DRAWS) -> None:
        if not songs:
            raise ValueError("there is nothing to redraw")
        names, self._song_of = np.unique(np.array(songs), return_inverse=True)
        rng = np.random.default_rng(seed)
        even = np.full(names.size, 1 / names.size)
        self._weights = rng.multinomial(names.size, even, size=draws).astype(np.float64)

    def mean(self, values: NDArray[np.float64]) -> Interval:
        """Interval of the mean of (queries,) values."""
        count = self._weights.shape[1]
        sums = np.bincount(self._song_of, weights=values, minlength=count)
        sizes = np.bincount(self._song_of, minlength=count)
        return self._interval(self._weights @ sums / (self._weights @ sizes))

    def median(self, values: NDArray[np.float64]) -> Interval:
        """Interval of the (lower) median of (queries,) values."""
        order = np.argsort(values, kind="stable")
        heaped = np.cumsum(self._weights[:, self._song_of[order]], axis=1)
        middle = np.argmax(heaped >= heaped[:, -1:] / 2, axis=1)
        return self._interval(values[order][middle])

    def _interval(self, statistics: NDArray[np.float64]) -> Interval:
        if self._weights.shape[1] < 2:
            return Interval(math.nan, math.nan)
        low, high = np.percentile(statistics, _BOUNDS)
        return Interval(float(low), float(high))
