from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import UnusableInput
from engine.models.mash_mask import MaskConfig
from engine.models.song_masher import MasherConfig
from engine.training.mash_mask import MaskTraining, load_mask_network
from engine.training.requests import TrainRequest
from engine.training.song_masher import MasherTraining, load_song_masher
from engine.training.song_masher_run import MasherPlan, TripleFiles, find_mashups, run

TINY = MasherPlan(
    magnitude=MasherTraining(MasherConfig(width=4), epochs=2),
    phase=MasherTraining(MasherConfig("phase", width=4), epochs=2),
    mask=MaskTraining(MaskConfig(width=4, dilations=(1,)), steps=2, batch=1, crop_s=0.3),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(2):
        folder = tmp_path / "data" / f"mashup {number}"
        folder.mkdir(parents=True)
        one, two = rng.uniform(-0.3, 0.3, (2, 4000)).astype(np.float32)
        for name, samples in (("first", one), ("second", two), ("mix", one + two)):
            soundfile.write(folder / f"{name}.wav", samples, 8000)
    return tmp_path / "data"


def unheard(_text: str) -> None:
    """Nobody listens."""


def test_from_folders_to_three_checkpoints(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors", device="cpu")
    report = run(request, told.append, plan=TINY)
    assert report.finished
    assert report.steps == 6
    assert load_song_masher(tmp_path / "m.safetensors").config.part == "magnitude"
    assert load_song_masher(tmp_path / "m-phase.safetensors").config.part == "phase"
    assert load_mask_network(tmp_path / "m-mask.safetensors").config.width == 4
    assert {"magnitude_test_loss", "phase_test_loss", "mask_train_loss"} <= report.metrics.keys()
    assert len(told) == 3


def test_resumes_all_three(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    request = TrainRequest("song-masher", (data,), out, minutes=1e-9, device="cpu", epochs=3)
    assert run(request, unheard, plan=TINY).steps < 8
    request = dataclasses.replace(request, minutes=None, resume=True)
    report = run(request, unheard, plan=TINY)
    assert report.finished
    assert report.steps == 3 + 3 + 2


def test_mashups_are_read_when_asked_for(data: Path) -> None:
    (data / "notes").mkdir()
    (data / "notes" / "first.wav").write_bytes(b"no mashup without the others")
    folders = find_mashups([data])
    assert [folder.name for folder in folders] == ["mashup 0", "mashup 1"]
    triples = TripleFiles(folders)
    assert len(triples) == 2
    assert triples[1].mix.frames == 8000
    assert triples[1] is triples[1]
    assert len(triples[:1]) == 1
    total = triples[0].first.samples + triples[0].second.samples
    np.testing.assert_allclose(triples[0].mix.samples, total, atol=1e-3)


def test_no_mashups_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no mashup"):
        find_mashups([tmp_path])
    with pytest.raises(UnusableInput, match="no folder"):
        find_mashups([tmp_path / "nowhere"])
