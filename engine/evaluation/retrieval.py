"""P1, retrieval: find the missing stem of a song, and the accompaniment of a vocal.

*Stems* (Riou et al. 2024, "Stem-JEPA", section 4): every part of every song is an item, the query
is the sum of the song's other parts. A query is put in up to eight windows spread over its song;
every item is read at the same bars (from its beginning again when it is shorter), and scores the
mean over the windows in which it sounds. Items of another metre do not compete: they would be told
apart by their metre alone. A model of whole songs (Stem-JEPA) reads query and items
as it was published instead, from the first bar to the last. The other parts of the query's song are
candidates too, and are wrong. R@k depends on the number of items: where the songs of the most usual
metre have more than the published test, draws of as many of their items are reported beside it,
song by song; the last song of a draw may lend only some of its items.

*Windows*: the product's own question. The query is a vocal window, the candidates are windows of
harmonic stems or of drums at their own bars; the right one comes from the same bars of the same
song. Other windows of that song are left out: a repeated chorus is neither right nor wrong. Songs
meet on the beat grid, so tempo does not filter. The key is known (nothing is transposed) or not
(all twelve transpositions). Queries are split at the median by how little the true harmony moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Mixtures, Passage, of_one_metre
from engine.evaluation.gallery import ALL_TRANSPOSITIONS, AS_IS, Gallery, Stopwatch
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import Task, task_of
from engine.evaluation.windows import (
    LEAST_ACTIVITY,
    harmonic_stillness,
    looped_at,
    starts_of,
    window_at,
    windows_of,
)
from engine.models.ranker import Ranker
from engine.models.song_reader import SongReader, sound_of
from engine.theory import Role

__all__ = ["stem_tasks", "vocal_tasks"]

#: Windows of a query in the stem task, and their length in bars: a phrase.
QUERY_WINDOWS: Final = 8
QUERY_BARS: Final = 8
#: Items of the published test, 150 songs of four stems, and how often so many are drawn.
PUBLISHED_ITEMS: Final = 600
DRAWS: Final = 100
#: Lengths of the vocal's windows [bars].
VOCAL_BARS: Final = (8, 16)


@dataclass(frozen=True, eq=False)
class _Query:
    """What is asked, and what may answer.

    Args:
        song_id: the song asked about.
        role: of the right answer.
        rounds: yields each window of the query with the items as they are heard under it.
        right: the right item.
        among: (items,) bool, those that compete.
    """

    song_id: str
    role: Role
    rounds: Callable[[], Iterator[tuple[Passage, Gallery]]]
    right: int
    among: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Answers:
    """(queries, items) scores and the time they took, by model."""

    scores: Mapping[str, NDArray[np.float64]]
    watches: Mapping[str, Stopwatch]

    def ranks(self, queries: Sequence[_Query]) -> dict[str, Ranks]:
        """Ranks of the right items, by model."""
        return {model: _ranks(queries, table) for model, table in self.scores.items()}


def stem_tasks(
    songs: Sequence[EvaluationSong], mixtures: Mixtures, rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """Every stem by the rest of its song: among all stems, and among those of its role."""
    items = [song.stems[role] for song in songs for role in song.parts]
    asked = [(song, role) for song in songs for role in song.parts]
    rests = [mixtures.of(song, [p for p in song.parts if p != role]) for song, role in asked]
    metres = np.array([item.beats_per_bar for item in items])
    queries = [
        _Query(song.id, role, _aligned(rest, items), right, metres == rest.beats_per_bar)
        for right, ((song, role), rest) in enumerate(zip(asked, rests, strict=True))
    ]
    answers = _ask_all(queries, rests, items, rankers, seed)
    roles = np.array([item.role for item in items])
    filtered = [replace(query, among=query.among & (roles == query.role)) for query in queries]
    about = "the missing stem of a song among"
    tables = [
        (name, f"{about} {words}", len(items), answers.ranks(asking))
        for name, words, asking in (
            ("stems", "all stems", queries),
            ("stems-of-role", "stems of its role", filtered),
        )
        if any(map(_is_open, asking))
    ]
    drawn = _draws(songs, [song.id for song, _ in asked], PUBLISHED_ITEMS, seed)
    if drawn:
        ranks = {m: _drawn_ranks(queries, table, drawn) for m, table in answers.scores.items()}
        words = f"{about} {PUBLISHED_ITEMS}, {DRAWS} draws song by song"
        tables.append((f"stems-{PUBLISHED_ITEMS}", words, PUBLISHED_ITEMS, ranks))
    return [
        task_of(name, text, items=count, answers=ranks, watches=answers.watches, seed=seed)
        for name, text, count, ranks in tables
    ]


def vocal_tasks(
    songs: Sequence[EvaluationSong], rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """Accompaniments of vocal windows; a length or role that has no two songs is left out."""
    tasks: list[Task] = []
    targets: tuple[tuple[Role, bool], ...] = (("harmonic", True), ("drums", False))
    for role, pitched in targets:
        for bars in VOCAL_BARS:
            stems = [song.stems[role] for song in songs if role in song.stems]
            gallery = Gallery(tuple(w for stem in stems for w in windows_of(stem, bars)))
            queries = _vocal_queries(songs, gallery, role, bars)
            if not queries or len({p.song_id for p in gallery.passages}) < 2:
                continue
            keys = {"key known": AS_IS, "key free": ALL_TRANSPOSITIONS} if pitched else {"": AS_IS}
            for key, semitones in keys.items():
                answers = _ask(queries, rankers, semitones, seed)
                tasks.append(
                    task_of(
                        "-".join(f"vocals {role} {bars} {key}".split()),
                        f"{role} of the same {bars} bars for a vocal" + (f", {key}" if key else ""),
                        items=len(gallery),
                        answers=answers.ranks(queries),
                        watches=answers.watches,
                        seed=seed,
                        strata=_strata(gallery, queries) if pitched else None,
                    )
                )
    return tasks


def _aligned(
    rest: Passage, items: Sequence[Passage]
) -> Callable[[], Iterator[tuple[Passage, Gallery]]]:
    """Windows spread over ``rest``, each with all items at the same bars."""
    bars = min(QUERY_BARS, rest.bars)
    starts = [
        bar
        for bar in starts_of(rest, bars)
        if window_at(rest, bar, bars).activity >= LEAST_ACTIVITY
    ] or [0]
    steps = np.linspace(0, len(starts) - 1, min(QUERY_WINDOWS, len(starts)))
    chosen = [starts[round(step)] for step in steps.tolist()]

    def rounds() -> Iterator[tuple[Passage, Gallery]]:
        for bar in chosen:
            heard = tuple(looped_at(item, bar, bars) for item in items)
            yield window_at(rest, bar, bars), Gallery(heard)

    return rounds


def _ask_all(
    queries: Sequence[_Query],
    rests: Sequence[Passage],
    items: Sequence[Passage],
    rankers: Sequence[Ranker],
    seed: int,
) -> _Answers:
    """Models of whole songs answer once, the others window by window; order as in ``rankers``."""
    answers = _ask(queries, [r for r in rankers if not isinstance(r, SongReader)], AS_IS, seed)
    scores, watches = dict(answers.scores), dict(answers.watches)
    for ranker in rankers:
        if isinstance(ranker, SongReader):
            asked = [(sound_of(rest), q.role) for rest, q in zip(rests, queries, strict=True)]
            watch = watches[ranker.name] = Stopwatch()
            start = watch.clock()
            scores[ranker.name] = ranker.song_scores(asked, [sound_of(item) for item in items])
            watch.seconds, watch.scored = watch.clock() - start, len(queries) * len(items)
    return _Answers({ranker.name: scores[ranker.name] for ranker in rankers}, watches)


def _draws(
    songs: Sequence[EvaluationSong], owners: Sequence[str], size: int, seed: int
) -> list[NDArray[np.int64]]:
    """``size`` items each, of songs in random order until there are so many; all of one metre.

    No draw where the songs have no more than that. ``owners`` are the songs of the items.
    """
    owner = np.array(owners)
    groups = [np.flatnonzero(owner == song.id) for song in of_one_metre(songs)]
    if sum(group.size for group in groups) <= size:
        return []
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([groups[i] for i in rng.permutation(len(groups))])[:size]
        for _ in range(DRAWS)
    ]


def _drawn_ranks(
    queries: Sequence[_Query], table: NDArray[np.float64], drawn: Sequence[NDArray[np.int64]]
) -> Ranks:
    """All queries whose answer is drawn, among what is drawn, draw after draw."""
    asked: list[_Query] = []
    rows: list[NDArray[np.float64]] = []
    for items in drawn:
        is_drawn = np.isin(np.arange(len(queries)), items)
        for i in items.tolist():
            asked.append(replace(queries[i], among=queries[i].among & is_drawn))
            rows.append(table[i])
    return _ranks(asked, rows)


def _vocal_queries(
    songs: Sequence[EvaluationSong], gallery: Gallery, role: Role, bars: int
) -> list[_Query]:
    place = {passage.id: index for index, passage in enumerate(gallery.passages)}
    owner = np.array([passage.song_id for passage in gallery.passages])
    metres = np.array([passage.beats_per_bar for passage in gallery.passages])
    queries = []
    for song in songs:
        if "vocals" not in song.parts or role not in song.stems:
            continue
        for bar in starts_of(song.stems["vocals"], bars):
            vocal = window_at(song.stems["vocals"], bar, bars)
            right = place.get(window_at(song.stems[role], bar, bars).id)
            if right is None or vocal.activity < LEAST_ACTIVITY:
                continue
            among = (owner != song.id) & (metres == song.beats_per_bar)
            if not among.any():
                continue
            among[right] = True
            queries.append(_Query(song.id, role, _one_round(vocal, gallery), right, among))
    return queries


def _one_round(query: Passage, gallery: Gallery) -> Callable[[], Iterator[tuple[Passage, Gallery]]]:
    return lambda: iter([(query, gallery)])


def _ask(
    queries: Sequence[_Query],
    rankers: Sequence[Ranker],
    semitones: Sequence[int],
    seed: int,
) -> _Answers:
    watches = {ranker.name: Stopwatch() for ranker in rankers}
    scores = {ranker.name: np.empty((len(queries), queries[0].among.size)) for ranker in rankers}
    for number, query in enumerate(queries if rankers else ()):
        tables: dict[str, list[NDArray[np.float64]]] = {name: [] for name in scores}
        sounding = []
        for part, (window, gallery) in enumerate(query.rounds()):
            sounding.append([p.activity >= LEAST_ACTIVITY for p in gallery.passages])
            for ranker in rankers:
                tables[ranker.name].append(
                    gallery.scores(
                        window,
                        ranker,
                        semitones=semitones,
                        seed=seed + QUERY_WINDOWS * number + part,
                        among=query.among,
                        watch=watches[ranker.name],
                    )
                )
        for name, table in tables.items():
            scores[name][number] = _mean_where(np.stack(table), np.array(sounding))
    return _Answers(scores, watches)


def _mean_where(scores: NDArray[np.float64], sounding: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(items,) means of (rounds, items) over the rounds that count; all where none does."""
    counted = sounding | ~sounding.any(axis=0)
    total: NDArray[np.float64] = np.where(counted, scores, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = total / counted.sum(axis=0)
    return mean


def _ranks(queries: Sequence[_Query], table: Iterable[NDArray[np.float64]]) -> Ranks:
    """Of the queries that more than one item competes for."""
    rows = [(q, scores) for q, scores in zip(queries, table, strict=True) if _is_open(q)]
    return Ranks.of_scores(
        [query.song_id for query, _ in rows],
        [query.role for query, _ in rows],
        ((scores[q.among], int(q.among[: q.right].sum())) for q, scores in rows),
    )


def _is_open(query: _Query) -> bool:
    return int(query.among.sum()) > 1


def _strata(gallery: Gallery, queries: Sequence[_Query]) -> Mapping[str, NDArray[np.bool_]]:
    """Queries whose true harmony moves less, and more, than that of half of them."""
    still = np.array([harmonic_stillness(gallery.passages[query.right]) for query in queries])
    above = still > np.median(still)
    return {"still harmony": above, "moving harmony": ~above}
