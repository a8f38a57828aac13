from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import CURVE_BARS, GROUP, JUDGED, FitCurves
from engine.models.fit.judge import JudgeGroups, JudgePart, judge
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import PITCH_INPUTS, FitSizes, dense_weights, pitch_tower
from engine.training.fit.calibration import drawn_songs
from engine.training.fit.data import FitBank, chosen, make_bank
from engine.training.fit.judge import judge_input, judge_loss
from engine.training.fit.judge_calibration import (
    JudgedGroups,
    judge_weight,
    judged_groups,
    moved_groups,
    with_judge,
)
from engine.training.fit.loss import inner_window
from engine.training.fit.questions import ValidationSongs, bands
from engine.training.fit.towers import FitTowers
from tests.engine.training.scores import made_up_song

TINY = FitSizes(
    channels=6, pitch_values=2, rhythm_width=8, rhythm_values=4, judge_channels=6, judge_width=12
)

MODEL = FitModel(dense_weights(FitTowers(TINY, seed=4).weights()), TINY, FitCurves.plain(rules=0.2))


def bank_of(windows: int) -> FitBank:
    return make_bank([made_up_song(seed) for seed in range(windows)], windows, seed=1)


def test_the_judge_is_the_same_in_numpy_and_in_torch() -> None:
    towers, bank = FitTowers(TINY, seed=3), bank_of(6)
    weights = dense_weights(towers.weights())
    beds, drums = inner_window(bank.stem), inner_window(bank.drums)
    index = np.arange(6)
    query = chosen(bank.voice, np.zeros(6, np.int64))
    with torch.no_grad():
        expected = towers.judge(judge_input(towers, query, beds, drums)).numpy()

    def part(number: int, tower: str, of: object) -> np.ndarray:
        one = chosen(of, np.array([number]))
        single = type(one)(one.chroma[0], one.context[0], one.pattern[0], one.active[0])
        return pitch_tower(weights, tower, single)

    v = part(0, "voice", bank.voice)
    v *= np.sqrt(32) / np.linalg.norm(v)
    asked = bank.voice.chroma[0].reshape(32, 12, PITCH_INPUTS)
    laid = beds.chroma.reshape(6, 32, 12, PITCH_INPUTS)[..., :1]
    stems = np.stack([part(number, "stem", beds) for number in range(6)])
    bank_query = bank.voice
    groups = JudgeGroups(
        JudgePart(
            np.concatenate([asked, v], axis=2),
            bank_query.context[0],
            bank_query.pattern[0],
            bank_query.active[0],
        ),
        JudgePart(np.concatenate([laid, stems], axis=3), beds.context, beds.pattern, beds.active),
        JudgePart(laid[..., :0], drums.context, drums.pattern, drums.active),
        bed_of=index,
        drums_of=index,
    )
    found = judge(weights, groups)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_judge_learns_and_leaves_the_towers_alone() -> None:
    towers = FitTowers(TINY, seed=1)
    before = {name: values.copy() for name, values in towers.weights().items()}
    optimiser = torch.optim.AdamW(towers.parameters(), lr=5e-3, weight_decay=0.0)
    losses = []
    for step in range(60):
        rng = np.random.default_rng(step)
        if step % 20 == 0:
            bank = make_bank([made_up_song(seed) for seed in range(24)], 24, seed=step)
        loss = judge_loss(towers, bank, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.93 * np.mean(losses[:5])
    after = towers.weights()
    for name, values in before.items():
        assert np.array_equal(values, after[name]) != name.startswith("judge")


def test_a_good_judge_is_given_weight_and_a_random_one_none() -> None:
    rng = np.random.default_rng(2)
    odds = rng.normal(0, 1, (60, 20)).astype(np.float32)
    knowing = rng.normal(0, 1, (60, 20)).astype(np.float32)
    knowing[:, 0] += 2
    noise = rng.normal(0, 1, (400, 20)).astype(np.float32)
    found, told = JudgedGroups(odds, knowing, 20), JudgedGroups(odds[:, :4], knowing[:, :4], 4)
    assert 1.0 < judge_weight([found], [told]) < 3.5
    blind = JudgedGroups(np.zeros((400, 20), np.float32), noise, 20)
    assert judge_weight([blind], [JudgedGroups(odds[:, :4], -knowing[:, :4], 4)]) == 0.0
    assert judge_weight([], []) == judge_weight([found], []) == 0.0
    few = JudgedGroups(odds[:3, :4], knowing[:3, :4], 4)
    assert judge_weight([JudgedGroups(odds[:3], knowing[:3], 20)], [few]) == 0.0
    by_lot = [JudgedGroups(*rng.normal(0, 1, (2, 40, 4)).astype(np.float32), 4) for _ in range(40)]
    weights = [judge_weight([one], [one]) for one in by_lot]
    assert np.mean(np.array(weights) > 0) < 0.35


def test_a_judge_that_tells_moved_beds_may_cost_no_song() -> None:
    rng = np.random.default_rng(3)
    odds = rng.normal(0, 1, (300, 20)).astype(np.float32)
    odds[:, 0] += 3
    noise = rng.normal(0, 1, (300, 20)).astype(np.float32)
    knowing = noise[:, :4].copy()
    knowing[:, 0] += 3
    told = JudgedGroups(np.zeros((300, 4), np.float32), knowing, 4)
    harmless = judge_weight([JudgedGroups(odds, noise * 0.01, 20)], [told])
    harmful = judge_weight([JudgedGroups(odds, noise, 20)], [told])
    assert 0 < harmful < 0.5 < harmless


def test_a_moved_bed_comes_in_again_at_the_beginning() -> None:
    songs = ValidationSongs(MODEL, drawn_songs([made_up_song(n) for n in range(4)], seed=1))
    ranker = FitRanker(MODEL)
    bed, _ = next(bands(ranker, songs, 8, np.random.default_rng(1)))
    pool, fits = songs.moved(bed, (0, 1, 3))
    assert [fit.index for fit in fits] == [0, 1, 2]
    assert pool.bars.tolist() == [8, 8, 8]
    assert {fit.semitones for fit in fits} == {bed.placed[bed.question.own].semitones}
    for index, beats in enumerate((0, 1, 3)):
        moved = np.roll(pool.chroma[pool.rows(0)], beats, axis=0)
        np.testing.assert_array_equal(pool.chroma[pool.rows(index)], moved)
    assert fits[0].score == pytest.approx(bed.placed[bed.question.own].score, abs=0.1)
    seen = moved_groups(MODEL, songs, bars=8, seed=1)
    assert seen.odds.shape == seen.opinion.shape == (4, 4)


def test_curves_are_fitted_for_every_length_and_kind_of_group() -> None:
    songs = drawn_songs([made_up_song(seed, bars=40) for seed in range(16)], seed=1)
    curves = with_judge(MODEL, songs, seed=1)
    assert set(curves.judged) == set(JUDGED)
    assert all(len(curve.slopes) == len(CURVE_BARS) for curve in curves.judged.values())
    assert all(slope > 0 for curve in curves.judged.values() for slope in curve.slopes)


def test_curves_are_fitted_to_all_foreign_groups_not_only_to_bad_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were the best left out, scores would say too much."""
    songs = drawn_songs([made_up_song(seed, bars=24) for seed in range(40)], seed=1)
    monkeypatch.setattr("engine.training.fit.judge_calibration._ALONE", (20, 16))
    monkeypatch.setattr("engine.training.fit.judge_calibration.PITCHED", ("harmonic",))
    seen = judged_groups(MODEL, ValidationSongs(MODEL, songs), bars=8, seed=1)["harmonic"]
    best, drawn = seen.odds[:, 1 : seen.best], seen.odds[:, seen.best :]
    above = (drawn >= np.median(best, axis=1, keepdims=True)).mean()
    assert 0.15 < above < 0.4  # a quarter of all 39 foreign ones


def test_few_songs_have_fewer_foreign_groups_and_two_have_no_judge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    songs = drawn_songs([made_up_song(seed, bars=40) for seed in range(12)], seed=1)
    seen = judged_groups(MODEL, ValidationSongs(MODEL, songs), bars=8, seed=1)
    alone, group = seen["harmonic"], seen[GROUP]
    assert alone.odds.shape[1] == 12  # its own bed, and as many as there are of other songs
    assert alone.odds.shape[0] >= 12  # voices, and mixes of parts without harmony
    assert alone.best == 1 + 11 * 40 // 63
    assert group.odds.shape == (12, 1 + 4 * 4 + 3 * 3)
    curves = with_judge(MODEL, songs, seed=1)
    assert curves.judged != MODEL.curves.judged
    assert not caplog.records
    assert with_judge(MODEL, songs[:1], seed=1) == MODEL.curves
    assert "without it" in caplog.text
