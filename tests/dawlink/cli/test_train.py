from __future__ import annotations

from pathlib import Path

import pytest

import dawlink.cli.train as command
from engine.training.requests import Tell, TrainReport, TrainRequest
from tests.dawlink.cli.running import Command, refused


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[TrainRequest]:
    """What the trainer was asked for; it answers at once."""
    requests: list[TrainRequest] = []

    def run(request: TrainRequest, tell: Tell) -> TrainReport:
        requests.append(request)
        tell("working")
        metrics = {"loss": 0.5, "accuracy": 0.75}
        return TrainReport(request.out, request.minutes is None, 7, metrics, ("a note",))

    monkeypatch.setattr("engine.training.mix_run.run", run)
    return requests


def test_options_reach_the_trainer(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path
) -> None:
    ran = dawlink(
        *("train", "postmixnet", "--data", tmp_path, "--data", tmp_path / "b", "--lsro"),
        *("--data", tmp_path / "b" / ".." / "b"),  # the same once more
        *("--out", tmp_path / "x.safetensors", "--epochs", 3, "--minutes", 2.5, "--seed", 4),
        *("--device", "cpu", "--resume", "--json"),
    )
    assert ran.code == 0, ran.err
    request = asked[0]
    assert request.data == (tmp_path, tmp_path / "b")
    assert (request.model, request.epochs, request.minutes) == ("postmixnet", 3, 2.5)
    assert (request.seed, request.device, request.resume, request.lsro) == (4, "cpu", True, True)
    assert ran.document["checkpoint"] == str(tmp_path / "x.safetensors")
    assert ran.document["finished"] is False
    assert ran.document["metrics"]["accuracy"] == 0.75
    assert "a note" in ran.err


def test_a_person_is_told_how_to_go_on(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path
) -> None:
    out = tmp_path / "p.safetensors"
    ran = dawlink("train", "premixnet", "--data", tmp_path, "--out", out)
    assert ran.code == 0
    assert "7 steps" in ran.out
    assert "--resume" not in ran.out
    ran = dawlink("train", "premixnet", "--data", tmp_path, "--out", out, "--minutes", 1)
    assert "--resume" in ran.out
    assert dawlink("train", "premixnet", "--data", tmp_path).code == 0
    assert asked[-1].out == Path("premixnet.safetensors")


def test_what_cannot_be_meant(dawlink: Command, tmp_path: Path) -> None:
    data = ("--data", tmp_path, "--json")
    refused(dawlink("train", "perpetuum", *data), 2, "bad_model", "premixnet")
    refused(dawlink("train", "premixnet", "--json"), 2, "usage")
    refused(dawlink("train", "premixnet", *data, "--epochs", 0), 2, "usage")
    refused(dawlink("train", "premixnet", *data, "--minutes", -1), 2, "usage")
    refused(dawlink("train", "premixnet", *data, "--out", "weights.pt"), 2, "bad_suffix")
    refused(dawlink("train", "premixnet", *data, "--mended"), 2, "usage", "--mended")
    refused(dawlink("train", "fit", *data, "--limit-songs", 9), 2, "usage", "--limit-songs")
    assert dawlink("train", "premixnet", *data, "--device", "abacus").code == 2


def test_what_cannot_be_written_is_said_first(dawlink: Command, tmp_path: Path) -> None:
    """Not after the songs were looked at, of which there are none."""
    (tmp_path / "mine.safetensors").mkdir()
    data = ("--data", tmp_path / "nowhere", "--json", "--out")
    folder = dawlink("train", "premixnet", *data, tmp_path / "mine.safetensors")
    refused(folder, 7, "unwritable", "mine.safetensors")
    refused(dawlink("train", "fit", *data, "/dev/null/x/f.safetensors"), 7, "unwritable", "null/x")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.safetensors"]


def test_a_folder_without_songs(dawlink: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "p.safetensors"
    ran = dawlink("train", "premixnet", "--data", tmp_path / "empty", "--out", out, "--json")
    assert ran.code == 6, ran.err
    assert ran.document["error"]["hint"]
    assert not out.exists()


def test_every_trainer_can_be_imported() -> None:
    for model in command.TRAINERS:
        assert callable(command._trainer(model))
