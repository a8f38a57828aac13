"""Sounds with known content, and a Stem-JEPA small enough for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.models.audio_source import Recording, Sound
from engine.models.stem_jepa.network import JepaConfig, StemJepa

TINY = JepaConfig(width=16, depth=1, heads=2, predictor_width=16, predictor_layers=2)


def tiny() -> StemJepa:
    """Untrained weights, always the same."""
    return StemJepa(TINY, seed=0).eval()


def tone(frequency_hz: float, *, beats: int = 16, tempo_bpm: float = 120.0) -> Sound:
    """A sine on regular beats."""

    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        frames = round((end_s - start_s) * sample_rate)
        t = start_s + np.arange(frames) / sample_rate
        return (0.3 * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)

    return on_beats(Recording(f"tone {frequency_hz}", read), beats, tempo_bpm)


def clicks(period_s: float, *, beats: int = 16, tempo_bpm: float = 120.0) -> Sound:
    """Clicks of 2 ms, the first one 50 ms after the beginning."""

    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        frames = round((end_s - start_s) * sample_rate)
        t = start_s + np.arange(frames) / sample_rate
        return (0.5 * ((t - 0.05) % period_s < 0.002) * (t > 0.04)).astype(np.float32)

    return on_beats(Recording(f"clicks {period_s}", read), beats, tempo_bpm)


def on_beats(recording: Recording, beats: int, tempo_bpm: float) -> Sound:
    """A recording in a constant tempo, from its beginning."""
    edges = np.arange(beats + 1) * 60.0 / tempo_bpm
    return Sound(recording, np.stack([edges[:-1], edges[1:]], axis=1))
