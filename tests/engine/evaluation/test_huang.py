from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.evaluation.axes import auc_of
from engine.evaluation.corpus import EvaluationSong
from engine.evaluation.huang import huang_tasks
from engine.evaluation.report import ModelResult
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures
from engine.models.registry import load_ranker
from engine.theory import Key
from tests.engine.evaluation.material import Constant, Oracle, song


def sung(number: int) -> EvaluationSong:
    """A song whose vocal sings exactly the chords of its harmony, on its drums' rhythm."""
    plain = song(number)
    rows = np.array(plain.stems["harmonic"].rows)
    rows["onsets"] = plain.stems["drums"].rows["onsets"]
    vocals = replace(plain.stems["vocals"], rows=rows)
    return replace(plain, stems={**plain.stems, "vocals": vocals})


@pytest.fixture(scope="module")
def results() -> dict[str, ModelResult]:
    rankers = (Oracle(), Constant(), load_ranker("automashupper"), load_ranker("chroma"))
    (task,) = huang_tasks([sung(i) for i in range(4)], rankers, seed=0)
    return {result.model: result for result in task.results}


def axes(result: ModelResult) -> dict[str, float]:
    return {axis.axis: axis.paired for axis in result.axes}


def test_the_original_is_ranked_among_itself_and_twenty_matched(
    results: dict[str, ModelResult],
) -> None:
    assert results["oracle"].overall.r1 == 1.0
    assert results["constant"].overall.mean_nr == pytest.approx(22 / 42)
    assert results["automashupper"].overall.r1 > 0.9


def test_a_constant_ranker_hears_no_axis(results: dict[str, ModelResult]) -> None:
    assert set(axes(results["constant"]).values()) == {0.5}
    assert {axis.auc for axis in results["constant"].axes} == {0.5}


def test_the_rules_hear_wrong_keys_beats_and_chords(results: dict[str, ModelResult]) -> None:
    heard = axes(results["automashupper"])
    for axis in ("semitone", "one beat", "two beats", "tempo", "rotated bars"):
        assert heard[f"harmonic: {axis}"] > 0.95, axis
    for axis in ("quarter beat", "half beat", "one beat", "two beats", "tempo"):
        assert heard[f"drums: {axis}"] > 0.95, axis
    assert heard["triple: unmatched key"] > 0.95


def test_an_average_over_time_hears_keys_but_no_order(results: dict[str, ModelResult]) -> None:
    heard = axes(results["chroma"])
    assert heard["harmonic: semitone"] > 0.9
    assert heard["harmonic: rotated bars"] == pytest.approx(0.5, abs=0.1)
    assert heard["drums: one beat"] == 0.5


class Loudness(Constant):
    """Hears how much of a stem sounds, and nothing else."""

    name = "loudness"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        return float(pool.active[pool.rows(index)].mean())


def test_no_copy_is_told_by_the_silence_at_its_edge() -> None:
    """Songs that sound throughout, of which every whole window has been asked about."""
    songs = [song(i, bars=26) for i in range(4)]
    (task,) = huang_tasks(songs, [Loudness()], seed=0)
    assert task.results[0].overall.queries == 4 * 3
    assert set(axes(task.results[0]).values()) == {0.5}


class Sure(Oracle):
    """Says 1 of the right song and 0 of others, as if it were a model of probabilities."""

    name = "fit"

    def score(self, clip: ClipFeatures, pool: RolePool, index: int) -> float:
        return float(super().score(clip, pool, index) > 0.995)


def test_only_probabilities_have_an_accuracy_at_a_half(results: dict[str, ModelResult]) -> None:
    assert {result.accuracy for result in results.values()} == {None}
    (task,) = huang_tasks([sung(i) for i in range(4)], [Sure(), Oracle()], seed=0)
    accuracy = task.results[0].accuracy
    assert accuracy is not None
    assert (accuracy.share, accuracy.originals, accuracy.unmatched) == (1.0, 1.0, 1.0)
    assert task.results[1].accuracy is None
    assert task.chance["accuracy"] == 0.5


def test_songs_of_one_key_have_no_wrong_one() -> None:
    """The kinds that need one are left out; matched and wrong time stay."""
    songs = [replace(sung(i), key=Key(0, "major")) for i in range(3)]
    (task,) = huang_tasks(songs, [Sure()], seed=0)
    triples = [a.axis for a in task.results[0].axes if a.axis.startswith("triple")]
    assert triples == ["triple: matched", "triple: unmatched time"]
    accuracy = task.results[0].accuracy
    assert accuracy is not None
    assert accuracy.share == 1.0


def test_without_vocals_there_is_nothing_to_ask() -> None:
    songs = [song(i, parts=("drums", "other")) for i in range(3)]
    assert huang_tasks(songs, [Oracle()], seed=0) == []


def test_one_song_has_nothing_to_be_matched_with() -> None:
    assert huang_tasks([sung(0)], [Oracle()], seed=0) == []


@pytest.mark.parametrize(
    ("originals", "altered", "expected"),
    [([2, 3], [0, 1], 1.0), ([0], [1, 2], 0.0), ([1], [1, 1], 0.5), ([1, 3], [2, 2], 0.5)],
)
def test_auc_is_the_chance_to_score_higher(
    originals: list[float], altered: list[float], expected: float
) -> None:
    assert auc_of(np.array(originals, float), np.array(altered, float)) == expected
