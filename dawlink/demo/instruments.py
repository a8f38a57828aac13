"""Pitched instruments and drums as single notes, (frames,) float32 at :data:`SAMPLE_RATE`.

A pitched note is one cycle read again and again from two tables, a bright and a dark one with all
harmonics below 12 kHz: the sound fades from the first to the second as a struck string or an
opening filter does. Drums are swept sines and shaped noise.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dawlink.demo.styles import BassSound, ChordSound

__all__ = ["PATCHES", "SAMPLE_RATE", "Patch", "drum", "note_hz", "tone"]

SAMPLE_RATE: Final = 44_100
TABLE_SIZE: Final = 8192
#: No harmonic above this [Hz]: nothing folds back.
HIGHEST_HZ: Final = 12_000.0

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Patch:
    """How a note sounds.

    Args:
        bright, dark: fall of the harmonics at the start and later: amplitude ``1 / k ** slope``.
        fade_s: time constant from bright to dark.
        attack_s: rise.
        decay_s: time constant of the level down to ``sustain``.
        sustain: level that a held note keeps [0, 1].
        release_s: fall after the note's end.
        even: level of the even harmonics [0, 1]; 0 sounds hollow.
        detune_cents: distance of two added voices, one to each side; 0 for a single one.
        drawbars: amplitudes of chosen harmonics in place of the slopes.
        level: amplitude of a note at full velocity.
    """

    bright: float
    dark: float
    fade_s: float
    attack_s: float
    decay_s: float
    sustain: float
    release_s: float
    even: float = 1.0
    detune_cents: float = 0.0
    drawbars: tuple[tuple[int, float], ...] = ()
    level: float = 1.0


PATCHES: Final[dict[BassSound | ChordSound, Patch]] = {
    "round": Patch(1.8, 3.2, 0.12, 0.006, 1.2, 0.5, 0.06),
    "pick": Patch(0.9, 2.2, 0.10, 0.002, 0.5, 0.35, 0.03),
    "sub": Patch(2.2, 3.5, 0.08, 0.004, 1.5, 0.7, 0.05, even=0.4),
    "saw": Patch(1.0, 1.7, 0.09, 0.003, 0.6, 0.5, 0.03, detune_cents=6.0),
    "keys": Patch(1.9, 3.6, 0.35, 0.003, 1.1, 0.1, 0.15, even=0.35, detune_cents=2.5),
    "organ": Patch(
        1.0,
        1.0,
        1.0,
        0.006,
        9.0,
        1.0,
        0.04,
        drawbars=((1, 0.8), (2, 1.0), (3, 0.6), (4, 0.35), (6, 0.2), (8, 0.15)),
        level=0.6,
    ),
    "piano": Patch(1.5, 2.8, 0.30, 0.002, 0.9, 0.05, 0.12, detune_cents=1.2),
    "pad": Patch(1.5, 1.9, 0.80, 0.180, 9.0, 1.0, 0.35, detune_cents=8.0, level=0.7),
    "strings": Patch(1.25, 1.4, 0.60, 0.120, 9.0, 1.0, 0.30, detune_cents=7.0, level=0.6),
    "stab": Patch(1.05, 2.0, 0.10, 0.002, 0.35, 0.15, 0.08, detune_cents=9.0),
    "guitar": Patch(1.0, 2.3, 0.05, 0.001, 0.16, 0.05, 0.03),
    "crunch": Patch(1.1, 1.5, 0.30, 0.002, 1.5, 0.5, 0.04),
    "pluck": Patch(1.2, 3.0, 0.09, 0.001, 0.28, 0.0, 0.10, even=0.6),
}


def note_hz(pitch: float) -> float:
    """Frequency of a MIDI note number in equal temperament, A4 = 69 = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


