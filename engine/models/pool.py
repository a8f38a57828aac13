"""The stems of one role and one metre, as arrays that a ranker can search.

All stems' rows stand one after another; stem ``i`` owns rows ``offsets[i]:offsets[i + 1]``, always
whole bars, and its row 0 is a downbeat. The arrays may be memory-mapped. Axis order is
(beats, …), see :data:`engine.analysis.records.BEAT_ROW` for the fields.

A song at half or double the session's tempo is *folded*: its rows are merged in pairs or split in
two, so that every pool that is searched has one row per beat of the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import STEPS_PER_BEAT
from engine.models.coarse import WINDOW_BARS_COARSE, Windows
from engine.theory import Role

if TYPE_CHECKING:
    from engine.models.audio_source import AudioSource
    from engine.models.fit.embedding import EmbeddingSource

__all__ = ["RolePool", "window_vectors"]

#: Folded copies that a pool keeps: one session needs two (×2 and ÷2).
_KEPT_FOLDS: Final = 4


@dataclass(frozen=True, eq=False)
class RolePool:
    """Stems of one role and metre.

    Args:
        role: the role that all of them play.
        beats_per_bar: their metre.
        stem_ids: (stems,) ids, in the order of the rows.
        offsets: (stems + 1,) int64, first row of each stem.
        chroma: (beats, 12) float16, norm 1 or 0.
        onsets: (beats, 12, 3) uint8.
        bands: (beats, 3) float16, linear RMS.
        active: (beats,) bool.
        start_step: placements may begin on every ``start_step``-th bar (2 for pools folded to
            double tempo, whose source bars are two session bars long).
        multiplier: session beats per source beat.
        sounds: where the stems' audio is; None where there are only features.
        logfreq: (beats, 4, 96) uint8, where no embedding was stored and one may be made from them.
        embeddings: where all beats' embedding is stored; None where there are only features.
    """

    role: Role
    beats_per_bar: int
    stem_ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    chroma: NDArray[np.float16]
    onsets: NDArray[np.uint8]
    bands: NDArray[np.float16]
    active: NDArray[np.bool_]
    start_step: int = 1
    multiplier: float = 1.0
    sounds: AudioSource | None = None
    logfreq: NDArray[np.uint8] | None = None
    embeddings: EmbeddingSource | None = None
    _chosen: dict[bytes, Windows] = field(default_factory=dict, repr=False)
    _folded: dict[tuple[float, bytes], RolePool] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.stem_ids)

    @property
    def transposable(self) -> bool:
        """Drums keep their pitch."""
        return self.role not in ("drums", "percussion")

    @cached_property
    def bars(self) -> NDArray[np.int64]:
        """(stems,) whole bars of each stem."""
        return np.diff(self.offsets) // self.beats_per_bar

    @cached_property
    def windows(self) -> Windows:
        """Coarse embeddings, made on first use."""
        return _pool_windows(self)

    def windows_of(self, stems: NDArray[np.int64]) -> Windows:
        """Coarse embeddings of some stems; the last answer is kept, sessions ask the same again."""
        key = stems.tobytes()
        if key not in self._chosen:
            self._chosen.clear()
            self._chosen[key] = self.windows.of(stems)
        return self._chosen[key]

    @cached_property
    def index_of(self) -> Mapping[str, int]:
        """Position of every stem, by id."""
        return {stem_id: index for index, stem_id in enumerate(self.stem_ids)}

    def rows(self, index: int) -> slice:
        """Rows of stem ``index``."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def folded(self, multiplier: float, chosen: NDArray[np.int64]) -> RolePool:
        """Stems ``chosen`` (indices) read at ``multiplier`` session beats per source beat.

        The last few answers are kept: a session asks for the same ones again and again.
        """
        key = (multiplier, chosen.tobytes())
        if key not in self._folded:
            if len(self._folded) >= _KEPT_FOLDS:
                self._folded.clear()
            self._folded[key] = self._fold(multiplier, chosen)
        return self._folded[key]

    def _fold(self, multiplier: float, chosen: NDArray[np.int64]) -> RolePool:
        merge = _merge_pairs if multiplier == 0.5 else _split_in_two
        parts = [merge(self, int(i)) for i in chosen]
        lengths = [part[0].shape[0] for part in parts]
        return RolePool(
            role=self.role,
            beats_per_bar=self.beats_per_bar,
            stem_ids=tuple(self.stem_ids[int(i)] for i in chosen),
            offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            chroma=np.concatenate([p[0] for p in parts]),
            onsets=np.concatenate([p[1] for p in parts]),
            bands=np.concatenate([p[2] for p in parts]),
            active=np.concatenate([p[3] for p in parts]),
            start_step=2 if multiplier == 2.0 else 1,
            multiplier=multiplier,
            sounds=self.sounds,
            embeddings=_folded_embeddings(self, multiplier, chosen),
        )


