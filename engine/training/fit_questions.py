"""Validation songs as a library that clips of them are asked in, as in use.

A clip is a voice, or some parts of a song together; it asks for the stems of one role that it does
not hold. The stems are those of all songs: whole as songs are, or cut to one, two or four times the
clip's length as loops and excerpts are, the clip's own so that the place it was taken from is left.
One, three, seven or all transpositions are tried. Lengths and transpositions are drawn for each
question, because what a good place is worth depends on how many were tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import FitModel
from engine.models.fit_embedding import Embedding, embed_pool
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.theory import Role
from engine.training.fit_check import pool_of, sounding
from engine.training.fit_windows import SongRows

__all__ = ["Answered", "Asking", "Question", "ValidationSongs", "bands"]

_BEATS_PER_BAR: Final = 4
#: A clip must sound in this share of its beats.
_SOUNDING: Final = 0.3
#: Lengths of the stems in clips; 0 leaves them whole.
_LENGTHS: Final = (1, 2, 4, 0)
#: Searches: as written, by a semitone, what ranking tries by default, all keys.
_SEARCHES: Final = ((0,), (-1, 0, 1), tuple(range(-3, 4)), tuple(range(-6, 6)))
#: Who plays under a voice; every song has them.
_BAND: Final[tuple[Role, Role]] = ("harmonic", "drums")
#: What a harmonic stem is made of.
_HARMONIC: Final = frozenset({"bass", "other"})


@dataclass(frozen=True, eq=False)
class Asking:
    """A clip of one song.

    Args:
        song: the song's number.
        clip: its features.
        first_bar: where it begins.
        holds: the roles that sound in it.
    """

    song: int
    clip: ClipFeatures
    first_bar: int
    holds: frozenset[str]


@dataclass(frozen=True, eq=False)
class Question:
    """A clip and the stems that may answer.

    Args:
        asking: the clip.
        pool: the stems of one role.
        own: the number of the clip's own stem.
        foreign: (stems,) bool, of another composition than the clip.
        search: the transpositions to try; all stems are kept.
    """

    asking: Asking
    pool: RolePool
    own: int
    foreign: NDArray[np.bool_]
    search: Search

    def placed(self, ranker: FitRanker) -> dict[int, Fit]:
        """The best place of every stem, by its number in the pool."""
        fits = ranker.place(self.asking.clip, self.pool, self.search)
        return {fit.index: fit for fit in fits}


@dataclass(frozen=True, eq=False)
class Answered:
    """A question, and the best place of every stem by its number in the pool."""

    question: Question
    placed: dict[int, Fit]


@dataclass(frozen=True, eq=False)
class _CutEmbedding:
    """Some beats of stems that were embedded whole: an :class:`EmbeddingSource`."""

    whole: Embedding
    beats: NDArray[np.int64]

    def of(self, model: FitModel) -> Embedding:
        """See :class:`~engine.models.fit_embedding.EmbeddingSource`."""
        if model.tag != self.whole.tag:
            raise ValueError("the stems were embedded by another model")
        return self.whole.of_beats(self.beats)


class ValidationSongs:
    """Songs that can ask each other under one model."""

    def __init__(self, model: FitModel, songs: Sequence[SongRows]) -> None:
        self._songs = tuple(songs)
        self._groups = np.array([song.group for song in songs])
        self._numbers: dict[Role, NDArray[np.int64]] = {}
        self._pools: dict[Role, RolePool] = {}
        self._embedded: dict[Role, Embedding] = {}
        roles: tuple[Role, ...] = ("harmonic", "vocals", "bass", "other", "drums")
        for role in roles:
            there = [number for number, song in enumerate(songs) if role in song.rows]
            if there:
                pool = pool_of([songs[number].rows[role] for number in there], role=role)
                self._pools[role] = pool
                self._numbers[role] = np.array(there)
                self._embedded[role] = embed_pool(model, pool)

    @property
    def compositions(self) -> int:
        """How many there are."""
        return len(set(self._groups.tolist()))

    def voices(self, bars: int, rng: np.random.Generator) -> Iterator[Asking]:
        """A stretch of each song in which its voice sings, where there is one."""
        for number, song in enumerate(self._songs):
            yield from _asking(number, frozenset({"vocals"}), song.rows["vocals"], bars, rng)

    def without(self, role: str, bars: int, rng: np.random.Generator) -> Iterator[Asking]:
        """The voices, and mixes of parts, that do not hold ``role``."""
        holding = _HARMONIC if role == "harmonic" else frozenset({role})
        for number, song in enumerate(self._songs):
            for holds, rows in ((frozenset({"vocals"}), song.rows["vocals"]), *song.mixes):
                if not holds & holding:
                    yield from _asking(number, holds, rows, bars, rng)

    def question(self, asking: Asking, role: Role, rng: np.random.Generator) -> Question | None:
        """The stems of a role under a clip; None where the clip's song has none."""
        if asking.song not in self._numbers.get(role, ()):
            return None
        numbers, pool = self._numbers[role], self._pools[role]
        own = int(np.flatnonzero(numbers == asking.song)[0])
        length = asking.clip.bars * int(rng.choice(_LENGTHS))
        search = _SEARCHES[int(rng.integers(len(_SEARCHES)))]
        firsts, counts = np.zeros(len(pool), np.int64), pool.bars.copy()
        if length:
            counts = np.minimum(counts, length)
            firsts = rng.integers(0, pool.bars - counts + 1)
            last = min(asking.first_bar, int(pool.bars[own] - counts[own]))
            first = max(asking.first_bar + asking.clip.bars - int(counts[own]), 0)
            firsts[own] = rng.integers(min(first, last), last + 1)
        return Question(
            asking,
            _cut(pool, self._embedded[role], firsts, counts),
            own,
            self._groups[numbers] != self._groups[asking.song],
            Search(search, keep=len(pool)),
        )


