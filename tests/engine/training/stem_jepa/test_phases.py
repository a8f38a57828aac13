"""The small preset's two phases: what each moves, where they meet, and that a run resumes."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.network import JepaConfig, StemJepa
from engine.training.stem_jepa.check import ranked, stem_ranks
from engine.training.stem_jepa.contrast import Contrast, contrastive_loss, missing_loss
from engine.training.stem_jepa.draws import SongArray
from engine.training.stem_jepa.settings import (
    PUBLISHED_TRAINING,
    SMALL_TRAINING,
    JepaTraining,
    preset_for,
)
from engine.training.stem_jepa.training import train_stem_jepa

TINY = JepaTraining(
    network=JepaConfig(
        width=16,
        depth=1,
        heads=2,
        predictor_width=32,
        predictor_layers=2,
        relative=True,
        bands="semitones",
        centred=True,
    ),
    steps=3,
    warmup_steps=1,
    batch=4,
    rate_per_256=0.1,
    tau=(1.0, 1.0),
    crop_samples=4 * 2560,
    encoder_rate=0.0,
    contrast=Contrast(steps=3, warmup_steps=1, batch=4, crop_frames=32),
)


def song(seed: int, *, seconds: float = 2.0) -> SongArray:
    """Four stems on one pitch of the song's own, octaves apart."""
    hz = np.random.default_rng(seed).uniform(110, 220)
    t = np.arange(round(seconds * 16_000)) / 16_000
    rows = [0.3 * np.sin(2 * np.pi * hz * 2**octave * t) for octave in (0, 3, 1, 2)]
    return np.stack(rows).astype(np.float32)


def stopped(tmp_path: Path, *, after: int) -> StemJepa:
    """The network after so many steps."""
    ticks = itertools.count(step=60.0)
    out = tmp_path / f"after{after}.safetensors"
    minutes = after + 0.5  # run_job looks at the clock twice a step and once before
    outcome = train_stem_jepa(
        songs(), TINY, out=out, minutes=2 * minutes, clock=lambda: next(ticks)
    )
    assert outcome.steps_done == after
    return load_stem_jepa(out)


def songs() -> list[SongArray]:
    return [song(seed) for seed in range(5)]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_presets() -> None:
    assert preset_for("cuda") is preset_for("mps") is PUBLISHED_TRAINING
    assert preset_for("cpu") is SMALL_TRAINING
    assert PUBLISHED_TRAINING.contrast is None
    assert PUBLISHED_TRAINING.all_steps == 300_000
    assert PUBLISHED_TRAINING.network == JepaConfig()
    assert SMALL_TRAINING.contrast is not None
    assert SMALL_TRAINING.all_steps == SMALL_TRAINING.steps + SMALL_TRAINING.contrast.steps
    with pytest.raises(ValueError, match="semitone"):
        dataclasses.replace(SMALL_TRAINING, network=JepaConfig())


def test_the_first_phase_moves_one_encoder_and_no_predictor(tmp_path: Path) -> None:
    start = StemJepa(TINY.network, seed=TINY.seed)
    model = stopped(tmp_path, after=2)
    assert not same(start.context, model.context)
    assert same(model.context, model.target)
    assert same(start.predictor, model.predictor)
    assert model.context.common is not None
    assert not model.context.common.any()


def test_between_the_phases_the_common_part_is_taken_off(tmp_path: Path) -> None:
    before, after = stopped(tmp_path, after=3), stopped(tmp_path, after=5)
    assert after.context.common is not None
    assert after.context.common.abs().max() > 0.01
    assert same(after.context, after.target)
    weights = dict(after.context.named_parameters())
    for name, old in before.context.named_parameters():
        assert name == "common" or torch.equal(old, weights[name])
    assert not same(before.predictor, after.predictor)


