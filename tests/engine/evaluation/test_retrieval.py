from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.report import Task
from engine.evaluation.retrieval import stem_tasks, vocal_tasks
from engine.models.audio_source import Recording, Sound
from engine.models.registry import load_ranker
from engine.theory import Role
from tests.engine.evaluation.material import Constant, Oracle, SameLevelMixtures, song

RANKERS = (Oracle(), Constant(), load_ranker("random"), load_ranker("automashupper"))
SONGS = [song(i) for i in range(6)]


@pytest.fixture(scope="module")
def stems() -> dict[str, Task]:
    tasks = stem_tasks(SONGS, SameLevelMixtures(), RANKERS, seed=0)
    return {task.name: task for task in tasks}


@pytest.fixture(scope="module")
def vocals() -> dict[str, Task]:
    return {task.name: task for task in vocal_tasks(SONGS, RANKERS, seed=0)}


def test_every_part_is_asked_for_and_competes(stems: dict[str, Task]) -> None:
    task = stems["stems"]
    assert task.items == 24
    assert [r.model for r in task.results] == ["oracle", "constant", "random", "automashupper"]
    for result in task.results:
        assert result.overall.queries == 24
        assert result.overall.songs == 6
        assert set(result.per_role) == {"vocals", "drums", "bass", "other"}
        assert result.scored_per_s > 0


def test_a_perfect_ranker_is_always_right_within_the_role(stems: dict[str, Task]) -> None:
    oracle = stems["stems-of-role"].results[0].overall
    assert (oracle.r1, oracle.mean_nr) == (1.0, pytest.approx(1 / 6))


def test_right_song_but_wrong_stem_is_wrong(stems: dict[str, Task]) -> None:
    """The oracle cannot tell the four stems of a song apart: their ranks are 2.5.

    By lot a quarter of them comes first.
    """
    oracle = stems["stems"].results[0].overall
    assert oracle.mean_nr == pytest.approx(2.5 / 24)
    assert oracle.r1 == 0.25
    assert oracle.r5 == 1.0


def test_a_constant_ranker_gets_the_middle_by_the_half_tie_rule(stems: dict[str, Task]) -> None:
    constant = stems["stems"].results[1].overall
    assert constant.mean_nr == pytest.approx(25 / 48)
    assert constant.mean_nr == pytest.approx(stems["stems"].chance["mean_nr"])


def test_chance_lies_within_the_interval_of_random(stems: dict[str, Task]) -> None:
    found = stems["stems"].results[2].overall
    interval = found.ci95["mean_nr"]
    assert interval.low < stems["stems"].chance["mean_nr"] < interval.high


def test_every_model_is_compared_with_every_other(stems: dict[str, Task]) -> None:
    results = {result.model: result for result in stems["stems-of-role"].results}
    for model, result in results.items():
        assert set(result.against) == set(results) - {model}
        for other, difference in result.against.items():
            gap = result.overall.mean_nr - results[other].overall.mean_nr
            assert difference.mean_nr == pytest.approx(gap)
            reverse = results[other].against[model].mean_nr_ci95
            ends = (-difference.mean_nr_ci95.high, -difference.mean_nr_ci95.low)
            assert (reverse.low, reverse.high) == pytest.approx(ends)


class Reader(Oracle):
    """A model of whole songs; knows stem and song by the names of their recordings."""

    name = "reader"
    column_s = 1.0

    def song_scores(
        self, queries: Sequence[tuple[Sound, Role]], items: Sequence[Sound]
    ) -> NDArray[np.float64]:
        asked = [f"{sound.recording.key} {role}" for sound, role in queries]
        found = [sound.recording.key for sound in items]
        return np.array([[float(item == wanted) for item in found] for wanted in asked])

    def song_columns(self, sound: Sound, role: Role | None = None) -> NDArray[np.float32]:
        raise AssertionError("not asked for here")


class HeardMixtures(SameLevelMixtures):
    """Sums with audio that is named by the song."""

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        return heard(super().of(song, parts), song.id)


def test_a_model_of_whole_songs_answers_once_as_published() -> None:
    """Beside models that answer window by window, on the same items and in the order given."""
    songs = [heard_song(i) for i in range(3)]
    rankers = [Constant(), Reader(), Oracle()]
    tasks = {t.name: t for t in stem_tasks(songs, HeardMixtures(), rankers, seed=0)}
    assert list(tasks) == ["stems", "stems-of-role"]
    constant, reader, oracle = tasks["stems"].results
    assert [r.model for r in tasks["stems"].results] == ["constant", "reader", "oracle"]
    assert reader.overall.r1 == 1.0
    assert constant.overall.r1 == pytest.approx(1 / 12)  # the lot of twelve items
    assert oracle.overall.r1 == 0.25  # one of its song's four parts, by lot
    assert reader.overall.queries == oracle.overall.queries == 12
    alone = stem_tasks(songs, HeardMixtures(), [Reader()], seed=0)
    assert alone[0].results[0].overall.r1 == 1.0


def waltz(number: int) -> EvaluationSong:
    """A song in three."""
    plain = song(number)
    stems = {
        role: replace(stem, beats_per_bar=3, rows=stem.rows[:126], active=stem.active[:126])
        for role, stem in plain.stems.items()
    }
    return replace(plain, beats_per_bar=3, stems=stems)


