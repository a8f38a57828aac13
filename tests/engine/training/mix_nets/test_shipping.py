from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from engine.errors import UsageError
from engine.models.mix_nets.checkpoint import load_mix_net
from engine.models.mix_nets.network import MixNet, NetSettings
from engine.training.mix_nets.shipping import ship_mix_network


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    net = MixNet(NetSettings("premixnet", 1 / 16, 2, 0.25, meeting=True))
    record = {"net_width": 1 / 16, "net_bottleneck": 2, "net_joint_width": 0.25}
    settings = {**record, "net_meeting": True, "lsro": True}
    tensors = {f"model.{name}": value for name, value in net.state_dict().items()}
    tensors["history"] = torch.zeros(5, 1)
    path = tmp_path / "trained.safetensors"
    info = CheckpointInfo("premixnet", settings, "data", {"accuracy": 0.7})
    save_checkpoint(path, tensors, info=info)
    return path


def test_a_shipped_network_is_small_says_what_made_it_and_scores_alike(
    trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "shipped.safetensors"
    sets = ("pop909_arr", "freedoom")
    ship_mix_network(trained, out, "premixnet", sets=sets, recordings=9, scores=99)
    assert out.stat().st_size < 0.7 * trained.stat().st_size
    checkpoint = load_checkpoint(out, "premixnet")
    said = checkpoint.info.settings
    assert (said["sets"], said["split"]) == ("pop909_arr freedoom", "train")
    assert (said["recordings"], said["scores"]) == (9, 99)
    assert "GPL-3.0" in str(said["licence"])
    assert checkpoint.info.metrics == {"accuracy": 0.7}
    assert "history" not in checkpoint.tensors
    spectra = torch.randn(4, 3, 48, 128)
    with torch.no_grad():
        one, other = (
            torch.softmax(load_mix_net(path, "premixnet")(spectra), 1) for path in (trained, out)
        )
    torch.testing.assert_close(one, other, atol=0.01, rtol=0)


@pytest.mark.parametrize("sets", [(), ("pop909_arr", "tegridy_karaoke")])
def test_what_may_not_be_given_away_is_not_shipped(
    trained: Path, tmp_path: Path, sets: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match="cannot be shipped"):
        ship_mix_network(
            trained, tmp_path / "a.safetensors", "premixnet", sets=sets, recordings=1, scores=1
        )
    assert not (tmp_path / "a.safetensors").exists()
