"""Chords of a progression, and how their notes are laid out with little movement between them.

Pitches are MIDI note numbers (60 = C4 = 261.6 Hz), pitch classes count from C = 0.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Final

from engine.theory import Key

__all__ = ["Chord", "chords_of", "lead_voices", "melody_scale", "nearest_pitch", "scale_of"]

_KINDS: Final = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m9": (0, 3, 7, 10, 14),
    "sus4": (0, 5, 7),
}
_MAJOR_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
_MINOR_SCALE: Final = (0, 2, 3, 5, 7, 8, 10)
_CHORD_PATTERN: Final = re.compile(r"(\d+):?(.*)")


@dataclass(frozen=True)
class Chord:
    """A root and the chord's notes above it.

    Args:
        root: pitch class [0, 11].
        intervals: semitones above the root, the first is 0.
    """

    root: int
    intervals: tuple[int, ...]

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Pitch classes in the order root, third, fifth, …"""
        return tuple((self.root + interval) % 12 for interval in self.intervals)


def chords_of(progression: str, key: Key) -> tuple[Chord, ...]:
    """One chord a bar: ``"0m 8 5:7"`` is the minor tonic, the major VI, the dominant seventh on IV.

    Raises:
        ValueError: a chord that cannot be read.
    """
    chords = []
    for text in progression.split():
        match = _CHORD_PATTERN.fullmatch(text)
        if match is None or match[2] not in _KINDS:
            raise ValueError(f"{text!r} is no chord: semitones above the tonic and a kind")
        chords.append(Chord((key.tonic + int(match[1])) % 12, _KINDS[match[2]]))
    return tuple(chords)


def lead_voices(
    chords: tuple[Chord, ...], *, lowest: int, highest: int, voices: int = 4
) -> tuple[tuple[int, ...], ...]:
    """Lay every chord out within [lowest, highest] so that the voices move as little as possible.

    Returns:
        One rising tuple of ``voices`` or fewer pitches for each chord.
    """
    centre = (lowest + highest) / 2
    before: tuple[int, ...] = ()
    layouts = []
    for chord in chords:
        options = list(_layouts(chord, lowest, highest, voices))
        before = min(options, key=lambda layout: _distance(layout, before, centre))
        layouts.append(before)
    return tuple(layouts)


def scale_of(key: Key) -> frozenset[int]:
    """Pitch classes of the major or the natural minor scale."""
    steps = _MAJOR_SCALE if key.mode == "major" else _MINOR_SCALE
    return frozenset((key.tonic + step) % 12 for step in steps)


def melody_scale(chord: Chord, key: Key) -> tuple[int, ...]:
    """Pitch classes that sing well over a chord: its notes, and the key's that rub on none."""
    tones = set(chord.pitch_classes)
    rubbing = {(tone + step) % 12 for tone in tones for step in (-1, 1)}
    return tuple(sorted(tones | (scale_of(key) - rubbing)))


def nearest_pitch(pitch_classes: tuple[int, ...], target: float) -> int:
    """The pitch of one of these classes that is nearest to ``target``."""
    candidates = range(int(target) - 12, int(target) + 13)
    return min(
        (pitch for pitch in candidates if pitch % 12 in pitch_classes),
        key=lambda pitch: abs(pitch - target),
    )


def _layouts(chord: Chord, lowest: int, highest: int, voices: int) -> list[tuple[int, ...]]:
    classes = chord.pitch_classes[:voices]
    if len(classes) == 5 and voices < 5:
        classes = classes[1:]  # the bass has the root
    places = [[p for p in range(lowest, highest + 1) if p % 12 == c] for c in classes]
    found = {tuple(sorted(choice)) for choice in itertools.product(*places)}
    close = [layout for layout in found if layout[-1] - layout[0] <= 16]
    return sorted(close or found)


def _distance(layout: tuple[int, ...], before: tuple[int, ...], centre: float) -> float:
    drift = abs(sum(layout) / len(layout) - centre)
    if not before:
        return drift
    moves = sum(min(abs(pitch - old) for old in before) for pitch in layout)
    return moves + 0.3 * drift
