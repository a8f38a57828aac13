"""One question put to a model: how well does each candidate fit under this passage?

Candidates of one role and metre are one pool. The model places every one of them, then scores it
as a group of one, which is the number that ``suggest`` ranks by when one role is asked for.
Candidates of another metre than the question's cannot be laid under it and score -inf, as does
whatever a model does not hand back or scores with a number that is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import Passage
from engine.models.audio_source import Sound
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Ranker, Search
from engine.parallel.threads import one_blas_thread
from engine.theory import Role

__all__ = ["ALL_TRANSPOSITIONS", "AS_IS", "Gallery", "Stopwatch", "clip_of", "pool_of"]

#: The key is known: nothing is transposed.
AS_IS: Final = (0,)
#: The key is not known: all twelve transpositions.
ALL_TRANSPOSITIONS: Final = tuple(range(-6, 6))


@dataclass(eq=False)
class Stopwatch:
    """How many candidates a model scored, and how long that took."""

    clock: Callable[[], float] = time.perf_counter
    seconds: float = 0.0
    scored: int = 0

    @property
    def scored_per_s(self) -> float:
        """Candidates per second; 0 when none was scored."""
        return self.scored / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, eq=False)
class _Part:
    pool: RolePool
    members: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Candidates, in the order in which their scores come back."""

    passages: tuple[Passage, ...]
    _parts: tuple[_Part, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kinds: dict[tuple[Role, int], list[int]] = {}
        for index, passage in enumerate(self.passages):
            kinds.setdefault((passage.role, passage.beats_per_bar), []).append(index)
        parts = tuple(
            _Part(pool_of([self.passages[i] for i in members]), np.array(members, dtype=np.int64))
            for members in kinds.values()
        )
        object.__setattr__(self, "_parts", parts)

    def __len__(self) -> int:
        return len(self.passages)

    def scores(
        self,
        query: Passage,
        ranker: Ranker,
        *,
        semitones: Sequence[int] = AS_IS,
        seed: int = 0,
        among: NDArray[np.bool_] | None = None,
        watch: Stopwatch | None = None,
    ) -> NDArray[np.float64]:
        """(candidates,) score of each candidate under ``query``, -inf where there is none.

        Args:
            query: what the candidates are laid under.
            ranker: the model.
            semitones: transpositions that may be tried.
            seed: for models that draw; give every query its own.
            among: (candidates,) bool, those to be scored; all when None.
            watch: counts and times the work.
        """
        wanted = np.ones(len(self), dtype=np.bool_) if among is None else among
        found = np.full(len(self), -np.inf)
        clip = clip_of(query)
        watch = watch or Stopwatch()
        start = watch.clock()
        with one_blas_thread():
            for part in self._parts:
                eligible = wanted[part.members]
                if part.pool.beats_per_bar != query.beats_per_bar or not eligible.any():
                    continue
                search = Search(tuple(semitones), len(part.pool), seed, listen=None)
                for index, score in _scored(clip, part.pool, search, ranker, eligible):
                    found[part.members[index]] = score
                watch.scored += int(eligible.sum())
        watch.seconds += watch.clock() - start
        return np.where(np.isnan(found), -np.inf, found)


def _scored(
    clip: ClipFeatures,
    pool: RolePool,
    search: Search,
    ranker: Ranker,
    eligible: NDArray[np.bool_],
) -> list[tuple[int, float]]:
    """(index in the pool, score) of every stem that the model places."""
    mask = None if eligible.all() else eligible
    fits = ranker.place(clip, pool, search, eligible=mask)
    if not fits:
        return []
    scores, _ = ranker.score_groups(clip, {pool.role: [(pool, fit) for fit in fits]})
    return [(fit.index, float(score)) for fit, score in zip(fits, scores, strict=True)]


def clip_of(passage: Passage) -> ClipFeatures:
    """The passage as a question."""
    return ClipFeatures(passage.rows, passage.active, passage.beats_per_bar, sound=passage.sound)


def pool_of(passages: Sequence[Passage]) -> RolePool:
    """Passages of one role and metre as a pool.

    Raises:
        ValueError: none, or of several roles or metres.
    """
    if len({(passage.role, passage.beats_per_bar) for passage in passages}) != 1:
        raise ValueError("a pool has passages of one role and metre")
    rows = np.concatenate([passage.rows for passage in passages])
    sounds = tuple(passage.sound for passage in passages if passage.sound is not None)
    lengths = [passage.rows.size for passage in passages]
    return RolePool(
        role=passages[0].role,
        beats_per_bar=passages[0].beats_per_bar,
        stem_ids=tuple(passage.id for passage in passages),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        chroma=np.ascontiguousarray(rows["chroma"]),
        onsets=np.ascontiguousarray(rows["onsets"]),
        bands=np.ascontiguousarray(rows["bands"]),
        logfreq=np.ascontiguousarray(rows["logfreq"]),
        active=np.concatenate([passage.active for passage in passages]),
        sounds=PassageSounds(sounds) if len(sounds) == len(passages) else None,
    )


@dataclass(frozen=True, eq=False)
class PassageSounds:
    """The sounds of a pool of passages, in its order."""

    sounds: tuple[Sound, ...]

    def placed(self, pool: RolePool, fit: Fit, *, beats: int) -> Sound:
        """See :class:`~engine.models.audio_source.AudioSource`."""
        first, loop = fit.start_bar * pool.beats_per_bar, fit.loop_bars * pool.beats_per_bar
        whole = self.sounds[fit.index]
        return whole.at(first + np.arange(beats) % loop).transposed(fit.semitones)
