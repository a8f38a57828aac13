"""The first stage of a search: which stems of a large pool are worth placing exactly.

Every stem is cut into four-bar windows (:class:`Windows`), the clip likewise, and one matrix
product compares all of them in all transpositions. Sums along its diagonals are the scores of
laying the stem under the clip from each window on. Since a phrase need not begin on a stem's
fourth bars, the clip is also tried with one, two and three bars of silence before it, which shifts
it against the windows.

Transpositions are compared by their Fourier coefficients over the twelve pitch classes: a roll
there only turns the phases, so one set of products, a quarter of the work of seven transpositions,
serves all of them, and the few sums per window are turned at the end. The result is the same but
for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOW_BARS_COARSE", "Windows", "best_per_stem", "clip_windows", "phases", "spectral"]

#: Length and hop of the windows: pop phrases come in fours.
WINDOW_BARS_COARSE: Final = 4
#: Phase of one semitone at frequency 1 [radians].
_PHASE: Final = 2 * np.pi / 12


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

    @cached_property
    def spectrum(self) -> NDArray[np.float32]:
        """(12, cells, windows) Fourier coefficients of each twelve values of ``harmony``."""
        cells = self.harmony.reshape(-1, 12, self.stem.size)
        return np.ascontiguousarray((_basis() @ cells).transpose(1, 0, 2))

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


def spectral(clip: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """What :func:`phases` turns into the similarities of clip and windows in any transposition.

    Args:
        clip: (clip_windows, cells, 12), the same cells as in the windows' ``harmony``.
        windows: the pool's windows.

    Returns:
        (clip_windows, 12, windows).
    """
    count, cells, _ = clip.shape
    stems, total = windows.spectrum, windows.stem.size
    own = (clip @ _basis().T).transpose(2, 0, 1)
    cosine, sine = own[2::2], own[3::2]
    along = np.concatenate([cosine, sine], axis=2)
    across = np.concatenate([sine, -cosine], axis=2)
    products = np.empty((12, count, total), np.float32)
    np.matmul(np.ascontiguousarray(own[:2]), stems[:2], out=products[:2])
    np.matmul(
        np.concatenate([along, across], axis=1),
        stems[2:].reshape(5, 2 * cells, total),
        out=products[2:].reshape(5, 2 * count, total),
    )
    return products.transpose(1, 0, 2)


def phases(semitones: tuple[int, ...]) -> NDArray[np.float32]:
    """(variants, 12) weights of :func:`spectral`'s products for stems transposed so far."""
    angle = _PHASE * np.array(semitones)[:, None] * np.arange(1, 6)
    turned = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(len(semitones), -1)
    odd = np.cos(np.pi * np.array(semitones))
    return np.column_stack([np.ones(len(semitones)), odd, turned]).astype(np.float32)


@cache
def _basis() -> NDArray[np.float32]:
    """(12, 12) orthonormal: constant, alternating, then cosine and sine of frequencies 1 to 5."""
    place = np.arange(12)
    angle = _PHASE * np.arange(1, 6)[:, None] * place
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(10, 12)
    even = np.stack([np.ones(12), (-1.0) ** place])
    return np.concatenate([even / np.sqrt(12), waves / np.sqrt(6)]).astype(np.float32)


def best_per_stem(
    products_of: Callable[[int], NDArray[np.float32]],
    windows: Windows,
    *,
    bars: int,
    turn: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The best start and variant of every stem.

    Args:
        products_of: for a number of silent bars before the clip, the similarities
            (clip_windows, values, windows) of every clip window with every window.
        windows: the pool's windows.
        bars: whole bars of the clip; stems with fewer repeat and are tried from their beginning.
        turn: (variants, values) makes variants of those values; None where they are the same.

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
        start = WINDOW_BARS_COARSE * number + lead
        allowed = start <= room
        sums = _turned(turn, _diagonal_sums(products, left, allowed)).max(axis=0)
        sums[~allowed] = -np.inf
        peaks = np.maximum.reduceat(sums, windows.first[filled])
        best[filled] = np.maximum(best[filled], peaks)
        if lead == 0:
            short = np.flatnonzero((windows.bars < bars) & (windows.bars > 0))
            best[short] = _turned(turn, _repeated(products, windows.first, short)).max(axis=0)
    return best


def _turned(turn: NDArray[np.float32] | None, sums: NDArray[np.float32]) -> NDArray[np.float32]:
    return sums if turn is None else turn @ sums


def _diagonal_sums(
    products: NDArray[np.float32], left: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(values, windows) sums along diagonals that stop where a stem ends.

    Args:
        products: (clip_windows, values, windows).
        left: (windows,) windows from each one to the end of its stem, itself included.
        allowed: (windows,) where a sum is asked for; others may hold anything.
    """
    sums: NDArray[np.float32] = products[0].copy()
    for step in range(1, min(products.shape[0], products.shape[2])):
        inside = left[:-step] > step
        added = products[step, :, step:]
        if (allowed[:-step] & ~inside).any():
            added = added * inside
        sums[:, :-step] += added
    return sums


def _repeated(
    products: NDArray[np.float32], first: NDArray[np.int64], stems: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(values, stems) sums of stems that repeat under the whole clip."""
    counts = np.diff(first)[stems]
    total = np.zeros((products.shape[1], stems.size), dtype=np.float32)
    for step, product in enumerate(products):
        total += product[:, first[stems] + step % counts]
    return total
