"""Beat-grid features of music that was never played: piano rolls under random sounds.

A fit model sees chroma, onset patterns and levels per beat, so it can be trained from notes alone,
without audio and without any instrument's timbre to learn. Every call draws a sound (partials after
Fletcher & Rossing 1998, ch. 2: falling powers, some odd only; decay; vibrato that smears into the
neighbouring semitones; a noise floor; a tilt over the octaves) and faults (missing and spurious
notes, wrong octaves, late onsets), renders quarter-beat semitone powers of the notes, and folds
them as :mod:`engine.analysis.features` folds those of audio. Real stems were looked at for the
ranges: their beats' chroma, sorted, averages .69 .44 .32 .23 .19 .15 (27 stems of ten songs).

Axis order is (beats, …) as in :data:`engine.analysis.records.BEAT_ROW`; powers are linear and
relative to the loudest cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import (
    BEAT_ROW,
    LOGFREQ_BINS,
    LOGFREQ_FLOOR_DB,
    LOGFREQ_FRAMES,
    STEPS_PER_BEAT,
)

__all__ = [
    "Sound",
    "draw_sound",
    "drums_rows",
    "held",
    "mixed_rows",
    "note_powers",
    "static_harmony",
]

#: MIDI pitch of the lowest bin, C1.
_LOWEST_PITCH: Final = 24
#: Semitones of the first eight partials above the fundamental.
_PARTIALS: Final = (0, 12, 19, 24, 28, 31, 34, 36)
#: As in ``engine.analysis.features``: chroma range C2 to B6, compression, A3 and A6 band edges.
_CHROMA_BINS: Final = slice(12, 72)
_CHROMA_COMPRESSION: Final = 100.0
_BAND_OF_BIN: Final = np.digitize(np.arange(LOGFREQ_BINS), (33, 69))

#: Share of the sounds that are heard in a room.
_ROOMY: Final = 0.3

#: General MIDI drum keys: share of low, mid and high in the attack.
_KICK, _SNARE, _TOM, _METAL = (1.0, 0.5, 0.2), (0.3, 1.0, 0.8), (0.7, 0.8, 0.2), (0.0, 0.2, 1.0)
_DRUM_BANDS: Final = {
    **dict.fromkeys((35, 36), _KICK),
    **dict.fromkeys((37, 38, 39, 40), _SNARE),
    **dict.fromkeys((41, 43, 45, 47, 48, 50), _TOM),
}


@dataclass(frozen=True, eq=False)
class Sound:
    """How the notes of a part sound, and what a listener gets wrong about them.

    Args:
        partials: (8,) power of each partial, the fundamental 1.
        decay: natural-log power lost per beat while a note lasts.
        smear: share of power in each neighbouring semitone.
        floor: power of the noise floor relative to the loudest cell.
        tilt_db: gain per octave above C4.
        missing: share of the notes that are not heard.
        octave_error: share of the notes heard an octave off.
        spurious: notes heard per beat that nobody played.
        jitter: standard deviation of onsets [beats].
        gain_db: level of the part in its stem.
        echo: share of the power that is still heard a quarter beat later, as in a room.
    """

    partials: NDArray[np.float32]
    decay: float
    smear: float
    floor: float
    tilt_db: float
    missing: float
    octave_error: float
    spurious: float
    jitter: float
    gain_db: float
    echo: float = 0.0


def draw_sound(rng: np.random.Generator, *, voice: bool = False) -> Sound:
    """A random sound; a voice wavers more and decays less."""
    slope = rng.uniform(0.8, 4.0)
    partials = np.arange(1, len(_PARTIALS) + 1, dtype=np.float32) ** -slope
    partials *= np.exp(rng.normal(0, 0.6, partials.size)).astype(np.float32)
    if rng.random() < 0.2:
        partials[1::2] *= 0.1  # a square wave or a clarinet
    return Sound(
        partials=(partials / partials[0]).astype(np.float32),
        decay=float(rng.uniform(0.0, 0.5) if voice else rng.exponential(0.7)),
        smear=float(10 ** rng.uniform(-2.2, -0.5 if voice else -1.1)),
        floor=float(10 ** rng.uniform(-5.0, -2.3)),
        tilt_db=float(rng.normal(0, 3)),
        missing=float(rng.uniform(0, 0.15) if rng.random() < 0.8 else rng.uniform(0.15, 0.4)),
        octave_error=float(rng.uniform(0, 0.1)),
        spurious=float(rng.exponential(0.05)),
        jitter=float(rng.uniform(0, 0.04)),
        gain_db=float(rng.normal(0, 4)),
        echo=float(rng.uniform(0.05, 0.6)) if rng.random() < _ROOMY else 0.0,
    )


def note_powers(
    notes: NDArray[np.void], first_beat: float, beats: int, sound: Sound, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Semitone powers and attacks of one part between two beats.

    Args:
        notes: (notes,) of :data:`~engine.training.midi_corpus.NOTE`.
        first_beat: where the window begins.
        beats: its length.
        sound: how the part sounds.
        rng: decides which notes go wrong.

    Returns:
        (beats * 4, 96) linear power, (beats * 12, 3) attack strength, roughly 0..1.
    """
    heard = notes[(notes["start"] < first_beat + beats) & (notes["end"] > first_beat)]
    heard = heard[rng.random(heard.size) >= sound.missing]
    start = heard["start"] - first_beat + rng.normal(0, 1, heard.size) * sound.jitter
    end = heard["end"] - first_beat
    pitch = heard["pitch"].astype(np.int64)
    wrong = rng.random(pitch.size) < sound.octave_error
    pitch = pitch + np.where(wrong, rng.choice([-12, 12], pitch.size), 0)
    power = (heard["velocity"].astype(np.float64) / 100) ** 2
    extra = rng.poisson(sound.spurious * beats)
    start = np.concatenate([start, rng.uniform(0, beats, extra)])
    end = np.concatenate([end, start[start.size - extra :] + 0.5])
    pitch = np.concatenate([pitch, rng.integers(40, 84, extra)])
    power = np.concatenate([power, rng.uniform(0.05, 0.4, extra)])
    cells = _coloured(_fundamentals(start, end, pitch, power, beats, sound.decay), sound)
    if sound.echo:
        for frame in range(1, cells.shape[0]):
            cells[frame] += np.float32(sound.echo) * cells[frame - 1]
    return cells, _attacks(start, pitch, power, beats)


