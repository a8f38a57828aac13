from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.accuracy import accuracy_of

NONE = [np.nan, np.nan, np.nan]


def test_originals_weigh_as_much_as_all_unmatched_ones() -> None:
    """Exactly one half is not above it: wrong for an original, right for an unmatched one."""
    key = np.array([[0.9, 0.1, 0.5], [0.5, 0.6, 0.2]])
    found = accuracy_of([key], ("g0", "g1"), seed=0)
    assert found is not None
    assert found.originals == 1 / 2
    assert found.unmatched == 3 / 4
    assert found.share == 5 / 8
    assert found.ci95.low == pytest.approx(1 / 4)  # the second song alone
    assert found.ci95.high == pytest.approx(1.0)


def test_every_kind_has_the_same_weight_whatever_a_vocal_has_of_it() -> None:
    key = np.array([[0.9, 0.9, 0.9], NONE, NONE])
    time = np.array([[0.1, 0.1, 0.1], [0.9, 0.9, 0.1], NONE])
    found = accuracy_of([key, time], ("g0", "g1", "g2"), seed=0)
    assert found is not None
    assert found.originals == (1 / 2 + 1) / 2
    assert found.unmatched == (1 / 2 + 1 / 2) / 2
    assert found.share == (1 / 2 + 3 / 4) / 2


def test_what_a_model_does_not_place_is_not_above_a_half() -> None:
    found = accuracy_of([np.full((2, 3), -np.inf)], ("g0", "g1"), seed=0)
    assert found is not None
    assert (found.originals, found.unmatched, found.share) == (0.0, 1.0, 0.5)


def test_without_unmatched_triples_there_is_none() -> None:
    assert accuracy_of([np.array([NONE, NONE])], ("g0", "g1"), seed=0) is None
