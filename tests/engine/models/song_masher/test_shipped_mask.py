"""The mask network that is installed, and what becomes of one that is not as it should be."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.audio.waveform import Waveform
from engine.errors import MissingDependency
from engine.models.song_masher.shipped_mask import SHIPPED_MASK, load_duck_network
from engine.training.midi_corpus import SHIPPABLE_SETS

RATE = 22_050


def test_it_is_there_small_and_tells_what_made_it() -> None:
    from engine.checkpoints import load_checkpoint

    assert SHIPPED_MASK.stat().st_size <= 200_000
    info = load_checkpoint(SHIPPED_MASK, "mash-mask").info
    assert info.settings["split"] == "train"
    assert set(str(info.settings["sets"]).split()) <= set(SHIPPABLE_SETS)
    assert len(info.data_sha) == 64
    assert "licence" in info.settings
    assert 0 < info.metrics["loss"] < 0.5 * info.metrics["loss_unmasked"]


def test_it_hears_two_songs() -> None:
    network = load_duck_network()
    assert network is not None
    t = np.arange(2 * RATE) / RATE
    voice, bed = (
        Waveform((0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None], RATE)
        for hz in (600.0, 900.0)
    )
    masks = network.source.masks(voice, bed)
    assert masks.shape == (2, 6, 201)
    assert 0.0 <= masks.min() < masks.max() <= 1.0
    again = load_duck_network()
    assert again is not None
    np.testing.assert_array_equal(again.source.masks(voice, bed), masks)
    assert again.checkpoint == network.checkpoint
    assert len(network.checkpoint) == 16


def test_none_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "none.safetensors"
    with caplog.at_level(logging.WARNING):
        assert load_duck_network(path) is None
        assert load_duck_network(path) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"There is no mask network at {path}; ducking follows the rule instead."
    ]


def damaged(data: bytes) -> dict[str, bytes]:
    bent = bytearray(data)
    bent[-100] ^= 0x40
    return {"cut off": data[:-500], "bent": bytes(bent), "empty": b"", "text": b"hello" * 99}


@pytest.mark.parametrize("how", ["cut off", "bent", "empty", "text"])
def test_a_damaged_one_is_refused(how: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.safetensors"
    path.write_bytes(damaged(SHIPPED_MASK.read_bytes())[how])
    with pytest.raises(MissingDependency, match="damaged") as refused:
        load_duck_network(path)
    assert refused.value.code == "checkpoint_damaged"
    assert "--duck" in refused.value.hint


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="is one of fit"):
        load_duck_network(SHIPPED_MASK.with_name("fit.safetensors"))


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, engine.models.song_masher.shipped_mask; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
