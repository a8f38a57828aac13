from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoints import CheckpointInfo, save_checkpoint
from engine.errors import MissingDependency
from engine.models.mix_nets.network import MixNet, NetKind, NetSettings
from engine.models.registry import SHIPPED, load_ranker

KINDS: tuple[NetKind, ...] = ("premixnet", "postmixnet")


def checkpoint(folder: Path, kind: NetKind, *, named: str | None = None) -> Path:
    net = MixNet(NetSettings(kind, width=1 / 32, bottleneck=2))
    tensors = {f"model.{name}": value.half() for name, value in net.state_dict().items()}
    settings = {"net_width": 1 / 32, "net_bottleneck": 2, "net_mels": 128}
    path = folder / f"{named or kind}.safetensors"
    save_checkpoint(path, tensors, info=CheckpointInfo(kind, settings))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_is_found_in_the_given_folder(kind: NetKind, tmp_path: Path) -> None:
    checkpoint(tmp_path / "second", kind)
    ranker = load_ranker(kind, folders=(tmp_path / "first", tmp_path / "second"))
    assert ranker.name == kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_or_foreign_checkpoint_says_the_way_out(kind: NetKind, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingDependency, match="damaged") as caught:
        load_ranker(kind, folders=(tmp_path,))
    way_out = "Remove it" if (SHIPPED / path.name).is_file() else "Train it again"
    assert way_out in caught.value.hint
    other = KINDS[1 - KINDS.index(kind)]
    checkpoint(tmp_path, other, named=kind)
    with pytest.raises(MissingDependency, match=f"not of {kind}"):
        load_ranker(kind, folders=(tmp_path,))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_what_comes_with_dawlink_is_read(path: Path) -> None:
    from engine.models.song_masher.shipped_mask import SHIPPED_MASK, load_duck_network

    if path == SHIPPED_MASK:
        assert load_duck_network() is not None
    else:
        assert load_ranker(path.stem).name == path.stem


def test_half_precision_weights_work_in_single(tmp_path: Path) -> None:
    from engine.models.mix_nets.checkpoint import load_mix_net

    net = load_mix_net(checkpoint(tmp_path, "premixnet"), "premixnet")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