@functools.lru_cache(maxsize=4096)
def tone(sound: BassSound | ChordSound, pitch: int, frames: int, side: int = 0) -> Samples:
    """One note of a patch.

    Args:
        sound: patch.
        pitch: MIDI number.
        frames: length of the key press; the release comes after it.
        side: −1 left, 1 right, 0 middle: detuned patches sound wide by beating differently.

    Returns:
        (frames + release,) not to be written to.
    """
    patch = PATCHES[sound]
    total = frames + int(patch.release_s * SAMPLE_RATE)
    time_s = np.arange(total, dtype=np.float32) / np.float32(SAMPLE_RATE)
    bright, dark = _tables(sound, pitch)
    fade = np.exp(time_s * np.float32(-1.0 / patch.fade_s))
    result = np.zeros(total, np.float32)
    for voice, (cents, weight) in enumerate(_voices(patch.detune_cents, side)):
        step = note_hz(pitch + cents / 100.0) / SAMPLE_RATE
        cycles = np.arange(total) * step + 0.37 * voice
        index = (cycles * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)
        low = dark.take(index)
        result += (low + (bright.take(index) - low) * fade) * np.float32(weight)
    result *= _envelope(patch, frames, time_s) * np.float32(patch.level)
    result.flags.writeable = False
    return result


def _voices(detune_cents: float, side: int) -> tuple[tuple[float, float], ...]:
    """(cents, weight) of the voices of one note: the lower leans left, the higher right."""
    if not detune_cents:
        return ((0.0, 1.0),)
    lean = 0.25 * side
    return ((0.0, 0.6), (-detune_cents, 0.45 - lean), (detune_cents, 0.45 + lean))


@functools.cache
def drum(instrument: str, *, kick_hz: float, seed: int) -> Samples:
    """One stroke at full velocity; its attack is at frame 0.

    Raises:
        KeyError: no such instrument.
    """
    rng = np.random.default_rng((seed, sum(instrument.encode())))
    makers = {
        "kick": lambda: _kick(kick_hz, rng),
        "snare": lambda: _snare(rng),
        "clap": lambda: _clap(rng),
        "rim": lambda: _rim(rng),
        "hat": lambda: 0.5 * _metal(rng, 0.09, 0.022),
        "open hat": lambda: 0.55 * _metal(rng, 0.40, 0.110),
        "crash": lambda: 0.6 * _metal(rng, 2.2, 0.60),
        "shaker": lambda: 0.35 * _noise(rng, 0.10, 0.030, 4500.0, 12e3, attack_s=0.008),
        "tom": lambda: _tom(rng),
    }
    stroke = makers[instrument]().astype(np.float32)
    stroke.flags.writeable = False
    return stroke


