"""Major and minor chords from chroma, bar half by bar half: the guide that lies beside a render.

Each half bar's mean chroma is compared with the 24 triads (binary templates, root a little heavier;
Fujishima 1999, "realtime chord recognition of musical sound") and with "no chord"; the most likely
sequence is found by the Viterbi algorithm with a fixed price on every change, so that a passing
note does not make a chord. Sevenths and other colours come out as their triad.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.theory import PITCH_NAMES

__all__ = ["Chord", "chords_of"]

#: Weights of root, third and fifth in a template.
_WEIGHTS: Final = (1.2, 1.0, 1.0)
#: A stretch whose best triad is less alike than this holds none.
_NO_CHORD_COSINE: Final = 0.55
#: What a change of chord has to gain in cosine.
_CHANGE_PRICE: Final = 0.12


@dataclass(frozen=True)
class Chord:
    """A triad that sounds for some beats.

    Args:
        start_beat: where it begins.
        beats: how long it lasts.
        root: pitch class, C = 0.
        minor: minor, else major.
    """

    start_beat: int
    beats: int
    root: int
    minor: bool

    @property
    def name(self) -> str:
        """``Am``, ``F#``."""
        return PITCH_NAMES[self.root] + ("m" if self.minor else "")

    @property
    def pitch_classes(self) -> tuple[int, int, int]:
        """Root, third and fifth."""
        third = 3 if self.minor else 4
        return self.root, (self.root + third) % 12, (self.root + 7) % 12


def chords_of(chroma: NDArray[np.float32], beats_per_bar: int) -> tuple[Chord, ...]:
    """The chords of a passage, in order, with gaps where there is none.

    Args:
        chroma: (beats, 12) from C, of one or of summed stems, any scale; beat 0 is a downbeat.
        beats_per_bar: metre; bars are halved where they can be.
    """
    starts = _starts(len(chroma), beats_per_bar)
    edges = [*starts, len(chroma)]
    means = np.stack(
        [chroma[a:b].mean(axis=0) for a, b in itertools.pairwise(edges)]
        or [np.zeros(12, np.float32)]
    )
    states = _best_path(_likeness(means)) if starts else []
    chords: list[Chord] = []
    for state, first, last in zip(states, edges, edges[1:], strict=False):
        if state == 24:
            continue
        root, minor = int(state) % 12, bool(state >= 12)
        before = chords[-1] if chords else None
        joins = before is not None and before.start_beat + before.beats == first
        if before is not None and joins and (before.root, before.minor) == (root, minor):
            chords[-1] = Chord(before.start_beat, before.beats + last - first, root, minor)
        else:
            chords.append(Chord(first, last - first, root, minor))
    return tuple(chords)


def _starts(beats: int, beats_per_bar: int) -> list[int]:
    step = beats_per_bar // 2 if beats_per_bar % 2 == 0 else beats_per_bar
    return list(range(0, beats, max(step, 1)))


def _likeness(means: NDArray[np.float32]) -> NDArray[np.float64]:
    """(stretches, 25) cosine with the 12 major and 12 minor triads; the last column is none."""
    norm = np.linalg.norm(means, axis=1, keepdims=True)
    unit = np.divide(means, norm, out=np.zeros_like(means, dtype=np.float64), where=norm > 1e-6)
    likeness = np.full((len(means), 25), _NO_CHORD_COSINE)
    likeness[:, :24] = unit @ _templates().T
    return likeness


def _templates() -> NDArray[np.float64]:
    rows = np.zeros((24, 12))
    for state in range(24):
        for place, weight in zip((0, 3 if state >= 12 else 4, 7), _WEIGHTS, strict=True):
            rows[state, (state + place) % 12] = weight
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _best_path(likeness: NDArray[np.float64]) -> Sequence[int]:
    """The states with the highest sum of likeness, each change paid for."""
    total = likeness[0].copy()
    came_from = np.zeros(likeness.shape, dtype=np.int64)
    for row in range(1, len(likeness)):
        best = int(np.argmax(total))
        changes = total[best] - _CHANGE_PRICE > total
        came_from[row] = np.where(changes, best, np.arange(total.size))
        total = np.where(changes, total[best] - _CHANGE_PRICE, total) + likeness[row]
    path = [int(np.argmax(total))]
    for row in range(len(likeness) - 1, 0, -1):
        path.append(int(came_from[row, path[-1]]))
    return path[::-1]
