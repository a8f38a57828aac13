"""Validation songs as a library that clips of them are asked in, as in use.

A clip is a voice, or some parts of a song together; it asks for the stems of one role that it does
not hold. The stems are those of all songs: whole as songs are, or cut to one, two or four times the
clip's length as loops and excerpts are, the clip's own so that the place it was taken from is left.
One, three, seven or all transpositions are tried. Lengths and transpositions are drawn for each
question, because what a good place is worth depends on how many were tried. An excerpt is embedded
without its song around it, as a loop is; each song's are the same in all questions but its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import ASKED
from engine.models.fit.embedding import Embedding, embed_pool
from engine.models.fit.ranker import FitRanker
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.theory import Role
from engine.training.fit.check import pool_of, sounding
from engine.training.fit.windows import SongRows

__all__ = ["Answered", "Asking", "Question", "ValidationSongs", "bands"]

_BEATS_PER_BAR: Final = 4
Rows = NDArray[np.void]
_Scalar = TypeVar("_Scalar", bound=np.generic)

#: A clip, and a foreign excerpt where one can, must sound in this share of its beats.
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
        table: its features, as long as in the pool.
        foreign: (stems,) bool, of another composition than the clip.
        search: the transpositions to try; all stems are kept.
    """

    asking: Asking
    pool: RolePool
    own: int
    table: Rows
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
class _Embedded:
    """Stems that were embedded before: an :class:`EmbeddingSource`."""

    embedding: Embedding

    def of(self, model: FitModel) -> Embedding:
        """See :class:`~engine.models.fit.embedding.EmbeddingSource`."""
        if model.tag != self.embedding.tag:
            raise ValueError("the stems were embedded by another model")
        return self.embedding


class _Stems:
    """The stems of one role: whole, and as excerpts that stand alone, as loops do."""

    def __init__(
        self, model: FitModel, role: Role, numbers: Sequence[int], tables: Sequence[Rows]
    ) -> None:
        self.numbers = np.array(numbers)
        self._model, self._role, self._tables = model, role, tables
        self._pools: dict[int, RolePool] = {}

    def of_length(self, bars: int) -> RolePool:
        """All stems, of ``bars`` bars that sound where they are longer; 0 leaves them whole."""
        if bars not in self._pools:
            rng = np.random.default_rng([bars, *self._role.encode()])
            cut = [self._excerpt(table, bars, rng) for table in self._tables] if bars else None
            self._pools[bars] = _embedded(self._model, self._role, cut or self._tables)
        return self._pools[bars]

    @staticmethod
    def _excerpt(table: Rows, bars: int, rng: np.random.Generator) -> Rows:
        beats = bars * _BEATS_PER_BAR
        if len(table) <= beats:
            return table
        every = np.arange(0, len(table) - beats + 1, _BEATS_PER_BAR)
        good = every[_heard(table, every, beats) >= _SOUNDING * beats]
        first = int(rng.choice(good if good.size else every))
        return table[first : first + beats]


class ValidationSongs:
    """Songs that can ask each other under one model."""

    def __init__(self, model: FitModel, songs: Sequence[SongRows]) -> None:
        self._model = model
        self._songs = tuple(songs)
        self._groups = np.array([song.group for song in songs])
        self._stems: dict[Role, _Stems] = {}
        for role in ASKED:
            there = [
                number
                for number, song in enumerate(songs)
                if role in song.rows and sounding(song.rows[role]).any()
            ]
            if there:
                tables = [songs[number].rows[role] for number in there]
                self._stems[role] = _Stems(model, role, there, tables)

    def compositions(self, role: Role) -> int:
        """How many have a stem of a role."""
        if role not in self._stems:
            return 0
        return len(set(self._groups[self._stems[role].numbers].tolist()))

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
        """The stems of a role under a clip; None where nothing sounds in its own as it is cut."""
        stems = self._stems.get(role)
        if stems is None or asking.song not in stems.numbers:
            return None
        own = int(np.flatnonzero(stems.numbers == asking.song)[0])
        length = asking.clip.bars * int(rng.choice(_LENGTHS))
        search = _SEARCHES[int(rng.integers(len(_SEARCHES)))]
        pool, table = stems.of_length(length), self._songs[asking.song].rows[role]
        beats = int(pool.bars[own]) * _BEATS_PER_BAR
        if beats < len(table):
            begin, end = (
                _BEATS_PER_BAR * bar
                for bar in (asking.first_bar, asking.first_bar + asking.clip.bars)
            )
            starts = np.arange(
                max(end - beats, 0), min(begin, len(table) - beats) + 1, _BEATS_PER_BAR
            )
            first = int(rng.choice(starts))
            table = table[first : first + beats]
            pool = _with_stem(self._model, pool, own, table)
        if not sounding(table).any():
            return None
        foreign = self._groups[stems.numbers] != self._groups[asking.song]
        return Question(asking, pool, own, table, foreign, Search(search, keep=len(pool)))

    def moved(self, answered: Answered, beats: Sequence[int]) -> tuple[RolePool, list[Fit]]:
        """The clip's own stem as it is placed, moved by each of ``beats``, and how each is placed.

        What is moved over the end of the clip comes in at its beginning.
        """
        question, clip = answered.question, answered.question.asking.clip
        fit = answered.placed[question.own]
        bar = fit.start_bar + np.arange(clip.bars) % fit.loop_bars
        rows = bar[:, None] * _BEATS_PER_BAR + np.arange(_BEATS_PER_BAR)
        heard = question.table[rows.reshape(-1)]
        tables = [np.roll(heard, number) for number in beats]
        pool = _embedded(self._model, question.pool.role, tables)
        search = Search((fit.semitones,), keep=len(pool))
        fits = FitRanker(self._model).place(clip, pool, search)
        return pool, sorted(fits, key=lambda fit: fit.index)


