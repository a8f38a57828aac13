"""P3, the sanity test of Huang et al. (AAAI 2021), and negatives that break one axis only.

For every vocal window: *original* is its own harmony and drums; *matched* are windows of other
songs; both may be transposed by up to three semitones to where the model likes the harmony best, so
neither has more tries. *Unmatched* are windows of other songs untransposed (key; the original is
then untransposed too), or with the drums moved by up to two beats (time), or both. A model gives
every triple one score. Published models all but solve this test, so :mod:`engine.evaluation.axes`
adds negatives that break one axis only.

All alterations are made on features (:mod:`engine.evaluation.windows`); tempo therefore plays no
part, and neither originals nor copies went through a stretcher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.axes import (
    ROOM_BARS,
    WINDOW_BARS,
    Original,
    axis_result,
    originals_of,
    single_axes,
)
from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.gallery import AS_IS, Stopwatch, clip_of, pool_of
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import AxisResult, Task, task_of
from engine.evaluation.windows import QUARTERS_PER_BEAT, window_at, windows_of
from engine.models.pool import RolePool
from engine.models.ranker import Fit, Ranker, Search
from engine.parallel.threads import one_blas_thread
from engine.theory import Role

__all__ = ["huang_tasks"]

#: Triples per original: the rank of the original is among itself and the matched.
MATCHED: Final = 20
UNMATCHED: Final = 8
#: Huang et al. look for harmony within three semitones of the vocal's key.
MATCHED_SEMITONES: Final = (0, -1, 1, -2, 2, -3, 3)
#: Their downbeats move by up to a second: two beats at 120 BPM [quarter beats].
MOST_LATE: Final = 2 * QUARTERS_PER_BEAT


@dataclass(frozen=True, eq=False)
class _Triple:
    harmony: Passage
    drums: Passage
    semitones: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Trial:
    """One original and what competes with it, by kind; a kind allows all the same semitones."""

    original: Original
    others: Mapping[str, tuple[_Triple, ...]]


def huang_tasks(
    songs: Sequence[EvaluationSong], rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """The rank of the original among the matched, and every axis; empty without such songs."""
    rng = np.random.default_rng(seed)
    originals = [o for song in songs for o in originals_of(song)]
    windows = _windows(songs)
    trials = [trial for o in originals if (trial := _trial(o, windows, rng)) is not None]
    if not trials:
        return []
    answers: dict[str, Ranks] = {}
    axes: dict[str, list[AxisResult]] = {}
    watches: dict[str, Stopwatch] = {}
    for ranker in rankers:
        watch = watches[ranker.name] = Stopwatch()
        answers[ranker.name], axes[ranker.name] = _triples(trials, ranker, watch, seed)
        axes[ranker.name] += single_axes(originals, ranker, watch, seed)
    return [
        task_of(
            "huang",
            f"the original harmony and drums of {WINDOW_BARS} vocal bars among {MATCHED} matched",
            items=len(trials) * (1 + MATCHED),
            answers=answers,
            watches=watches,
            seed=seed,
            axes=axes,
        )
    ]


def _own_triple(original: Original, semitones: tuple[int, ...]) -> _Triple:
    return _Triple(original.part("harmonic"), original.part("drums"), semitones)


def _trial(
    original: Original, windows: Sequence[tuple[EvaluationSong, Passage]], rng: np.random.Generator
) -> _Trial | None:
    """Random triples for one original; None when no other song can serve."""
    own = original.song
    others = [
        (song, window)
        for song, window in windows
        if song.id != own.id and song.beats_per_bar == own.beats_per_bar
    ]
    harmony = [window for _, window in others if window.role == "harmonic"]
    drums = [(song, window) for song, window in others if window.role == "drums"]
    if not harmony or not drums:
        return None

    def draw(semitones: tuple[int, ...], *, late: bool) -> _Triple:
        song, beat = drums[int(rng.integers(len(drums)))]
        if late:
            quarters = int(rng.integers(1, MOST_LATE + 1)) * int(rng.choice([-1, 1]))
            start = int(beat.id.rpartition("@")[2].partition(":")[0])
            beat = window_at(song.stems["drums"], start, WINDOW_BARS, late_quarters=quarters)
        return _Triple(harmony[int(rng.integers(len(harmony)))], beat, semitones)

    kinds = {
        "matched": (MATCHED_SEMITONES, False),
        "unmatched key": (AS_IS, False),
        "unmatched time": (MATCHED_SEMITONES, True),
        "unmatched key and time": (AS_IS, True),
    }
    drawn = {
        kind: tuple(
            draw(semitones, late=late) for _ in range(MATCHED if kind == "matched" else UNMATCHED)
        )
        for kind, (semitones, late) in kinds.items()
    }
    return _Trial(original, drawn)


def _windows(songs: Sequence[EvaluationSong]) -> list[tuple[EvaluationSong, Passage]]:
    """Every window of harmony and of drums that sounds."""
    roles: tuple[Role, ...] = ("harmonic", "drums")
    return [
        (song, window)
        for song in songs
        for role in roles
        if role in song.stems
        for window in windows_of(song.stems[role], WINDOW_BARS, room=ROOM_BARS)
    ]


def _triples(
    trials: Sequence[_Trial], ranker: Ranker, watch: Stopwatch, seed: int
) -> tuple[Ranks, list[AxisResult]]:
    matched: list[NDArray[np.float64]] = []
    own: dict[str, list[float]] = {}
    against: dict[str, list[NDArray[np.float64]]] = {}
    for number, trial in enumerate(trials):
        for kind, others in trial.others.items():
            triples = (_own_triple(trial.original, others[0].semitones), *others)
            scores = _score_triples(trial.original.vocal, triples, ranker, watch, seed + number)
            own.setdefault(kind, []).append(float(scores[0]))
            against.setdefault(kind, []).append(scores[1:])
            if kind == "matched":
                matched.append(scores)
    songs = tuple(trial.original.song.id for trial in trials)
    roles = ("harmonic+drums",) * len(trials)
    answers = Ranks.of_scores(songs, roles, ((scores, 0) for scores in matched))
    return answers, [
        axis_result(f"triple: {kind}", np.array(own[kind]), np.stack(table), songs, seed)
        for kind, table in against.items()
    ]


def _score_triples(
    vocal: Passage, triples: Sequence[_Triple], ranker: Ranker, watch: Stopwatch, seed: int
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
