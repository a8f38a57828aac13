"""Synthesised audio with known answers, and ways to measure what became of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform

RATE = 44100


def hit(kind: str, rate: int = RATE, *, seed: int = 0) -> NDArray[np.float32]:
    """A kick, snare or hat with a sudden attack at sample 0."""
    rng = np.random.default_rng(seed)
    seconds = {"kick": 0.22, "snare": 0.14, "hat": 0.05}[kind]
    t = np.arange(int(seconds * rate)) / rate
    if kind == "kick":
        sound = np.cos(2 * np.pi * (50 * t + 3.5 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.07)
    elif kind == "snare":
        sound = (0.6 * rng.standard_normal(t.size) + np.cos(2 * np.pi * 190 * t)) * np.exp(
            -t / 0.04
        )
    else:
        noise = np.diff(rng.standard_normal(t.size + 1))
        sound = 0.4 * noise * np.exp(-t / 0.015)
    return (0.5 * sound).astype(np.float32)


def drums(beats_s: NDArray[np.float64], seconds: float, rate: int = RATE) -> Waveform:
    """Kick on 1 and 3, snare on 2 and 4, hats on the eighths of the given beats; stereo."""
    track = np.zeros(int(seconds * rate) + rate, dtype=np.float32)
    for number, time_s in enumerate(beats_s):
        _lay(
            track, hit("kick" if number % 2 == 0 else "snare", rate, seed=number % 4), time_s, rate
        )
        _lay(track, hit("hat", rate, seed=number % 3), time_s, rate)
    for low, high in pairwise(beats_s):
        _lay(track, hit("hat", rate, seed=1), (low + high) / 2, rate)
    track = track[: int(seconds * rate)]
    return Waveform(np.stack([track, track]), rate)


def clicks(times_s: NDArray[np.float64], seconds: float, rate: int = RATE) -> Waveform:
    """Short clicks; mono."""
    track = np.zeros(int(seconds * rate), dtype=np.float32)
    t = np.arange(int(0.004 * rate)) / rate
    click = (np.exp(-t / 0.0008) * np.cos(2 * np.pi * 2500 * t)).astype(np.float32)
    for time_s in times_s:
        _lay(track, click, time_s, rate)
    return Waveform(track[None], rate)


def drifting_beats(
    seconds: float, *, bpm: float = 112.0, depth: float = 0.04
) -> NDArray[np.float64]:
    """Beats from 0 s on whose tempo swings by ``depth`` once over the whole length."""
    times = [0.0]
    while times[-1] < seconds:
        swing = 1 + depth * np.sin(2 * np.pi * times[-1] / seconds)
        times.append(times[-1] + 60.0 / (bpm * swing))
    return np.array(times[:-1])


def attack_near(
    signal: NDArray[np.float32], time_s: float, rate: int, reach_s: float = 0.03
) -> float:
    """Seconds of the first sample that rises over a fifth of the loudest one around ``time_s``."""
    low = max(round((time_s - reach_s) * rate), 0)
    part = np.abs(signal[low : low + round(2 * reach_s * rate)])
    return (low + int(np.argmax(part > 0.2 * part.max()))) / rate


def _lay(track: NDArray[np.float32], sound: NDArray[np.float32], time_s: float, rate: int) -> None:
    start = round(time_s * rate)
    count = min(sound.size, track.size - start)
    if count > 0:
        track[start : start + count] += sound[:count]
