"""The first stage of a search: which stems of a large pool are worth placing exactly.

Every stem is cut into four-bar windows (:class:`Windows`), the clip likewise, and one matrix
product compares all of them in all transpositions. Sums along its diagonals are the scores of
laying the stem under the clip from each window on. Since a phrase need not begin on a stem's
fourth bars, the clip is also tried with one, two and three bars of silence before it, which shifts
it against the windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOW_BARS_COARSE", "Windows", "best_per_stem", "clip_windows"]

#: Length and hop of the windows: pop phrases come in fours.
WINDOW_BARS_COARSE: Final = 4


@dataclass(frozen=True, eq=False)
class Windows:
    """Coarse embeddings of a pool: one row per four-bar window, stems one after another.

    Args:
        harmony: (values, windows) float32, chroma of each bar, every bar of norm 1 or 0; windows
            run along the last axis, which is what the matrix product is fastest on.
        rhythm: (windows, values) float32, mean bar of onsets, norm 1 or 0.
        first: (stems + 1,) int64, stem ``i`` owns windows ``first[i]:first[i + 1]``.
        stem: (windows,) int64, the stem of each window.
        bars: (stems,) int64, whole bars of each stem.
    """

    harmony: NDArray[np.float32]
    rhythm: NDArray[np.float32]
    first: NDArray[np.int64]
    stem: NDArray[np.int64]
    bars: NDArray[np.int64]

    def of(self, stems: NDArray[np.int64]) -> Windows:
        """The windows of some stems only, in the order of ``stems``."""
        counts = np.diff(self.first)[stems]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        stem = np.repeat(np.arange(stems.size), counts)
        rows = self.first[stems][stem] + np.arange(stem.size) - first[stem]
        return Windows(self.harmony[:, rows], self.rhythm[rows], first, stem, self.bars[stems])


def clip_windows(values: NDArray[np.float32], *, bars: int, lead: int) -> NDArray[np.float32]:
    """The clip's rows with ``lead`` silent bars before it, filled up to whole windows.

    Args:
        values: (rows, …) with the same number of rows in each of its ``bars`` bars.
        bars: whole bars of the clip.
        lead: silent bars to put in front [0, 3].
    """
    rows_per_bar = values.shape[0] // bars
    tail = -(bars + lead) % WINDOW_BARS_COARSE
    padding = [(lead * rows_per_bar, tail * rows_per_bar)] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, padding)


def best_per_stem(
    products_of: Callable[[int], NDArray[np.float32]], windows: Windows, *, bars: int
) -> NDArray[np.float32]:
    """The best start and variant of every stem.

    Args:
        products_of: for a number of silent bars before the clip, the similarities
            (clip_windows, variants, windows) of every clip window with every window.
        windows: the pool's windows.
        bars: whole bars of the clip; stems with fewer repeat and are tried from their beginning.

    Returns:
        (stems,) float32, -inf for stems without a bar.
    """
    best = np.full(windows.bars.size, -np.inf, dtype=np.float32)
    if not windows.stem.size:
        return best
    filled = np.flatnonzero(np.diff(windows.first) > 0)
    left = windows.first[1:][windows.stem] - np.arange(windows.stem.size)
    number = np.arange(windows.stem.size) - windows.first[windows.stem]
    room = windows.bars[windows.stem] - bars
    for lead in range(WINDOW_BARS_COARSE):
        products = products_of(lead)
        start = WINDOW_BARS_COARSE * number - lead
        sums = _diagonal_sums(products, left).max(axis=0)
        sums[(start < 0) | (start > room)] = -np.inf
        peaks = np.maximum.reduceat(sums, windows.first[filled])
        best[filled] = np.maximum(best[filled], peaks)
        if lead == 0:
            short = np.flatnonzero((windows.bars < bars) & (windows.bars > 0))
            best[short] = _repeated(products, windows.first, short)
    return best


def _diagonal_sums(products: NDArray[np.float32], left: NDArray[np.int64]) -> NDArray[np.float32]:
    """(variants, windows) sums along diagonals that stop where a stem ends.

    Args:
        products: (clip_windows, variants, windows).
        left: (windows,) windows from each one to the end of its stem, itself included.
    """
    sums: NDArray[np.float32] = products[0].copy()
    for step in range(1, min(products.shape[0], products.shape[2])):
        inside = left[:-step] > step
        sums[:, :-step] += products[step, :, step:] * inside
    return sums


def _repeated(
    products: NDArray[np.float32], first: NDArray[np.int64], stems: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(stems,) best variant of stems that repeat under the whole clip."""
    counts = np.diff(first)[stems]
    total = np.zeros((products.shape[1], stems.size), dtype=np.float32)
    for step, product in enumerate(products):
        total += product[:, first[stems] + step % counts]
    best: NDArray[np.float32] = total.max(axis=0)
    return best
