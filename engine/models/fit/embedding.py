"""Embeddings of stems under one fit model: made once, stored with the library, read by ranking.

Each beat of a stem has 12 × values numbers that roll when the stem is transposed, and a few for its
rhythm, both half precision. They depend on the stem's features, its sounding beats, the metre and
the model, which ``tag`` names, so that none is ever read under another model. The rows of all stems
of a pool lie end to end like its features. Read at double or half tempo, two beats are repeated or
merged as the features are, without looking at their context anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.towers import beat_input, pitch_tower, rhythm_tower
from engine.models.pool import RolePool

__all__ = [
    "Embedding",
    "EmbeddingSource",
    "FoldedEmbeddings",
    "embed_pool",
    "embed_stem",
]

_LEAST_NORM: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Embedding:
    """Beats of one or more stems under one model.

    Args:
        tag: names the model.
        pitch: (beats, values * 12) float16, norm 1 per beat or 0; zero columns for drums.
        rhythm: (beats, values) float16.
    """

    tag: str
    pitch: NDArray[np.float16]
    rhythm: NDArray[np.float16]

    def of_beats(self, beats: NDArray[np.int64]) -> Embedding:
        """The beats of these numbers."""
        return Embedding(self.tag, self.pitch[beats], self.rhythm[beats])

    def merged(self) -> Embedding:
        """Every two beats as one."""
        return Embedding(self.tag, _merged(self.pitch, unit=True), _merged(self.rhythm, unit=False))

    def doubled(self) -> Embedding:
        """Every beat as two."""
        return Embedding(self.tag, np.repeat(self.pitch, 2, axis=0), np.repeat(self.rhythm, 2, 0))


class EmbeddingSource(Protocol):
    """Where the embedding of a whole pool comes from without being made anew."""

    def of(self, model: FitModel) -> Embedding:
        """All beats of the pool under ``model``."""
        ...


@dataclass(frozen=True, eq=False)
class FoldedEmbeddings:
    """Some beats of a pool, read at double or half tempo.

    Args:
        source: of the pool.
        beats: numbers of the pool's beats, an even number of each stem's when they are merged.
        doubled: read every beat as two; otherwise every two as one.
    """

    source: EmbeddingSource
    beats: NDArray[np.int64]
    doubled: bool

    def of(self, model: FitModel) -> Embedding:
        """See :class:`EmbeddingSource`."""
        chosen = self.source.of(model).of_beats(self.beats)
        return chosen.doubled() if self.doubled else chosen.merged()


def embed_stem(
    model: FitModel,
    rows: NDArray[np.void],
    active: NDArray[np.bool_],
    *,
    beats_per_bar: int,
    pitched: bool,
) -> Embedding:
    """Embed one stem.

    Args:
        model: with its tag.
        rows: (beats,) of :data:`~engine.analysis.records.BEAT_ROW`, from a downbeat on.
        active: (beats,) bool.
        beats_per_bar: metre.
        pitched: False for drums, whose pitch is not read.
    """
    beats = beat_input(rows, active, beats_per_bar=beats_per_bar)
    rhythm = rhythm_tower(model.weights, "stem_rhythm" if pitched else "drum_rhythm", beats)
    pitch = np.zeros((rows.size, 0), np.float16)
    if pitched:
        values = pitch_tower(model.weights, "stem", beats).transpose(0, 2, 1)
        pitch = np.ascontiguousarray(values, dtype=np.float16).reshape(rows.size, -1)
    return Embedding(model.tag, pitch, rhythm.astype(np.float16))


def embed_pool(model: FitModel, pool: RolePool) -> Embedding:
    """Embed all stems of a pool from the features that it holds."""
    rows = np.zeros(pool.active.size, BEAT_ROW)
    for name in ("chroma", "onsets"):
        rows[name] = getattr(pool, name)
    if pool.logfreq is not None:
        rows["logfreq"] = pool.logfreq
    parts = [
        embed_stem(
            model,
            rows[pool.rows(index)],
            np.asarray(pool.active[pool.rows(index)]),
            beats_per_bar=pool.beats_per_bar,
            pitched=pool.transposable,
        )
        for index in range(len(pool))
    ]
    return Embedding(
        model.tag,
        np.concatenate([part.pitch for part in parts]),
        np.concatenate([part.rhythm for part in parts]),
    )


def _merged(values: NDArray[np.float16], *, unit: bool) -> NDArray[np.float16]:
    pairs = values.astype(np.float32).reshape(len(values) // 2, 2, values.shape[1]).mean(axis=1)
    if unit and pairs.size:
        norm = np.linalg.norm(pairs, axis=1, keepdims=True)
        pairs = np.where(norm > _LEAST_NORM, pairs / np.maximum(norm, _LEAST_NORM), 0)
    halves: NDArray[np.float16] = pairs.astype(np.float16)
    return halves
