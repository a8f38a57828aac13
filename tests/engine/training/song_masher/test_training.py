from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.song_masher.checkpoint import load_song_masher
from engine.models.song_masher.network import BINS, Defects, MasherConfig, SongMasher
from engine.training.song_masher.training import (
    MasherTraining,
    Triple,
    masher_example,
    masher_loss,
    train_song_masher,
)

TINY = MasherTraining(network=MasherConfig(width=8), epochs=3, batch=2)


def triple(seed: int, *, seconds: float = 0.4, mix_seconds: float | None = None) -> Triple:
    """Two tones and their sum."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(8000 * seconds)) / 8000
    one, two = (0.4 * np.sin(2 * np.pi * hz * t) for hz in rng.uniform(200, 2000, 2))
    mix = (one + two)[: round(8000 * (mix_seconds or seconds))]
    first, second, mixed = (
        Waveform(part.astype(np.float32)[None], 8000) for part in (one, two, mix)
    )
    return Triple(first, second, mixed)


def test_published_run() -> None:
    assert MasherTraining(MasherConfig("magnitude")).rate == 1e-3
    assert MasherTraining(MasherConfig("phase")).rate == 0.05
    assert (MasherTraining().epochs, MasherTraining().batch) == (100, 100)


def test_a_mix_of_another_length_becomes_noise_or_is_cut() -> None:
    odd = triple(0, mix_seconds=0.3)
    first, _, noise = masher_example(odd, MasherConfig("phase"))
    assert noise.shape == first.shape == (26, BINS)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    again = masher_example(odd, MasherConfig("phase"))[2]
    assert torch.equal(noise, again)
    mended = MasherConfig("phase", defects=Defects(noise_targets=False))
    first, second, mix = masher_example(odd, mended)
    assert len(first) == len(second) == len(mix) == 19
    assert float(mix.abs().max()) <= 1.0


def test_learns_a_handful_of_magnitudes(tmp_path: Path) -> None:
    triples = [triple(seed) for seed in range(2)]
    run = dataclasses.replace(TINY, epochs=150, learning_rate=0.02)
    run = dataclasses.replace(run, network=MasherConfig(width=16, defects=Defects.none()))
    untrained = masher_loss(SongMasher(run.network), triples)
    train_song_masher(triples, run, out=tmp_path / "m.safetensors")
    assert masher_loss(load_song_masher(tmp_path / "m.safetensors"), triples) < 0.1 * untrained


def test_reported_test_loss_is_the_training_loss_unless_mended(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    seen, unseen = [triple(0)], [triple(9)]
    published = train_song_masher(seen, TINY, out=out, validation=unseen).metrics["test_loss"]
    assert published == pytest.approx(masher_loss(load_song_masher(out), seen))
    honest = MasherConfig(width=8, defects=Defects(tested_on_training=False))
    mended = dataclasses.replace(TINY, network=honest)
    reported = train_song_masher(seen, mended, out=out, validation=unseen).metrics["test_loss"]
    assert reported == pytest.approx(masher_loss(load_song_masher(out), unseen))
    assert "test_loss" not in train_song_masher(seen, mended, out=out).metrics


def test_a_forgetful_optimiser_learns_otherwise(tmp_path: Path) -> None:
    weights = []
    for restarted in (True, False):
        network = MasherConfig(width=8, defects=Defects(restarted_optimiser=restarted))
        run = dataclasses.replace(TINY, network=network)
        train_song_masher([triple(0)], run, out=tmp_path / "m.safetensors")
        weights.append(load_song_masher(tmp_path / "m.safetensors").output.weight)
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("defects", [Defects(), Defects.none()])
def test_resumed_is_as_uninterrupted(tmp_path: Path, defects: Defects) -> None:
    run = dataclasses.replace(TINY, network=MasherConfig("phase", width=8, defects=defects))
    triples = [triple(seed) for seed in range(3)]
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    straight = train_song_masher(triples, run, out=whole)
    ticks = itertools.count(step=30.0)
    first = train_song_masher(triples, run, out=parts, minutes=2, clock=lambda: next(ticks))
    assert 0 < first.steps_done < 6
    second = train_song_masher(triples, run, out=parts, resume=True)
    np.testing.assert_array_equal(second.history, straight.history)
    one, two = load_song_masher(whole), load_song_masher(parts)
    assert one.config == two.config == run.network
    assert all(torch.equal(w, two.state_dict()[name]) for name, w in one.state_dict().items())


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no mashups"):
        train_song_masher([], TINY, out=tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="train nothing"):
        MasherTraining(epochs=0)
