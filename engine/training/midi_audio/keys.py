"""The key of a stretch: what the score states, checked against the notes that sound.

The index states one key for a song, and some songs change it on the way. The stretch's notes are
compared with the major and minor profiles of Krumhansl and Kessler (1982); where another key fits
them much better than the stated one and its relative, the song has moved and that key is taken.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError
from engine.theory import Key, Mode
from engine.training.midi_audio.excerpt import Stretch
from engine.training.midi_audio.score import Note

__all__ = ["KeyTruth", "best_key", "key_named", "key_of"]

#: Krumhansl, Kessler 1982, "Tracing the dynamic changes in perceived tonal organization", table 1.
_PROFILES: Final[dict[Mode, tuple[float, ...]]] = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
#: By so much another key's correlation must beat the stated one's to be believed.
_CLEARLY: Final = 0.15


@dataclass(frozen=True)
class KeyTruth:
    """A key, how sure it is [0, 1], and whether the score states it or the notes say so."""

    key: Key | None
    confidence: float
    method: str


def key_named(text: str) -> Key | None:
    """A key as a file names it; None where the name means none."""
    with contextlib.suppress(UsageError):
        return Key.parse(text)
    return None


def key_of(stretch: Stretch, stated: Key | None, transpose: int) -> KeyTruth:
    """The key of what is rendered, ``transpose`` semitones above what is written."""
    profile = _profile(stretch)
    if not profile.any():
        moved = None if stated is None else stated.transposed(transpose)
        return KeyTruth(moved, 0.5 if moved else 0.0, "score")
    key, fit = best_key(profile)
    if stated is not None:
        relative = stated.transposed(-3 if stated.mode == "major" else 3)
        others = Key(relative.tonic, "minor" if stated.mode == "major" else "major")
        of_stated = max(_fit(profile, stated), _fit(profile, others))
        if fit - of_stated < _CLEARLY:
            return KeyTruth(stated.transposed(transpose), 1.0, "score")
    return KeyTruth(key.transposed(transpose), float(np.clip(fit, 0, 1)) * 0.8, "notes")


def best_key(profile: NDArray[np.float64]) -> tuple[Key, float]:
    """The key that a (12,) profile of durations from C fits best, and the correlation."""
    keys = [Key(tonic, mode) for mode in get_args(Mode) for tonic in range(12)]
    fits = [_fit(profile, key) for key in keys]
    best = int(np.argmax(fits))
    return keys[best], fits[best]


def _fit(profile: NDArray[np.float64], key: Key) -> float:
    expected = np.roll(np.array(_PROFILES[key.mode]), key.tonic)
    return float(np.corrcoef(profile, expected)[0, 1]) if np.ptp(profile) else 0.0


def _profile(stretch: Stretch) -> NDArray[np.float64]:
    """(12,) beats that each pitch class sounds, drums apart."""
    total = np.zeros(12)
    per_beat = stretch.score.ticks_per_beat
    for note in _pitched(stretch):
        total[note.pitch % 12] += (note.end - note.start) / per_beat
    return total


def _pitched(stretch: Stretch) -> list[Note]:
    start, end = stretch.ticks
    return [
        note
        for part in stretch.score.parts
        if part.role != "drums"
        for note in part.notes()
        if start <= note.start < end
    ]
