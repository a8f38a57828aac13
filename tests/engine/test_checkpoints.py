from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import engine.checkpoints as checkpoints
from engine.checkpoints import (
    CHECKPOINT_VERSION,
    CheckpointInfo,
    Plain,
    Recorded,
    build_network,
    load_checkpoint,
    load_run,
    load_weights,
    recorded_settings,
    save_checkpoint,
)
from engine.errors import MissingDependency, UnwritableOutput

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


@pytest.mark.parametrize(
    ("more", "steps"), [({"optimiser.0.step": torch.ones(())}, 2), ({}, 0)], ids=["begun", "new"]
)
def test_the_state_of_a_run_is_no_model(
    tmp_path: Path, more: Mapping[str, torch.Tensor], steps: int
) -> None:
    path = tmp_path / "net.safetensors"
    info = CheckpointInfo("premixnet", {"steps_done": steps})
    save_checkpoint(path, {**tensors(), **more}, info=info)
    error = refusal(path)
    assert error.code == "checkpoint_kind"
    assert "holds a premixnet-run, not a premixnet model" in error.message
    assert "--resume" in error.hint
    assert load_run(path, "premixnet").info == info
    save_checkpoint(path, tensors(), info=CheckpointInfo("premixnet", {"steps_done": 1}))
    assert load_checkpoint(path, "premixnet").info.settings["steps_done"] == 1


def test_a_record_that_was_changed_is_damage(tmp_path: Path) -> None:
    """Settings decide what a model says as much as its weights do."""
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, tensors(), info=CheckpointInfo("premixnet", {"slope": 88.25}))
    assert load_checkpoint(path, "premixnet").info.settings == {"slope": 88.25}
    path.write_bytes(path.read_bytes().replace(b"88.25", b"98.25"))
    error = refusal(path)
    assert error.code == "checkpoint_damaged"
    assert "record" in error.message


def test_a_newer_one_says_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    info = CheckpointInfo("premixnet", version=CHECKPOINT_VERSION + 1)
    save_checkpoint(path, tensors(), info=info)
    error = refusal(path)
    assert error.code == "checkpoint_newer"
    assert "Update" in error.hint
    monkeypatch.setattr(checkpoints, "CHECKPOINT_VERSION", CHECKPOINT_VERSION + 1)
    assert load_checkpoint(path, "premixnet").info.version == CHECKPOINT_VERSION + 1


def record_with(**values: str) -> str:
    """A record's JSON in which some values are replaced by these."""
    plain = {"kind": '"premixnet"', "settings": "{}", "data_sha": '""', "metrics": "{}"}
    parts = {**plain, "version": "1", "tensors_sha": '""', **values}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in parts.items()) + "}"


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"version": "x"}',
        '{"version": 1}',
        "[" * 100_000,
        record_with(version="Infinity"),
        record_with(version="NaN"),
        record_with(version="1e999"),
        record_with(version="9" * 5000),
        record_with(version="[1]"),
        record_with(metrics='{"loss": ' + "9" * 4000 + "}"),
        record_with(metrics="[]"),
        record_with(settings="[]"),
        record_with(settings='{"width": [1]}'),
        record_with(settings='{"width": {"a": 1}}'),
    ],
)
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


HOSTILE = [float("nan"), float("inf"), 10**400, 1e308, -1, "3", "x", True, 3.5]


def shown(value: Plain) -> str:
    return f"{value!r:.9}"


@pytest.mark.parametrize("value", [*HOSTILE, None], ids=shown)
def test_whole_numbers_are_read_within_bounds(value: Plain) -> None:
    with pytest.raises(ValueError, match="width"):
        Recorded({"width": value}).whole("width", least=0, most=100)
    assert Recorded({"width": 3.0}).whole("width", least=3, most=3) == 3
    largest = 2**63 - 1  # a seed; as a float it is another one
    assert Recorded({"seed": largest}).whole("seed", least=0, most=largest) == largest


@pytest.mark.parametrize("value", [value for value in HOSTILE if value != 3.5], ids=shown)
def test_numbers_are_read_within_bounds(value: Plain) -> None:
    with pytest.raises(ValueError, match="width"):
        Recorded({"width": value}).number("width", least=0.0, most=100.0)
    assert Recorded({"width": 3}).number("width", least=0.0, most=100.0) == 3.0


def test_what_is_not_told_has_its_default_or_is_asked_for() -> None:
    empty = Recorded({"none": None})
    assert empty.whole("width", least=1, most=9, default=7) == 7
    assert empty.flag("none", default=False) is False
    assert Recorded({"on": True}).flag("on") is True
    for wrong in (empty, Recorded({"on": 1}), Recorded({"on": "no"})):
        with pytest.raises(ValueError, match="on"):
            wrong.flag("on")


@pytest.mark.parametrize(
    "error", [TypeError, ValueError, OverflowError, KeyError, ZeroDivisionError]
)
def test_settings_that_build_nothing_are_refused(tmp_path: Path, error: type[Exception]) -> None:
    checkpoint = load_checkpoint(saved(tmp_path), "premixnet")
    with pytest.raises(MissingDependency) as caught, recorded_settings(checkpoint):
        raise error("so wide")
    assert caught.value.code == "checkpoint_mismatch"
    assert "so wide" in caught.value.message
    assert caught.value.hint


def test_a_network_that_asks_for_more_than_the_file_holds_is_never_built(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    source = torch.nn.Linear(3, 2)
    save_checkpoint(path, source.state_dict(), info=INFO)
    checkpoint = load_checkpoint(path, "premixnet")
    built: list[str] = []

    def build(inputs: int) -> torch.nn.Linear:
        net = torch.nn.Linear(inputs, 2)
        built.append(net.weight.device.type)
        return net

    with pytest.raises(MissingDependency) as caught:
        build_network(lambda: build(1 << 45), checkpoint)  # 256 TB
    assert caught.value.code == "checkpoint_mismatch"
    assert built == ["meta"]
    net = build_network(lambda: build(3), checkpoint)
    assert torch.equal(net.weight, source.weight)
    assert not net.training
    assert net.weight.device.type == "cpu"


def test_weights_of_no_known_type_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    four_bits = torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    checkpoint = checkpoints.Checkpoint(path, INFO, {"weight": four_bits})
    with pytest.raises(MissingDependency) as caught:
        load_weights(torch.nn.PReLU(2), checkpoint)
    assert caught.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        (torch.tensor([1.0, float("nan")]), "checkpoint_damaged"),
        (torch.tensor([1.0, float("-inf")], dtype=torch.float16), "checkpoint_damaged"),
        (torch.ones(2, dtype=torch.int64), "checkpoint_mismatch"),
        (torch.ones(2, dtype=torch.bool), "checkpoint_mismatch"),
        (torch.ones(2, dtype=torch.complex64), "checkpoint_mismatch"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(weights: torch.Tensor, code: str) -> None:
    checkpoint = checkpoints.Checkpoint(Path("net.safetensors"), INFO, {"weight": weights})
    with pytest.raises(MissingDependency) as caught:
        load_weights(torch.nn.PReLU(2), checkpoint)
    assert caught.value.code == code


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
