from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import load_checkpoint
from engine.errors import UsageError
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.network import JepaConfig
from engine.training.stem_jepa.settings import JepaTraining
from engine.training.stem_jepa.shipping import ship_stem_jepa
from engine.training.stem_jepa.training import train_stem_jepa

TINY = JepaTraining(
    network=JepaConfig(width=16, depth=1, heads=2, predictor_width=16, predictor_layers=2),
    steps=2,
    warmup_steps=1,
    batch=2,
    rate_per_256=0.1,
    crop_samples=2560,
)
SETS = ("freedoom", "pop909_arr")


def trained(folder: Path, *, minutes: float | None = None, tau: float = 1.0) -> Path:
    path = folder / "trained.safetensors"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (4, 8000)).astype(np.float32)
    run = dataclasses.replace(TINY, tau=(tau, tau))
    train_stem_jepa([noise], run, out=path, data_sha="abc", minutes=minutes)
    return path


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_a_shipped_file_is_small_and_tells_where_it_comes_from(tau: float, tmp_path: Path) -> None:
    path, out = trained(tmp_path, tau=tau), tmp_path / "out.safetensors"
    ship_stem_jepa(path, out, sets=SETS, recordings=7)
    made = load_checkpoint(out, "stem-jepa")
    assert {tensor.dtype for tensor in made.tensors.values()} == {torch.float16}
    assert "history" not in made.tensors
    assert any(name.startswith("model.target.") for name in made.tensors) is (tau > 0)
    told = made.info.settings
    assert (told["sets"], told["split"], told["recordings"]) == (" ".join(SETS), "train", 7)
    assert "GPL-3.0-or-later" in str(told["licence"])
    assert made.info.data_sha == "abc"
    assert made.info.metrics == load_checkpoint(path, "stem-jepa").info.metrics
    one, two = load_stem_jepa(path), load_stem_jepa(out)
    images = torch.randn(2, 80, 32)
    for name in ("context", "target"):
        torch.testing.assert_close(
            getattr(one, name)(images), getattr(two, name)(images), atol=0.02, rtol=0
        )


def test_an_unfinished_run_is_not_shipped(tmp_path: Path) -> None:
    path, out = trained(tmp_path, minutes=0.0), tmp_path / "out.safetensors"
    with pytest.raises(UsageError, match="1 of 2 steps"):
        ship_stem_jepa(path, out, sets=SETS, recordings=7)
    assert not out.exists()


@pytest.mark.parametrize("sets", [(), ("pop909_arr", "tegridy_karaoke")])
def test_what_may_not_be_given_away_is_not_shipped(sets: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be shipped"):
        ship_stem_jepa(
            tmp_path / "a.safetensors", tmp_path / "b.safetensors", sets=sets, recordings=1
        )
