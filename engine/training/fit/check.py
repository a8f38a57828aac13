"""How well a ranker finds the bed that a window of voice was taken from.

Every window of eight bars is one candidate, as if it were a stem of its own; the true one competes
with the windows of other compositions only, because a song's other windows are near-duplicates.
The score is the one that a question for this one role is ranked by. The normalised rank is the
share of those that score higher (0 best, 0.5 chance; ties count half).
*Key given* leaves all windows in their own keys; *near* lets each take its best of the seven
transpositions that ranking tries by default; *any key* its best of twelve. Intervals resample
songs, not windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.bootstrap import SongBootstrap
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Ranker, Search
from engine.theory import Role
from engine.training.fit.windows import CONTEXT_BEATS, WINDOW_BEATS, draw_window
from engine.training.midi_corpus import MidiSong

__all__ = [
    "ANY_KEY",
    "KEY_GIVEN",
    "NEAR_KEYS",
    "Interval",
    "WindowPairs",
    "bootstrap",
    "compared",
    "midi_pairs",
    "pool_of",
    "ranks",
    "sounding",
]

KEY_GIVEN: Final = (0,)
NEAR_KEYS: Final = tuple(range(-3, 4))
ANY_KEY: Final = tuple(range(-6, 6))
_SEARCHES: Final = {"given": KEY_GIVEN, "near": NEAR_KEYS, "any": ANY_KEY}


@dataclass(frozen=True, eq=False)
class WindowPairs:
    """Windows of a voice and of what belongs under it, in the same order; then other beds.

    Args:
        queries: feature rows of each voice window, all of one length.
        stems: feature rows of each true bed, and of beds that belong to none of the queries.
        groups: the composition (or song) of each bed.
        role: what the beds play.
    """

    queries: Sequence[NDArray[np.void]]
    stems: Sequence[NDArray[np.void]]
    groups: tuple[str, ...]
    role: Role = "harmonic"

    @property
    def query_groups(self) -> tuple[str, ...]:
        """The composition of each query."""
        return self.groups[: len(self.queries)]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def midi_pairs(
    songs: Sequence[MidiSong], windows_per_song: int, *, seed: int, plain: bool = True
) -> WindowPairs:
    """Windows of MIDI songs under random sounds; ``plain`` leaves out vamps and thinning."""
    rng = np.random.default_rng(seed)
    queries, stems, groups = [], [], []
    inside = slice(CONTEXT_BEATS, CONTEXT_BEATS + WINDOW_BEATS)
    for song in songs:
        for _ in range(windows_per_song):
            found = draw_window(song, rng, plain=plain)
            if found is not None:
                queries.append(found[0])
                stems.append(found[1][inside])
                groups.append(song.group)
    return WindowPairs(queries, stems, tuple(groups))


def ranks(
    ranker: Ranker, pairs: WindowPairs, *, semitones: Sequence[int] = KEY_GIVEN
) -> NDArray[np.float64]:
    """(queries,) normalised rank of each true bed."""
    pool = pool_of(pairs.stems, role=pairs.role)
    groups = np.array(pairs.groups)
    search = Search(tuple(semitones), keep=len(pool))
    result = np.zeros(len(pairs.queries))
    for number, rows in enumerate(pairs.queries):
        clip = ClipFeatures(rows, sounding(rows), 4)
        scores = np.full(len(pool), -np.inf)
        fits = ranker.place(clip, pool, search)
        if fits:
            found, _ = ranker.score_groups(clip, {pairs.role: [(pool, fit) for fit in fits]})
            scores[[fit.index for fit in fits]] = found
        others = scores[groups != groups[number]]
        better = np.sum(others > scores[number]) + 0.5 * np.sum(others == scores[number])
        result[number] = better / max(others.size, 1)
    return result


def bootstrap(values: NDArray[np.float64], groups: Sequence[str], *, seed: int = 0) -> Interval:
    """The mean over windows with its interval by song; NaN where all are of one song."""
    found = SongBootstrap(groups, seed=seed).mean(values)
    return Interval(float(values.mean()), found.low, found.high)


def compared(
    rankers: Mapping[str, Ranker], pairs: WindowPairs, *, reference: str
) -> dict[str, Interval]:
    """Mean ranks of all rankers in each search, and differences to ``reference``."""
    result: dict[str, Interval] = {}
    for label, semitones in _SEARCHES.items():
        found = {name: ranks(r, pairs, semitones=semitones) for name, r in rankers.items()}
        for name, values in found.items():
            result[f"{name}.{label}"] = bootstrap(values, pairs.query_groups)
            if name != reference:
                difference = values - found[reference]
                result[f"{name}-{reference}.{label}"] = bootstrap(difference, pairs.query_groups)
    return result


def pool_of(stems: Sequence[NDArray[np.void]], *, role: Role) -> RolePool:
    """A pool of stems in four-four; they sound where they have a level."""
    rows = np.concatenate(list(stems))
    lengths = [0, *(len(table) for table in stems)]
    return RolePool(
        role=role,
        beats_per_bar=4,
        stem_ids=tuple(f"{i:06d}" for i in range(len(stems))),
        offsets=np.cumsum(lengths).astype(np.int64),
        chroma=np.ascontiguousarray(rows["chroma"]),
        onsets=np.ascontiguousarray(rows["onsets"]),
        bands=np.ascontiguousarray(rows["bands"]),
        active=sounding(rows),
        logfreq=np.ascontiguousarray(rows["logfreq"]),
    )


def sounding(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """(beats,) where rows have a level."""
    loud: NDArray[np.bool_] = rows["bands"].max(axis=1) > 0
    return loud
