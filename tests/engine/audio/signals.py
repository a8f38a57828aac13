"""Synthetic audio with known answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.audio.waveform import Waveform


def click_train(
    frames_at: ArrayLike, frames: int, sample_rate: int, *, channels: int = 1
) -> Waveform:
    """A 2 kHz burst that begins at each frame and dies away in 20 ms."""
    time_s = np.arange(int(0.02 * sample_rate)) / sample_rate
    click = 0.8 * np.exp(-time_s / 0.003) * np.cos(2 * np.pi * 2000 * time_s)
    samples = np.zeros(frames, dtype=np.float32)
    for at in np.asarray(frames_at, dtype=int):
        part = click[: max(frames - at, 0)]
        samples[at : at + part.size] += part.astype(np.float32)
    return Waveform(np.repeat(samples[np.newaxis], channels, axis=0), sample_rate)


def sines(
    frequencies_hz: tuple[float, ...], seconds: float, sample_rate: int, *, channels: int = 1
) -> Waveform:
    """Equal partials with a common peak of at most 0.6."""
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    wave = sum(np.sin(2 * np.pi * f * time_s + f) for f in frequencies_hz)
    samples = (0.6 / len(frequencies_hz) * np.asarray(wave)).astype(np.float32)
    return Waveform(np.repeat(samples[np.newaxis], channels, axis=0), sample_rate)


def click_errors_s(waveform: Waveform, expected: ArrayLike) -> NDArray[np.float64]:
    """How late every click begins: where a 1 ms energy reaches a quarter of its local peak.

    The same measure on :func:`click_train` itself gives ``bias``; it is subtracted.
    """
    rate = waveform.sample_rate
    bias = _onset(click_train([rate // 4], rate, rate), rate // 4)
    places = np.asarray(expected, dtype=np.float64)
    return np.array([_onset(waveform, float(at)) - bias for at in places])


def click_levels(waveform: Waveform, expected: ArrayLike) -> NDArray[np.float32]:
    """Peak within 20 ms of every expected click."""
    reach = int(0.02 * waveform.sample_rate)
    mono = np.abs(waveform.mono())
    places = np.asarray(expected, dtype=int)
    return np.array([mono[max(at - reach, 0) : at + reach].max() for at in places])


def frequency_hz(waveform: Waveform, near_hz: float) -> float:
    """The partial nearest to ``near_hz``: median slope of its phase over 0.25 s windows."""
    rate = waveform.sample_rate
    mono = waveform.mono()
    window = rate // 4
    carrier = np.exp(-2j * np.pi * near_hz * np.arange(mono.size) / rate)
    shifted = mono * carrier
    starts = range(0, mono.size - 2 * window, window // 2)
    shape = np.hanning(window)
    hop = window // 8
    steps = []
    for start in starts:
        now = np.vdot(shape, shifted[start : start + window])
        later = np.vdot(shape, shifted[start + hop : start + hop + window])
        steps.append(np.angle(later / now))
    return near_hz + float(np.median(steps)) * rate / (2 * np.pi * hop)


def _onset(waveform: Waveform, expected: float) -> float:
    rate = waveform.sample_rate
    low, high = max(0, int(expected - 0.03 * rate)), int(expected + 0.05 * rate)
    power = waveform.samples[:, low:high].mean(axis=0).astype(np.float64) ** 2
    energy = np.convolve(power, np.ones(max(1, rate // 1000)))
    return float(low + int(np.argmax(energy > energy.max() / 4)) - expected) / rate
