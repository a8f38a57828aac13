from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.audio.waveform import Waveform
from engine.checkpoints import load_checkpoint, save_checkpoint
from engine.errors import MissingDependency, UsageError
from engine.models.song_masher.mask_checkpoint import KIND, load_mask_network
from engine.models.song_masher.mask_network import MaskConfig
from engine.training.song_masher.mask_shipping import Provenance, ship_mask_network
from engine.training.song_masher.mask_training import MaskTraining, train_mash_mask
from engine.training.song_masher.training import Triple

TINY = MaskTraining(MaskConfig(width=8, dilations=(1, 2)), steps=3, batch=1, crop_s=0.3)
LEARNT = Provenance(("freedoom", "pop909_arr"), songs=12, mashups=34)


def triple(seed: int) -> Triple:
    noise = np.random.default_rng(seed).standard_normal((2, 1, 8000)).astype(np.float32)
    first, second, mix = (
        Waveform(0.1 * part, 16_000) for part in (*noise, noise[0] + 0.5 * noise[1])
    )
    return Triple(first, second, mix)


def test_a_shipped_file_is_small_and_tells_where_it_comes_from(tmp_path: Path) -> None:
    trained, out = tmp_path / "trained.safetensors", tmp_path / "new" / "out.safetensors"
    train_mash_mask([triple(0)], TINY, out=trained, data_sha="abc")
    found = ship_mask_network(trained, out, provenance=LEARNT, validation=[triple(1)])
    made = load_checkpoint(out, KIND)
    assert {tensor.dtype for tensor in made.tensors.values()} == {torch.float16}
    assert made.info.data_sha == "abc"
    assert made.info.metrics == {"loss": found.loss, "loss_unmasked": found.loss_unmasked}
    told = made.info.settings
    assert (told["sets"], told["songs"], told["mashups"]) == ("freedoom pop909_arr", 12, 34)
    assert (told["split"], told["seed"], told["steps_done"]) == ("train", 0, 3)
    assert "GPL-3.0-or-later" in str(told["licence"])
    one, two = (
        load_mask_network(path).masks(triple(2).first, triple(2).second) for path in (trained, out)
    )
    np.testing.assert_allclose(one, two, atol=2e-3)
    assert not np.array_equal(one, two)


def test_the_same_run_ships_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        trained, out = tmp_path / f"{name}-t.safetensors", tmp_path / f"{name}.safetensors"
        train_mash_mask([triple(0)], TINY, out=trained)
        ship_mask_network(trained, out, provenance=LEARNT, validation=[triple(1)])
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_an_unfinished_run_is_not_shipped(tmp_path: Path) -> None:
    trained, out = tmp_path / "trained.safetensors", tmp_path / "out.safetensors"
    train_mash_mask([triple(0)], TINY, out=trained, minutes=0)
    with pytest.raises(UsageError, match="1 of 3 steps"):
        ship_mask_network(trained, out, provenance=LEARNT, validation=[triple(1)])
    assert not out.exists()


def test_other_bands_are_another_network(tmp_path: Path) -> None:
    trained = tmp_path / "trained.safetensors"
    train_mash_mask([triple(0)], TINY, out=trained)
    made = load_checkpoint(trained, KIND)
    for changed in (
        {"bands_hz": "200 2000"},
        {"dilations": "one"},
        {"dilations": "1 " * 100_000},
        {"dilations": "-3"},
        {"width": 0},
        {"width": float("inf")},
        {"width": 2000},
    ):
        info = dataclasses.replace(made.info, settings={**made.info.settings, **changed})
        save_checkpoint(trained, made.tensors, info=info)
        with pytest.raises(MissingDependency) as refused:
            load_mask_network(trained)
        assert refused.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize("sets", [(), ("pop909_arr", "tegridy_karaoke"), ("somebody",)])
def test_only_sets_whose_licences_allow_it(sets: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="cannot be shipped"):
        Provenance(sets, songs=1, mashups=1)