_Rows = tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.float16], NDArray[np.bool_]]


def _merge_pairs(pool: RolePool, index: int) -> _Rows:
    """Two source beats become one session beat; an odd bar at the end is left out."""
    rows = pool.rows(index)
    bar = pool.beats_per_bar
    beats = (rows.stop - rows.start) // (2 * bar) * 2 * bar
    rows = slice(rows.start, rows.start + beats)
    chroma = pool.chroma[rows].astype(np.float32).reshape(-1, 2, 12).sum(axis=1)
    norm = np.linalg.norm(chroma, axis=1, keepdims=True)
    steps = pool.onsets[rows].reshape(-1, STEPS_PER_BEAT, 2, 3).max(axis=2)
    power = np.square(pool.bands[rows].astype(np.float32)).reshape(-1, 2, 3).mean(axis=1)
    return (
        np.divide(chroma, norm, out=np.zeros_like(chroma), where=norm > 0).astype(np.float16),
        steps,
        np.sqrt(power).astype(np.float16),
        np.asarray(pool.active[rows]).reshape(-1, 2).max(axis=1),
    )


def _split_in_two(pool: RolePool, index: int) -> _Rows:
    """One source beat becomes two session beats; its twelve steps are spread over twenty-four."""
    rows = pool.rows(index)
    onsets = pool.onsets[rows]
    spread = np.zeros((onsets.shape[0], 2 * STEPS_PER_BEAT, 3), dtype=np.uint8)
    spread[:, ::2] = onsets
    return (
        np.repeat(pool.chroma[rows], 2, axis=0),
        spread.reshape(-1, STEPS_PER_BEAT, 3),
        np.repeat(pool.bands[rows], 2, axis=0),
        np.repeat(pool.active[rows], 2),
    )


def _folded_embeddings(
    pool: RolePool, multiplier: float, chosen: NDArray[np.int64]
) -> EmbeddingSource | None:
    """Beats of the stems ``chosen``, those that :func:`_merge_pairs` and the other one take."""
    if pool.embeddings is None:
        return None
    from engine.models.fit.embedding import FoldedEmbeddings

    two_bars = 2 * pool.beats_per_bar
    beats = []
    for index in chosen:
        rows = pool.rows(int(index))
        count = rows.stop - rows.start
        kept = count // two_bars * two_bars if multiplier == 0.5 else count
        beats.append(np.arange(rows.start, rows.start + kept))
    return FoldedEmbeddings(pool.embeddings, np.concatenate(beats), multiplier != 0.5)


def window_vectors(
    chroma: NDArray[np.float32], onsets: NDArray[np.float32], beats_per_bar: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Harmony and rhythm vectors of consecutive four-bar windows.

    Args:
        chroma: (windows * 4 bars, 12).
        onsets: (windows * 4 bars, 12, 3).
        beats_per_bar: metre.

    Returns:
        (windows, 4 * 12) chroma of each bar with norm 1 per bar, (windows, values) of mean bars.
    """
    cells = chroma.reshape(-1, WINDOW_BARS_COARSE, beats_per_bar, 12).sum(axis=2)
    harmony = _unit(cells, axis=2).reshape(cells.shape[0], -1)
    bars = onsets.reshape(-1, WINDOW_BARS_COARSE, beats_per_bar * STEPS_PER_BEAT * 3)
    return harmony, _unit(bars.mean(axis=1), axis=1)


def _pool_windows(pool: RolePool) -> Windows:
    beats = WINDOW_BARS_COARSE * pool.beats_per_bar
    counts = np.maximum(pool.bars // WINDOW_BARS_COARSE, (pool.bars > 0).astype(np.int64))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = np.empty(int(first[-1]) * beats, dtype=np.int64)
    for index in range(len(pool)):
        low, high = int(first[index]) * beats, int(first[index + 1]) * beats
        length = max(int(pool.bars[index]) * pool.beats_per_bar, 1)
        rows[low:high] = int(pool.offsets[index]) + np.arange(high - low) % length
    stem = np.repeat(np.arange(len(pool)), counts)
    if not rows.size:
        empty = np.zeros((0, 1), dtype=np.float32)
        return Windows(empty.T, empty, first, stem, pool.bars)
    harmony: list[NDArray[np.float32]] = []
    rhythm: list[NDArray[np.float32]] = []
    block = beats * 4096  # keeps the float copies of a large pool small
    for low in range(0, rows.size, block):
        taken = rows[low : low + block]
        vectors = window_vectors(
            pool.chroma[taken].astype(np.float32),
            pool.onsets[taken].astype(np.float32),
            pool.beats_per_bar,
        )
        harmony.append(vectors[0].T)
        rhythm.append(vectors[1])
    joined = np.concatenate(harmony, axis=1)
    return Windows(joined, np.concatenate(rhythm), first, stem, pool.bars)


def _unit(values: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    norm = np.linalg.norm(values, axis=axis, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)
    return scaled
