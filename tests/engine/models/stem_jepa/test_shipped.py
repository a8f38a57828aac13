from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoints import load_checkpoint, save_checkpoint
from engine.errors import MissingDependency
from engine.models.registry import SHIPPED, load_ranker
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.network import SMALL
from engine.models.stem_jepa.ranker import JepaRanker
from engine.models.stem_jepa.semitone_bands import SEMITONE_BANDS
from engine.training.midi_corpus import SHIPPABLE_SETS

PATH = SHIPPED / "stem-jepa.safetensors"


def test_it_is_small_and_tells_where_it_comes_from() -> None:
    assert PATH.stat().st_size <= 2_000_000
    info = load_checkpoint(PATH, "stem-jepa").info
    assert info.settings["split"] == "train"
    assert set(str(info.settings["sets"]).split()) <= set(SHIPPABLE_SETS)
    assert len(info.data_sha) == 64
    assert "licence" in info.settings


def test_it_beat_lot_within_the_role_on_unseen_songs() -> None:
    metrics = load_checkpoint(PATH, "stem-jepa").info.metrics
    assert metrics["mean_nr_of_role_high"] < metrics["chance_of_role"] - 0.1


def test_it_is_the_small_network() -> None:
    model = load_stem_jepa(PATH)
    assert (model.config.width, model.config.depth) == (SMALL.width, SMALL.depth)
    assert model.config.bands == "semitones"
    assert model.config.centred
    image = torch.randn(1, SEMITONE_BANDS, 32)
    assert torch.equal(model.context(image), model.target(image))


def test_it_ranks_without_a_folder(tmp_path: Path) -> None:
    ranker = load_ranker("stem-jepa")
    assert isinstance(ranker, JepaRanker)
    own = tmp_path / "stem-jepa.safetensors"
    made = load_checkpoint(PATH, "stem-jepa")
    changed = {name: tensor * 0.5 for name, tensor in made.tensors.items()}
    save_checkpoint(own, changed, info=made.info)
    other = load_ranker("stem-jepa", folders=(tmp_path,))
    assert isinstance(other, JepaRanker)
    assert other._network != ranker._network  # the library's own wins


@pytest.mark.parametrize("how", ["cut off", "bent", "empty"])
def test_a_damaged_one_is_refused(how: str, tmp_path: Path) -> None:
    data = bytearray(PATH.read_bytes())
    data[-100] ^= 0x40
    damaged = {"cut off": data[:-500], "bent": data, "empty": b""}[how]
    (tmp_path / "stem-jepa.safetensors").write_bytes(bytes(damaged))
    with pytest.raises(MissingDependency, match="damaged") as refused:
        load_ranker("stem-jepa", folders=(tmp_path,))
    assert refused.value.code == "checkpoint_damaged"
    assert "--model" in refused.value.hint
