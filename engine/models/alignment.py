"""Linear algebra of sliding one piece of music under another, bar by bar.

The clip has ``bars`` bars, a stem has some number of bars of its own and is laid under the clip
from each of its bars in turn. A stem shorter than the clip repeats after ``loop_bars`` bars; since
every similarity here is linear in the clip, that is the same as adding up the clip's bars that
fall on the same bar of the loop (:func:`fold_bars`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fold_bars", "loop_weights", "rolled", "slide", "slide_sum"]


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


def slide(stem: NDArray[np.float32], clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of the clip with the stem from every start bar.

    Args:
        stem: (stem_bars, values).
        clip: (loop_bars, values, variants), folded if need be; variants are transpositions.

    Returns:
        (stem_bars - loop_bars + 1, variants).
    """
    loop_bars, values, variants = clip.shape
    columns = clip.transpose(1, 0, 2).reshape(values, loop_bars * variants)
    products = (stem @ columns).reshape(stem.shape[0], loop_bars, variants)
    starts = np.arange(stem.shape[0] - loop_bars + 1)
    total = np.zeros((starts.size, variants), dtype=np.float32)
    for bar in range(loop_bars):
        total += products[starts + bar, bar]
    return total


def slide_sum(per_bar: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums of a stem's bars from every start bar.

    Args:
        per_bar: (stem_bars, values).
        weights: (loop_bars,) from :func:`loop_weights`.

    Returns:
        (stem_bars - loop_bars + 1, values).
    """
    windows = np.lib.stride_tricks.sliding_window_view(per_bar, weights.size, axis=0)
    summed: NDArray[np.float32] = windows @ weights
    return summed


def rolled(chroma: NDArray[np.float32], semitones: tuple[int, ...]) -> NDArray[np.float32]:
    """The clip as it looks to a stem transposed by each of ``semitones``.

    Raising the stem by k and comparing is the same as lowering the clip by k, so the stem's
    features are never touched: (…, 12) -> (…, 12, variants).
    """
    return np.stack([np.roll(chroma, -k, axis=-1) for k in semitones], axis=-1)
