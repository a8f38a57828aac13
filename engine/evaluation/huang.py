"""P3, the sanity test of Huang et al. (AAAI 2021), and negatives that break one axis only.

For every vocal window: *original* is its own harmony and drums; *matched* are windows of other
songs near its tempo and key; both may be transposed by up to three semitones to where the model
likes the harmony best, so neither has more tries. *Unmatched* are windows of songs in another key,
untransposed (the original is then untransposed too), or with the drums moved by up to two beats
(time), or both; :mod:`engine.evaluation.triples` draws them. A model gives every triple one score.
Its accuracy at 0.5 is that of the paper (:mod:`engine.evaluation.accuracy`). Published models all
but solve this test, so :mod:`engine.evaluation.axes` adds negatives that break one axis only.

All alterations are made on features (:mod:`engine.evaluation.windows`): everything lies on the
vocal's beats, except on the axis *tempo*, and neither originals nor copies went through a
stretcher. The published test moves either stem of an unmatched tempo and leaves both unstretched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.accuracy import PROBABILITIES, Accuracy, accuracy_of
from engine.evaluation.axes import WINDOW_BARS, axis_result, originals_of, single_axes
from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.gallery import AS_IS, Stopwatch, clip_of, pool_of
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import AxisResult, Task, task_of
from engine.evaluation.triples import KINDS, MATCHED, Trial, Triple, trials_of
from engine.models.pool import RolePool
from engine.models.ranker import Fit, Ranker, Search
from engine.parallel.threads import one_blas_thread

__all__ = ["huang_tasks"]

#: (trials, 1 + copies) scores by kind, the original's first; NaN where a trial has none of a kind.
_Tables = Mapping[str, NDArray[np.float64]]


def huang_tasks(
    songs: Sequence[EvaluationSong], rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """The rank of the original among the matched, and every axis; empty without such songs."""
    originals = [o for song in songs for o in originals_of(song)]
    trials = trials_of(songs, originals, seed=seed)
    if not trials:
        return []
    owners = [trial.original.song.id for trial in trials]
    answers: dict[str, Ranks] = {}
    axes: dict[str, list[AxisResult]] = {}
    accuracies: dict[str, Accuracy | None] = {}
    watches: dict[str, Stopwatch] = {}
    for ranker in rankers:
        name = ranker.name
        watch = watches[name] = Stopwatch()
        tables = _tables(trials, ranker, watch, seed)
        answers[name] = _ranks(tables, owners)
        axes[name] = _triple_axes(tables, owners, seed)
        axes[name] += single_axes(originals, ranker, watch, seed)
        accuracies[name] = _accuracy(tables, owners, seed) if name in PROBABILITIES else None
    return [
        task_of(
            "huang",
            f"the original harmony and drums of {WINDOW_BARS} vocal bars among {MATCHED} matched",
            items=len(trials) * (1 + MATCHED),
            answers=answers,
            watches=watches,
            seed=seed,
            axes=axes,
            accuracies=accuracies,
        )
    ]


def _tables(trials: Sequence[Trial], ranker: Ranker, watch: Stopwatch, seed: int) -> _Tables:
    tables = {k: np.full((len(trials), 1 + kind.count), np.nan) for k, kind in KINDS.items()}
    for number, trial in enumerate(trials):
        for kind in trial.others:
            tables[kind][number] = _score_triples(
                trial.original.vocal, trial.triples(kind), ranker, watch, seed + number
            )
    return tables


def _ranks(tables: _Tables, owners: Sequence[str]) -> Ranks:
    roles = ("harmonic+drums",) * len(owners)
    return Ranks.of_scores(owners, roles, ((scores, 0) for scores in tables["matched"]))


def _triple_axes(tables: _Tables, owners: Sequence[str], seed: int) -> list[AxisResult]:
    """Kinds that no trial has are left out."""
    found = []
    for kind, table in tables.items():
        asked = np.flatnonzero(~np.isnan(table[:, 0]))
        if asked.size:
            songs = [owners[i] for i in asked.tolist()]
            scores = table[asked]
            found.append(axis_result(f"triple: {kind}", scores[:, 0], scores[:, 1:], songs, seed))
    return found


def _accuracy(tables: _Tables, owners: Sequence[str], seed: int) -> Accuracy | None:
    unmatched = [table for kind, table in tables.items() if kind != "matched"]
    return accuracy_of(unmatched, owners, seed=seed)


def _score_triples(
    vocal: Passage, triples: Sequence[Triple], ranker: Ranker, watch: Stopwatch, seed: int
) -> NDArray[np.float64]:
    clip = clip_of(vocal)
    start = watch.clock()
    scores = np.empty(len(triples))

    def placed(passage: Passage, semitones: tuple[int, ...]) -> list[tuple[RolePool, Fit]]:
        pool = pool_of([passage])
        search = Search(semitones, keep=1, seed=seed, listen=None)
        return [(pool, fit) for fit in ranker.place(clip, pool, search)]

    with one_blas_thread():
        for number, triple in enumerate(triples):
            fits = {
                triple.harmony.role: placed(triple.harmony, triple.semitones),
                triple.drums.role: placed(triple.drums, AS_IS),
            }
            whole = all(fits.values())
            score = float(ranker.score_groups(clip, fits)[0].item()) if whole else -np.inf
            scores[number] = -np.inf if np.isnan(score) else score
    watch.seconds += watch.clock() - start
    watch.scored += len(triples)
    return scores
