"""A melody as sung syllables: espeak-ng speaks, WORLD gives it the melody's pitch and length.

For every note a syllable of the singer's voice is taken apart into fundamental, spectral envelope
and aperiodicity (Morise, Yokomori, Ozawa 2016, "WORLD: a vocoder-based high-quality speech
synthesis system"). Its consonant is kept and placed before the note, so that the vowel begins on
the beat, as singers do (Sundberg 1987, "The Science of the Singing Voice", ch. 8); the vowel's
steady middle is read slower or faster to fill the note.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from engine.training.midi_audio.excerpt import SungNote
from engine.training.midi_audio.melody import (
    SINGING_RATE_HZ,
    STEP_S,
    STEP_SAMPLES,
    Singer,
    phrases,
    pitch_curve,
)

__all__ = ["VOICES", "WORDS", "missing_for_singing", "sing"]

#: espeak-ng voices that articulate well, women f, men m.
VOICES: Final = (
    *("en-us+f1", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+m1", "en-us+m3", "en-us+m4"),
    *("en-gb+f2", "en-gb+m2", "it+f2", "es+f4", "es+m2", "sv+f1", "pt+m3", "fi+f4", "pl+f2"),
    *("id+f3", "sw+m1"),
)
_SUNG_WORDS: Final = """
la na da ma ba oh you me love now time way day light night go so see be say my high fly why blue
true soon moon heart far are know low stay away all fall call feel real we free dream never over
baby tonight forever
"""
#: What is sung: open syllables and words that songs are full of.
WORDS: Final = tuple(_SUNG_WORDS.split())
#: Speech whose fundamental is looked for between these [Hz].
_SPOKEN_HZ: Final = (60.0, 500.0)
#: A consonant before the beat takes at most this long [s].
_LONGEST_ONSET_S: Final = 0.16
#: Longest note; a longer one fades there [s].
_LONGEST_NOTE_S: Final = 6.0
#: Share of the vowel before and after its steady middle.
_STEADY: Final = (0.25, 0.7)
#: Share of the note before that a consonant may take.
_SHARE_OF_LAST: Final = 0.25
_FEWEST_VOICED: Final = 6
_SILENCE: Final = 1e-16


@dataclass(frozen=True, eq=False)
class _Syllable:
    """(steps, bins) envelope and aperiodicity, (steps,) voiced, the vowel's first and last step."""

    envelope: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]
    voiced: NDArray[np.bool_]
    first: int
    last: int


def missing_for_singing() -> str:
    """What keeps voices from singing; empty when nothing does."""
    if shutil.which("espeak-ng") is None:
        return "the program espeak-ng is not installed"
    try:
        _world()
    except ImportError as error:
        return f"the package pyworld cannot be used ({error})"
    return ""


def sing(notes: Sequence[SungNote], singer: Singer, *, duration_s: float) -> NDArray[np.float32]:
    """(frames,) at 24 kHz, ``duration_s`` long, loudest sample 0.7; silent without notes."""
    rng = np.random.default_rng(singer.seed)
    total = np.zeros(round(duration_s * SINGING_RATE_HZ) + SINGING_RATE_HZ, dtype=np.float64)
    for phrase in phrases(notes):
        start = max(round((phrase[0].start_s - _LONGEST_ONSET_S) / STEP_S), 0)
        sound = _sing_phrase(phrase, singer, start, rng)
        at = start * STEP_SAMPLES
        sound = sound[: total.size - at]
        total[at : at + sound.size] += sound
    total = total[: round(duration_s * SINGING_RATE_HZ)]
    peak = float(np.abs(total).max(initial=0.0))
    return (total * (0.7 / peak) if peak else total).astype(np.float32)