def mixed_rows(
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    *,
    rng: np.random.Generator,
    bleed: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    floor: float = 1e-4,
) -> NDArray[np.void]:
    """One stem's feature rows from its parts.

    Args:
        parts: powers and attacks from :func:`note_powers`, of equal length.
        rng: draws levels.
        bleed: another role's powers and attacks that leak in, already scaled down.
        floor: noise floor relative to the loudest cell.

    Returns:
        (beats,) of :data:`~engine.analysis.records.BEAT_ROW`.
    """
    power = np.sum([cells for cells, _ in parts], axis=0)
    attacks = np.max([hits for _, hits in parts], axis=0)
    sounding = power.reshape(-1, LOGFREQ_FRAMES * LOGFREQ_BINS).max(axis=1) > 1e-3 * power.max()
    loudest = float(power.max()) * 10 ** rng.uniform(0.0, 0.8)  # the song's loudest is elsewhere
    if bleed is not None and loudest > 0:
        power = power + bleed[0] * loudest
        attacks = np.maximum(attacks, bleed[1])
    rows = np.zeros(sounding.size, dtype=BEAT_ROW)
    if loudest <= 0:
        return rows
    hiss = np.float32(floor) * rng.standard_exponential(power.shape, dtype=np.float32)
    power = power / np.float32(loudest) + hiss
    power = power.reshape(-1, LOGFREQ_FRAMES, LOGFREQ_BINS)
    rows["logfreq"] = _decibels(power)
    chroma = np.log1p(_CHROMA_COMPRESSION * power[:, :, _CHROMA_BINS]).mean(axis=1)
    rows["chroma"] = _unit(chroma.reshape(-1, 5, 12).sum(axis=1)) * sounding[:, None]
    rows["bands"] = _levels(power, rng) * sounding[:, None]
    rows["onsets"] = _heard_attacks(attacks, rng)
    return rows


