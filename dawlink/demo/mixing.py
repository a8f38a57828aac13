"""Room, echo, ducking and level: what makes notes into stems of one song.

Stereo is float32 (2, frames) at 44.1 kHz, left first.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyloudnorm
import scipy.fft
from numpy.typing import NDArray

from dawlink.demo.instruments import SAMPLE_RATE
from engine.theory import Role

__all__ = ["balanced", "ducked", "echoed", "glued", "in_room"]

Samples = NDArray[np.float32]

#: Loudness of a whole mix [LUFS] and the peak that neither it nor a stem goes over (−1 dBFS).
MIX_LUFS: Final = -18.0
PEAK: Final = 0.89
#: The room is computed at half the rate: it is dark.
COARSE_RATE: Final = SAMPLE_RATE // 2
PREDELAY_S: Final = 0.018
#: The song's last samples go down to nothing over this time, so that its end does not click [s].
END_FADE_S: Final = 0.03


def in_room(sound: Samples, *, amount: float, decay_s: float) -> Samples:
    """``sound`` with its reverberation, cut at its own end.

    Args:
        sound: (2, frames).
        amount: level of the reverberation [0, 1].
        decay_s: time in which it decays by 60 dB.
    """
    send = _coarse(sound)
    rooms = _room_spectrum(send.size, decay_s)
    size = scipy.fft.next_fast_len(send.size + int(decay_s * COARSE_RATE), real=True)
    spectrum = scipy.fft.rfft(send, size)
    result = sound.copy()
    for channel, room in enumerate(rooms):
        wet = scipy.fft.irfft(spectrum * room, size)[: send.size + 1] * np.float32(amount)
        middle = 0.5 * (wet[:-1] + wet[1:])
        result[channel, : 2 * send.size : 2] += wet[:-1]
        result[channel, 1 : 2 * send.size : 2] += middle
    return result


def echoed(sound: Samples, *, delay_s: float, amount: float, repeats: int = 3) -> Samples:
    """``sound`` with echoes that change sides."""
    result = sound.copy()
    for repeat in range(1, repeats + 1):
        shift = round(repeat * delay_s * SAMPLE_RATE)
        if shift >= sound.shape[1]:
            break
        source = sound[::-1] if repeat % 2 else sound
        result[:, shift:] += source[:, :-shift] * np.float32(amount**repeat)
    return result


def ducked(sound: Samples, onsets_s: NDArray[np.float64], *, depth: float) -> Samples:
    """``sound`` that makes way after every onset and is back 0.25 s later."""
    if depth == 0 or onsets_s.size == 0:
        return sound
    time_s = np.arange(0, sound.shape[1], 64) / SAMPLE_RATE
    latest = onsets_s[np.maximum(np.searchsorted(onsets_s, time_s, side="right") - 1, 0)]
    since = np.where(time_s >= latest, time_s - latest, np.inf)
    coarse = 1.0 - depth * np.clip(1.0 - since / 0.25, 0.0, 1.0) ** 1.5
    places = np.arange(sound.shape[1]) / 64
    return sound * np.interp(places, np.arange(coarse.size), coarse).astype(np.float32)


def glued(sound: Samples, *, drive: float) -> Samples:
    """``sound`` with its peaks rounded as by a tape; ``drive`` counts from its own peak."""
    peak = float(np.max(np.abs(sound)))
    if peak == 0:
        return sound
    rounded: Samples = np.tanh(sound * np.float32(drive / peak))
    return rounded * np.float32(peak / np.tanh(drive))


def balanced(
    stems: Mapping[Role, Samples], balance_db: Mapping[Role, float]
) -> dict[Role, Samples]:
    """Set every stem to its level, and all together to :data:`MIX_LUFS` below :data:`PEAK`."""
    meter, coarse_meter = pyloudnorm.Meter(SAMPLE_RATE), pyloudnorm.Meter(COARSE_RATE)
    levelled: dict[Role, Samples] = {}
    for role, sound in stems.items():
        loudness = coarse_meter.integrated_loudness(_coarse(sound))
        gain_db = MIX_LUFS + balance_db[role] - loudness if np.isfinite(loudness) else 0.0
        levelled[role] = sound * np.float32(10.0 ** (gain_db / 20.0))
    mix: Samples = np.sum(list(levelled.values()), axis=0, dtype=np.float32)
    gain = 10.0 ** ((MIX_LUFS - meter.integrated_loudness(mix.T)) / 20.0)
    highest = max(float(np.max(np.abs(sound))) for sound in (mix, *levelled.values()))
    gain = min(gain, PEAK / highest)
    fade = np.full(mix.shape[1], gain, np.float32)
    tail = int(END_FADE_S * SAMPLE_RATE)
    fade[-tail:] = np.linspace(gain, 0.0, tail)
    return {role: sound * fade for role, sound in levelled.items()}


def _coarse(sound: Samples) -> Samples:
    """(frames // 2,) mono at :data:`COARSE_RATE`, good enough for a room and for a level."""
    mono = sound.mean(axis=0)
    halved: Samples = mono[: mono.size - mono.size % 2].reshape(-1, 2).mean(axis=1)
    return halved


@functools.lru_cache(maxsize=2)
def _room_spectrum(frames: int, decay_s: float) -> tuple[NDArray[np.complex64], ...]:
    """Spectra of a left and a right room: noise that decays, its highs faster."""
    rng = np.random.default_rng(1977)
    length = int(decay_s * COARSE_RATE)
    size = scipy.fft.next_fast_len(frames + length, real=True)
    time_s = np.arange(length) / COARSE_RATE
    before = int(PREDELAY_S * COARSE_RATE)
    spectra = []
    for _ in range(2):
        bright = rng.standard_normal(length)
        dark = np.convolve(bright, np.hanning(14)[1:-1] / 4.0, mode="same")
        tail = 0.5 * bright * 10 ** (-6 * time_s / decay_s) + dark * 10 ** (-3 * time_s / decay_s)
        tail = np.concatenate([np.zeros(before), tail])[:length]
        tail *= 1.0 / np.sqrt(np.sum(tail**2))
        spectra.append(scipy.fft.rfft(tail.astype(np.float32), size))
    return tuple(spectra)