@functools.lru_cache(maxsize=1024)
def _tables(sound: BassSound | ChordSound, pitch: int) -> tuple[Samples, Samples]:
    patch = PATCHES[sound]
    count = max(1, min(TABLE_SIZE // 4, int(HIGHEST_HZ / note_hz(pitch))))
    number = np.arange(1, count + 1, dtype=np.float64)
    tables = []
    for slope in (patch.bright, patch.dark):
        if patch.drawbars:
            amplitude = np.zeros(count)
            for harmonic, level in patch.drawbars:
                if harmonic <= count:
                    amplitude[harmonic - 1] = level
        else:
            amplitude = number**-slope * np.where(number % 2 == 0, patch.even, 1.0)
        spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
        spectrum[1 : count + 1] = -0.5j * TABLE_SIZE * amplitude
        table = np.fft.irfft(spectrum)
        tables.append((table / np.sqrt(2.0 * np.mean(table**2))).astype(np.float32))
    return tables[0], tables[1]


def _envelope(patch: Patch, frames: int, time_s: Samples) -> Samples:
    level = patch.sustain + (1.0 - patch.sustain) * np.exp(time_s * np.float32(-1 / patch.decay_s))
    level *= np.minimum(time_s / np.float32(patch.attack_s), np.float32(1.0))
    level[frames:] *= np.linspace(1.0, 0.0, level.size - frames, dtype=np.float32) ** 2
    envelope: Samples = level.astype(np.float32)
    return envelope


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _swept(start_hz: float, end_hz: float, sweep_s: float, decay_s: float) -> NDArray[np.float64]:
    """A sine that falls from one pitch to another."""
    time_s = _times(6.0 * decay_s)
    cycles = end_hz * time_s + (start_hz - end_hz) * sweep_s * (1.0 - np.exp(-time_s / sweep_s))
    return _faded(np.sin(2.0 * np.pi * cycles) * np.exp(-time_s / decay_s))


def _noise(
    rng: np.random.Generator,
    seconds: float,
    decay_s: float,
    low_hz: float,
    high_hz: float,
    *,
    attack_s: float = 0.0005,
) -> NDArray[np.float64]:
    """Noise of one band, peak about 1."""
    time_s = _times(seconds)
    spectrum = np.fft.rfft(rng.standard_normal(time_s.size))
    hz = np.fft.rfftfreq(time_s.size, 1.0 / SAMPLE_RATE)
    spectrum *= 1.0 / (1.0 + (low_hz / np.maximum(hz, 1.0)) ** 4) / (1.0 + (hz / high_hz) ** 4)
    sound = np.fft.irfft(spectrum, time_s.size)
    sound *= np.minimum(time_s / attack_s, 1.0) * np.exp(-time_s / decay_s)
    return _faded(sound / np.max(np.abs(sound)))


def _metal(rng: np.random.Generator, seconds: float, decay_s: float) -> NDArray[np.float64]:
    """Six square waves of odd ratios under high noise: cymbals."""
    time_s = _times(seconds)
    ratios = (2.0, 3.0, 4.16, 5.43, 6.79, 8.21)
    rings = sum(np.sign(np.sin(2.0 * np.pi * 410.0 * ratio * time_s)) for ratio in ratios)
    spectrum = np.fft.rfft(0.25 * rings + rng.standard_normal(time_s.size))
    hz = np.fft.rfftfreq(time_s.size, 1.0 / SAMPLE_RATE)
    spectrum *= 1.0 / (1.0 + (7000.0 / np.maximum(hz, 1.0)) ** 6) / (1.0 + (hz / 14e3) ** 4)
    sound = np.fft.irfft(spectrum, time_s.size) * np.exp(-time_s / decay_s)
    return _faded(sound / np.max(np.abs(sound)))


def _kick(end_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    body = _swept(end_hz * 4.5, end_hz, 0.022, 0.13)
    click = 0.25 * _noise(rng, 0.02, 0.003, 1500.0, 8000.0)
    body[: click.size] += click
    driven: NDArray[np.float64] = np.tanh(1.6 * body)
    return driven


def _snare(rng: np.random.Generator) -> NDArray[np.float64]:
    body = _padded(0.55 * _swept(260.0, 182.0, 0.015, 0.055), 0.33)
    body += _padded(0.22 * _swept(420.0, 331.0, 0.010, 0.035), 0.33)
    return 0.9 * (body + 0.55 * _padded(_noise(rng, 0.33, 0.075, 1400.0, 9500.0), 0.33))


def _rim(rng: np.random.Generator) -> NDArray[np.float64]:
    knock = 0.7 * _padded(_swept(1700.0, 400.0, 0.004, 0.028), 0.17)
    return knock + 0.3 * _padded(_noise(rng, 0.03, 0.006, 900.0, 7000.0), 0.17)


def _tom(rng: np.random.Generator) -> NDArray[np.float64]:
    skin = 0.15 * _padded(_noise(rng, 0.2, 0.02, 300.0, 4000.0), 1.0)
    return skin + _padded(_swept(190.0, 95.0, 0.05, 0.17), 1.0)


def _clap(rng: np.random.Generator) -> NDArray[np.float64]:
    sound = np.zeros(int(0.33 * SAMPLE_RATE))
    for start_s, level, decay_s in ((0.0, 0.7, 0.006), (0.010, 0.6, 0.006), (0.021, 0.9, 0.075)):
        burst = level * _noise(rng, 0.3, decay_s, 900.0, 6500.0)
        first = int(start_s * SAMPLE_RATE)
        sound[first : first + burst.size] += burst[: sound.size - first]
    return 0.8 * sound


def _padded(sound: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    size = int(seconds * SAMPLE_RATE)
    return np.pad(sound[:size], (0, max(0, size - sound.size)))


def _faded(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sound`` whose last tenth goes down to nothing."""
    tail = max(1, sound.size // 10)
    sound[-tail:] *= np.linspace(1.0, 0.0, tail)
    return sound
