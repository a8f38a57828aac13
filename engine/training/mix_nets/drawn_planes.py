"""Log-mel planes of music that was never played, drawn from its notes.

A mix network needs thousands of songs before it knows what a key is, and rendering one costs
seconds. The plane of a stem is quickly drawn instead: every note is a row of partials, seen through
the same window and the same mel filters as audio (:mod:`engine.models.mix_nets.mel`), under a
random sound (falling or odd partials, resonances, decay, vibrato, room, noise); drums are bands of
noise and tones that die away. Sounds are drawn anew for every stem, so two stems of one song have
nothing in common but their music. Powers add up, phases are not drawn.

Frames are those of a plane: six a beat, the mean level of two moments each. Levels are decibels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL, mel_filters

__all__ = ["Beats", "drawn_drums", "drawn_notes"]

#: Moments that are drawn, two for each frame of a plane.
_LOOKS: Final = 2
_STEPS: Final = FRAMES_PER_BEAT * _LOOKS
#: Where a tone's picture is known: from 20 Hz in eighths of a semitone.
_GRID_HZ: Final = 20.0
_PER_SEMITONE: Final = 8
_GRID: Final = 12 * _PER_SEMITONE * 8
_PARTIALS: Final = 24
#: Sounds are drawn between these.
_SLOPE: Final = (0.6, 3.5)
_VIBRATO_STEPS: Final = 5
_NOISE_DB: Final = (-85.0, -40.0)
#: Power of the room over that of the sound, as a power of ten.
_WET: Final = (-2.0, -0.4)
_LOWEST_POWER: Final = 1e-9
#: General MIDI drums: centre and half-width of the band [octaves over 40 Hz], decay [s],
#: and power; the body and the noise of each.
_KICK: Final = ((0.8, 0.5, 0.15, 1.0), (6.0, 0.8, 0.02, 0.01))
_SNARE: Final = ((2.3, 0.4, 0.08, 0.3), (5.8, 1.3, 0.12, 0.5))
_CLAP: Final = ((5.2, 0.8, 0.10, 0.8), (6.5, 0.8, 0.05, 0.2))
_TOM: Final = ((1.6, 0.5, 0.25, 1.0), (4.5, 1.0, 0.03, 0.05))
_HAT: Final = ((7.2, 0.7, 0.04, 0.2), (6.2, 0.7, 0.03, 0.05))
_OPEN: Final = ((7.0, 0.9, 0.30, 0.25), (6.0, 0.8, 0.25, 0.08))
_CYMBAL: Final = ((6.6, 1.1, 1.00, 0.4), (5.0, 1.0, 0.50, 0.05))
_DRUMS: Final = {
    **dict.fromkeys((35, 36), _KICK),
    **dict.fromkeys((37, 38, 40), _SNARE),
    39: _CLAP,
    **dict.fromkeys((41, 43, 45, 47, 48, 50), _TOM),
    **dict.fromkeys((42, 44), _HAT),
    46: _OPEN,
    **dict.fromkeys((49, 51, 52, 53, 55, 57, 59), _CYMBAL),
}


@dataclass(frozen=True)
class Beats:
    """Where a stem's beats lie in the session: beat ``first`` of the song sounds at ``late``.

    Args:
        first: beat of the song.
        count: beats of the session.
        speed: beats of the song in a beat of the session; 1 when it is stretched.
        late: beats of the session.
        beat_s: length of a beat of the session.
    """

    first: float
    count: int
    speed: float = 1.0
    late: float = 0.0
    beat_s: float = 0.6

    def spans(self, notes: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(notes,) starts and ends in steps of the plane."""
        start, end = (
            ((notes[name] - self.first) / self.speed + self.late) * _STEPS
            for name in ("start", "end")
        )
        return start, end

    def heard(self, notes: NDArray[np.void]) -> NDArray[np.void]:
        """The notes that sound in the session."""
        start, end = self.spans(notes)
        return notes[(end > 0) & (start < self.count * _STEPS)]