def _sing_phrase(
    notes: Sequence[SungNote], singer: Singer, start: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Samples from step ``start`` on."""
    world = _world()
    steps = round((notes[-1].end_s + 0.3) / STEP_S) - start
    bins = int(world.get_cheaptrick_fft_size(SINGING_RATE_HZ)) // 2 + 1
    pitch = np.zeros(steps)
    envelope = np.full((steps, bins), _SILENCE)
    aperiodicity = np.ones((steps, bins))
    before: SungNote | None = None
    for note in notes:
        syllable = _syllable(singer.voice, str(rng.choice(singer.words)))
        if syllable is None:
            continue
        read, onset = _reading(syllable, note, before)
        at = round(note.start_s / STEP_S) - start - onset
        read = read[max(-at, 0) : steps - at]
        at = max(at, 0)
        where = slice(at, at + read.size)
        hertz = pitch_curve(note, before, singer, rng, steps=read.size, onset=onset)
        pitch[where] = np.where(syllable.voiced[read], hertz, 0.0)
        envelope[where] = syllable.envelope[read] * _level(syllable, note, read.size)[:, None]
        aperiodicity[where] = syllable.aperiodicity[read]
        before = note
    shaped = _shifted(_smooth(envelope), singer.formant_ratio)
    sound = world.synthesize(pitch, shaped, aperiodicity, SINGING_RATE_HZ, STEP_S * 1000)
    return cast("NDArray[np.float64]", sound)


def _reading(
    syllable: _Syllable, note: SungNote, before: SungNote | None
) -> tuple[NDArray[np.int64], int]:
    """Which step of the syllable is heard at each step of the note, and how many come before it."""
    length = max(round(min(note.end_s - note.start_s, _LONGEST_NOTE_S) / STEP_S), 6)
    room_s = _LONGEST_ONSET_S
    if before is not None:  # the note before keeps most of its own time
        free_s = note.start_s - before.end_s
        room_s = min(room_s, free_s + _SHARE_OF_LAST * (before.end_s - before.start_s))
    onset = min(syllable.first, round(room_s / STEP_S))
    vowel = syllable.last - syllable.first + 1
    steady = [syllable.first + int(share * vowel) for share in _STEADY]
    last = min(syllable.last + 6, syllable.voiced.size) - 1
    tail = np.arange(steady[1], last + 1)
    body = length - (steady[0] - syllable.first) - tail.size
    if body < 2:
        heard = np.linspace(syllable.first, last, length)
    else:
        middle = np.linspace(steady[0], steady[1], body)
        heard = np.concatenate([np.arange(syllable.first, steady[0]), middle, tail])
    consonant = np.arange(syllable.first - onset, syllable.first)
    return np.round(np.concatenate([consonant, heard])).astype(np.int64), onset


def _level(syllable: _Syllable, note: SungNote, steps: int) -> NDArray[np.float64]:
    """(steps,) factor of power: the velocity's, alike for all syllables, with a soft end."""
    vowel = syllable.envelope[syllable.first : syllable.last + 1]
    gain = np.full(steps, (note.velocity / 100) ** 1.2)
    fade = min(steps // 3, 10)
    if fade:
        gain[-fade:] *= np.linspace(1, 0.05, fade)
    return gain**2 / (1e6 * float(vowel.mean()) + 1e-12)


def _smooth(envelope: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm averaged over three steps, so that joins do not click."""
    level = np.log(envelope)
    level[1:-1] = 0.25 * level[:-2] + 0.5 * level[1:-1] + 0.25 * level[2:]
    return np.exp(level)


def _shifted(envelope: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Formants at ``ratio`` times their frequency."""
    bins = np.arange(envelope.shape[1])
    wanted = np.clip(bins / ratio, 0, bins[-1])
    low = wanted.astype(np.int64)
    high = np.minimum(low + 1, bins[-1])
    share = wanted - low
    return np.ascontiguousarray(envelope[:, low] * (1 - share) + envelope[:, high] * share)


@functools.lru_cache(maxsize=400)
def _syllable(voice: str, word: str) -> _Syllable | None:
    """A spoken word, analysed; None when no vowel is found in it."""
    sound = _spoken(voice, word)
    if not sound.any():
        return None
    world = _world()
    low, high = _SPOKEN_HZ
    step_ms = STEP_S * 1000
    rough, times = world.dio(
        sound, SINGING_RATE_HZ, f0_floor=low, f0_ceil=high, frame_period=step_ms
    )
    pitch = world.stonemask(sound, rough, times, SINGING_RATE_HZ)
    envelope = world.cheaptrick(sound, pitch, times, SINGING_RATE_HZ)
    aperiodicity = world.d4c(sound, pitch, times, SINGING_RATE_HZ)
    voiced, power = pitch > 0, envelope.sum(axis=1)
    if np.count_nonzero(voiced) < _FEWEST_VOICED:
        return None
    loud = np.flatnonzero(voiced & (power > 0.25 * power[voiced].max()))
    return _Syllable(envelope, aperiodicity, voiced, int(loud[0]), int(loud[-1]))


def _spoken(voice: str, word: str) -> NDArray[np.float64]:
    """(samples,) of a word without the silence around it; nothing where it cannot be said."""
    import soundfile
    import soxr

    command = ["espeak-ng", "-v", voice, "-s", "130", "-p", "50", "--stdout", word]
    said = subprocess.run(command, capture_output=True, check=False, timeout=30).stdout
    if not said:
        return np.zeros(0)
    samples, rate = soundfile.read(io.BytesIO(said), dtype="float64")
    sound = np.asarray(soxr.resample(samples, rate, SINGING_RATE_HZ), dtype=np.float64)
    if not sound.any():
        return np.zeros(0)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    around = 2 * STEP_SAMPLES
    return np.pad(sound[max(loud[0] - around // 2, 0) : loud[-1] + around], around)


def _world() -> types.ModuleType:
    """pyworld, whose newest release asks for a module that setuptools no longer brings along."""
    missing = "pkg_resources" not in sys.modules
    if missing and importlib.util.find_spec("pkg_resources") is None:
        stand_in = types.ModuleType("pkg_resources")
        version = types.SimpleNamespace(version="")
        vars(stand_in)["get_distribution"] = lambda _name: version
        sys.modules["pkg_resources"] = stand_in
        try:
            return importlib.import_module("pyworld")
        finally:
            del sys.modules["pkg_resources"]
    return importlib.import_module("pyworld")
