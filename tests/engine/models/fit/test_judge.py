from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import FitCurves
from engine.models.fit.groups import judged
from engine.models.fit.judge import pieces
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import BeatInput, FitSizes, beat_input, dense_weights
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.training.fit.judge import judge_input
from engine.training.fit.towers import FitTowers
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads

SIZES = FitSizes(
    channels=6, pitch_values=2, rhythm_width=8, rhythm_values=4, judge_channels=4, judge_width=6
)
TOWERS = FitTowers(SIZES, seed=5)
for name in (name for name in TOWERS.weights() if name.startswith("judge")):
    TOWERS.weight(name).data *= 3  # untrained weights hardly look at their inputs; these do
MODEL = FitModel(dense_weights(TOWERS.weights()), SIZES, FitCurves.plain(rules=0.2, judge=1.0))


def song(seed: int, bars: int = 8) -> np.ndarray:
    return rows(triads(bars, seed=seed), patterns(bars, seed=seed + 1000))


def opinion(clip: ClipFeatures, beds: RolePool, fits: list[Fit], drums: RolePool | None = None):
    axes = [[(beds, fit) for fit in fits]]
    if drums is not None:
        axes.append([(drums, at_once(i)) for i in range(len(drums))])
    odds = np.zeros(tuple(len(axis) for axis in axes), np.float32)
    found = judged(MODEL.weights, clip, axes, odds, FitRanker(MODEL)._embedding)
    assert found is not None
    return found


def at_once(index: int, semitones: int = 0, bars: int = 8) -> Fit:
    return Fit(index, 0, bars, semitones, 0.5)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (3, ((0, 3),)),
        (8, ((0, 8),)),
        (9, ((0, 8), (1, 9))),
        (16, ((0, 8), (8, 16))),
        (100, ((0, 8), (92, 100))),
    ],
)
def test_long_clips_are_looked_at_in_pieces(
    bars: int, expected: tuple[tuple[int, int], ...]
) -> None:
    assert pieces(bars) == expected


@pytest.mark.parametrize("semitones", [-2, 3])
def test_transposing_query_and_bed_alike_changes_nothing(semitones: int) -> None:
    beds = pool_of([song(1), song(2)], role="harmonic")
    drums = pool_of([song(3)], role="drums")
    plain = opinion(clip_of(song(0)), beds, [at_once(0), at_once(1, 1)], drums)
    moved = opinion(
        clip_of(song(0), transpose=semitones),
        beds,
        [at_once(0, semitones), at_once(1, 1 + semitones)],
        drums,
    )
    np.testing.assert_allclose(moved, plain, atol=2e-3)
    other = opinion(clip_of(song(0), transpose=semitones), beds, [at_once(0), at_once(1, 1)], drums)
    assert np.abs(other - plain).max() > 0.01


def test_bed_and_drums_both_matter() -> None:
    beds = pool_of([song(1), song(2)], role="harmonic")
    drums = pool_of([song(3), song(4)], role="drums")
    found = opinion(clip_of(song(0)), beds, [at_once(0), at_once(1)], drums)
    assert found.shape == (2, 2)
    assert np.unique(found.round(5)).size == 4
    alone = opinion(clip_of(song(0)), beds, [at_once(0), at_once(1)])
    assert alone.shape == (2,)
    assert np.abs(found - alone[:, None]).min() > 1e-5


def test_groups_are_seen_as_in_training() -> None:
    """A clip that pauses, over a bed and drums: the same log odds as PyTorch gives."""
    tables = {"clip": song(0), "harmonic": song(1), "drums": song(3)}
    active = {name: np.ones(32, np.bool_) for name in tables}
    active["clip"][4:14] = False
    seen = []
    for name, table in tables.items():
        one = beat_input(table, active[name], beats_per_bar=4)
        seen.append(BeatInput(*(getattr(one, field.name)[None] for field in fields(one))))
    with torch.no_grad():
        expected = TOWERS.judge(judge_input(TOWERS, *seen)).numpy()
    found = opinion(
        ClipFeatures(tables["clip"], active["clip"], 4),
        pool_of([tables["harmonic"]], role="harmonic"),
        [at_once(0)],
        pool_of([tables["drums"]], role="drums"),
    )
    np.testing.assert_allclose(found[0], expected, rtol=2e-4)


def test_many_groups_are_judged_only_where_the_odds_are_best() -> None:
    beds = pool_of([song(i) for i in range(40)], role="harmonic")
    drums = pool_of([song(100 + i) for i in range(10)], role="drums")
    axes = [[(pool, at_once(i)) for i in range(len(pool))] for pool in (beds, drums)]
    odds = np.random.default_rng(1).normal(0, 1, (40, 10)).astype(np.float32)
    odds += np.linspace(9, 0, 40, dtype=np.float32)[:, None]  # a few beds have the best groups
    found = judged(MODEL.weights, clip_of(song(0)), axes, odds, FitRanker(MODEL)._embedding)
    assert found is not None
    looked_at = found > found.min()
    assert 60 <= looked_at.sum() <= 64
    assert looked_at.sum(axis=1).max() <= 4
    best = np.argsort(-odds, axis=1)[:, :4]
    assert all(set(np.flatnonzero(looked_at[row])) <= set(best[row]) for row in range(40))


def test_drums_alone_are_not_judged() -> None:
    drums = pool_of([song(3)], role="drums")
    axes = [[(drums, at_once(0))]]
    found = judged(
        MODEL.weights, clip_of(song(0)), axes, np.zeros(1, np.float32), FitRanker(MODEL)._embedding
    )
    assert found is None


def test_a_silent_clip_is_judged_neutrally() -> None:
    quiet = ClipFeatures(song(0), np.zeros(32, np.bool_), 4)
    beds = pool_of([song(1), song(2)], role="harmonic")
    assert opinion(quiet, beds, [at_once(0), at_once(1)]).tolist() == [0, 0]


def test_the_judge_changes_the_order_of_groups() -> None:
    pool = pool_of([song(i, 16) for i in range(12)], role="harmonic")
    clip = clip_of(song(50))
    with_judge = FitRanker(replace(MODEL, curves=FitCurves.plain(rules=0.2, judge=0.02)))
    fits = with_judge.place(clip, pool, Search(keep=12))
    axes = {"harmonic": [(pool, fit) for fit in fits]}
    scores, parts = with_judge.score_groups(clip, axes)
    plain = FitRanker(FitModel(MODEL.weights, SIZES, FitCurves.plain(rules=0.2)))
    before, _ = plain.score_groups(clip, axes)
    assert np.all(np.diff(before) <= 1e-6)
    assert np.any(np.diff(scores) > 0)
    assert np.all((parts["learned"] > 0) & (parts["learned"] < 1))
