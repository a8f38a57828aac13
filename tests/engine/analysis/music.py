"""Synthesised drums and chords with known beats, keys and tunings."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from engine.analysis.beats import TrackedBeats
from engine.audio.waveform import Waveform

RATE = 44_100


def steady_beats(bpm: float, seconds: float, *, first_s: float = 0.0) -> NDArray[np.float64]:
    """Beats of a constant tempo up to just past ``seconds``."""
    period_s = 60.0 / bpm
    return first_s + period_s * np.arange(int((seconds - first_s) / period_s) + 2)


def swinging_beats(
    seconds: float, *, bpm: float = 110.0, depth: float = 0.04, cycles: float = 1.0
) -> NDArray[np.float64]:
    """Beats whose tempo swings sinusoidally by ``depth``: integral of the tempo, inverted."""
    time_s = np.arange(0.0, seconds + 2.0, 0.001)
    tempo = bpm * (1 + depth * np.sin(2 * np.pi * cycles * time_s / seconds))
    beat = np.concatenate([[0.0], np.cumsum(tempo[:-1]) / 60 * 0.001])
    return np.interp(np.arange(int(beat[-1])), beat, time_s)


def drum_track(
    beats_s: NDArray[np.float64],
    seconds: float,
    *,
    silent: tuple[tuple[int, int], ...] = (),
    noise: float = 0.003,
    seed: int = 0,
) -> Waveform:
    """Kick on 1 and 3, a louder one on 1, snare on 2 and 4, hats on eighths, and noise; mono.

    ``silent`` are beat ranges in which nothing is played.
    """
    rng = np.random.default_rng(seed)
    track = np.zeros(int((seconds + 1) * RATE))
    for number, (start, end) in enumerate(itertools.pairwise(beats_s)):
        if any(first <= number < last for first, last in silent):
            continue
        if number % 2:
            _lay(track, start, 0.8 * _snare(rng))
        else:
            _lay(track, start, (1.0 if number % 4 == 0 else 0.7) * _kick())
        if number % 4 == 2:
            _lay(track, start + 0.75 * (end - start), 0.5 * _kick())
        _lay(track, start, _hat(rng))
        _lay(track, (start + end) / 2, 0.7 * _hat(rng))
    track += noise * rng.standard_normal(track.size)
    track = track[: int(seconds * RATE)]
    return Waveform((0.7 * track / np.abs(track).max()).astype(np.float32)[None], RATE)


def chord_track(
    chords: list[tuple[int, ...]], seconds_each: float, *, cents: float = 0.0
) -> Waveform:
    """Chords of MIDI pitches with four decaying overtones each; mono."""
    t = np.arange(int(seconds_each * RATE)) / RATE
    parts = []
    for chord in chords:
        sound = np.zeros(t.size)
        for pitch in chord:
            frequency = 440.0 * 2 ** ((pitch - 69 + cents / 100) / 12)
            for overtone in range(1, 5):
                sound += np.sin(2 * np.pi * overtone * frequency * t) / overtone**1.5
        parts.append(sound * np.exp(-t / (0.7 * seconds_each)))
    joined = np.concatenate(parts)
    return Waveform((0.5 * joined / np.abs(joined).max()).astype(np.float32)[None], RATE)


def as_tracked(
    beats_s: NDArray[np.float64], *, metre: int = 4, seconds: float | None = None, seed: int = 0
) -> TrackedBeats:
    """What a tracker would make of these beats: a 10 ms raster with a frame of jitter."""
    rng = np.random.default_rng(seed)
    frames = np.rint(beats_s * 100).astype(np.int64) + rng.integers(-1, 2, beats_s.size)
    frames = np.maximum.accumulate(np.maximum(frames, 0))
    count = int(100 * (seconds or beats_s[-1] + 1)) + 1
    activation = np.zeros((count, 2), dtype=np.float32)
    inside = frames < count
    positions = np.arange(beats_s.size) % metre
    activation[frames[inside], np.where(positions[inside] == 0, 1, 0)] = 0.8
    return TrackedBeats(frames / 100.0, positions, metre, 1.0, activation, "synthetic")


def without(tracked: TrackedBeats, dropped: list[int]) -> TrackedBeats:
    """The same beats with some missed."""
    keep = np.setdiff1d(np.arange(tracked.beats_s.size), dropped)
    return TrackedBeats(
        tracked.beats_s[keep],
        tracked.positions[keep],
        tracked.beats_per_bar,
        tracked.confidence,
        tracked.activation,
        tracked.tracker,
    )


def worst_error_s(found_s: NDArray[np.float64], true_s: NDArray[np.float64]) -> float:
    """Largest distance of a true beat from the nearest found one."""
    return float(max(np.min(np.abs(found_s - time_s)) for time_s in true_s))


def _lay(track: NDArray[np.float64], time_s: float, sound: NDArray[np.float64]) -> None:
    start = round(time_s * RATE)
    count = min(sound.size, track.size - start)
    if count > 0 and start >= 0:
        track[start : start + count] += sound[:count]


def _kick() -> NDArray[np.float64]:
    t = np.arange(int(0.35 * RATE)) / RATE
    phase = np.cumsum(45 + 120 * np.exp(-t / 0.03)) / RATE
    return np.sin(2 * np.pi * phase) * np.exp(-t / 0.12)


def _snare(rng: np.random.Generator) -> NDArray[np.float64]:
    t = np.arange(int(0.25 * RATE)) / RATE
    body = 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.06)
    return body + 0.5 * rng.standard_normal(t.size) * np.exp(-t / 0.07)


def _hat(rng: np.random.Generator) -> NDArray[np.float64]:
    t = np.arange(int(0.08 * RATE)) / RATE
    return 0.25 * np.diff(rng.standard_normal(t.size), append=0.0) * np.exp(-t / 0.02)
