"""Which triples of vocal, harmony and drums compete in Huang's test, drawn on conditions.

The conditions are those of Huang et al. (AAAI 2021), as :mod:`engine.mashup.generation` has them.
Harmony and drums come from other songs of the vocal's metre whose tempo is 0.8 to 1.2 of the
vocal's. *In key* is a harmony whose song's key is within three semitones of the vocal's, so that
an allowed transposition reaches it; a bad key is any other than the vocal's, untransposed. Keys are
compared by the notes they use: A minor is 0 from C major. A song whose key nobody knows is neither.

Bad time here is one thing only: drums that begin up to two beats early or late. They lie on the
vocal's beats otherwise, so the condition on tempo is kept in every kind; drums and harmony in
another tempo are an axis of :mod:`engine.evaluation.axes`. Each kind is drawn by random numbers of
its own, with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.evaluation.axes import ROOM_BARS, WINDOW_BARS, Original
from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.gallery import AS_IS
from engine.evaluation.windows import QUARTERS_PER_BEAT, window_at, windows_of
from engine.mashup.generation import MOST_SEMITONES, TEMPO_RATIOS, key_distance
from engine.theory import Role

__all__ = ["KINDS", "MATCHED", "Kind", "Trial", "Triple", "trials_of"]

#: Triples per original: the rank of the original is among itself and the matched.
MATCHED: Final = 20
_UNMATCHED: Final = 8
#: Every transposition within three semitones, small ones first.
_SEMITONES: Final = (0, -1, 1, -2, 2, -3, 3)
#: Huang et al. move downbeats by up to a second: two beats at 120 BPM [quarter beats].
_MOST_LATE: Final = 2 * QUARTERS_PER_BEAT


@dataclass(frozen=True)
class Kind:
    """How the triples of one kind are chosen.

    Args:
        in_key: the harmony's key is within reach and it may be transposed; else it is a wrong one.
        late: the drums begin early or late.
        count: triples of each original.
    """

    in_key: bool
    late: bool
    count: int

    @property
    def semitones(self) -> tuple[int, ...]:
        """Transpositions that a model may choose from, for the original too."""
        return _SEMITONES if self.in_key else AS_IS

    def allows(self, harmony: EvaluationSong, vocal: EvaluationSong) -> bool:
        """Whether the key of one song is as this kind wants it under another."""
        if harmony.key is None or vocal.key is None:
            return False
        distance = key_distance(harmony.key, vocal.key)
        return abs(distance) <= MOST_SEMITONES if self.in_key else distance != 0


KINDS: Final[Mapping[str, Kind]] = {
    "matched": Kind(in_key=True, late=False, count=MATCHED),
    "unmatched key": Kind(in_key=False, late=False, count=_UNMATCHED),
    "unmatched time": Kind(in_key=True, late=True, count=_UNMATCHED),
    "unmatched key and time": Kind(in_key=False, late=True, count=_UNMATCHED),
}


@dataclass(frozen=True, eq=False)
class Triple:
    """What lies under a vocal; the harmony in the best of ``semitones``."""

    harmony: Passage
    drums: Passage
    semitones: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Trial:
    """One original and what competes with it, by kind; matched triples are always there."""

    original: Original
    others: Mapping[str, tuple[Triple, ...]]

    def triples(self, kind: str) -> tuple[Triple, ...]:
        """The original as freely transposed as the others, then the others."""
        own = self.original
        harmony, drums = own.part("harmonic"), own.part("drums")
        return Triple(harmony, drums, KINDS[kind].semitones), *self.others[kind]


_Window = tuple[EvaluationSong, Passage]


def trials_of(
    songs: Sequence[EvaluationSong], originals: Sequence[Original], *, seed: int
) -> list[Trial]:
    """A trial of every original that has matched partners; kinds without partners are left out."""
    windows = _windows(songs)
    draws = {kind: np.random.default_rng([seed, i]) for i, kind in enumerate(KINDS)}
    trials = [_trial(original, windows, draws) for original in originals]
    return [trial for trial in trials if "matched" in trial.others]


def _trial(
    original: Original, windows: Sequence[_Window], draws: Mapping[str, np.random.Generator]
) -> Trial:
    own = original.song
    low, high = TEMPO_RATIOS
    near = [
        (song, window)
        for song, window in windows
        if song.id != own.id
        and song.beats_per_bar == own.beats_per_bar
        and low <= song.tempo_bpm / own.tempo_bpm <= high
    ]
    drums = [(song, window) for song, window in near if window.role == "drums"]
    others: dict[str, tuple[Triple, ...]] = {}
    for name, kind in KINDS.items():
        harmony = [w for song, w in near if w.role == "harmonic" and kind.allows(song, own)]
        if harmony and drums:
            others[name] = _drawn(kind, harmony, drums, draws[name])
    return Trial(original, others)


def _drawn(
    kind: Kind, harmony: Sequence[Passage], drums: Sequence[_Window], rng: np.random.Generator
) -> tuple[Triple, ...]:
    triples = []
    for _ in range(kind.count):
        bed = harmony[int(rng.integers(len(harmony)))]
        song, beat = drums[int(rng.integers(len(drums)))]
        if kind.late:
            quarters = int(rng.integers(1, _MOST_LATE + 1)) * int(rng.choice([-1, 1]))
            start = int(beat.id.rpartition("@")[2].partition(":")[0])
            beat = window_at(song.stems["drums"], start, WINDOW_BARS, late_quarters=quarters)
        triples.append(Triple(bed, beat, kind.semitones))
    return tuple(triples)


def _windows(songs: Sequence[EvaluationSong]) -> list[_Window]:
    """Every window of harmony and of drums that sounds."""
    roles: tuple[Role, ...] = ("harmonic", "drums")
    return [
        (song, window)
        for song in songs
        for role in roles
        if role in song.stems
        for window in windows_of(song.stems[role], WINDOW_BARS, room=ROOM_BARS)
    ]
