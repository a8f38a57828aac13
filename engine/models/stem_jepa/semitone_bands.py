"""Eighty bands a semitone apart, for a network that has little time to learn what a pitch is.

The published mel bands lie 37 Hz apart below 1 kHz and are read through 25 ms: a bass note is not
told from its neighbour there. These lie a semitone apart from A1 (55 Hz) on and are read through
128 ms, so a transposition is a shift by whole bands, which is how training transposes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEMITONE_BANDS", "SEMITONE_FFT_SAMPLES", "semitone_filters"]

SEMITONE_BANDS: Final = 80
#: 128 ms at 16 kHz: semitones are told apart from about 260 Hz on.
SEMITONE_FFT_SAMPLES: Final = 2048
LOWEST_HZ: Final = 55.0
_SAMPLE_RATE: Final = 16_000


def semitone_filters(*, beyond: int = 0) -> NDArray[np.float32]:
    """(80 + 2 * beyond, 1025) triangles whose weights sum to 1 / 2048 each.

    Args:
        beyond: so many bands more at either end; 6 at most fit under 8 kHz.
    """
    numbers = np.arange(-beyond - 1, SEMITONE_BANDS + beyond + 1)
    centres_hz = LOWEST_HZ * 2.0 ** (numbers / 12.0)
    if centres_hz[-1] > _SAMPLE_RATE / 2:
        raise ValueError(f"{beyond} bands more go beyond {_SAMPLE_RATE // 2} Hz")
    bin_hz = _SAMPLE_RATE / SEMITONE_FFT_SAMPLES
    bins_hz = np.arange(SEMITONE_FFT_SAMPLES // 2 + 1) * bin_hz
    centre = centres_hz[1:-1, np.newaxis]
    low = np.minimum(centres_hz[:-2, np.newaxis], centre - bin_hz)  # a bin or more to each side
    high = np.maximum(centres_hz[2:, np.newaxis], centre + bin_hz)
    rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    total = triangles.sum(axis=1, keepdims=True)
    weights: NDArray[np.float32] = (triangles / total / SEMITONE_FFT_SAMPLES).astype(np.float32)
    return weights