def bands(
    ranker: FitRanker, songs: ValidationSongs, bars: int, rng: np.random.Generator
) -> Iterator[tuple[Answered, Answered]]:
    """Every voice's beds and drums as they are placed."""
    for asking in songs.voices(bars, rng):
        asked = [songs.question(asking, role, rng) for role in _BAND]
        bed, drums = (Answered(one, one.placed(ranker)) for one in asked if one is not None)
        yield bed, drums


def _asking(
    number: int,
    holds: frozenset[str],
    rows: NDArray[np.void],
    bars: int,
    rng: np.random.Generator,
) -> Iterator[Asking]:
    """A stretch that sounds, from a random bar; nothing where there is none."""
    beats, active = bars * _BEATS_PER_BAR, sounding(rows)
    heard = np.concatenate([[0], np.cumsum(active)])
    starts = np.arange(0, rows.size - beats + 1, _BEATS_PER_BAR)
    good = starts[heard[starts + beats] - heard[starts] >= _SOUNDING * beats]
    if good.size:
        first = int(rng.choice(good))
        inside = slice(first, first + beats)
        clip = ClipFeatures(rows[inside], active[inside], _BEATS_PER_BAR)
        yield Asking(number, clip, first // _BEATS_PER_BAR, holds)


def _cut(
    pool: RolePool, embedded: Embedding, firsts: NDArray[np.int64], counts: NDArray[np.int64]
) -> RolePool:
    """So many bars of each stem from a first one on, embedded in their context."""
    bar = pool.beats_per_bar
    offsets = np.concatenate([[0], np.cumsum(counts * bar)]).astype(np.int64)
    shift = pool.offsets[:-1] + firsts * bar - offsets[:-1]
    beats = np.arange(offsets[-1]) + np.repeat(shift, counts * bar)
    return RolePool(
        role=pool.role,
        beats_per_bar=bar,
        stem_ids=pool.stem_ids,
        offsets=offsets,
        chroma=pool.chroma[beats],
        onsets=pool.onsets[beats],
        bands=pool.bands[beats],
        active=pool.active[beats],
        embeddings=_CutEmbedding(embedded, beats),
    )
