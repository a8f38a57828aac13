"""P2, K-way: which of K short accompaniments, one per song, goes with this one?

Ciranni et al. 2025, "COCOLA", and the test of its successors: windows of about five seconds from K
different songs, each split into two disjoint random submixes; the answer is the best of K. Here a
window is two bars (four to five seconds at usual tempi) on the beat grid, so songs of any tempo
meet. The candidate is a stem or the harmonic sum, as the library holds them, since every model is
asked for a role and a submix across roles has none; the query is a random submix of the song's
other parts. Pairs are drawn once and scored each against each; batches of K songs are
then drawn from that table, so a thousand batches cost no more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Mixtures, Passage, of_one_metre
from engine.evaluation.gallery import Gallery, Stopwatch
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import Task, task_of
from engine.evaluation.windows import LEAST_ACTIVITY, window_at
from engine.models.ranker import Ranker
from engine.theory import Role

__all__ = ["kway_tasks"]

WINDOW_BARS: Final = 2
#: Sizes of the batches, as far as there are songs.
BATCH_SIZES: Final = (64, 16, 8)
BATCHES: Final = 1000
#: Pairs of a song; fewer of each when there are many songs, since all are scored with all.
PAIRS_PER_SONG: Final = 24
MOST_PAIRS: Final = 1024
#: Random windows tried until one sounds in both halves.
_TRIES: Final = 50


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two disjoint halves of one window of one song."""

    query: Passage
    answer: Passage


def kway_tasks(
    songs: Sequence[EvaluationSong],
    mixtures: Mixtures,
    rankers: Sequence[Ranker],
    *,
    seed: int,
    batches: int = BATCHES,
) -> list[Task]:
    """One task per batch size that the data allow, the largest first.

    With fewer than eight songs of one metre there is one task, of as many songs as there are.
    """
    rng = np.random.default_rng(seed)
    chosen = of_one_metre(songs)
    wanted = min(PAIRS_PER_SONG, max(MOST_PAIRS // len(chosen), 1))
    pairs = [pair for song in chosen for pair in _draw_pairs(song, mixtures, wanted, rng)]
    owner = np.array([pair.query.song_id for pair in pairs])
    available = len(set(owner.tolist()))
    if available < 2:
        return []
    gallery = Gallery(tuple(pair.answer for pair in pairs))
    sizes = [size for size in BATCH_SIZES if size <= available] or [available]
    drawn = {size: _draw_batches(owner, size, batches, rng) for size in sizes}
    tables, watches = _tables(gallery, pairs, rankers, seed)
    tasks = []
    for size in sizes:
        answers = {m: _ranks(pairs, drawn[size], table) for m, table in tables.items()}
        tasks.append(
            task_of(
                f"kway-{size}",
                f"the right one of {size} windows of {WINDOW_BARS} bars, {batches} batches",
                items=len(pairs),
                answers=answers,
                watches=watches,
                seed=seed,
            )
        )
    return tasks


def _draw_pairs(
    song: EvaluationSong, mixtures: Mixtures, wanted: int, rng: np.random.Generator
) -> list[_Pair]:
    """Up to ``wanted`` random windows in which a random answer and a submix of the rest sound."""
    pairs: list[_Pair] = []
    for _ in range(_TRIES * wanted):
        if len(pairs) == wanted:
            break
        answer, rest = _choose_answer(song, rng)
        chosen = sorted(rng.permutation(len(rest))[: int(rng.integers(1, len(rest) + 1))].tolist())
        mixture = mixtures.of(song, [rest[i] for i in chosen])
        starts = mixture.bars - WINDOW_BARS + 1
        if starts < 1:
            break
        bar = int(rng.integers(starts))
        query = window_at(mixture, bar, WINDOW_BARS)
        window = window_at(song.stems[answer], bar, WINDOW_BARS)
        if min(query.activity, window.activity) >= LEAST_ACTIVITY:
            pairs.append(_Pair(query, window))
    return pairs


def _choose_answer(song: EvaluationSong, rng: np.random.Generator) -> tuple[Role, tuple[Role, ...]]:
    """A stem, or bass and other together, and the parts that are not in it."""
    choices: list[tuple[Role, tuple[Role, ...]]] = [
        (role, tuple(part for part in song.parts if part != role)) for role in song.parts
    ]
    pitched = {"bass", "other"}
    rest = tuple(part for part in song.parts if part not in pitched)
    if pitched <= set(song.parts) and rest and "harmonic" in song.stems:
        choices.append(("harmonic", rest))
    return choices[int(rng.integers(len(choices)))]


def _draw_batches(
    owner: NDArray[np.str_], size: int, batches: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(batches, size) pairs, one of each of ``size`` random songs."""
    groups = [np.flatnonzero(owner == song) for song in np.unique(owner)]
    chosen = np.empty((batches, size), dtype=np.int64)
    for batch in range(batches):
        for place, song in enumerate(rng.permutation(len(groups))[:size]):
            chosen[batch, place] = rng.choice(groups[song])
    return chosen


def _tables(
    gallery: Gallery, pairs: Sequence[_Pair], rankers: Sequence[Ranker], seed: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Stopwatch]]:
    """(queries, answers) scores of every pair's query against every pair's answer, by model."""
    tables: dict[str, NDArray[np.float64]] = {}
    watches: dict[str, Stopwatch] = {}
    for ranker in rankers:
        watch = watches[ranker.name] = Stopwatch()
        tables[ranker.name] = np.stack(
            [
                gallery.scores(pair.query, ranker, seed=seed + number, watch=watch)
                for number, pair in enumerate(pairs)
            ]
        )
    return tables, watches


def _ranks(pairs: Sequence[_Pair], batches: NDArray[np.int64], table: NDArray[np.float64]) -> Ranks:
    """The rank of every pair's own answer in every batch."""
    asked = [pairs[i] for i in batches.ravel().tolist()]
    return Ranks.of_scores(
        [pair.query.song_id for pair in asked],
        [pair.answer.role for pair in asked],
        ((table[pair, batch], place) for batch in batches for place, pair in enumerate(batch)),
    )
