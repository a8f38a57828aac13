"""A singer: a pulse train shaped by the resonances of vowels.

The pitch glides from note to note, wavers a few cents and has a vibrato that comes in on long
notes; vowels change with the syllables and melt into each other; consonants are short noises
before the beat, and breaths fill the rests. Resonances (frequency, level, width) are those of the
tenor and alto in the table of formants that comes with Csound (Vercoe et al., appendix
"Formant Values"), after Rodet's FOF synthesis, 1984.

The pulses are a sawtooth without steps (PolyBLEP: Välimäki & Huovilainen 2007), filtered frame by
frame in the frequency domain.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dawlink.demo.instruments import SAMPLE_RATE
from dawlink.demo.score import Note

__all__ = ["pitch_curve", "sing"]

Samples = NDArray[np.float32]
Vowel = Literal["a", "e", "i", "o", "u"]

VOWELS: Final[tuple[Vowel, ...]] = ("a", "e", "i", "o", "u")
#: (frequency Hz, level dB, width Hz) of five resonances each.
_TENOR: Final = {
    "a": ((650, 0, 80), (1080, -6, 90), (2650, -7, 120), (2900, -8, 130), (3250, -22, 140)),
    "e": ((400, 0, 70), (1700, -14, 80), (2600, -12, 100), (3200, -14, 120), (3580, -20, 120)),
    "i": ((290, 0, 40), (1870, -15, 90), (2800, -18, 100), (3250, -20, 120), (3540, -30, 120)),
    "o": ((400, 0, 40), (800, -10, 80), (2600, -12, 100), (2800, -12, 120), (3000, -26, 120)),
    "u": ((350, 0, 40), (600, -20, 60), (2700, -17, 100), (2900, -14, 120), (3300, -26, 120)),
}
_ALTO: Final = {
    "a": ((800, 0, 80), (1150, -4, 90), (2800, -20, 120), (3500, -36, 130), (4950, -60, 140)),
    "e": ((400, 0, 60), (1600, -24, 80), (2700, -30, 120), (3300, -35, 150), (4950, -60, 200)),
    "i": ((350, 0, 50), (1700, -20, 100), (2700, -30, 120), (3700, -36, 150), (4950, -60, 200)),
    "o": ((450, 0, 70), (800, -9, 80), (2830, -16, 100), (3500, -28, 130), (4950, -55, 135)),
    "u": ((325, 0, 50), (700, -12, 60), (2530, -30, 170), (3500, -40, 180), (4950, -64, 200)),
}
#: Widths are stretched so that a harmonic between two resonances still sounds.
WIDTH_FACTOR: Final = 2.2
#: Voices with their centre at or above this MIDI note are altos.
ALTO_FROM: Final = 62

WINDOW: Final = 1024
HOP: Final = 256
#: Control curves have one value every this many samples (5.8 ms).
CONTROL: Final = 256

GLIDE_S: Final = 0.055
SCOOP_SEMITONES: Final = 1.0
VIBRATO_HZ: Final = 5.4
VIBRATO_CENTS: Final = 28.0
#: Vibrato begins after this and is full twice as late [s].
VIBRATO_DELAY_S: Final = 0.22
DRIFT_CENTS: Final = 4.0
#: Control values between two turns of the drift (0.23 s).
DRIFT_CONTROLS: Final = 40
#: A rest of this many seconds or more before a phrase has an audible breath.
BREATH_S: Final = 0.25


@dataclass(frozen=True)
class _Syllable:
    """A note in seconds with its vowel and consonant."""

    start_s: float
    end_s: float
    pitch: int
    velocity: float
    vowel: int
    consonant: str
    phrase_start: bool


def sing(
    notes: tuple[Note, ...], *, tempo_bpm: float, frames: int, centre: int, seed: int
) -> Samples:
    """Sing ``notes``.

    Args:
        notes: in order, without overlaps.
        tempo_bpm: beats a minute.
        frames: length of the result.
        centre: MIDI note around which the melody lies; decides between tenor and alto.
        seed: decides vowels, consonants and drift.

    Returns:
        (frames,) float32, peak 0.9; silence when there are no notes.
    """
    if not notes:
        return np.zeros(frames, np.float32)
    rng = np.random.default_rng((seed, 77))
    syllables = _syllables(notes, tempo_bpm, rng)
    controls = frames // CONTROL + 2
    pitch = _pitch_curve(syllables, controls, rng)
    level = _level_curve(syllables, controls)
    source = _pulses(_stretched(pitch, frames))
    aspiration = rng.standard_normal(frames, dtype=np.float32)
    source = (source + 0.012 * aspiration) * _stretched(level, frames)
    voiced = _shaped(source, _vowel_curve(syllables, controls), alto=centre >= ALTO_FROM)
    voiced *= np.float32(1.0 / np.max(np.abs(voiced)))
    noises = _unvoiced(syllables, frames, rng)
    result = np.tanh(1.3 * voiced) + noises
    normal: Samples = result * np.float32(0.9 / np.max(np.abs(result)))
    return normal


def pitch_curve(
    notes: tuple[Note, ...], *, tempo_bpm: float, frames: int, seed: int
) -> NDArray[np.float64]:
    """The sung pitch as fractional MIDI numbers, one every :data:`CONTROL` samples."""
    rng = np.random.default_rng((seed, 77))
    syllables = _syllables(notes, tempo_bpm, rng)
    return _pitch_curve(syllables, frames // CONTROL + 2, rng)


def _syllables(
    notes: tuple[Note, ...], tempo_bpm: float, rng: np.random.Generator
) -> list[_Syllable]:
    beat_s = 60.0 / tempo_bpm
    syllables: list[_Syllable] = []
    end_before = -1.0
    for note in notes:
        start_s = note.start_beat * beat_s
        end_s = start_s + note.beats * beat_s * 0.97
        begins = start_s - end_before > BREATH_S
        consonant = str(rng.choice(["", "n", "l", "s", "t", "d"], p=[0.2, 0.2, 0.2, 0.1, 0.1, 0.2]))
        vowel = int(rng.choice(len(VOWELS), p=[0.3, 0.2, 0.15, 0.25, 0.1]))
        syllables.append(
            _Syllable(start_s, end_s, note.pitch, note.velocity, vowel, consonant, begins)
        )
        end_before = end_s
    return syllables


def _control_times(count: int) -> NDArray[np.float64]:
    return np.arange(count, dtype=np.float64) * (CONTROL / SAMPLE_RATE)


def _pitch_curve(
    syllables: list[_Syllable], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    time_s = _control_times(count)
    curve = np.full(count, float(syllables[0].pitch))
    vibrato = np.zeros(count)
    before = float(syllables[0].pitch)
    for syllable in syllables:
        since = time_s - syllable.start_s
        after = since >= -GLIDE_S / 2
        begin = syllable.pitch - SCOOP_SEMITONES if syllable.phrase_start else before
        share = np.clip(since / GLIDE_S + 0.5, 0.0, 1.0)
        smooth = share * share * (3.0 - 2.0 * share)
        curve[after] = (begin + (syllable.pitch - begin) * smooth)[after]
        held = (since >= 0) & (time_s < syllable.end_s)
        depth = np.clip((since - VIBRATO_DELAY_S) / VIBRATO_DELAY_S, 0.0, 1.0)
        wave = np.sin(2.0 * np.pi * VIBRATO_HZ * (since - VIBRATO_DELAY_S))
        vibrato[held] = (depth * wave)[held]
        before = float(syllable.pitch)
    knots = rng.normal(size=count // DRIFT_CONTROLS + 2)
    drift = np.interp(np.arange(count) / DRIFT_CONTROLS, np.arange(knots.size), knots)
    return curve + (VIBRATO_CENTS * vibrato + DRIFT_CENTS * drift) / 100.0


def _level_curve(syllables: list[_Syllable], count: int) -> NDArray[np.float64]:
    """Rises with every syllable, dips at consonants, falls where the phrase ends."""
    time_s = _control_times(count)
    level = np.zeros(count)
    for index, syllable in enumerate(syllables):
        last = index + 1 == len(syllables)
        legato = not last and syllables[index + 1].start_s - syllable.end_s < 0.1
        end_s = syllables[index + 1].start_s if legato else syllable.end_s
        attack_s = 0.012 if syllable.consonant in ("t", "d", "s") else 0.035
        rise = np.clip((time_s - syllable.start_s) / attack_s, 0.0, 1.0)
        fall = np.clip((end_s - time_s) / (0.03 if legato else 0.12), 0.0, 1.0)
        swell = 0.85 + 0.15 * np.sin(np.pi * np.clip(time_s - syllable.start_s, 0.0, 1.0))
        level = np.maximum(level, np.minimum(rise, fall) * swell * syllable.velocity)
        if syllable.consonant in ("n", "l"):  # hummed before the beat
            hum = (time_s > syllable.start_s - 0.06) & (time_s < syllable.start_s + 0.01)
            level[hum] = np.maximum(level[hum], 0.25 * syllable.velocity)
    return level


def _vowel_curve(syllables: list[_Syllable], count: int) -> NDArray[np.float64]:
    """(count, vowels) weights that add up to 1, smoothed over 60 ms."""
    time_s = _control_times(count)
    weights = np.zeros((count, len(VOWELS)))
    index = np.searchsorted([s.start_s - 0.02 for s in syllables], time_s, side="right") - 1
    vowels = np.array([s.vowel for s in syllables])[np.maximum(index, 0)]
    weights[np.arange(count), vowels] = 1.0
    for syllable in syllables:
        if syllable.consonant in ("n", "l"):
            closed = (time_s > syllable.start_s - 0.06) & (time_s < syllable.start_s + 0.01)
            weights[closed] = np.eye(len(VOWELS))[VOWELS.index("u")]
    kernel = np.hanning(13)[1:-1]
    padded = np.pad(weights, ((5, 5), (0, 0)), mode="edge")
    smooth = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T]
    return np.stack(smooth, axis=1)


def _stretched(curve: NDArray[np.float64], frames: int) -> Samples:
    """A control curve at audio rate."""
    places = np.arange(frames) / CONTROL
    return np.interp(places, np.arange(curve.size), curve).astype(np.float32)


def _pulses(pitch: Samples) -> Samples:
    """A band-limited sawtooth whose pitch follows ``pitch`` (fractional MIDI numbers)."""
    step = 440.0 / SAMPLE_RATE * np.exp2((pitch.astype(np.float64) - 69.0) / 12.0)
    phase = np.cumsum(step) % 1.0
    wave = 2.0 * phase - 1.0
    for shifted in (phase / step, (phase - 1.0) / step):
        near = np.abs(shifted) < 1.0
        corner = shifted[near]
        wave[near] -= np.where(corner < 0, (corner + 1.0) ** 2, -((corner - 1.0) ** 2))
    return wave.astype(np.float32)


@functools.cache
def _resonances(alto: bool) -> Samples:
    """(vowels, WINDOW // 2 + 1) linear gain of every vowel, for a sawtooth as source."""
    hz = np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)
    gains = []
    for vowel in VOWELS:
        gain = np.full(hz.size, 0.004)
        for centre_hz, level_db, width_hz in (_ALTO if alto else _TENOR)[vowel]:
            width = width_hz * WIDTH_FACTOR
            gain += 10.0 ** (level_db / 20.0) / np.sqrt(1.0 + ((hz - centre_hz) / (width / 2)) ** 2)
        tilt = (hz / 500.0) ** 0.6 / (1.0 + (hz / 6500.0) ** 4) / (1.0 + (90.0 / (hz + 1.0)) ** 4)
        gains.append(gain * tilt)
    return np.array(gains, dtype=np.float32)


