from __future__ import annotations

import numpy as np

from engine.evaluation.alignment import alignment_tasks
from engine.models.registry import load_ranker
from tests.engine.evaluation.material import Constant, song
from tests.engine.evaluation.test_huang import sung


def test_the_rules_find_the_true_place_and_the_curve_peaks_there() -> None:
    rankers = (load_ranker("automashupper"), Constant())
    (task,) = alignment_tasks([sung(i) for i in range(3)], rankers, seed=0)
    rules, constant = task.results
    assert rules.overall.r1 == 1.0
    assert constant.overall.median_nr == 17 / 33
    assert {curve.role for curve in rules.curves} == {"harmonic", "drums"}
    for curve in rules.curves:
        assert curve.shifts[int(np.argmax(curve.score))] == 0.0
        assert (curve.shifts[0], curve.shifts[-1]) == (-16.0, 16.0)
        assert set(np.diff(curve.shifts)) == {0.25}


def test_windows_need_room_on_both_sides() -> None:
    """Of four windows of eight bars in 32, the first and the last have none."""
    (task,) = alignment_tasks([sung(0)], [Constant()], seed=0)
    assert task.results[0].overall.queries == 2 * 2


def test_without_vocals_there_is_nothing_to_slide() -> None:
    assert alignment_tasks([song(0, parts=("drums", "other"))], [Constant()], seed=0) == []
