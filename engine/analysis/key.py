"""The key of a song, from two witnesses: a trained network and chroma profiles.

The network is madmom's (Korzeniowski & Widmer, ISMIR 2018). The other witness correlates a
tuned pitch-class histogram of spectral peaks with key profiles (Temperley, "What's Key for Key?",
1999; the method of Krumhansl & Schmuckler). Their opinions are multiplied, the network's counting
more; ``agreement`` says whether both named the same key, and where they did not, the confidence is
a half at most. Keys are for filters and display; ranking itself tries all transpositions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.analysis import madmom_compat
from engine.analysis.records import KeyEstimate
from engine.analysis.tuning import SpectralPeaks, tuning_cents
from engine.errors import MissingDependency
from engine.theory import Key

__all__ = [
    "KEYS",
    "KeyEstimator",
    "PitchedAudio",
    "MadmomKeys",
    "ProfileKeys",
    "combined_key",
    "estimate_key",
    "pitch_class_histogram",
]

#: Temperley's profiles (1999), from the tonic up.
MAJOR_PROFILE: Final = (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0)
MINOR_PROFILE: Final = (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0)
#: All 24 keys in the order of every (24,) array here: C major … B major, C minor … B minor.
KEYS: Final = tuple(Key(tonic, mode) for mode in ("major", "minor") for tonic in range(12))
#: Correlations become probabilities as ``exp(correlation * sharpness)``.
PROFILE_SHARPNESS: Final = 8.0
#: Of less the network has no opinion [frames at 44 100 Hz]: two seconds.
_LEAST_FRAMES: Final = 88_200
#: Exponent of the profiles' opinion beside the network's.
PROFILE_SHARE: Final = 0.5
#: Most that a key can be sure of which only one of two witnesses names [0, 1].
DISPUTED_CONFIDENCE: Final = 0.5

_log = logging.getLogger(__name__)
_said: set[str] = set()


@dataclass(frozen=True, eq=False)
class PitchedAudio:
    """What key estimators listen to.

    Args:
        signal: (frames,) mono at 44 100 Hz, drums left out where they are known.
        peaks: its spectral peaks.
    """

    signal: NDArray[np.float32]
    peaks: SpectralPeaks


class KeyEstimator(Protocol):
    """Gives each of the 24 keys a probability."""

    @property
    def name(self) -> str:
        """Short name that is recorded with the result."""
        ...

    def probabilities(self, audio: PitchedAudio) -> NDArray[np.float64]:
        """(24,) probabilities in the order of :data:`KEYS`."""
        ...


class MadmomKeys:
    """madmom's convolutional network."""

    name = "madmom"

    def __init__(self) -> None:
        madmom_compat.load("features.key")

    def probabilities(self, audio: PitchedAudio) -> NDArray[np.float64]:
        """See :meth:`KeyEstimator.probabilities`."""
        heard = np.resize(audio.signal, max(audio.signal.size, _LEAST_FRAMES))  # repeated
        given = madmom_compat.key_probabilities(heard)
        result = np.zeros(len(KEYS))
        for label, probability in zip(madmom_compat.key_labels(), given, strict=True):
            result[KEYS.index(Key.parse(label))] = probability
        return np.asarray(result / result.sum())


class ProfileKeys:
    """Correlation of the pitch-class histogram with key profiles."""

    name = "profiles"

    def probabilities(self, audio: PitchedAudio) -> NDArray[np.float64]:
        """See :meth:`KeyEstimator.probabilities`."""
        histogram = pitch_class_histogram(audio.peaks)
        if not histogram.any():
            return np.full(len(KEYS), 1 / len(KEYS))
        profiles = np.array(
            [np.roll(p, t) for p in (MAJOR_PROFILE, MINOR_PROFILE) for t in range(12)]
        )
        correlation = np.corrcoef(np.vstack([histogram, profiles]))[0, 1:]
        weight = np.exp(PROFILE_SHARPNESS * correlation)
        return np.asarray(weight / weight.sum())


def estimate_key(audio: PitchedAudio) -> KeyEstimate:
    """Key by both witnesses; by the profiles alone (said once in the log) without madmom."""
    if audio.peaks.pitch.size == 0:
        return KeyEstimate(None, 0.0, "unpitched")
    profiles = ProfileKeys()
    try:
        return combined_key(MadmomKeys(), profiles, audio)
    except MissingDependency as error:
        if error.message not in _said:
            _said.add(error.message)
            _log.warning("%s Falling back to profiles for keys. %s", error.message, error.hint)
    opinion = profiles.probabilities(audio)
    best = int(np.argmax(opinion))
    return KeyEstimate(KEYS[best], float(opinion[best]), profiles.name)


def combined_key(first: KeyEstimator, second: KeyEstimator, audio: PitchedAudio) -> KeyEstimate:
    """The key that two witnesses together find most probable, the first counting more.

    Where they name different keys, the confidence is at most :data:`DISPUTED_CONFIDENCE`.
    """
    one, other = first.probabilities(audio), second.probabilities(audio)
    product = one * other**PROFILE_SHARE
    product /= product.sum()
    best = int(np.argmax(product))
    agreement = int(np.argmax(one)) == int(np.argmax(other))
    confidence = min(float(product[best]), 1.0 if agreement else DISPUTED_CONFIDENCE)
    return KeyEstimate(KEYS[best], confidence, f"{first.name}+{second.name}", agreement)


def pitch_class_histogram(peaks: SpectralPeaks) -> NDArray[np.float64]:
    """(12,) strength of each pitch class from C, tuned, every frame counting alike."""
    if peaks.pitch.size == 0:
        return np.zeros(12)
    tuned = peaks.pitch - tuning_cents(peaks) / 100
    nearest = np.rint(tuned)
    in_tune = np.cos(np.pi * np.clip(tuned - nearest, -0.5, 0.5)) ** 2
    loudest = np.zeros(int(peaks.frame.max()) + 1)
    np.maximum.at(loudest, peaks.frame, peaks.magnitude)
    weight = in_tune * np.sqrt(peaks.magnitude / loudest[peaks.frame])
    classes = nearest.astype(np.int64) % 12
    return np.bincount(classes, weights=weight, minlength=12).astype(np.float64)
