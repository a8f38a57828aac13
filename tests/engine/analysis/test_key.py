import functools

import numpy as np
import pytest
import soxr

from engine.analysis import key as module
from engine.analysis import madmom_compat
from engine.analysis.key import (
    KEYS,
    KeyEstimator,
    MadmomKeys,
    PitchedAudio,
    ProfileKeys,
    combined_key,
    estimate_key,
    pitch_class_histogram,
)
from engine.analysis.tuning import PITCH_RATE_HZ, spectral_peaks
from engine.errors import MissingDependency
from engine.theory import Key
from tests.engine.analysis.music import RATE, chord_track

needs_madmom = pytest.mark.skipif(
    not madmom_compat.is_installed(), reason="madmom is not installed"
)
#: I vi IV V I and i iv i V i, from the tonic.
MAJOR = [(0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14), (0, 4, 7)]
MINOR = [(0, 3, 7), (5, 8, 12), (0, 3, 7), (7, 11, 14), (0, 3, 7)]


@functools.cache
def _cadence(tonic: int, mode: str, cents: float = 0.0) -> PitchedAudio:
    pattern = MAJOR if mode == "major" else MINOR
    chords = [tuple(48 + tonic + step for step in chord) for chord in pattern]
    signal = chord_track(chords, 1.5, cents=cents).mono()
    return PitchedAudio(signal, spectral_peaks(soxr.resample(signal, RATE, PITCH_RATE_HZ)))


@pytest.mark.parametrize(
    "estimator", [ProfileKeys, pytest.param(MadmomKeys, marks=needs_madmom)], ids=lambda e: e.name
)
@pytest.mark.parametrize(("tonic", "mode"), [(0, "major"), (7, "major"), (9, "minor")])
def test_every_estimator_names_the_key_of_a_cadence(
    estimator: type[KeyEstimator], tonic: int, mode: str
) -> None:
    probabilities = estimator().probabilities(_cadence(tonic, mode))
    assert probabilities.shape == (24,)
    assert probabilities.sum() == pytest.approx(1)
    assert KEYS[int(np.argmax(probabilities))] == Key(tonic, mode)


@pytest.mark.parametrize("cents", [-40.0, 35.0])
def test_profiles_do_not_mind_another_tuning(cents: float) -> None:
    found = ProfileKeys().probabilities(_cadence(2, "major", cents))
    assert KEYS[int(np.argmax(found))] == Key(2, "major")


def test_profiles_turn_with_the_music() -> None:
    best = [int(np.argmax(ProfileKeys().probabilities(_cadence(t, "minor")))) for t in range(12)]
    assert [KEYS[index] for index in best] == [Key(tonic, "minor") for tonic in range(12)]


@needs_madmom
def test_two_witnesses_that_agree_are_surer() -> None:
    found = estimate_key(_cadence(9, "minor"))
    assert found.key == Key(9, "minor")
    assert found.agreement
    assert found.method == "madmom+profiles"
    assert 0 < found.confidence <= 1


class Stubborn:
    """Always of one opinion."""

    name = "stubborn"

    def __init__(self, key: Key, share: float) -> None:
        self.opinion = np.full(24, (1 - share) / 23)
        self.opinion[KEYS.index(key)] = share

    def probabilities(self, audio: PitchedAudio) -> np.ndarray:
        return self.opinion


def test_the_first_witness_counts_more_and_disagreement_shows() -> None:
    first, second = Stubborn(Key(0, "major"), 0.6), Stubborn(Key(9, "minor"), 0.6)
    found = combined_key(first, second, _cadence(0, "major"))
    assert found.key == Key(0, "major")
    assert not found.agreement
    agreed = combined_key(first, first, _cadence(0, "major"))
    assert agreed.confidence > found.confidence


def test_one_that_is_overruled_leaves_half_a_doubt() -> None:
    sure, contrary = Stubborn(Key(0, "minor"), 0.99), Stubborn(Key(3, "major"), 0.3)
    found = combined_key(sure, contrary, _cadence(0, "major"))
    assert (found.key, found.agreement) == (Key(0, "minor"), False)
    assert found.confidence == pytest.approx(0.5)
    assert combined_key(sure, sure, _cadence(0, "major")).confidence > 0.9
    unsure = combined_key(Stubborn(Key(0, "minor"), 0.2), contrary, _cadence(0, "major"))
    assert unsure.confidence < 0.3


def test_without_madmom_the_profiles_speak_alone_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(self: MadmomKeys) -> None:
        raise MissingDependency("It is not installed.", hint="pip install it")

    monkeypatch.setattr(module.MadmomKeys, "__init__", absent)
    monkeypatch.setattr(module, "_said", set())
    assert estimate_key(_cadence(0, "major")).method == "profiles"
    assert estimate_key(_cadence(0, "major")).key == Key(0, "major")
    assert len(caplog.records) == 1


def test_silence_has_no_key() -> None:
    nothing = np.zeros(RATE, dtype=np.float32)
    audio = PitchedAudio(nothing, spectral_peaks(nothing))
    assert estimate_key(audio).key is None
    assert not pitch_class_histogram(audio.peaks).any()


@needs_madmom
def test_the_network_has_an_opinion_of_a_second_of_sound() -> None:
    signal = chord_track([(48, 52, 55)], 1.0).mono()
    peaks = spectral_peaks(soxr.resample(signal, RATE, PITCH_RATE_HZ))
    opinion = MadmomKeys().probabilities(PitchedAudio(signal, peaks))
    assert opinion.sum() == pytest.approx(1)
    assert opinion.max() > 1 / 24
