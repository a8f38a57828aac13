"""Synthetic pools and clips with known answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW, STEPS_PER_BEAT
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures
from engine.theory import Role


def triads(bars: int, *, seed: int, beats_per_bar: int = 4) -> NDArray[np.float32]:
    """(beats, 12) one random major or minor triad a bar, norm 1."""
    rng = np.random.default_rng(seed)
    roots = rng.integers(0, 12, bars)
    thirds = rng.integers(3, 5, bars)
    chroma = np.zeros((bars, 12), dtype=np.float32)
    for bar, (root, third) in enumerate(zip(roots, thirds, strict=True)):
        chroma[bar, [root, (root + third) % 12, (root + 7) % 12]] = 1 / np.sqrt(3)
    return np.repeat(chroma, beats_per_bar, axis=0)


def patterns(bars: int, *, seed: int, beats_per_bar: int = 4) -> NDArray[np.uint8]:
    """(beats, 12, 3) sparse random onsets."""
    rng = np.random.default_rng(seed)
    hits = rng.random((bars * beats_per_bar, STEPS_PER_BEAT, 3)) < 0.15
    return (hits * rng.integers(120, 256, hits.shape)).astype(np.uint8)


def rows(
    chroma: NDArray[np.float32], onsets: NDArray[np.uint8], *, level: float = 0.1
) -> NDArray[np.void]:
    """Beat rows with the given chroma and onsets and an even spectrum."""
    table = np.zeros(chroma.shape[0], dtype=BEAT_ROW)
    table["chroma"] = chroma
    table["onsets"] = onsets
    table["bands"] = level
    return table


def pool_of(tables: list[NDArray[np.void]], *, role: Role, beats_per_bar: int = 4) -> RolePool:
    """A pool of the given stems, named s000, s001, …"""
    joined = np.concatenate(tables)
    lengths = [table.shape[0] for table in tables]
    return RolePool(
        role=role,
        beats_per_bar=beats_per_bar,
        stem_ids=tuple(f"s{i:03d}" for i in range(len(tables))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        chroma=joined["chroma"].copy(),
        onsets=joined["onsets"].copy(),
        bands=joined["bands"].copy(),
        active=joined["bands"].any(axis=1),
    )


def clip_of(table: NDArray[np.void], *, transpose: int = 0) -> ClipFeatures:
    """A clip that sounds throughout."""
    return ClipFeatures(table, np.ones(table.shape[0], dtype=np.bool_), 4, transpose)
