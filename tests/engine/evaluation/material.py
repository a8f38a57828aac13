"""Synthetic songs with known answers, and rankers that know or ignore them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Passage
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.theory import Key, Role
from tests.engine import pools

PARTS: tuple[Role, ...] = ("vocals", "drums", "bass", "other")


def passage(
    name: str,
    *,
    role: Role = "other",
    song_id: str = "g0",
    bars: int = 16,
    seed: int = 0,
    level: float = 0.1,
) -> Passage:
    """Random triads and onsets that sound throughout, level in every band."""
    rows = pools.rows(pools.triads(bars, seed=seed), pools.patterns(bars, seed=seed), level=level)
    return Passage(name, song_id, role, 4, rows, np.ones(rows.size, dtype=np.bool_))


def song(number: int, *, bars: int = 32, parts: tuple[Role, ...] = PARTS) -> EvaluationSong:
    """All stems of song ``number`` share a level that no other song has, and differ otherwise.

    It is a beat a minute faster and said to be a semitone higher than the song before.
    """
    stems: dict[Role, Passage] = {}
    sums: tuple[Role, ...] = ("harmonic",) if {"bass", "other"} & set(parts) else ()
    for place, role in enumerate((*parts, *sums)):
        stems[role] = passage(
            f"s{number}{role}",
            role=role,
            song_id=f"g{number}",
            bars=bars,
            seed=100 * number + place,
            level=0.1 + 0.01 * number,
        )
    return EvaluationSong(
        f"g{number}",
        f"song {number}",
        4,
        stems,
        parts,
        tempo_bpm=120.0 + number,
        key=Key(number % 12, "major"),
    )


class SameLevelMixtures:
    """A sum that sounds like its first part: enough for rankers that look at the level."""

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        first = song.stems[parts[0]]
        return first if len(parts) == 1 else replace(first, id=f"{song.id}+", role="mix")


class Stub:
    """Scores every stem by one function of clip and stem rows; no search, no transposition."""

    name = "stub"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        raise NotImplementedError

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        allowed = np.ones(len(pool), dtype=np.bool_) if eligible is None else eligible
        fits = [
            Fit(int(i), 0, clip.bars, 0, self.score(clip, pool, int(i)))
            for i in np.flatnonzero(allowed)
        ]
        return sorted(fits, key=lambda fit: -fit.score)[: search.keep]

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        total = np.zeros([len(members) for members in fits.values()], dtype=np.float32)
        for axis, members in enumerate(fits.values()):
            shape = [1] * total.ndim
            shape[axis] = len(members)
            total += np.array([fit.score for _, fit in members], np.float32).reshape(shape)
        return total / len(fits), {}


class Oracle(Stub):
    """Knows the song by its level: 1 for the right one, less the further off the level is."""

    name = "oracle"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        own = float(clip.rows["bands"].astype(np.float32).mean())
        other = float(pool.bands[pool.rows(index)].astype(np.float32).mean())
        return 1.0 - min(abs(own - other), 1.0)


class Constant(Stub):
    """Cannot tell anything apart."""

    name = "constant"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        return 0.5


class Absent(Stub):
    """Hands nothing back."""

    name = "absent"

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        return []


class NotANumber(Stub):
    """A broken model."""

    name = "nan"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        return float("nan")
