from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import engine.training.mix_run as mix_run
from engine.audio.stretch import default_stretcher
from engine.errors import SomeItemsFailed, UnusableInput, UsageError
from engine.library.library import Library
from engine.mashup.database import MashupDB
from engine.mashup.generation import generate
from engine.training.checkpoints import load_checkpoint
from engine.training.material import open_material
from engine.training.mix_crops import make_crops
from engine.training.requests import TrainRequest, pick_device
from tests.engine.library.songs import song
from tests.engine.mashup.songs import made_db
from tests.engine.mashup.test_example_audio import Recorder


def silent(_text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Five songs of two bars with a voice, and one without anything to sing over."""
    folder = tmp_path / "library"
    with Library.open(folder) as opened:
        for seed in range(5):
            opened.add_song(song(seed, roles=("drums", "harmonic", "vocals"), frames=8000 * 5))
        opened.add_song(song(9, roles=("vocals",)))
    return folder


@pytest.fixture
def request_(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainRequest:
    monkeypatch.setattr(mix_run, "BARS", 1)
    monkeypatch.setattr(mix_run, "EACH_PER_SONG", 1)
    monkeypatch.setattr(mix_run, "CPU_WIDTH", 1 / 32)
    monkeypatch.setattr(mix_run, "CPU_BOTTLENECK", 2)
    out = tmp_path / "out" / "pre.safetensors"
    return TrainRequest("premixnet", (library,), out, epochs=1, device="cpu")


def test_from_a_library_to_a_checkpoint(request_: TrainRequest) -> None:
    told: list[str] = []
    report = mix_run.run(request_, told.append, stretcher=Recorder())
    info = load_checkpoint(report.checkpoint, "premixnet").info
    assert report.finished
    assert report.steps == 1
    assert info.settings["lsro"] is False
    assert info.metrics == report.metrics
    assert report.metrics["held_out_examples"] >= 1
    assert any(text.startswith("rendering training example 5 of 5") for text in told)
    assert any("loss" in text for text in told)
    # all songs are in one key, so no harmony can be out of key
    assert any("unmatched-key" in note for note in report.notes)


def test_a_second_run_renders_nothing_and_gives_the_same(request_: TrainRequest) -> None:
    first = mix_run.run(request_, silent, stretcher=Recorder())
    idle = Recorder()
    second = mix_run.run(request_, silent, stretcher=idle)
    assert not idle.jobs
    assert second.metrics == first.metrics
    with_unlabeled = mix_run.run(replace(request_, lsro=True), silent, stretcher=idle)
    assert idle.jobs
    assert with_unlabeled.metrics != first.metrics


def test_time_may_end_while_rendering_and_the_next_run_goes_on(request_: TrainRequest) -> None:
    ticks = count(0.0, 10.0)
    first = Recorder()
    with pytest.raises(SomeItemsFailed, match="were rendered") as caught:
        mix_run.run(
            replace(request_, minutes=0.5), silent, stretcher=first, clock=lambda: next(ticks)
        )
    assert caught.value.code == "out_of_time"
    assert not request_.out.exists()
    again = Recorder()
    assert mix_run.run(request_, silent, stretcher=again).finished
    assert first.jobs
    assert again.jobs
    made = {path.name for path in request_.out.with_name("pre-crops").glob("*.npy")}
    assert len(made) == (len(first.jobs) + len(again.jobs)) / 6


def test_too_little_music(request_: TrainRequest, tmp_path: Path) -> None:
    with Library.open(tmp_path / "small") as opened:
        opened.add_song(song(1, roles=("drums", "bass")))
    small = replace(request_, data=(tmp_path / "small",))
    with pytest.raises(UsageError, match="No example"):
        mix_run.run(small, silent, stretcher=Recorder())
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableInput):
        mix_run.run(replace(request_, data=(tmp_path / "empty",)), silent, stretcher=Recorder())


def test_a_library_counts_once_and_says_who_is_left_out(library: Path, tmp_path: Path) -> None:
    material = open_material([library, library], tmp_path / "work", tell=silent)
    assert len(material.db.songs) == 5
    assert not (tmp_path / "work").exists()
    with Library.open(library) as opened:
        left_out = MashupDB.of_library(opened).left_out
        groups = {row.id: "one" for row in opened.songs()}
        assert {s.group for s in MashupDB.of_library(opened, groups=groups).songs} == {"one"}
    assert list(left_out.values()) == ["neither harmony nor drums"]


def test_crops_hold_three_stems_and_their_sum(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    plan = generate(db, {"original": 2}, seed=0, bars=1)
    crops = make_crops(db, plan.examples, tmp_path / "crops", stretcher=Recorder())
    spectra = np.load(crops.paths[0])
    assert spectra.shape[0] == 4
    assert spectra.dtype == np.float16
    seconds = 240 / db.by_id[plan.examples[0].stems[0].song_id].tempo_bpm
    assert spectra.shape[1:] == (1 + int(seconds * 32000) // 640, 128)
    assert crops.labels == ("good", "good")
    assert spectra[3].mean() > spectra[:3].mean()


@pytest.mark.slow
def test_what_cannot_be_rendered_is_left_out_and_jobs_change_nothing(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    examples = generate(db, {"original": 3}, seed=0, bars=1).examples
    broken = db.by_id[examples[1].stems[2].song_id].stems["drums"].path
    broken.write_bytes(b"no audio")
    good = sum(db.by_id[e.stems[0].song_id].stems["drums"].path != broken for e in examples)
    stretcher = default_stretcher()
    one, two = (
        make_crops(db, examples, tmp_path / f"{jobs}", stretcher=stretcher, jobs=jobs)
        for jobs in (1, 2)
    )
    assert (len(one), one.unusable, one.complete) == (good, 3 - good, True)
    assert one.data_sha == two.data_sha
    for first, second in zip(one.paths, two.paths, strict=True):
        np.testing.assert_array_equal(np.load(first), np.load(second))


@pytest.mark.parametrize(
    "values",
    [{"data": ()}, {"epochs": 0}, {"minutes": 0.0}, {"minutes": float("nan")}, {"seed": -1}],
)
def test_requests_that_cannot_be_meant(values: dict[str, object], tmp_path: Path) -> None:
    good = TrainRequest("premixnet", (tmp_path,), tmp_path / "a.safetensors")
    with pytest.raises(UsageError):
        replace(good, **values)  # type: ignore[arg-type]


def test_the_cpu_is_always_there() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")
