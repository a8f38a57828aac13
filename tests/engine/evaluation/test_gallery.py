from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.evaluation.gallery import Gallery, Stopwatch, pool_of
from engine.models.registry import load_ranker
from tests.engine.evaluation.material import Absent, NotANumber, Oracle, passage


def mixed() -> Gallery:
    return Gallery(
        (
            passage("a", role="bass", level=0.1),
            passage("b", role="drums", level=0.2),
            passage("c", role="bass", level=0.3),
        )
    )


def test_scores_come_back_in_the_order_of_the_candidates() -> None:
    scores = mixed().scores(passage("q", level=0.3), Oracle())
    assert scores == pytest.approx([0.8, 0.9, 1.0], abs=1e-3)


def test_only_those_among_are_scored() -> None:
    among = np.array([True, False, True])
    watch = Stopwatch()
    scores = mixed().scores(passage("q", level=0.3), Oracle(), among=among, watch=watch)
    assert np.isfinite(scores).tolist() == [True, False, True]
    assert watch.scored == 2


def test_another_metre_cannot_be_laid_under() -> None:
    waltz = replace(passage("w", bars=12), beats_per_bar=3)
    scores = Gallery((waltz, passage("a"))).scores(passage("q"), Oracle())
    assert np.isfinite(scores).tolist() == [False, True]


@pytest.mark.parametrize("broken", [Absent(), NotANumber()])
def test_what_is_not_scored_ranks_last(broken: Absent | NotANumber) -> None:
    assert (mixed().scores(passage("q"), broken) == -np.inf).all()


@pytest.mark.parametrize("name", ["random", "chroma", "automashupper-tool", "automashupper"])
def test_every_ranker_scores_every_candidate_alike_each_time(name: str) -> None:
    ranker = load_ranker(name)
    query = passage("q", bars=8, seed=9)
    first = mixed().scores(query, ranker, seed=1)
    assert np.isfinite(first).all()
    assert np.array_equal(first, mixed().scores(query, ranker, seed=1))


def test_a_pool_has_one_role() -> None:
    with pytest.raises(ValueError, match="one role"):
        pool_of([passage("a", role="bass"), passage("b", role="drums")])


def test_the_stopwatch_counts_by_the_clock_it_is_given() -> None:
    ticks = iter([10.0, 12.0])
    watch = Stopwatch(clock=lambda: next(ticks))
    mixed().scores(passage("q"), Oracle(), watch=watch)
    assert watch.scored_per_s == pytest.approx(1.5)