def bands(
    ranker: FitRanker, songs: ValidationSongs, bars: int, rng: np.random.Generator
) -> Iterator[tuple[Answered, Answered]]:
    """Every voice's beds and drums as they are placed, where its own can answer."""
    for asking in songs.voices(bars, rng):
        asked = [songs.question(asking, role, rng) for role in _BAND]
        answered = [Answered(one, one.placed(ranker)) for one in asked if one is not None]
        if len(answered) == len(_BAND):
            yield answered[0], answered[1]


def _asking(
    number: int,
    holds: frozenset[str],
    rows: Rows,
    bars: int,
    rng: np.random.Generator,
) -> Iterator[Asking]:
    """A stretch that sounds, from a random bar; nothing where there is none."""
    beats, active = bars * _BEATS_PER_BAR, sounding(rows)
    starts = np.arange(0, rows.size - beats + 1, _BEATS_PER_BAR)
    good = starts[_heard(rows, starts, beats) >= _SOUNDING * beats]
    if good.size:
        first = int(rng.choice(good))
        inside = slice(first, first + beats)
        clip = ClipFeatures(rows[inside], active[inside], _BEATS_PER_BAR)
        yield Asking(number, clip, first // _BEATS_PER_BAR, holds)


def _heard(rows: Rows, starts: NDArray[np.int64], beats: int) -> NDArray[np.int64]:
    """(starts,) in how many of the ``beats`` from there it sounds."""
    total = np.concatenate([[0], np.cumsum(sounding(rows))])
    count: NDArray[np.int64] = total[starts + beats] - total[starts]
    return count


def _embedded(model: FitModel, role: Role, tables: Sequence[Rows]) -> RolePool:
    """A pool of stems, each embedded by itself."""
    pool = pool_of(tables, role=role)
    return replace(pool, logfreq=None, embeddings=_Embedded(embed_pool(model, pool)))


def _with_stem(model: FitModel, pool: RolePool, index: int, table: Rows) -> RolePool:
    """The pool with another stem, as long, in place of one."""
    own = pool_of([table], role=pool.role)
    rows = pool.rows(index)

    def changed(values: NDArray[_Scalar], new: NDArray[_Scalar]) -> NDArray[_Scalar]:
        copy = values.copy()
        copy[rows] = new
        return copy

    if pool.embeddings is None:
        raise ValueError("the stems were not embedded")
    before, part = pool.embeddings.of(model), embed_pool(model, own)
    embedding = Embedding(
        model.tag, changed(before.pitch, part.pitch), changed(before.rhythm, part.rhythm)
    )
    return RolePool(
        role=pool.role,
        beats_per_bar=pool.beats_per_bar,
        stem_ids=pool.stem_ids,
        offsets=pool.offsets,
        chroma=changed(pool.chroma, own.chroma),
        onsets=changed(pool.onsets, own.onsets),
        bands=changed(pool.bands, own.bands),
        active=changed(pool.active, own.active),
        embeddings=_Embedded(embedding),
    )