def drums_rows(
    notes: NDArray[np.void], first_beat: float, beats: int, rng: np.random.Generator
) -> NDArray[np.void]:
    """Feature rows of a drum part: onsets by low, mid and high; flat chroma, as drums have."""
    missing, jitter = rng.uniform(0, 0.15), rng.uniform(0, 0.03)
    inside = (notes["start"] >= first_beat - 0.04) & (notes["start"] < first_beat + beats - 0.05)
    hits = notes[inside]
    hits = hits[rng.random(hits.size) >= missing]
    start = hits["start"] - first_beat + rng.normal(0, 1, hits.size) * jitter
    step = np.clip(np.rint(start * STEPS_PER_BEAT).astype(np.int64), 0, beats * STEPS_PER_BEAT - 1)
    colour = np.array([_DRUM_BANDS.get(int(p), _METAL) for p in hits["pitch"]]).reshape(-1, 3)
    strength = colour * rng.uniform(0.6, 1.2, 3) * (hits["velocity"][:, None] / 100) ** 0.7
    attacks = np.zeros((beats * STEPS_PER_BEAT, 3), dtype=np.float32)
    np.maximum.at(attacks, step, strength.astype(np.float32))
    rows = np.zeros(beats, dtype=BEAT_ROW)
    rows["onsets"] = _heard_attacks(attacks, rng)
    struck = rows["onsets"].reshape(beats, -1).max(axis=1, keepdims=True) > 0
    rows["bands"] = struck * rng.uniform(0.01, 0.05, 3)
    rows["chroma"] = struck * _unit(0.3 + 0.08 * rng.random((beats, 12), dtype=np.float32))
    return rows


