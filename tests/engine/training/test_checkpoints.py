from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import engine.training.checkpoints as checkpoints
from engine.errors import MissingDependency, UnwritableOutput
from engine.training.checkpoints import (
    CHECKPOINT_VERSION,
    CheckpointInfo,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)

INFO = CheckpointInfo(
    "premixnet",
    settings={"width": 0.5, "lsro": True, "name": "Übung", "none": None, "n": 3},
    data_sha="ab" * 32,
    metrics={"loss": 0.25},
)


def tensors() -> Mapping[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "weight": torch.randn(3, 4, generator=generator),
        "count": torch.tensor(7),
        "half": torch.randn(5, generator=generator).to(torch.bfloat16),
        "turned": torch.randn(4, 6, generator=generator).T,
    }


def saved(folder: Path) -> Path:
    path = folder / "deep" / "net.safetensors"
    save_checkpoint(path, tensors(), info=INFO)
    return path


def refusal(path: Path, kind: str = "premixnet") -> MissingDependency:
    with pytest.raises(MissingDependency) as caught:
        load_checkpoint(path, kind)
    assert caught.value.hint
    assert str(path) in caught.value.message
    return caught.value


def test_everything_comes_back(tmp_path: Path) -> None:
    path = saved(tmp_path)
    checkpoint = load_checkpoint(path, "premixnet")
    assert checkpoint.info == INFO
    assert checkpoint.tensors.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert checkpoint.tensors[name].dtype == tensor.dtype
        assert torch.equal(checkpoint.tensors[name], tensor)
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_what_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.safetensors").code == "no_checkpoint"
    assert refusal(tmp_path).code == "no_checkpoint"


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.99])
def test_cut_off(tmp_path: Path, keep: float) -> None:
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    assert refusal(path).code == "checkpoint_damaged"


def test_one_changed_bit_in_the_weights(tmp_path: Path) -> None:
    path = saved(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert refusal(path).code == "checkpoint_damaged"


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    assert refusal(path).code == "checkpoint_foreign"
    path.write_text("not weights at all, but longer than a header of eight bytes", "utf-8")
    assert refusal(path).code == "checkpoint_damaged"
    torch.save({"a": torch.zeros(2)}, path)
    assert refusal(path).code == "checkpoint_damaged"


def test_another_kind(tmp_path: Path) -> None:
    error = refusal(saved(tmp_path), "fit")
    assert error.code == "checkpoint_kind"
    assert "premixnet" in error.message


def test_a_newer_one_says_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    info = CheckpointInfo("premixnet", version=CHECKPOINT_VERSION + 1)
    save_checkpoint(path, tensors(), info=info)
    error = refusal(path)
    assert error.code == "checkpoint_newer"
    assert "Update" in error.hint
    monkeypatch.setattr(checkpoints, "CHECKPOINT_VERSION", CHECKPOINT_VERSION + 1)
    assert load_checkpoint(path, "premixnet").info.version == CHECKPOINT_VERSION + 1


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"version": "x"}', '{"version": 1}'])
def test_an_unreadable_record(tmp_path: Path, record: str) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.zeros(2)}, path, {"dawlink": record})
    assert refusal(path).code == "checkpoint_damaged"


def test_weights_of_another_size_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    source = torch.nn.Linear(3, 2)
    save_checkpoint(path, {f"m.{k}": v for k, v in source.state_dict().items()}, info=INFO)
    checkpoint = load_checkpoint(path, "premixnet")
    target = torch.nn.Linear(3, 2)
    load_weights(target, checkpoint, prefix="m.")
    assert torch.equal(target.weight, source.weight)
    for wrong in (
        torch.nn.Linear(4, 2),
        torch.nn.Linear(3, 2, bias=False),
        torch.nn.Bilinear(3, 3, 2),
    ):
        before = {k: v.clone() for k, v in wrong.state_dict().items()}
        with pytest.raises(MissingDependency) as caught:
            load_weights(wrong, checkpoint, prefix="m.")
        assert caught.value.code == "checkpoint_mismatch"
        assert all(torch.equal(v, before[k]) for k, v in wrong.state_dict().items())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UnwritableOutput):
        save_checkpoint(path / "below", tensors(), info=INFO)
    assert path.read_bytes() == before


def test_the_record_is_plain_json(tmp_path: Path) -> None:
    data = saved(tmp_path).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    record = json.loads(header["__metadata__"]["dawlink"])
    assert record["kind"] == "premixnet"
    assert record["settings"]["name"] == "Übung"
    assert record["metrics"] == {"loss": 0.25}
