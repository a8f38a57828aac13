"""A melody on vowels, without any program: harmonics under the resonances of a vocal tract.

The source falls by 12 dB per octave, as a sung voice does; each note has one vowel, whose first
four formants shape the harmonics (Peterson, Barney 1952, "Control methods used in a study of the
vowels", table II; bandwidths after Fant 1972). Breath noise goes through the same formants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.midi_audio.excerpt import SungNote
from engine.training.midi_audio.melody import (
    SINGING_RATE_HZ,
    STEP_SAMPLES,
    Singer,
    phrases,
    pitch_curve,
)

__all__ = ["VOWELS", "hum"]

#: Formants of vowels: a man's first three [Hz]; a woman's lie 17 % higher.
VOWELS: Final = (
    (730.0, 1090.0, 2440.0),
    (570.0, 840.0, 2410.0),
    (530.0, 1840.0, 2480.0),
    (270.0, 2290.0, 3010.0),
    (300.0, 870.0, 2240.0),
    (660.0, 1720.0, 2410.0),
)
_WOMAN: Final = 1.17
#: The fourth formant hardly moves [Hz]; widths of all four [Hz].
_FOURTH_HZ: Final = 3500.0
_WIDTHS_HZ: Final = (80.0, 90.0, 120.0, 180.0)
#: Harmonics up to this many, and none above this frequency [Hz].
_HARMONICS: Final = 48
_HIGHEST_HZ: Final = 10_000.0
#: Attack and release of a note [s].
_ATTACK_S: Final = 0.03
_RELEASE_S: Final = 0.06
#: Level of the breath against the voice [linear].
_BREATH: Final = 0.02
_LOUDEST: Final = 0.7


def hum(notes: Sequence[SungNote], singer: Singer, *, duration_s: float) -> NDArray[np.float32]:
    """(frames,) at 24 kHz, ``duration_s`` long, loudest sample 0.7; silent without notes."""
    rng = np.random.default_rng(singer.seed)
    frames = round(duration_s * SINGING_RATE_HZ)
    total = np.zeros(frames + SINGING_RATE_HZ)
    for phrase in phrases(notes):
        before: SungNote | None = None
        phase = 0.0
        for note in phrase:
            sound, phase = _note(note, before, singer, rng, phase)
            at = round(note.start_s * SINGING_RATE_HZ)
            sound = sound[: total.size - at]
            total[at : at + sound.size] += sound
            before = note
    total = total[:frames]
    peak = float(np.abs(total).max(initial=0.0))
    return (total * (_LOUDEST / peak) if peak else total).astype(np.float32)


def _note(
    note: SungNote,
    before: SungNote | None,
    singer: Singer,
    rng: np.random.Generator,
    phase: float,
) -> tuple[NDArray[np.float64], float]:
    """The samples of a note, and the phase [cycles] at its end."""
    frames = max(round((note.end_s - note.start_s + _RELEASE_S) * SINGING_RATE_HZ), STEP_SAMPLES)
    steps = frames // STEP_SAMPLES + 2
    hertz = pitch_curve(note, before, singer, rng, steps=steps)
    vowel = VOWELS[int(rng.integers(len(VOWELS)))]
    formants = _formants(vowel, singer)
    time = np.arange(frames) / STEP_SAMPLES
    pitch = np.interp(time, np.arange(steps), hertz)
    cycles = phase + np.cumsum(pitch) / SINGING_RATE_HZ
    sound, count = np.zeros(frames), int(min(_HARMONICS, _HIGHEST_HZ / hertz.max()))
    # sin(n x) = 2 cos(x) sin((n - 1) x) - sin((n - 2) x)
    wave, last, twice = np.sin(2 * np.pi * cycles), np.zeros(frames), 2 * np.cos(2 * np.pi * cycles)
    for number in range(1, count + 1):
        gain = _gain(number * hertz, formants) / number**2
        sound += np.interp(time, np.arange(steps), gain) * wave
        wave, last = twice * wave - last, wave
    sound += _BREATH * float(np.abs(sound).max(initial=0.0)) * rng.standard_normal(frames)
    return sound * _envelope(note, frames), float(cycles[-1] % 1.0)


def _formants(vowel: tuple[float, ...], singer: Singer) -> tuple[float, ...]:
    woman = _WOMAN if "+f" in singer.voice else 1.0
    return tuple(hertz * woman * singer.formant_ratio for hertz in (*vowel, _FOURTH_HZ))


def _gain(hertz: NDArray[np.float64], formants: tuple[float, ...]) -> NDArray[np.float64]:
    """(steps,) response of the vocal tract: resonances in cascade, 1 at 0 Hz each."""
    gain = np.ones_like(hertz)
    for centre, width in zip(formants, _WIDTHS_HZ, strict=True):
        gain *= centre**2 / np.hypot(centre**2 - hertz**2, width * hertz)
    return gain * np.maximum(hertz, 1.0)  # lips radiate 6 dB per octave


def _envelope(note: SungNote, frames: int) -> NDArray[np.float64]:
    """(frames,) the velocity's level with a soft start and end."""
    time_s = np.arange(frames) / SINGING_RATE_HZ
    rise = np.clip(time_s / _ATTACK_S, 0, 1)
    fall = np.clip((frames / SINGING_RATE_HZ - time_s) / _RELEASE_S, 0, 1)
    level: NDArray[np.float64] = (note.velocity / 100) ** 1.2 * rise * fall
    return level