def static_harmony(
    harmonic: NDArray[np.void],
    vocals: NDArray[np.void],
    first_beat: float,
    beats: int,
    *,
    bars: int,
    beats_per_bar: int = 4,
) -> NDArray[np.void]:
    """A vamp: the ``bars`` bars of the window that agree best with the voice, over and over.

    Loop-based music stands on one chord or a short figure; a melody that fits the whole window's
    key still fits such a bed.
    """
    span = bars * beats_per_bar
    voice = _classes(vocals, first_beat, beats)
    starts = [first_beat + i for i in range(0, beats - span + 1, beats_per_bar)]
    best = max(starts, key=lambda at: float(_classes(harmonic, at, span) @ voice))
    figure = harmonic[(harmonic["start"] >= best - 0.05) & (harmonic["start"] < best + span - 0.05)]
    copies = []
    for repeat in range(-(-beats // span)):
        copy = figure.copy()
        shift = first_beat + repeat * span - best
        copy["start"] += shift
        copy["end"] = np.minimum(copy["end"] + shift, first_beat + (repeat + 1) * span)
        copies.append(copy)
    return np.concatenate(copies)


def held(notes: NDArray[np.void], first_beat: float, beats: int) -> NDArray[np.void]:
    """A drone: the longest-sounding three pitch classes of some notes, held throughout."""
    classes = notes["pitch"].astype(np.int64) % 12
    weight = np.bincount(classes, weights=notes["end"] - notes["start"], minlength=12)
    chosen = [int(pc) for pc in np.argsort(-weight)[:3] if weight[pc] > 0]
    drone = np.concatenate([notes[classes == pc][:1] for pc in chosen] or [notes[:0]])
    drone["start"], drone["end"] = first_beat, first_beat + beats
    return drone


def _classes(notes: NDArray[np.void], first_beat: float, beats: int) -> NDArray[np.float64]:
    """(12,) beats of each pitch class within a window, norm 1 or 0."""
    low = np.maximum(notes["start"], first_beat)
    length = np.maximum(np.minimum(notes["end"], first_beat + beats) - low, 0)
    classes = notes["pitch"].astype(np.int64) % 12
    counts = np.bincount(classes, weights=length, minlength=12).astype(np.float64)
    norm = float(np.linalg.norm(counts))
    return counts / norm if norm else counts


def _fundamentals(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    pitch: NDArray[np.int64],
    power: NDArray[np.float64],
    beats: int,
    decay: float,
) -> NDArray[np.float32]:
    """(beats * 4, 96) power of the fundamentals, decaying while they last."""
    frames = beats * LOGFREQ_FRAMES
    first = np.clip(np.floor(start * LOGFREQ_FRAMES).astype(np.int64), 0, frames - 1)
    last = np.clip(np.ceil(end * LOGFREQ_FRAMES).astype(np.int64), first + 1, frames)
    counts = last - first
    note = np.repeat(np.arange(counts.size), counts)
    frame = np.arange(note.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[note]
    low = np.maximum(frame / LOGFREQ_FRAMES, start[note])
    high = np.minimum((frame + 1) / LOGFREQ_FRAMES, end[note])
    share = np.maximum(high - low, 0.02) * LOGFREQ_FRAMES
    level = power[note] * share * np.exp(-decay * np.maximum(low - start[note], 0))
    cell = frame * LOGFREQ_BINS + np.clip(pitch[note] - _LOWEST_PITCH, 0, LOGFREQ_BINS - 1)
    total = np.bincount(cell, weights=level, minlength=frames * LOGFREQ_BINS)
    return total.reshape(frames, LOGFREQ_BINS).astype(np.float32)


def _coloured(cells: NDArray[np.float32], sound: Sound) -> NDArray[np.float32]:
    """Partials, smear, tilt and gain."""
    total = np.zeros_like(cells)
    for shift, weight in zip(_PARTIALS, sound.partials, strict=True):
        total[:, shift:] += weight * cells[:, : LOGFREQ_BINS - shift]
    smeared = total.copy()
    smeared[:, 1:] += np.float32(sound.smear) * total[:, :-1]
    smeared[:, :-1] += np.float32(sound.smear) * total[:, 1:]
    octaves = (np.arange(LOGFREQ_BINS) - 36) / 12
    gain = 10 ** ((sound.tilt_db * octaves + sound.gain_db) / 10)
    coloured: NDArray[np.float32] = smeared * gain.astype(np.float32)
    return coloured


def _attacks(
    start: NDArray[np.float64], pitch: NDArray[np.int64], power: NDArray[np.float64], beats: int
) -> NDArray[np.float32]:
    """(beats * 12, 3) attack strengths; low notes strike the low band too."""
    attacks = np.zeros((beats * STEPS_PER_BEAT, 3), dtype=np.float32)
    step = np.rint(start * STEPS_PER_BEAT).astype(np.int64)
    inside = (step >= 0) & (step < attacks.shape[0])
    colour = np.stack([pitch < 57, (pitch >= 40) & (pitch < 96), pitch >= 55], axis=1)
    strength = colour * np.sqrt(power)[:, None] * np.array([1.0, 1.0, 0.7])
    np.maximum.at(attacks, step[inside], strength[inside].astype(np.float32))
    return attacks


def _heard_attacks(attacks: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(beats, 12, 3) attacks with random strengths, misses, false alarms and band gains."""
    heard = (
        attacks
        * (0.4 + 0.7 * rng.random(attacks.shape, dtype=np.float32))
        * rng.uniform(0.5, 1.0, 3)
    )
    heard *= rng.random(attacks.shape) >= rng.uniform(0, 0.3)
    false = rng.random(attacks.shape) < rng.uniform(0, 0.04)
    heard = np.maximum(heard, false * rng.uniform(0.05, 0.5, attacks.shape))
    scaled = np.rint(255 * np.clip(heard, 0, 1)).astype(np.uint8)
    return scaled.reshape(-1, STEPS_PER_BEAT, 3)


def _decibels(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    return np.rint(255 * np.clip(1 - decibels / LOGFREQ_FLOOR_DB, 0, 1)).astype(np.uint8)


def _levels(power: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(beats, 3) RMS of low, mid and high at a random overall level."""
    per_bin = power.mean(axis=1)
    bands = np.stack([per_bin[:, band == _BAND_OF_BIN].sum(axis=1) for band in range(3)], axis=1)
    level = np.float32(10 ** rng.uniform(-2.0, -0.7))
    levels: NDArray[np.float32] = np.sqrt(bands) * level
    return levels


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)
    return scaled
