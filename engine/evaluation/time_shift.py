"""Cosine against time: does a model expect a stem at the moment at which it is played?

Source: Riou et al. 2024, "Stem-JEPA", section 5 (temporal alignment). Every part of a song is asked
for by the sum of the others; what is expected in one column (160 ms) is compared with the stem one,
two … columns later or earlier, up to 16 s either way, and the cosines are averaged over the song.
The rank of the true moment is counted among all shifts. The level that unrelated music reaches is
the mean cosine with the same role of the next song, at any two moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Mixtures
from engine.evaluation.gallery import Stopwatch
from engine.evaluation.ranks import Ranks
from engine.evaluation.report import Curve, Task, task_of
from engine.models.ranker import Ranker
from engine.models.song_reader import SongReader, sound_of
from engine.theory import Role

__all__ = ["time_shift_tasks"]

#: Two chunks of Stem-JEPA either way, so that what repeats with the chunks is seen.
REACH_S: Final = 16.0


def time_shift_tasks(
    songs: Sequence[EvaluationSong], mixtures: Mixtures, rankers: Sequence[Ranker], *, seed: int
) -> list[Task]:
    """One task for the models of whole songs; empty when there is none, or no song is long enough.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    asked = [(song, role) for song in songs for role in song.parts]
    answers: dict[str, Ranks] = {}
    curves: dict[str, list[Curve]] = {}
    watches: dict[str, Stopwatch] = {}
    shifts: NDArray[np.float64] = np.zeros(0)
    for ranker in rankers:
        if not isinstance(ranker, SongReader):
            continue
        watch = watches[ranker.name] = Stopwatch()
        reach = round(REACH_S / ranker.column_s)
        shifts = ranker.column_s * np.arange(-reach, reach + 1, dtype=np.float64)
        start = watch.clock()
        table = _Table(asked, mixtures, ranker, reach)
        watch.seconds, watch.scored = watch.clock() - start, len(table.asked) * shifts.size
        if not table.asked:
            return []
        answers[ranker.name] = table.ranks()
        curves[ranker.name] = table.curves(shifts)
    if not answers:
        return []
    return [
        task_of(
            "time-shift",
            f"the true moment of a stem among {shifts.size} shifts of up to {REACH_S:g} s",
            items=int(shifts.size),
            answers=answers,
            watches=watches,
            seed=seed,
            curves=curves,
        )
    ]


class _Table:
    """The curves of one model, (queries, shifts), and the level of unrelated music."""

    def __init__(
        self,
        asked: Sequence[tuple[EvaluationSong, Role]],
        mixtures: Mixtures,
        reader: SongReader,
        reach: int,
    ) -> None:
        self.asked: list[tuple[EvaluationSong, Role]] = []
        self.expected: list[NDArray[np.float32]] = []
        self.played: list[NDArray[np.float32]] = []
        rows = []
        for song, role in asked:
            rest = mixtures.of(song, [part for part in song.parts if part != role])
            expected = reader.song_columns(sound_of(rest), role)
            played = reader.song_columns(sound_of(song.stems[role]))
            if min(len(expected), len(played)) <= 2 * reach:
                continue
            self.asked.append((song, role))
            self.expected.append(expected.mean(axis=0))
            self.played.append(played.mean(axis=0))
            rows.append(shifted_cosines(expected, played, reach))
        self.rows = np.array(rows)

    def ranks(self) -> Ranks:
        """Ranks of no shift among all."""
        return Ranks.of_scores(
            [song.id for song, _ in self.asked],
            [role for _, role in self.asked],
            ((row, row.size // 2) for row in self.rows),
        )

    def curves(self, shifts_s: NDArray[np.float64]) -> list[Curve]:
        """Mean curve of each role, with its level of unrelated music."""
        roles = [role for _, role in self.asked]
        return [
            Curve(
                role,
                shifts_s,
                self.rows[[other == role for other in roles]].mean(axis=0),
                unit="s",
                baseline=self._baseline(role),
            )
            for role in dict.fromkeys(roles)
        ]

    def _baseline(self, role: Role) -> float | None:
        """Mean cosine of all moments with all of the next song's; None for a single song."""
        members = [i for i, (_, other) in enumerate(self.asked) if other == role]
        if len(members) < 2:
            return None
        pairs = zip(members, members[1:] + members[:1], strict=True)
        return float(np.mean([self.expected[i] @ self.played[j] for i, j in pairs]))


def shifted_cosines(
    expected: NDArray[np.float32], played: NDArray[np.float32], reach: int
) -> NDArray[np.float64]:
    """(2 * reach + 1,) mean cosines with the stem read ``-reach`` to ``reach`` columns later.

    Args:
        expected: (columns, values) of length 1.
        played: (columns, values) of length 1.
        reach: columns.
    """
    table = expected @ played.T
    found = [np.diagonal(table, shift).mean() for shift in range(-reach, reach + 1)]
    return np.array(found, dtype=np.float64)
