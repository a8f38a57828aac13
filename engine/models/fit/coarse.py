"""Which stems of a large pool the fit model looks at closely: four-bar windows of embeddings.

Each bar of an embedding is summed over its beats, which costs little (pooling eight seconds to a
few steps did not change ranks measurably) and makes one matrix product over all windows, bars and
transpositions of a pool small; :mod:`engine.models.coarse` does the rest.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.coarse import (
    WINDOW_BARS_COARSE,
    Windows,
    best_per_stem,
    clip_windows,
    phases,
    spectral,
)
from engine.models.fit.embedding import Embedding
from engine.models.pool import RolePool

__all__ = ["coarse_scores", "embedding_windows"]

#: Windows that are summed at a time, which keeps the copies small.
_BLOCK: Final = 4096


def embedding_windows(embedding: Embedding, pool: RolePool, stems: NDArray[np.int64]) -> Windows:
    """The four-bar windows of some stems; a shorter stem repeats inside its one window."""
    bars = pool.bars[stems]
    counts = np.maximum(bars // WINDOW_BARS_COARSE, 1)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    stem = np.repeat(np.arange(stems.size), counts)
    number = np.arange(stem.size) - first[stem]
    within = WINDOW_BARS_COARSE * number[:, None] + np.arange(WINDOW_BARS_COARSE)
    bar = within % bars[stem][:, None]
    rows = pool.offsets[stems][stem][:, None] + bar * pool.beats_per_bar
    beats = rows[:, :, None] + np.arange(pool.beats_per_bar)
    summed = np.empty((stem.size, WINDOW_BARS_COARSE * embedding.pitch.shape[1]), np.float32)
    for low in range(0, stem.size, _BLOCK):
        part = embedding.pitch[beats[low : low + _BLOCK]]
        summed[low : low + _BLOCK] = part.sum(axis=2, dtype=np.float32).reshape(len(part), -1)
    nothing = np.zeros((stem.size, 0), np.float32)
    return Windows(np.ascontiguousarray(summed.T), nothing, first, stem, bars)


def coarse_scores(
    query: NDArray[np.float32],
    windows: Windows,
    semitones: tuple[int, ...],
    *,
    beats_per_bar: int,
) -> NDArray[np.float32]:
    """(stems,) rough evidence of each stem's best place, on the scale of the exact one.

    Args:
        query: (bars, beats * values * 12) embedding of the clip.
        windows: from :func:`embedding_windows`.
        semitones: transpositions of the stems.
        beats_per_bar: metre.
    """
    bars = query.shape[0]
    per_bar = query.reshape(bars, beats_per_bar, -1).sum(axis=1)

    def products(lead: int) -> NDArray[np.float32]:
        padded = clip_windows(per_bar, bars=bars, lead=lead)
        cells = WINDOW_BARS_COARSE * padded.shape[1] // 12
        return spectral(padded.reshape(-1, cells, 12), windows)

    found = best_per_stem(products, windows, bars=bars, turn=phases(semitones))
    # each beat met all beats of its bar, and exact evidence is a mean over the clip
    scaled: NDArray[np.float32] = found / np.float32(beats_per_bar * np.sqrt(bars * beats_per_bar))
    return scaled
