from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.audio.waveform import Waveform
from engine.checkpoints import Recorded
from engine.errors import MissingDependency, UnusableInput
from engine.mashup.ducking import ducking_gain
from engine.models.song_masher.mask_checkpoint import BANDS_HZ, _config_of, load_mask_network
from engine.models.song_masher.mask_network import MaskConfig, MaskNetwork
from engine.training.song_masher.mask_training import (
    MaskTraining,
    measure,
    train_mash_mask,
)
from engine.training.song_masher.training import Triple

RATE = 16_000
TINY = MaskTraining(
    network=MaskConfig(width=8, dilations=(1, 2)), steps=5, batch=2, crop_s=0.5, learning_rate=0.02
)


def ducked(seed: int, *, seconds: float = 2.0) -> tuple[Triple, np.ndarray]:
    """A gated tone over noise that is at half its level while the tone sounds; and when it does."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    on = (np.sin(2 * np.pi * rng.uniform(0.6, 1.2) * t + rng.uniform(0, 6)) > 0).astype(float)
    voice = on * 0.3 * np.sin(2 * np.pi * rng.uniform(200, 350) * t)
    band = 0.05 * rng.standard_normal(t.size)
    mix = voice + band * (1 - 0.5 * on)
    first, second, mixed = (
        Waveform(part.astype(np.float32)[None], RATE) for part in (voice, band, mix)
    )
    return Triple(first, second, mixed), on[::160] > 0


def test_reconstructs_mixes_it_has_not_heard(tmp_path: Path) -> None:
    out = tmp_path / "mask.safetensors"
    triples = [ducked(seed)[0] for seed in range(6)]
    unseen, on = ducked(99)
    run = dataclasses.replace(TINY, steps=150, batch=4)
    metrics = train_mash_mask(triples, run, out=out, validation=[unseen]).metrics
    assert metrics["loss"] < 0.2 * metrics["loss_unmasked"]
    network = load_mask_network(out)
    band_weights = network.masks(unseen.first, unseen.second)[1, 3:5, : on.size].mean(axis=0)
    assert band_weights[on].mean() == pytest.approx(0.5, abs=0.1)
    assert band_weights[~on].mean() == pytest.approx(1.0, abs=0.1)
    gain = ducking_gain(unseen.first, unseen.second, network=network)[3]
    assert gain[on].mean() < 0.65
    assert gain.min() >= 10 ** (-6 / 20) - 1e-6


def test_untouched_songs_lose_nothing_by_adding_them() -> None:
    triple, _ = ducked(0)
    total = triple.first.samples + triple.second.samples
    plain = dataclasses.replace(triple, mix=Waveform(total, RATE))
    found = measure(MaskNetwork(TINY.network), [plain])
    assert found.loss_unmasked == pytest.approx(0.0, abs=1e-6)
    assert found.loss > 1e-3


def test_resumed_is_as_uninterrupted(tmp_path: Path) -> None:
    triples = [ducked(0, seconds=0.3)[0], ducked(1)[0]]
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    straight = train_mash_mask(triples, TINY, out=whole)
    ticks = itertools.count(step=30.0)
    first = train_mash_mask(triples, TINY, out=parts, minutes=2, clock=lambda: next(ticks))
    assert 0 < first.steps_done < TINY.steps
    second = train_mash_mask(triples, TINY, out=parts, resume=True)
    np.testing.assert_array_equal(second.history, straight.history)
    one, two = load_mask_network(whole).state_dict(), load_mask_network(parts).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    weights = []
    for seed in (0, 0, 1):
        run = dataclasses.replace(TINY, seed=seed)
        train_mash_mask([ducked(0)[0]], run, out=tmp_path / "m.safetensors")
        weights.append(load_mask_network(tmp_path / "m.safetensors").last.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", ["bands_hz", "dilations"])
def test_a_record_of_another_network_is_refused_in_words_that_can_be_written(name: str) -> None:
    told = {"bands_hz": BANDS_HZ, "dilations": "1", "width": 4}
    assert _config_of(Recorded(told)).dilations == (1,)
    with pytest.raises(ValueError, match=r"\\ud800") as caught:
        _config_of(Recorded({**told, name: "\ud800"}))  # half of a character, as JSON allows
    assert str(caught.value).encode()


def test_nothing_to_learn_from_and_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no mashups"):
        train_mash_mask([], TINY, out=tmp_path / "m.safetensors")
    with pytest.raises(MissingDependency):
        load_mask_network(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="train nothing"):
        MaskTraining(steps=0)
