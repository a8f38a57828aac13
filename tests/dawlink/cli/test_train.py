from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import dawlink.cli.train as command
from engine.checkpoints import CheckpointInfo, save_checkpoint
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

    monkeypatch.setattr("engine.training.mix_nets.run.run", run)
    return requests


def test_the_device_of_the_settings_is_trained_on(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.requests.pick_device", lambda name: name)  # has them all
    train = ("train", "premixnet", "--data", tmp_path, "--out", tmp_path / "x.safetensors")
    assert dawlink(*train).code == 0
    monkeypatch.setenv("DAWLINK_DEVICE", "mps")
    assert dawlink(*train).code == 0
    assert dawlink(*train, "--device", "cpu").code == 0
    assert [request.device for request in asked] == ["auto", "mps", "cpu"]


def test_options_reach_the_trainer(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    ran = dawlink(
        *("train", "postmixnet", "--data", tmp_path, "--data", tmp_path / "b", "--lsro"),
        *("--data", tmp_path / "b" / ".." / "b"),  # the same once more
        *("--out", tmp_path / "x.safetensors", "--epochs", 3, "--minutes", 2.5, "--seed", 4),
        *("--device", "cpu", "--resume", "--json"),
    )
    assert ran.code == 0, ran.err
    request = asked[0]
    assert request.data == (tmp_path, tmp_path / "b")
    assert (request.model, request.epochs) == ("postmixnet", 3)
    assert request.minutes == pytest.approx(2.5, abs=0.2)
    assert (request.seed, request.device, request.resume, request.lsro) == (4, "cpu", True, True)
    assert ran.document["checkpoint"] == str(tmp_path / "x.safetensors")
    assert ran.document["finished"] is False
    assert ran.document["metrics"]["accuracy"] == 0.75
    assert "a note" in ran.err
    assert any("no earlier run" in note for note in ran.document["notes"])
    assert "no earlier run" in ran.err
    state, seed = tmp_path / "x.resume.safetensors", {"seed": 0}
    save_checkpoint(state, {"a": torch.zeros(1)}, info=CheckpointInfo("postmixnet", seed))
    again = dawlink(
        *("train", "postmixnet", "--data", tmp_path, "--out", tmp_path / "x.safetensors"),
        *("--resume", "--json"),
    )
    assert again.document["notes"] == ["a note"]


@pytest.mark.parametrize(
    "given", [("--data", "a", "b", "--data", "c"), ("--data", "a", "--data", "c", "b", "a")]
)
def test_several_folders_follow_one_data(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path, given: tuple[str, ...]
) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    data = [word if word == "--data" else tmp_path / word for word in given]
    ran = dawlink("train", "premixnet", *data, "--out", tmp_path / "x.safetensors")
    assert ran.code == 0, ran.err
    assert asked[0].data == (tmp_path / "a", tmp_path / "c", tmp_path / "b")
    alone = dawlink("train", "premixnet", tmp_path / "a", "--json")
    assert "--data" in refused(alone, 2, "usage")["message"]


def test_sigterm_ends_what_comes_before_the_training_too(
    dawlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_request: TrainRequest, _tell: Tell) -> TrainReport:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr("engine.training.mix_nets.run.run", run)
    command = ("train", "premixnet", "--data", tmp_path, "--out", tmp_path / "x.safetensors")
    refused(dawlink(*command, "--json"), 130, "interrupted", "--resume")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_keeps_what_was_learned(tmp_path: Path) -> None:
    """The whole program, as a terminal ends it, and again until it has gone on."""
    rng = np.random.default_rng(0)
    for number in range(3):
        folder = tmp_path / "songs" / f"song {number}"
        folder.mkdir(parents=True)
        for role in ("drums", "bass"):
            noise = 0.3 * rng.uniform(-1, 1, 16000).astype(np.float32)
            soundfile.write(folder / f"{role}.wav", noise, 16000)
    out = tmp_path / "jepa.safetensors"

    def interrupted(*options: str) -> tuple[int, dict[str, str]]:
        command = [sys.executable, "-m", "dawlink", "-v", "train", "stem-jepa", "--device", "cpu"]
        command += ["--data", str(tmp_path / "songs"), "--out", str(out), "--json", *options]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            told = next((line for line in process.stderr if "training: step" in line), "")
            process.send_signal(signal.SIGTERM)
            error = json.loads(process.stdout.read())["error"]
            rest = process.stderr.read()
        assert process.returncode == 130, rest
        assert error["code"] == "interrupted"
        assert "--resume" in error["hint"]
        assert not out.exists()
        first = int(told.split("step ")[1].split()[0])
        return first, error

    first, error = interrupted()
    assert first == 1
    done = int(error["message"].split("step ")[1].split()[0])
    assert done >= 1
    first, _ = interrupted("--resume")
    assert first == done + 1


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


def test_what_lies_there_is_said_before_the_work(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path
) -> None:
    out = tmp_path / "x.safetensors"
    command = ("train", "premixnet", "--data", tmp_path, "--out", out, "--json")
    save_checkpoint(out, {"a": torch.zeros(1)}, info=CheckpointInfo("fit"))
    error = refused(dawlink(*command, "--resume"), 4, "checkpoint_kind", "without --resume")
    assert "--model" not in error["hint"]
    out.write_bytes(b"no checkpoint")
    refused(dawlink(*command, "--resume"), 4, "checkpoint_damaged", "without --resume")
    assert not asked
    assert dawlink(*command).document["notes"] == ["a note"]
    (tmp_path / "x.resume.safetensors").touch()
    notes = dawlink(*command).document["notes"]
    assert any("unfinished run" in note and "--resume" in note for note in notes)
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "drums.wav").touch()
    (tmp_path / "song" / "score.mid").touch()
    assert any("1 MIDI file" in note for note in dawlink(*command).document["notes"])


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No song may be rendered, and there is no GPU."""

    def rendered(*_arguments: object, **_options: object) -> object:
        raise AssertionError

    monkeypatch.setattr("engine.training.midi_audio.training.rendered_request", rendered)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("model", [name for name in command.TRAINERS if name != "fit"])
def test_a_device_that_is_not_there_is_said_before_songs_are_rendered(
    dawlink: Command, tmp_path: Path, model: str
) -> None:
    for device in ("cuda", "mps"):
        ran = dawlink("train", model, "--data", tmp_path, "--device", device, "--json")
        refused(ran, 4, "no_device", device, "--device cpu")


@pytest.mark.usefixtures("unrendered")
def test_another_seed_is_said_before_songs_are_rendered(dawlink: Command, tmp_path: Path) -> None:
    out, state = tmp_path / "x.safetensors", tmp_path / "x.resume.safetensors"
    resumed = ("train", "premixnet", "--data", tmp_path, "--out", out, "--resume", "--json")
    for path, seed in ((out, 3), (state, 4)):  # the state of a later run counts
        info = CheckpointInfo("premixnet", {"seed": seed})
        save_checkpoint(path, {"a": torch.zeros(1)}, info=info)
        refused(dawlink(*resumed, "--seed", 7 - seed), 2, "resume_mismatch", path.name, "seed")


def test_what_cannot_be_written_is_said_first(dawlink: Command, tmp_path: Path) -> None:
    """Not after the songs were looked at, of which there are none."""
    (tmp_path / "mine.safetensors").mkdir()
    (tmp_path / "empty").mkdir()
    data = ("--data", tmp_path / "empty", "--json", "--out")
    folder = dawlink("train", "premixnet", *data, tmp_path / "mine.safetensors")
    refused(folder, 7, "unwritable", "mine.safetensors")
    refused(dawlink("train", "fit", *data, "/dev/null/x/f.safetensors"), 7, "unwritable", "null/x")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["empty", "mine.safetensors"]


def test_a_folder_without_songs(dawlink: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "p.safetensors"
    ran = dawlink("train", "premixnet", "--data", tmp_path / "empty", "--out", out, "--json")
    assert ran.code == 6, ran.err
    assert ran.document["error"]["hint"]
    assert not out.exists()


@pytest.mark.parametrize("model", command.TRAINERS)
def test_a_folder_that_does_not_exist_is_said_before_anything_is_done(
    dawlink: Command, asked: list[TrainRequest], tmp_path: Path, model: str
) -> None:
    """Though others do: a training without it would cost hours."""
    (tmp_path / "songs").mkdir()
    command = ("train", model, "--data", tmp_path / "songs", tmp_path / "nope", "--json", "--out")
    error = refused(dawlink(*command, tmp_path / "out" / "x.safetensors"), 6, "missing", "nope")
    assert "does not exist" in error["message"]
    assert "--data" in error["hint"]
    (tmp_path / "file").touch()
    below = ("--data", tmp_path / "file" / "below", "--json")
    refused(dawlink("train", model, *below), 6, "missing", "below")
    assert not asked
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "songs"]


@pytest.mark.parametrize("model", command.TRAINERS)
def test_unusable_data_leave_nothing_behind(dawlink: Command, tmp_path: Path, model: str) -> None:
    songs, out = tmp_path / "songs", tmp_path / "out"
    songs.mkdir()
    train = ("train", model, "--data", songs, "--out", out / "x.safetensors", "--json")
    assert dawlink(*train).code == 6
    (songs / "drums.wav").write_text("no sound at all", "utf-8")
    assert dawlink(*train).code == 6
    assert not list(out.iterdir())


def test_every_trainer_can_be_imported() -> None:
    for model in command.TRAINERS:
        assert callable(command._trainer(model))
