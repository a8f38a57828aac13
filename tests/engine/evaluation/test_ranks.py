from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.evaluation.ranks import Ranks, chance, compare, summarise


def ranks(*values: float, candidates: int = 10, songs: tuple[str, ...] | None = None) -> Ranks:
    names = songs or tuple(f"g{i}" for i in range(len(values)))
    counts = np.full(len(values), candidates, dtype=np.int64)
    return Ranks(names, ("bass",) * len(values), np.array(values), counts, np.zeros_like(counts))


def ranked(scores: list[float], right: int) -> Ranks:
    return Ranks.of_scores(("g0",), ("bass",), [(np.array(scores), right)])


@pytest.mark.parametrize(
    ("scores", "right", "expected"),
    [
        ([0.9, 0.5, 0.1], 0, 1.0),
        ([0.9, 0.5, 0.1], 2, 3.0),
        ([0.5, 0.5, 0.1], 0, 1.5),
        ([0.5, 0.5, 0.5, 0.5], 3, 2.5),
        ([-np.inf, 0.2, -np.inf], 0, 2.5),
    ],
)
def test_a_rank_counts_higher_scores_and_half_of_the_ties(
    scores: list[float], right: int, expected: float
) -> None:
    found = ranked(scores, right)
    assert found.rank.tolist() == [expected]
    assert found.candidates.tolist() == [len(scores)]


@pytest.mark.parametrize(
    ("scores", "right", "expected"),
    [
        ([0.9, 0.5, 0.1], 0, (1.0, 1.0, 1.0)),
        ([0.9, 0.5, 0.1], 1, (0.0, 1.0, 1.0)),
        ([0.5, 0.5, 0.1], 0, (1 / 2, 1.0, 1.0)),  # first or second
        ([0.5, 0.5, 0.5], 2, (1 / 3, 2 / 3, 1.0)),  # first, second or third
        ([0.9, 0.5, 0.5, 0.5], 1, (0.0, 1 / 3, 2 / 3)),  # second, third or fourth
        ([0.9, 0.8, 0.7, 0.5, 0.5], 4, (0.0, 0.0, 0.0)),
        ([-np.inf, 0.2, -np.inf], 0, (0.0, 1 / 2, 1.0)),
    ],
)
def test_those_that_tie_are_among_the_first_k_in_part(
    scores: list[float], right: int, expected: tuple[float, ...]
) -> None:
    found = ranked(scores, right)
    assert [found.hits(top).item() for top in (1, 2, 3)] == pytest.approx(expected)


@pytest.mark.parametrize("count", [3, 25, 600])
def test_who_cannot_tell_anything_apart_has_the_figures_of_chance(count: int) -> None:
    tied = Ranks.of_scores(("g0",), ("bass",), [(np.zeros(count), count // 2)])
    found, expected = summarise(tied), chance([count])
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value), name


def test_first_of_k_is_the_share_of_draws_in_which_nothing_better_or_luckier_is_drawn() -> None:
    scores, right, size = np.array([0.9, 0.7, 0.7, 0.7, 0.5, 0.4, 0.1]), 2, 4
    others = [place for place in range(scores.size) if place != right]
    shares = []
    for drawn in itertools.combinations(others, size - 1):
        heard = scores[list(drawn)]
        first = (heard <= scores[right]).all()
        shares.append(first / (1 + (heard == scores[right]).sum()))
    found = Ranks.of_scores(("g0",), ("bass",), [(scores, right)])
    assert found.first_of(size).item() == pytest.approx(np.mean(shares))
    assert found.first_of(scores.size).item() == found.hits(1).item()
    assert found.first_of(1).item() == 1.0
    with pytest.raises(ValueError, match="candidates"):
        found.first_of(scores.size + 1)


def test_a_summary_has_first_of_k_where_there_are_as_many() -> None:
    found = summarise(ranks(1, 11, 20, candidates=20))
    assert set(found.first_of) == {8, 16}
    assert found.first_of[16].share == pytest.approx(1 / 3, abs=0.01)
    assert found.first_of[8].ci95.low <= found.first_of[8].share <= found.first_of[8].ci95.high
    lots = Ranks.of_scores(("g0",), ("bass",), [(np.zeros(600), 3)])
    sizes = {size: share.share for size, share in summarise(lots).first_of.items()}
    assert sizes == pytest.approx({8: 1 / 8, 16: 1 / 16, 64: 1 / 64})


def test_what_is_chosen_of_the_queries_keeps_its_ties() -> None:
    both = Ranks.of_scores(
        ("g0", "g1"), ("bass", "drums"), [(np.array([2.0, 1.0]), 0), (np.zeros(2), 0)]
    )
    assert both.where(np.array([False, True])).hits(1).tolist() == [0.5]
    assert summarise(both).r1 == 0.75


def test_a_summary_gives_the_textbook_figures() -> None:
    found = summarise(ranks(1, 1, 5, 6, 10))
    assert (found.r1, found.r5, found.r10) == (0.4, 0.6, 1.0)
    assert found.mean_nr == pytest.approx(0.46)
    assert found.median_nr == pytest.approx(0.5)
    assert (found.queries, found.songs) == (5, 5)
    for name, interval in found.ci95.items():
        assert interval.low <= getattr(found, name) <= interval.high, name


def test_chance_is_k_of_n_and_the_middle() -> None:
    expected = chance([600])
    assert expected["r1"] == pytest.approx(1 / 600)
    assert expected["r10"] == pytest.approx(10 / 600)
    assert expected["mean_nr"] == pytest.approx(601 / 1200)
    assert chance([3])["r5"] == 1.0


def test_a_comparison_is_paired() -> None:
    better, worse = ranks(1, 2, 3, 4), ranks(2, 3, 4, 5)
    found = compare(better, worse)
    assert found.mean_nr == pytest.approx(-0.1)
    assert found.mean_nr_ci95.low == pytest.approx(-0.1)  # every song differs by the same
    assert found.mean_nr_ci95.high == pytest.approx(-0.1)
    assert found.r1 == 0.25


def test_answers_to_other_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same queries"):
        compare(ranks(1, 2), ranks(1, 2, songs=("x", "y")))


def test_ranks_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lists"):
        Ranks(("g0",), ("bass", "bass"), np.ones(2), *np.ones((2, 2), dtype=np.int64))
