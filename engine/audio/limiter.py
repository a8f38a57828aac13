"""A look-ahead limiter on true peaks, all channels linked, computed on whole arrays.

The gain that a frame needs is the ceiling over its true peak (4 times oversampled, ITU-R
BS.1770-4 annex 2). A running minimum over the look-ahead window makes the gain arrive in time;
the recovery back to 1 is exponential in dB; a smooth window of the look-ahead's length then turns
the steps of the minimum into ramps. A weighted mean of values that are each low enough is low
enough too, so the ceiling holds (after Giannoulis, Massberg & Reiss 2012, section 4). Frames in,
frames out: nothing is delayed.
"""

from __future__ import annotations

from math import ceil, exp, log10
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["limit", "oversampled_peaks"]

#: Time over which the gain goes down before a peak [s].
_ATTACK_S: Final = 0.005
#: Time constant of the recovery [s].
_RELEASE_S: Final = 0.08
_OVERSAMPLING: Final = 4
#: Length of an interpolating filter, and of the blocks that are interpolated or not [frames].
_TAPS: Final = 24
_SPAN_FRAMES: Final = 256
#: Gain curves vary slowly; recovery is computed on blocks of this length [frames].
_STEP: Final = 16
#: Smoothing a true-peak gain over time moves peaks between samples by less than this [dB].
_SAFETY_DB: Final = 0.05


def oversampled_peaks(
    samples: NDArray[np.float32], *, floor: float = 0.0, overshoot: float | None = None
) -> NDArray[np.float32]:
    """(frames,) highest magnitude, over channels, of the signal at and after each frame.

    Args:
        samples: (channels, frames).
        floor: values under it [full scale] need not be exact, which saves most of the work.
        overshoot: how many times higher than the samples around it a value may be; by default the
            most that is mathematically possible.
    """
    filters = _interpolators()
    peaks: NDArray[np.float32] = np.abs(samples).max(axis=0, initial=0.0)
    # Nothing between samples is higher than the highest sample around times the filters' gain.
    highest = overshoot or max(float(np.abs(taps).sum()) for taps in filters)
    for first, last in _loud_spans(peaks, floor / highest):
        low, high = max(first - _TAPS, 0), min(last + _TAPS, peaks.size)
        for channel in samples:
            for taps in filters:
                between = np.abs(_filtered(channel[low:high], taps))[first - low : last - low]
                np.maximum(peaks[first:last], between, out=peaks[first:last])
    return peaks


def limit(
    samples: NDArray[np.float32],
    sample_rate: int,
    ceiling_db: float,
    *,
    peaks: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], float]:
    """(channels, frames) with true peaks under ``ceiling_db``, and the largest reduction [dB].

    ``peaks`` are the :func:`oversampled_peaks` of ``samples`` where they are known already.
    """
    allowed = 10 ** (ceiling_db / 20)
    if peaks is None:
        peaks = oversampled_peaks(samples, floor=allowed)
    if float(peaks.max(initial=0.0)) <= allowed:
        return samples, 0.0
    gain = _smooth_gain(peaks, 10 ** ((ceiling_db - _SAFETY_DB) / 20), sample_rate)
    limited: NDArray[np.float32] = samples * gain
    return limited, -20 * log10(float(gain.min()))


def _loud_spans(peaks: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    """Spans of whole blocks in or beside which a sample reaches ``threshold``."""
    from scipy.ndimage import binary_dilation

    starts = np.arange(0, peaks.size, _SPAN_FRAMES)
    if starts.size == 0:
        return []
    loud = binary_dilation(np.maximum.reduceat(peaks, starts) >= threshold)
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=0, append=0)) * _SPAN_FRAMES
    pairs = edges.reshape(-1, 2)
    return [(int(first), min(int(last), peaks.size)) for first, last in pairs]


def _smooth_gain(
    peaks: NDArray[np.float32], ceiling: float, sample_rate: int
) -> NDArray[np.float32]:
    """(frames,) gain [0, 1]: low enough at every frame, never jumping."""
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import fftconvolve

    steps = ceil(peaks.size / _STEP)
    padded = np.zeros(steps * _STEP, dtype=np.float32)
    padded[: peaks.size] = peaks
    # An interpolated peak belongs to the frames on both its sides, so blocks share their borders.
    blocks = padded.reshape(steps, _STEP).max(axis=1)
    needed_db = 20 * np.log10(np.maximum(blocks / ceiling, 1.0)).astype(np.float64)
    # The window reaches past both ends of what the smoothing mixes, and one block more.
    width = ceil(_ATTACK_S * sample_rate / _STEP) + 2
    held_db = -minimum_filter1d(-needed_db, 2 * width + 1, mode="constant")
    released_db = _released(held_db, exp(-_STEP / (_RELEASE_S * sample_rate)))
    window = np.hanning(2 * width + 1)[1:-1]
    mixed = fftconvolve(np.pad(released_db, width - 1, mode="edge"), window / window.sum(), "valid")
    gain_db = np.interp(
        np.arange(peaks.size), np.arange(steps) * _STEP + (_STEP - 1) / 2, np.maximum(mixed, 0.0)
    )
    gain: NDArray[np.float32] = (10.0 ** (-gain_db / 20)).astype(np.float32)
    return gain


def _released(reduction_db: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """Follow rises at once, fall back exponentially: ``y[n] = max(x[n], keep * y[n - 1])``.

    The maximum over all earlier inputs, each decayed by its age: a running maximum in a domain
    where the decay is taken out, over stretches short enough for float64.
    """
    result = np.empty_like(reduction_db)
    stretch = max(1, int(200 / -np.log10(keep)))
    carried = 0.0
    for first in range(0, reduction_db.size, stretch):
        part = reduction_db[first : first + stretch]
        decay = keep ** np.arange(1, part.size + 1)
        flat = np.maximum.accumulate(np.maximum(part / decay, carried))
        result[first : first + stretch] = flat * decay
        carried = float(flat[-1] * decay[-1])
    return result


def _interpolators() -> list[NDArray[np.float32]]:
    """Polyphase filters for 1/4, 1/2 and 3/4 of a frame: Kaiser-windowed."""
    taps = np.arange(-_TAPS // 2, _TAPS // 2, dtype=np.float64)
    filters = []
    for phase in range(1, _OVERSAMPLING):
        offset = taps + 1 - phase / _OVERSAMPLING
        shaped = np.sinc(offset) * np.i0(
            7.0 * np.sqrt(np.maximum(0, 1 - (offset / (_TAPS / 2 + 0.5)) ** 2))
        )
        filters.append((shaped / shaped.sum()).astype(np.float32))
    return filters


def _filtered(channel: NDArray[np.float32], taps: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames,) of one interpolated phase; frame ``n`` is the value after sample ``n``."""
    padded = np.pad(channel, (taps.size // 2 - 1, taps.size // 2))
    values: NDArray[np.float32] = np.convolve(padded, taps[::-1], mode="valid")
    return values
