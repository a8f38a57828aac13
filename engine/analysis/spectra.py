"""The two spectrograms behind beat-grid features: semitone powers and short-time power.

Both come from one mono signal at a *base rate*: the file's own rate halved until it lies in
[20, 40) kHz, so that no general resampler is needed and the result is the same on every machine.

The semitone spectrogram is a variable-Q transform (Schörkhuber et al. 2014, after Brown 1991)
computed octave by octave: the signal is halved in rate once per octave and each octave is one
matrix product of strided frames with twelve windowed complex exponentials. Windows are Hann of
length ``2 Q / (f + gamma)``, so at the steady end of the scale the neighbouring semitones fall on
the window's first zeros; ``gamma`` shortens the windows of the lowest octaves, which would
otherwise last longer than a beat. A full-scale sine at a bin's centre reads power 1.

Axis order is (frames, bins), times are seconds, powers are linear.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import LOGFREQ_BINS, LOGFREQ_LOWEST_HZ

__all__ = ["PowerFrames", "base_rate_signal", "semitone_octaves", "short_time_power"]

_LOWEST_BASE_HZ: Final = 20_000
_BINS_PER_OCTAVE: Final = 12
#: Quality of a filter that is one semitone wide.
_Q: Final = 1.0 / (2.0 ** (1.0 / _BINS_PER_OCTAVE) - 1.0)
#: Widens low filters: C1 is then two semitones wide and its window 0.64 s instead of 1.03 s.
_GAMMA_HZ: Final = 20.0
#: Frames of the highest octave are at most this far apart, less than half of its shortest window
#: (8 ms at C8, 4 ms at B8); the distance doubles with each octave down to the longest.
_TOP_HOP_S: Final = 0.003
_LONGEST_HOP_S: Final = 0.012
#: A bin whose band comes nearer to the Nyquist frequency than this stays empty.
_USABLE_NYQUIST: Final = 0.96
#: Half-band filter: up to 0.185 of the input rate passes within 0.01 dB (the top of the next
#: octave), and what aliases onto that is 67 dB down.
_HALVING_TAPS: Final = 35
_HALVING_BETA: Final = 6.5
_HALVING_BLOCK: Final = 32
#: Frames transformed at a time: small enough to stay in the processor's cache.
_CHUNK_FRAMES: Final = 1024

#: Short-time spectra: 512 points = 23 ms at 22 050 Hz, a frame every 5 ms.
_FFT_SAMPLES: Final = 512
_FRAMES_PER_S: Final = 200


@dataclass(frozen=True, eq=False)
class PowerFrames:
    """Power over time on some frequency axis.

    Args:
        power: (frames, bins) linear, a full-scale sine reads 1 (semitones) or 0.5 (short-time).
        start_s: time of the first frame's centre.
        hop_s: distance of frames in seconds.
        window_s: length of the (longest) analysis window in seconds.
        frequencies_hz: (bins,) centre frequencies.
    """

    power: NDArray[np.float32]
    start_s: float
    hop_s: float
    window_s: float
    frequencies_hz: NDArray[np.float64]

    def means(
        self, starts_s: NDArray[np.float64], ends_s: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(spans, bins) mean power in each [start, end) second; outside the audio it is 0."""
        total = np.zeros((self.power.shape[0] + 1, self.power.shape[1]))
        np.cumsum(self.power, axis=0, dtype=np.float64, out=total[1:])
        gain = self._integral(ends_s, total) - self._integral(starts_s, total)
        frames = ((ends_s - starts_s) / self.hop_s)[:, np.newaxis]
        return np.maximum(gain / frames, 0.0).astype(np.float32)

    def _integral(
        self, times_s: NDArray[np.float64], total: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(times, bins) sum of all power before each time; a frame holds for one hop around it."""
        position = (times_s - self.start_s) / self.hop_s + 0.5
        position = np.clip(position, 0.0, float(self.power.shape[0]))
        index = np.minimum(position.astype(np.intp), self.power.shape[0] - 1)
        fraction = (position - index)[:, np.newaxis]
        integral: NDArray[np.float64] = total[index] + fraction * self.power[index]
        return integral


def base_rate_signal(
    mono: NDArray[np.float32], sample_rate: int
) -> tuple[NDArray[np.float32], float]:
    """``mono`` halved in rate until below 40 kHz: (frames,) samples and their rate in Hz."""
    return _halved_to(mono, float(sample_rate), float(_LOWEST_BASE_HZ))


def semitone_octaves(
    signal: NDArray[np.float32], rate_hz: float, *, tuning_cents: float = 0.0
) -> Iterator[tuple[int, PowerFrames]]:
    """The semitone spectrogram as (first bin, twelve bins of frames), highest octave first.

    Args:
        signal: (frames,) mono at a base rate.
        rate_hz: its rate [Hz].
        tuning_cents: the recording's deviation from A = 440 Hz; bin centres move with it.
    """
    lowest_hz = LOGFREQ_LOWEST_HZ * 2.0 ** (tuning_cents / 1200.0)
    hop_s = _TOP_HOP_S
    needed_hz = float(_LOWEST_BASE_HZ)
    for first_bin in range(LOGFREQ_BINS - _BINS_PER_OCTAVE, -1, -_BINS_PER_OCTAVE):
        signal, rate_hz = _halved_to(signal, rate_hz, needed_hz)
        bins = np.arange(first_bin, first_bin + _BINS_PER_OCTAVE)
        frequencies = lowest_hz * 2.0 ** (bins / _BINS_PER_OCTAVE)
        hop = max(1, int(hop_s * rate_hz))
        kernel = _kernel(frequencies, rate_hz)
        power = _transform(signal, kernel, hop)
        window_s = kernel.shape[0] / rate_hz
        yield first_bin, PowerFrames(power, 0.0, hop / rate_hz, window_s, frequencies)
        needed_hz /= 2
        hop_s = min(2 * hop_s, _LONGEST_HOP_S)


def short_time_power(signal: NDArray[np.float32], rate_hz: float) -> PowerFrames:
    """Hann-windowed power spectra every 5 ms, from one window before the start to one after.

    A frame's bins add up to its mean square, so a full-scale sine's add up to 0.5.
    """
    from scipy import fft

    hop = max(1, round(rate_hz / _FRAMES_PER_S))
    padded = np.pad(signal, (_FFT_SAMPLES + _FFT_SAMPLES // 2, _FFT_SAMPLES + _FFT_SAMPLES // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[::hop]
    window = np.hanning(_FFT_SAMPLES + 1)[:-1].astype(np.float32)
    window *= np.float32(np.sqrt(2.0 / (_FFT_SAMPLES * np.sum(window.astype(np.float64) ** 2))))
    power = np.empty((frames.shape[0], _FFT_SAMPLES // 2 + 1), dtype=np.float32)
    for start in range(0, frames.shape[0], _CHUNK_FRAMES):
        spectra = fft.rfft(frames[start : start + _CHUNK_FRAMES] * window, axis=1)
        power[start : start + _CHUNK_FRAMES] = spectra.real**2 + spectra.imag**2
    power[:, 0] *= 0.5
    power[:, -1] *= 0.5
    frequencies = np.arange(_FFT_SAMPLES // 2 + 1) * rate_hz / _FFT_SAMPLES
    window_s = _FFT_SAMPLES / rate_hz
    return PowerFrames(power, -window_s, hop / rate_hz, window_s, frequencies)


def _halved_to(
    signal: NDArray[np.float32], rate_hz: float, needed_hz: float
) -> tuple[NDArray[np.float32], float]:
    """Halve the rate as often as it stays at or above ``needed_hz``."""
    while rate_hz >= 2 * needed_hz:
        signal, rate_hz = _halved(signal), rate_hz / 2
    return signal, rate_hz


def _halved(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the rate, without delay: every second sample of a half-band filter's output.

    Written as one matrix product of overlapping frames with the filter's shifted copies, which
    is several times faster than a convolution.
    """
    matrix = _half_band_matrix()
    frames = (signal.size + 1) // 2
    blocks = -(-frames // _HALVING_BLOCK)
    reach = _HALVING_TAPS // 2
    end = 2 * _HALVING_BLOCK * blocks + reach
    padded = np.pad(signal, (reach, max(0, end - signal.size)))
    view = np.lib.stride_tricks.sliding_window_view(padded, matrix.shape[0])
    view = view[:: 2 * _HALVING_BLOCK][:blocks]
    halved = np.empty((blocks, _HALVING_BLOCK), dtype=np.float32)
    for start in range(0, blocks, _CHUNK_FRAMES):
        chunk = np.ascontiguousarray(view[start : start + _CHUNK_FRAMES])
        np.matmul(chunk, matrix, out=halved[start : start + _CHUNK_FRAMES])
    return halved.reshape(-1)[:frames]


@functools.cache
def _half_band_matrix() -> NDArray[np.float32]:
    """(samples, block) a Kaiser-windowed half-band filter of gain 1, two samples on per column."""
    offset = np.arange(_HALVING_TAPS) - _HALVING_TAPS // 2
    taps = 0.5 * np.sinc(offset / 2) * np.kaiser(_HALVING_TAPS, _HALVING_BETA)
    matrix = np.zeros((2 * (_HALVING_BLOCK - 1) + _HALVING_TAPS, _HALVING_BLOCK), dtype=np.float32)
    for column in range(_HALVING_BLOCK):
        matrix[2 * column : 2 * column + _HALVING_TAPS, column] = taps / taps.sum()
    return matrix


def _kernel(frequencies_hz: NDArray[np.float64], rate_hz: float) -> NDArray[np.float32]:
    """(samples, 2 × bins) real parts, then imaginary parts, of centred windowed exponentials."""
    lengths = 2.0 * _Q * rate_hz / (frequencies_hz + _GAMMA_HZ)
    half = int(np.ceil(lengths.max() / 2))
    time = np.arange(-half, half + 1, dtype=np.float64)[:, np.newaxis]
    inside = np.abs(time) < lengths / 2
    window = np.where(inside, 0.5 + 0.5 * np.cos(2 * np.pi * time / lengths), 0.0)
    window *= 2.0 / window.sum(axis=0)
    window[:, frequencies_hz * (1 + 0.5 / _Q) > _USABLE_NYQUIST * rate_hz / 2] = 0.0
    wave = window * np.exp(-2j * np.pi * time * frequencies_hz / rate_hz)
    return np.hstack([wave.real, wave.imag]).astype(np.float32)


def _transform(
    signal: NDArray[np.float32], kernel: NDArray[np.float32], hop: int
) -> NDArray[np.float32]:
    """(frames, bins) power of frames centred on samples 0, hop, 2 hop … through the end."""
    length, bins = kernel.shape[0], kernel.shape[1] // 2
    padded = np.pad(signal, (length // 2, length // 2 + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    power = np.empty((frames.shape[0], bins), dtype=np.float32)
    for start in range(0, frames.shape[0], _CHUNK_FRAMES):
        block = np.ascontiguousarray(frames[start : start + _CHUNK_FRAMES]) @ kernel
        power[start : start + _CHUNK_FRAMES] = block[:, :bins] ** 2 + block[:, bins:] ** 2
    return power