def test_songs_of_another_metre_do_not_compete() -> None:
    """They would be told apart by their metre alone, and make every model look good."""
    songs = [song(0), song(1), song(2), waltz(3), waltz(4), replace(waltz(5), beats_per_bar=3)]
    for task in stem_tasks(songs, SameLevelMixtures(), [Constant()], seed=0):
        found = task.results[0].overall
        assert found.mean_nr == pytest.approx(task.chance["mean_nr"])
        assert task.chance["r1"] == pytest.approx(1 / (12 if task.name == "stems" else 3))
    for task in vocal_tasks(songs, [Constant()], seed=0):
        assert task.results[0].overall.mean_nr == pytest.approx(task.chance["mean_nr"])


def test_what_has_no_rival_is_not_asked() -> None:
    (alone,) = stem_tasks([song(0)], SameLevelMixtures(), [Constant()], seed=0)
    assert (alone.name, alone.results[0].overall.queries) == ("stems", 4)
    one_waltz = [song(0), song(1), waltz(2)]
    tasks = {t.name: t for t in stem_tasks(one_waltz, SameLevelMixtures(), [Constant()], seed=0)}
    assert tasks["stems"].results[0].overall.queries == 12
    assert tasks["stems-of-role"].results[0].overall.queries == 8
    for task in vocal_tasks(one_waltz, [Constant()], seed=0):
        assert task.results[0].overall.songs == 2


def test_more_items_than_published_are_drawn_song_by_song(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 of 24 items a draw: three whole songs, so the rivals of the same song stay."""
    monkeypatch.setattr("engine.evaluation.retrieval.PUBLISHED_ITEMS", 12)
    tasks = {t.name: t for t in stem_tasks(SONGS, SameLevelMixtures(), RANKERS, seed=0)}
    drawn = tasks["stems-12"]
    assert drawn.items == 12
    assert drawn.chance["r1"] == pytest.approx(1 / 12)
    oracle, constant = drawn.results[0].overall, drawn.results[1].overall
    assert (oracle.queries, oracle.songs) == (1200, 6)
    assert oracle.mean_nr == pytest.approx(2.5 / 12)  # all four stems of the song are the same
    assert constant.mean_nr == pytest.approx(13 / 24)


def test_draws_have_as_many_candidates_as_published_whatever_other_metres_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.evaluation.retrieval.PUBLISHED_ITEMS", 6)
    songs = [song(0), song(1), waltz(2), waltz(3)]
    tasks = stem_tasks(songs, SameLevelMixtures(), [Constant()], seed=0)
    drawn = {task.name: task for task in tasks}["stems-6"]
    assert drawn.chance["r1"] == pytest.approx(1 / 6)
    assert drawn.results[0].overall.songs == 2
    monkeypatch.setattr("engine.evaluation.retrieval.PUBLISHED_ITEMS", 8)
    tasks = stem_tasks(songs, SameLevelMixtures(), [Constant()], seed=0)
    assert [task.name for task in tasks] == ["stems", "stems-of-role"]


def heard(passage: Passage, key: str) -> Passage:
    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        raise AssertionError("never read")

    edges = np.arange(passage.rows.size + 1) * 0.5
    sound = Sound(Recording(key, read), np.stack([edges[:-1], edges[1:]], axis=1))
    return replace(passage, sound=sound)


def heard_song(number: int) -> EvaluationSong:
    made = song(number)
    stems = {role: heard(stem, f"{made.id} {role}") for role, stem in made.stems.items()}
    return replace(made, stems=stems)


def test_vocals_are_asked_for_harmony_and_drums(vocals: dict[str, Task]) -> None:
    assert list(vocals) == [
        "vocals-harmonic-8-key-known",
        "vocals-harmonic-8-key-free",
        "vocals-harmonic-16-key-known",
        "vocals-harmonic-16-key-free",
        "vocals-drums-8",
        "vocals-drums-16",
    ]
    for task in vocals.values():
        assert task.results[0].overall.r1 == 1.0


def test_other_windows_of_the_song_are_neither_right_nor_wrong(vocals: dict[str, Task]) -> None:
    """Six songs of four windows: the true one and the twenty of the other songs compete."""
    task = vocals["vocals-drums-8"]
    assert task.items == 24
    assert task.chance["mean_nr"] == pytest.approx(22 / 42)


def test_still_and_moving_harmony_share_the_queries(vocals: dict[str, Task]) -> None:
    strata = vocals["vocals-harmonic-8-key-known"].results[0].strata
    assert [strata[name].queries for name in ("still harmony", "moving harmony")] == [12, 12]


def test_random_is_chance_over_many_seeds() -> None:
    ranker = load_ranker("random")
    found = [
        vocal_tasks(SONGS, [ranker], seed=1000 * seed)[4].results[0].overall.mean_nr
        for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(22 / 42, abs=0.06)


def test_a_song_without_vocals_asks_nothing_but_competes() -> None:
    songs = [song(0), song(1, parts=("drums", "other"))]
    task = vocal_tasks(songs, [Oracle()], seed=0)[0]
    assert task.items == 8
    assert task.results[0].overall.songs == 1
