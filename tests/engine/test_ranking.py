from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import UsageError
from engine.models.automashupper import automashupper
from engine.ranking import Ranking, SearchPool, SearchRules, rank
from engine.theory import Role
from tests.engine.evaluation.material import Constant
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads


def searched(count: int, role: Role, *, tempo: float | list[float] = 120.0) -> SearchPool:
    offset = 0 if role == "harmonic" else 500
    tables = [
        rows(triads(20, seed=i + offset), patterns(20, seed=i + offset)) for i in range(count)
    ]
    return SearchPool(
        pool=pool_of(tables, role=role),
        tempo_bpm=np.broadcast_to(np.array(tempo, dtype=np.float64), (count,)).copy(),
        usable=np.ones(count, dtype=np.bool_),
        song_ids=tuple(f"g{i:03d}" for i in range(count)),
    )


def ranked(rules: SearchRules, **pools: SearchPool) -> Ranking:
    clip = clip_of(rows(triads(8, seed=3), patterns(8, seed=3)))
    return rank(clip, pools, ranker=automashupper(), rules=rules)  # type: ignore[arg-type]


def both(count: int = 12) -> dict[str, SearchPool]:
    return {"harmonic": searched(count, "harmonic"), "percussion": searched(count, "percussion")}


def test_groups_hold_one_stem_per_role_and_fall() -> None:
    found = ranked(SearchRules(120), **both())
    assert len(found.groups) == 10
    assert all([m.role for m in g.members] == ["harmonic", "percussion"] for g in found.groups)
    scores = [group.score for group in found.groups]
    assert scores == sorted(scores, reverse=True)
    assert found.groups[0].members[0].stem_id == "s003"


def test_the_first_role_never_repeats_while_there_is_choice() -> None:
    found = ranked(SearchRules(120), **both())
    assert len({group.members[0].stem_id for group in found.groups}) == 10


def test_few_stems_still_fill_the_list() -> None:
    found = ranked(SearchRules(120, limit=6), **both(3))
    assert len(found.groups) == 6
    assert len({tuple(m.stem_id for m in group.members) for group in found.groups}) == 6


def test_excluded_songs_and_chosen_stems() -> None:
    found = ranked(SearchRules(120, exclude_songs=frozenset({"g003"})), **both())
    assert all(m.song_id != "g003" for group in found.groups for m in group.members)
    only = ranked(SearchRules(120, only_stems=frozenset({"s001"})), **both())
    assert [m.stem_id for m in only.groups[0].members] == ["s001", "s001"]


def test_tempo_decides_what_is_in_reach_and_how_it_is_read() -> None:
    tempi = [120.0, 60.0, 240.0, 85.0, 155.0, 96.0, 150.0]
    pool = searched(7, "harmonic", tempo=tempi)
    found = ranked(SearchRules(120), harmonic=pool)
    read = {group.members[0].stem_id: group.members[0].multiplier for group in found.groups}
    assert read == {"s000": 1.0, "s001": 2.0, "s002": 0.5, "s005": 1.0, "s006": 1.0}
    assert found.considered == {"harmonic": 5}


@pytest.mark.parametrize(("tempo", "multiplier"), [(60.0, 2.0), (120.0, 1.0), (240.0, 0.5)])
def test_sources_at_half_and_double_time_start_on_the_bar_that_fits(
    tempo: float, multiplier: float
) -> None:
    pool = searched(4, "harmonic", tempo=tempo)
    view = pool.pool if multiplier == 1.0 else pool.pool.folded(multiplier, np.arange(4))
    first = view.rows(2).start + round(8 * multiplier)  # beat 8 of the source
    beats = slice(first, first + 16)
    clip = clip_of(rows(view.chroma[beats], view.onsets[beats]))
    best = rank(clip, {"harmonic": pool}, ranker=automashupper(), rules=SearchRules(120)).groups[0]
    (member,) = best.members
    assert (member.stem_id, member.start_beat, member.multiplier) == ("s002", 8, multiplier)


def test_of_equally_good_stems_the_one_of_the_lower_id_comes_first() -> None:
    pool = searched(3, "harmonic", tempo=[120.0, 60.0, 120.0])
    named = replace(pool, pool=replace(pool.pool, stem_ids=("s9", "s5", "s1")))
    clip = clip_of(rows(triads(8, seed=3), patterns(8, seed=3)))
    found = rank(clip, {"harmonic": named}, ranker=Constant(), rules=SearchRules(120))
    assert [group.members[0].stem_id for group in found.groups] == ["s1", "s5", "s9"]


def test_nothing_in_reach_is_an_empty_answer() -> None:
    found = ranked(SearchRules(120), harmonic=searched(3, "harmonic", tempo=90.0))
    assert found.groups == ()
    assert found.considered == {"harmonic": 0}


def test_other_metres_are_left_out() -> None:
    pool = searched(3, "harmonic")
    waltz = SearchPool(pool.pool, pool.tempo_bpm, np.array([True, False, True]), pool.song_ids)
    found = ranked(SearchRules(120), harmonic=waltz)
    assert {group.members[0].stem_id for group in found.groups} == {"s000", "s002"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"tempo_bpm": 0.0},
        {"tempo_bpm": 1e9},
        {"tempo_bpm": float("nan")},
        {"tempo_bpm": 120, "tempo_range": (1.3, 0.8)},
        {"tempo_bpm": 120, "max_semitones": 13},
        {"tempo_bpm": 120, "limit": 0},
    ],
)
def test_rules_that_cannot_be_meant(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SearchRules(**wrong)  # type: ignore[arg-type]