def drawn_notes(
    parts: Sequence[NDArray[np.void]],
    beats: Beats,
    semitones: int,
    rng: np.random.Generator,
    *,
    voice: bool = False,
) -> NDArray[np.float32]:
    """(beats * 6, mels) decibels of pitched parts, each with a sound of its own.

    Args:
        parts: notes of :data:`~engine.training.midi_corpus.NOTE`.
        beats: what is heard of them.
        semitones: transposition.
        rng: draws the sounds.
        voice: sung: vibrato, formants, no decay.
    """
    power = np.zeros((beats.count * _STEPS, MEL.mels))
    for part in parts:
        notes = beats.heard(part)
        if notes.size:
            gain = 10 ** (rng.normal(0.0, 4.0) / 10)
            power += gain * _part(notes, beats, semitones, rng, voice=voice)
    return _finished(power, beats, rng)


def drawn_drums(
    notes: NDArray[np.void], beats: Beats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(beats * 6, mels) decibels of a drum part on a random kit."""
    steps = beats.count * _STEPS
    power = np.zeros((steps, MEL.mels))
    hits = beats.heard(notes)
    start, _ = beats.spans(hits)
    for key in np.unique(hits["pitch"]):
        own = hits["pitch"] == key
        at = np.clip(np.floor(start[own]), 0, steps - 1).astype(np.int64)
        struck = np.zeros(steps)
        np.add.at(struck, at, (hits["velocity"][own] / 100.0) ** 2)
        for centre, half, decay_s, level in _DRUMS.get(int(key), _CLAP):
            band = _band(centre + rng.normal(0, 0.25), half * rng.uniform(0.7, 1.4))
            kept = np.exp(-beats.beat_s / _STEPS / (decay_s * rng.uniform(0.5, 2.0)))
            tail = lfilter([1.0], [1.0, -kept], struck)
            power += np.outer(tail, band) * level * 10 ** rng.normal(0.0, 0.3)
    return _finished(power * rng.exponential(1.0, power.shape), beats, rng)


def _part(
    notes: NDArray[np.void],
    beats: Beats,
    semitones: int,
    rng: np.random.Generator,
    *,
    voice: bool,
) -> NDArray[np.float64]:
    """(steps, mels) power of one part."""
    pitches, number = np.unique(notes["pitch"], return_inverse=True)
    rows = _rows(pitches.astype(np.float64) + semitones, rng, voice=voice)
    start, end = beats.spans(notes)
    steps = beats.count * _STEPS
    first = np.clip(np.floor(start), 0, steps - 1).astype(np.int64)
    last = np.clip(np.ceil(end), first + 1, steps).astype(np.int64)
    counts = last - first
    note = np.repeat(np.arange(counts.size), counts)
    step = np.arange(note.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[note]
    decay = rng.uniform(0.0, 0.5) if voice else rng.choice([rng.uniform(0, 1), rng.uniform(1, 8)])
    age_s = (step - np.minimum(start[note], step)) * beats.beat_s / _STEPS
    level = (notes["velocity"][note] / 100.0) ** 2 * np.exp(-decay * age_s)
    cell = step * pitches.size + number[note]
    roll = np.bincount(cell, weights=level, minlength=steps * pitches.size)
    sounding: NDArray[np.float64] = roll.reshape(steps, pitches.size) @ rows
    begun = np.zeros(steps)
    begun[first] = (notes["velocity"] / 100.0) ** 2
    wide = rng.uniform(0.5, 1.2) if voice else rng.uniform(1.0, 3.0)
    noise = _band(rng.uniform(4.0, 7.0), wide) * 10 ** rng.uniform(-4.0, -1.5)
    return sounding + np.outer(begun, noise)


def _rows(
    pitches: NDArray[np.float64], rng: np.random.Generator, *, voice: bool
) -> NDArray[np.float64]:
    """(pitches, mels) power of a note of each pitch, in one random sound."""
    count = np.arange(1, _PARTIALS + 1)
    partials = count ** -rng.uniform(*_SLOPE) * np.exp(rng.normal(0, 0.7, _PARTIALS))
    if rng.random() < 0.15:
        partials[1::2] *= 0.05  # a clarinet or a square wave
    place = (pitches[:, None] - _pitch_of(_GRID_HZ)) * _PER_SEMITONE
    place = place + 12 * _PER_SEMITONE * np.log2(count)
    octaves = place / (12 * _PER_SEMITONE)
    coloured = partials * _resonances(octaves, rng, voice=voice)
    table = _tones()
    wide = rng.uniform(1, _VIBRATO_STEPS) if voice else rng.uniform(0, 1.5)
    offsets = np.round(np.linspace(-wide, wide, 5)) if wide >= 1 else np.zeros(1)
    tuned = rng.normal(0, 0.5)
    total = np.zeros((pitches.size, MEL.mels))
    for offset in offsets:
        index = np.clip(np.round(place + offset + tuned), 0, _GRID - 1).astype(np.int64)
        inside = (place < _GRID - 1) & (place > 0)
        total += np.einsum("pk,pkm->pm", coloured * inside, table[index])
    rows: NDArray[np.float64] = total / offsets.size
    return rows


def _resonances(
    octaves: NDArray[np.float64], rng: np.random.Generator, *, voice: bool
) -> NDArray[np.float64]:
    """Power gain of a body at so many octaves above 20 Hz."""
    peaks = 3 if voice else int(rng.integers(0, 3))
    gain_db = np.full(octaves.shape, -15.0 if peaks else 0.0)
    for _ in range(peaks):
        centre, width = rng.uniform(4.0, 7.3), rng.uniform(0.15, 0.6)
        gain_db = np.maximum(gain_db, -(((octaves - centre) / width) ** 2) * 3.0)
    gain: NDArray[np.float64] = 10 ** (np.maximum(gain_db, -15.0) / 10)
    return gain


def _finished(
    power: NDArray[np.float64], beats: Beats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Seen through the window, in a room, over noise; two looks averaged in decibels."""
    power = _windowed(power, beats.beat_s / _STEPS)
    if rng.random() < 0.6:
        kept = np.exp(-beats.beat_s / _STEPS * 13.8 / rng.uniform(0.25, 1.6))
        room = lfilter([1.0 - kept], [1.0, -kept], power, axis=0)
        power = power + 10 ** rng.uniform(*_WET) * room
    loud = float(power.sum(axis=1).max())
    floor = loud * 10 ** (rng.uniform(*_NOISE_DB) / 10) / MEL.mels
    power = power + floor * rng.exponential(1.0, power.shape) + _LOWEST_POWER
    decibels = 10.0 * np.log10(power)
    looks = decibels.reshape(-1, _LOOKS, MEL.mels).mean(axis=1)
    return np.asarray(looks, dtype=np.float32)


def _windowed(power: NDArray[np.float64], step_s: float) -> NDArray[np.float64]:
    """What a window of 128 ms shows at each step: its neighbours too."""
    half = MEL.fft_samples / MEL.sample_rate / 2
    reach = int(half / step_s)
    weights = np.cos(0.5 * np.pi * np.arange(-reach, reach + 1) * step_s / half) ** 4
    weights /= weights.sum()
    padded = np.pad(power, ((reach, reach), (0, 0)))
    shown: NDArray[np.float64] = sum(
        weight * padded[i : i + power.shape[0]] for i, weight in enumerate(weights)
    )
    return shown


@functools.lru_cache(maxsize=1)
def _tones() -> NDArray[np.float64]:
    """(grid, mels) power that a full-scale sine of each pitch of the grid leaves in each bin."""
    hz = _GRID_HZ * 2.0 ** (np.arange(_GRID) / (12 * _PER_SEMITONE))
    away = np.arange(MEL.fft_samples // 2 + 1) - hz[:, None] * MEL.fft_samples / MEL.sample_rate
    away = np.where(np.isclose(np.abs(away), 1.0), away + 1e-4, away)
    lobe = (np.sinc(away) / (1.0 - away**2)) ** 2
    tones: NDArray[np.float64] = lobe @ mel_filters().astype(np.float64)
    return tones


def _band(centre: float, half: float) -> NDArray[np.float64]:
    """(mels,) power of a band of noise, its centre in octaves over 40 Hz."""
    octaves = np.log2(np.maximum(_mel_hz(), 1.0) / 40.0)
    band: NDArray[np.float64] = np.exp(-0.5 * ((octaves - centre) / half) ** 2)
    return band


@functools.lru_cache(maxsize=1)
def _mel_hz() -> NDArray[np.float64]:
    """(mels,) centre of each bin."""
    bins = np.arange(MEL.fft_samples // 2 + 1) * MEL.sample_rate / MEL.fft_samples
    filters = mel_filters()
    return np.asarray((bins @ filters) / np.maximum(filters.sum(axis=0), 1e-9))


def _pitch_of(hz: float) -> float:
    return float(69 + 12 * np.log2(hz / 440.0))
