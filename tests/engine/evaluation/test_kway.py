from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.kway import kway_tasks
from engine.models.registry import load_ranker
from engine.theory import Role
from tests.engine.evaluation.material import Constant, Oracle, SameLevelMixtures, song

SONGS = [song(i, bars=8) for i in range(9)]


class Noting(SameLevelMixtures):
    """Remembers which parts were put together."""

    def __init__(self) -> None:
        self.asked: list[tuple[Role, ...]] = []

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        self.asked.append(tuple(parts))
        return super().of(song, parts)


def test_perfect_constant_and_random_rankers_get_what_they_must() -> None:
    rankers = (Oracle(), Constant(), load_ranker("random"))
    (task,) = kway_tasks(SONGS, SameLevelMixtures(), rankers, seed=0, batches=200)
    assert task.name == "kway-8"
    oracle, constant, random = (result.overall for result in task.results)
    assert (oracle.r1, oracle.queries, oracle.songs) == (1.0, 1600, 9)
    assert constant.mean_nr == pytest.approx(9 / 16)
    assert random.r1 == pytest.approx(1 / 8, abs=0.05)
    assert task.chance["r1"] == 1 / 8


def test_few_songs_make_one_small_batch() -> None:
    (task,) = kway_tasks(SONGS[:3], SameLevelMixtures(), [Oracle()], seed=0, batches=20)
    assert task.name == "kway-3"
    assert task.results[0].overall.queries == 60


def test_many_songs_make_the_larger_batches_too() -> None:
    songs = [song(i, bars=4, parts=("drums", "other")) for i in range(17)]
    tasks = kway_tasks(songs, SameLevelMixtures(), [Oracle()], seed=0, batches=20)
    assert [task.name for task in tasks] == ["kway-16", "kway-8"]


def test_one_song_cannot_be_mistaken() -> None:
    assert kway_tasks(SONGS[:1], SameLevelMixtures(), [Oracle()], seed=0) == []


def test_submixes_are_random_and_never_hold_everything() -> None:
    noting = Noting()
    kway_tasks(SONGS[:4], noting, [Oracle()], seed=0, batches=5)
    assert {len(parts) for parts in noting.asked} == {1, 2, 3}


def test_the_same_seed_draws_the_same_batches() -> None:
    ranker = load_ranker("chroma")
    tasks = [
        kway_tasks(SONGS, SameLevelMixtures(), [ranker], seed=seed, batches=30)
        for seed in (1, 1, 2)
    ]
    first, again, other = (task.results[0].overall for (task,) in tasks)
    assert first == again
    assert first != other
