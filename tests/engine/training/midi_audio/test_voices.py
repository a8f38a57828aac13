from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.training.midi_audio.excerpt import SungNote
from engine.training.midi_audio.formant import hum
from engine.training.midi_audio.melody import SINGING_RATE_HZ, Singer, phrases
from engine.training.midi_audio.recipe import Realism, drawn_singer, drawn_voice
from engine.training.midi_audio.songs import SingingSynth
from engine.training.midi_audio.voice import missing_for_singing, sing

SINGER = Singer("en-us+f2", ("la", "na", "oh", "day"), 0, 1.0, 25.0, 5.5, seed=3)
NOTES = tuple(
    SungNote(0.5 * i + 0.3, 0.5 * i + 0.75, pitch, 90)
    for i, pitch in enumerate((60, 64, 67, 65, 62, 60))
)
SYNTHS = [
    hum,
    pytest.param(
        sing,
        marks=pytest.mark.skipif(bool(missing_for_singing()), reason=missing_for_singing() or "-"),
    ),
]


def pitch_of(sound: NDArray[np.float32], hertz: float) -> float:
    """The period nearest to that of ``hertz``, by autocorrelation, as a frequency [Hz]."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 1 << 17)) ** 2
    similar = np.fft.irfft(spectrum)
    low, high = (int(SINGING_RATE_HZ / hertz * share) for share in (0.85, 1.18))
    at = low + int(np.argmax(similar[low:high]))
    left, middle, right = similar[at - 1 : at + 2]
    return float(SINGING_RATE_HZ / (at + 0.5 * (left - right) / (left - 2 * middle + right)))


@pytest.mark.parametrize("synth", SYNTHS)
def test_notes_are_sung_in_tune_and_in_time(synth: SingingSynth) -> None:
    sound = synth(NOTES, SINGER, duration_s=4.0)
    assert sound.shape == (4 * SINGING_RATE_HZ,)
    assert np.abs(sound).max() == pytest.approx(0.7, abs=1e-3)
    for note in NOTES:
        start, end = ((note.start_s + x) * SINGING_RATE_HZ for x in (0.15, 0.35))
        hertz = 440.0 * 2 ** ((note.pitch - 69) / 12)
        cents = 1200 * np.log2(pitch_of(sound[int(start) : int(end)], hertz) / hertz)
        assert abs(cents) < 50
    silence = sound[: int(0.1 * SINGING_RATE_HZ)]
    assert np.abs(silence).max() < 0.01


@pytest.mark.parametrize("synth", SYNTHS)
def test_the_same_seed_sings_the_same(synth: SingingSynth) -> None:
    first, again = (synth(NOTES, SINGER, duration_s=4.0) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("synth", SYNTHS)
def test_nothing_to_sing_is_silence(synth: SingingSynth) -> None:
    assert not synth((), SINGER, duration_s=1.0).any()


def test_a_rest_parts_phrases() -> None:
    late = SungNote(9.0, 9.5, 60, 90)
    assert [len(phrase) for phrase in phrases((*NOTES, late))] == [6, 1]


def test_voices_are_drawn_in_their_shares() -> None:
    rng = np.random.default_rng(0)
    drawn = [drawn_voice(rng, Realism(), can_sing=True) for _ in range(2000)]
    assert drawn.count("sung") / 2000 == pytest.approx(0.6, abs=0.04)
    assert drawn.count("lead") / 2000 == pytest.approx(0.2, abs=0.04)
    silent = [drawn_voice(rng, Realism(), can_sing=False) for _ in range(2000)]
    assert "sung" not in silent
    assert silent.count("formant") / 2000 == pytest.approx(0.7, abs=0.04)


def test_a_singer_takes_the_octave_that_suits_the_voice() -> None:
    rng = np.random.default_rng(0)
    high = [SungNote(note.start_s, note.end_s, note.pitch + 24, 90) for note in NOTES]
    for _ in range(20):
        singer = drawn_singer(rng, high, 0)
        median = 62.5 + 24 + 12 * singer.octaves
        assert 43 <= median <= 76