def _shaped(source: Samples, vowels: NDArray[np.float64], *, alto: bool) -> Samples:
    """Filter ``source`` with the vowels of every frame; overlap-add of Hann windows."""
    count = source.size // HOP + 1
    padded = np.pad(source, (WINDOW // 2, WINDOW + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    gains = vowels[:count].astype(np.float32) @ _resonances(alto)
    shaped = scipy.fft.irfft(scipy.fft.rfft(frames * window) * gains, WINDOW) * window
    result = np.zeros(padded.size, np.float32)
    for part in range(WINDOW // HOP):  # frames of one part do not overlap
        chosen = shaped[part :: WINDOW // HOP].reshape(-1)
        first = part * HOP
        result[first : first + chosen.size] += chosen
    return result[WINDOW // 2 : WINDOW // 2 + source.size] * np.float32(2.0 / 3.0)


def _unvoiced(syllables: list[_Syllable], frames: int, rng: np.random.Generator) -> Samples:
    """Breaths in the rests, and the noise of s and t before the beat."""
    track = np.zeros(frames, np.float32)
    for syllable in syllables:
        if syllable.consonant in ("s", "t"):
            seconds, level = (0.07, 0.05) if syllable.consonant == "s" else (0.018, 0.09)
            _add_noise(track, rng, syllable.start_s - seconds, seconds, level, (4500.0, 9500.0))
        if syllable.phrase_start and syllable.start_s > BREATH_S:
            _add_noise(track, rng, syllable.start_s - 0.28, 0.2, 0.018, (900.0, 5000.0))
    return track


def _add_noise(
    track: Samples,
    rng: np.random.Generator,
    start_s: float,
    seconds: float,
    level: float,
    band_hz: tuple[float, float],
) -> None:
    size = int(seconds * SAMPLE_RATE)
    first = max(0, int(start_s * SAMPLE_RATE))
    hz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
    low, high = band_hz
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= 1.0 / (1.0 + (low / np.maximum(hz, 1.0)) ** 4) / (1.0 + (hz / high) ** 6)
    noise = np.fft.irfft(spectrum, size) * np.hanning(size)
    size = min(size, track.size - first)
    track[first : first + size] += (level * noise[:size] / np.std(noise)).astype(np.float32)
