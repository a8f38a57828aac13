"""Recordings made by code, as the sounds that listening models are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.models.audio_source import Recording, Sound

RATE = 32000


def recording(samples: NDArray[np.float32], key: str, rate: int = RATE) -> Recording:
    """Samples in memory, heard at any rate that divides theirs, silent outside."""

    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        step = rate // sample_rate
        first, frames = round(start_s * rate), round((end_s - start_s) * sample_rate)
        at = first + step * np.arange(frames)
        inside = (at >= 0) & (at < samples.size)
        return np.where(inside, samples[np.clip(at, 0, samples.size - 1)], 0).astype(np.float32)

    return Recording(key, read)


def tones(
    hz: list[float], key: str, *, tempo_bpm: float = 120.0, level: float = 0.2
) -> tuple[Recording, NDArray[np.float64]]:
    """One steady tone a beat, 0 Hz is a rest; and the (beats, 2) seconds of the beats."""
    beat_s = 60.0 / tempo_bpm
    edges = beat_s * np.arange(len(hz) + 1)
    t = np.arange(round(edges[-1] * RATE)) / RATE
    pitch = np.array(hz)[np.minimum((t / beat_s).astype(int), len(hz) - 1)]
    samples = level * np.sin(2 * np.pi * pitch * t)
    return recording(samples.astype(np.float32), key), np.stack([edges[:-1], edges[1:]], axis=1)


def sound(hz: list[float], key: str, **options: float) -> Sound:
    """A sound of :func:`tones`."""
    made, spans = tones(hz, key, **options)
    return Sound(made, spans)
