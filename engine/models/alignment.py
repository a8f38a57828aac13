"""Linear algebra of sliding a clip along stems, bar by bar.

The clip has ``bars`` bars and is laid under every stem from each of the stem's bars in turn. A stem
shorter than the clip repeats after ``loop_bars`` bars; since every similarity here is linear in the
clip, that is the same as adding up the clip's bars that fall on the same bar of the loop
(:func:`fold_bars`). Stems lie end to end in one array, so that one matrix product serves them all;
positions whose bars would run into the next stem hold meaningless sums and are masked by the
caller.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["fold_bars", "loop_weights", "rolled", "slide", "slide_sum", "widened"]

#: Half precision moved to where single precision has its sign, exponent and fraction.
_FRACTION_SHIFT: Final = 10 + 3
_SIGN_AND_VALUE: Final = np.uint32(0x8FFFE000).astype(np.int32)
#: The exponent of half precision counts from 15, that of single precision from 127.
_REBIAS: Final = np.float32(2.0 ** (127 - 15))


def fold_bars(bars: NDArray[np.float32], loop_bars: int) -> NDArray[np.float32]:
    """Add up the bars that fall on the same bar of a loop: (bars, …) -> (loop_bars, …)."""
    missing = -bars.shape[0] % loop_bars
    if missing:
        bars = np.concatenate([bars, np.zeros((missing, *bars.shape[1:]), dtype=bars.dtype)])
    folded: NDArray[np.float32] = bars.reshape(-1, loop_bars, *bars.shape[1:]).sum(axis=0)
    return folded


def loop_weights(bars: int, loop_bars: int) -> NDArray[np.float32]:
    """(loop_bars,) how many bars of the clip each bar of the loop sounds under."""
    return fold_bars(np.ones(bars, dtype=np.float32), loop_bars)


def slide(stems: NDArray[np.float32], clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of the clip with the stems from every start bar.

    Args:
        stems: (bars, values), one stem after another.
        clip: (loop_bars, values, variants), folded if need be; variants are transpositions.

    Returns:
        (variants, bars); the last ``loop_bars - 1`` positions are cut short.
    """
    loop_bars, values, variants = clip.shape
    rows = clip.transpose(0, 2, 1).reshape(loop_bars * variants, values)
    products = (rows @ stems.T).reshape(loop_bars, variants, stems.shape[0])
    total: NDArray[np.float32] = products[0].copy()
    for bar in range(1, min(loop_bars, stems.shape[0])):
        total[:, :-bar] += products[bar, :, bar:]
    return total


def slide_sum(per_bar: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums of the stems' bars from every start bar.

    Args:
        per_bar: (bars, values).
        weights: (loop_bars,) from :func:`loop_weights`.

    Returns:
        (values, bars); the last ``loop_bars - 1`` positions are cut short.
    """
    columns = np.ascontiguousarray(per_bar.T)
    total: NDArray[np.float32] = columns * weights[0]
    for bar in range(1, min(weights.size, per_bar.shape[0])):
        total[:, :-bar] += columns[:, bar:] * weights[bar]
    return total


def rolled(chroma: NDArray[np.float32], semitones: tuple[int, ...]) -> NDArray[np.float32]:
    """The clip as it looks to a stem transposed by each of ``semitones``.

    Raising the stem by k and comparing is the same as lowering the clip by k, so the stem's
    features are never touched: (…, 12) -> (…, 12, variants).
    """
    classes = (np.arange(12)[:, None] + np.array(semitones)[None, :]) % 12
    return chroma[..., classes]


def widened(values: NDArray[np.float16]) -> NDArray[np.float32]:
    """Finite half-precision numbers as single precision, exactly.

    The same as ``astype``, which converts one number at a time, but by whole-array steps on the
    bits: six times as fast. Infinities come out finite, so there may be none.
    """
    bits = np.ascontiguousarray(values).view(np.int16).astype(np.int32)
    bits <<= _FRACTION_SHIFT
    bits &= _SIGN_AND_VALUE
    wide: NDArray[np.float32] = bits.view(np.float32)
    wide *= _REBIAS
    return wide
