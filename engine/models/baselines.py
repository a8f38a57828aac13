"""Baselines that any model must beat: chance, and the best rotation of the mean chroma."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.mashup.placement import loop_bars_for
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, FitParts, Search
from engine.theory import Role

__all__ = ["MeanChroma", "RandomFit"]


class RandomFit:
    """Chance: a score drawn for every stem from the seed and its id, so it can be repeated."""

    name = "random"

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """See :class:`~engine.models.ranker.Ranker`; start bar and shift are drawn too."""
        return _kept([self._draw(clip, pool, i, search) for i in _allowed(pool, eligible)], search)

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """The mean of the drawn scores."""
        del clip
        return _mean_of_members(fits), {}

    def _draw(self, clip: ClipFeatures, pool: RolePool, index: int, search: Search) -> Fit:
        text = f"{search.seed}:{pool.stem_ids[index]}".encode()
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
        loop_bars = loop_bars_for(int(pool.bars[index]), clip.bars)
        starts = (int(pool.bars[index]) - loop_bars) // pool.start_step + 1
        shift = int(rng.choice(np.array(search.semitones))) if pool.transposable else 0
        start = int(rng.integers(starts)) * pool.start_step
        return Fit(index, start, loop_bars, shift, float(rng.random()))


class MeanChroma:
    """Cosine of the time-averaged chroma of clip and stem, best allowed rotation.

    Averages know nothing of time, so the stem starts on the earliest bar from which it sounds
    most; drums have no chroma and all score 0.5.
    """

    name = "chroma"

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """See :class:`~engine.models.ranker.Ranker`."""
        query = np.roll(
            clip.rows["chroma"][clip.active].astype(np.float32).sum(axis=0), clip.transpose
        )
        fits = [self._place_one(query, clip, pool, i, search) for i in _allowed(pool, eligible)]
        return _kept(fits, search)

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """The mean of the stems' own scores; harmony counts the pitched ones."""
        del clip
        return _mean_of_members(fits), {}

    def _place_one(
        self,
        query: NDArray[np.float32],
        clip: ClipFeatures,
        pool: RolePool,
        index: int,
        search: Search,
    ) -> Fit:
        loop_bars = loop_bars_for(int(pool.bars[index]), clip.bars)
        start = _fullest_start(pool, index, loop_bars)
        if not pool.transposable:
            return Fit(index, start, loop_bars, 0, 0.5)
        low = int(pool.offsets[index]) + start * pool.beats_per_bar
        stem = (
            pool.chroma[low : low + loop_bars * pool.beats_per_bar].astype(np.float32).sum(axis=0)
        )
        norm = float(np.linalg.norm(query) * np.linalg.norm(stem))
        scores = [float(query @ np.roll(stem, k)) / norm if norm else 0.0 for k in search.semitones]
        best = min(range(len(scores)), key=lambda i: (-scores[i], abs(search.semitones[i])))
        score = min(scores[best], 1.0)
        return Fit(index, start, loop_bars, search.semitones[best], score, FitParts(harmony=score))


def _fullest_start(pool: RolePool, index: int, loop_bars: int) -> int:
    bars = int(pool.bars[index])
    low = int(pool.offsets[index])
    active = pool.active[low : low + bars * pool.beats_per_bar].reshape(bars, -1).sum(axis=1)
    sounding = np.convolve(active, np.ones(loop_bars, dtype=np.int64), mode="valid")
    return int(np.argmax(sounding[:: pool.start_step])) * pool.start_step


def _allowed(pool: RolePool, eligible: NDArray[np.bool_] | None) -> list[int]:
    mask = pool.bars >= 1
    return [int(i) for i in np.flatnonzero(mask if eligible is None else mask & eligible)]


def _kept(fits: list[Fit], search: Search) -> list[Fit]:
    return sorted(fits, key=lambda fit: (-fit.score, fit.index))[: search.keep]


def _mean_of_members(
    fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]],
) -> NDArray[np.float32]:
    shape = tuple(len(members) for members in fits.values())
    total = np.zeros(shape, dtype=np.float32)
    for axis, members in enumerate(fits.values()):
        view = [1] * len(shape)
        view[axis] = len(members)
        total += np.array([fit.score for _, fit in members], dtype=np.float32).reshape(view)
    return (total / len(shape)).astype(np.float32)