def test_an_encoder_with_a_rate_moves_in_the_second_phase(tmp_path: Path) -> None:
    moved = {}
    for rate in (0.0, 0.5):
        run = dataclasses.replace(TINY, encoder_rate=rate)
        out = tmp_path / f"{rate}.safetensors"
        train_stem_jepa(songs(), run, out=out)
        moved[rate] = load_stem_jepa(out)
    assert not same(moved[0.0].context, moved[0.5].context)
    assert same(moved[0.0].target, moved[0.5].target)  # tau is 1


def test_resumed_in_either_phase_is_as_uninterrupted(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    pictured: list[int] = []
    straight = train_stem_jepa(songs(), TINY, out=whole, pictured=pictured.append)
    assert straight.steps_done == 6
    assert pictured == list(range(1, len(songs()) + 1))
    for minutes in (3.0, 9.0):
        ticks = itertools.count(step=60.0)
        parts = tmp_path / f"{minutes}.safetensors"
        first = train_stem_jepa(
            songs(), TINY, out=parts, minutes=minutes, clock=lambda ticks=ticks: next(ticks)
        )
        assert 0 < first.steps_done < 6
        second = train_stem_jepa(songs(), TINY, out=parts, resume=True)
        np.testing.assert_array_equal(second.history, straight.history)
        assert same(load_stem_jepa(parts), load_stem_jepa(whole))


def test_pairs_that_are_alike_have_a_low_loss_and_no_offset_helps() -> None:
    tokens = torch.randn(6, 5, 4, 16, generator=torch.Generator().manual_seed(0))
    alike = contrastive_loss(tokens, tokens.clone(), temperature=0.1)
    crossed = contrastive_loss(tokens, tokens.roll(1, dims=0), temperature=0.1)
    assert float(alike) < 0.1 < 2.0 < float(crossed)


def test_only_stems_of_the_same_role_are_told_apart() -> None:
    tokens = torch.randn(4, 5, 4, 16, generator=torch.Generator().manual_seed(0))
    swapped = tokens[[1, 0, 3, 2]]  # each has the other's
    roles = torch.tensor([0, 1, 0, 1])
    assert float(missing_loss(swapped, tokens, roles, temperature=0.1)) < 2.0
    roles = torch.tensor([0, 0, 1, 1])
    assert float(missing_loss(swapped, tokens, roles, temperature=0.1)) > 5.0
    alone = missing_loss(swapped, tokens, torch.arange(4), temperature=0.1)
    assert float(alone) == pytest.approx(0.0, abs=1e-6)


def test_a_network_to_which_all_stems_are_the_same_ranks_by_lot() -> None:
    songs, labels = [0, 0, 1, 1, 2], [0, 1, 0, 1, 1]
    level = ranked(np.full((5, 5), 0.9, dtype=np.float32), songs, labels)
    np.testing.assert_allclose(level.among_all, 3 / 5)
    np.testing.assert_allclose(level.of_role, level.chance_of_role)
    cosines = np.eye(5, dtype=np.float32)
    cosines[0, 1:] = 1.0, 2.0, 1.0, 0.5  # of its role: only the one that is nearer
    found = ranked(cosines, songs, labels)
    assert found.among_all.tolist() == [(1 + 1 + 2 * 0.5) / 5, *4 * [1 / 5]]
    assert found.of_role.tolist() == [2 / 2, 1 / 3, 1 / 2, 1 / 3, 1 / 3]


def test_it_learns_which_stems_share_a_pitch(tmp_path: Path) -> None:
    contrast = Contrast(steps=60, warmup_steps=5, batch=8, rate=5e-3, crop_frames=64)
    run = dataclasses.replace(TINY, steps=60, batch=16, contrast=contrast)
    many = [song(seed) for seed in range(12)]
    out = tmp_path / "m.safetensors"
    outcome = train_stem_jepa(many, run, out=out, validation=many)
    ranks = stem_ranks(load_stem_jepa(out), many)
    assert len(ranks.songs) == 48
    assert ranks.chance_of_role.mean() == pytest.approx(13 / 24)
    low, high = ranks.interval(ranks.of_role)
    assert low < ranks.of_role.mean() < high < 0.4
    assert outcome.metrics["mean_nr_of_role"] == pytest.approx(ranks.of_role.mean())
