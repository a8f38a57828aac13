"""Score against time: does a model know where a stem belongs, to the bar, beat and quarter beat?

The true stem is slid under its vocal window by up to sixteen beats either way, in quarter beats,
without transposition. The rank of the true place is counted among whole beats; the curve has every
quarter beat. Music that repeats after a bar or four has honest rivals at whole bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.gallery import Gallery, Stopwatch
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import Curve, Task, task_of
from engine.evaluation.windows import (
    LEAST_ACTIVITY,
    QUARTERS_PER_BEAT,
    starts_of,
    window_at,
)
from engine.models.ranker import Ranker
from engine.theory import Role

__all__ = ["alignment_tasks"]

WINDOW_BARS: Final = 8
REACH_BEATS: Final = 16
TARGETS: Final[tuple[Role, ...]] = ("harmonic", "drums")


def alignment_tasks(
    songs: Sequence[EvaluationSong], rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """One task with both roles; empty when no window of a vocal has room on both sides."""
    shifts = np.arange(-REACH_BEATS * QUARTERS_PER_BEAT, REACH_BEATS * QUARTERS_PER_BEAT + 1)
    asked = [window for song in songs for window in _windows(song)]
    if not asked:
        return []
    watches = {ranker.name: Stopwatch() for ranker in rankers}
    tables = {ranker.name: np.empty((len(asked), shifts.size)) for ranker in rankers}
    for number, (song, role, bar) in enumerate(asked):
        gallery, vocal = _slid(song, role, bar, shifts), _vocal(song, bar)
        for ranker in rankers:
            tables[ranker.name][number] = gallery.scores(
                vocal, ranker, seed=seed + number, watch=watches[ranker.name]
            )
    answers = {m: _ranks(asked, table[:, ::QUARTERS_PER_BEAT]) for m, table in tables.items()}
    curves = {model: _curves(asked, table, shifts) for model, table in tables.items()}
    return [
        task_of(
            "alignment",
            f"the true place of a stem under {WINDOW_BARS} vocal bars among "
            f"{2 * REACH_BEATS + 1} whole beats",
            items=2 * REACH_BEATS + 1,
            answers=answers,
            watches=watches,
            seed=seed,
            curves=curves,
        )
    ]


def _windows(song: EvaluationSong) -> list[tuple[EvaluationSong, Role, int]]:
    """Windows in which vocal and stem sound and that have music to slide in on both sides."""
    if "vocals" not in song.parts:
        return []
    room = -(-REACH_BEATS // song.beats_per_bar)
    vocals = song.stems["vocals"]
    return [
        (song, role, bar)
        for bar in starts_of(vocals, WINDOW_BARS)
        if room <= bar <= vocals.bars - WINDOW_BARS - room
        and _vocal(song, bar).activity >= LEAST_ACTIVITY
        for role in TARGETS
        if role in song.stems
        and window_at(song.stems[role], bar, WINDOW_BARS).activity >= LEAST_ACTIVITY
    ]


def _vocal(song: EvaluationSong, bar: int) -> Passage:
    return window_at(song.stems["vocals"], bar, WINDOW_BARS)


def _slid(song: EvaluationSong, role: Role, bar: int, shifts: NDArray[np.int64]) -> Gallery:
    stem = song.stems[role]
    return Gallery(
        tuple(window_at(stem, bar, WINDOW_BARS, late_quarters=int(shift)) for shift in shifts)
    )


def _curves(
    asked: Sequence[tuple[EvaluationSong, Role, int]],
    table: NDArray[np.float64],
    shifts: NDArray[np.int64],
) -> list[Curve]:
    """Mean scores of each role."""
    roles = np.array([role for _, role, _ in asked])
    return [
        Curve(role, shifts / QUARTERS_PER_BEAT, table[roles == role].mean(axis=0))
        for role in TARGETS
        if (roles == role).any()
    ]


def _ranks(asked: Sequence[tuple[EvaluationSong, Role, int]], table: NDArray[np.float64]) -> Ranks:
    return Ranks.of_scores(
        [song.id for song, _, _ in asked],
        [role for _, role, _ in asked],
        ((scores, table.shape[1] // 2) for scores in table),
    )
