from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import load_checkpoint
from engine.errors import MissingDependency, UsageError
from engine.models.fit.checkpoint import load_fit
from engine.training.fit import training
from engine.training.fit.data import FitBank, make_bank
from engine.training.fit.loss import batch_loss, pitch_tensors, similarities
from engine.training.fit.material import FitMaterial, open_fit_material
from engine.training.fit.steps import towers_job
from engine.training.fit.teachers import load_teacher, pupil_of, save_teacher, teacher_path
from engine.training.fit.towers import FitTowers
from engine.training.fit.training import train_fit
from engine.training.resuming import Job
from tests.engine.training.scores import made_up_song, write_corpus
from tests.engine.training.tiny_fit import FEW, TINY


@pytest.fixture(scope="module")
def bank() -> FitBank:
    return make_bank([made_up_song(seed) for seed in range(12)], 12, seed=1)


@pytest.fixture
def material(tmp_path: Path) -> FitMaterial:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    return open_fit_material(
        (tmp_path / "corpus",), tmp_path / "songs", cache_dir=tmp_path / "cache"
    )


def kept(towers: FitTowers, folder: Path) -> FitTowers:
    path = folder / "teacher.safetensors"
    save_teacher(path, towers, settings={"seed": 1}, data_sha="data")
    return load_teacher(path, TINY, settings={"seed": 1}, data_sha="data")


def test_a_teacher_is_kept_in_half_precision_and_learns_no_more(tmp_path: Path) -> None:
    towers = FitTowers(TINY, seed=3)
    teacher = kept(towers, tmp_path)
    for name, weights in towers.weights().items():
        np.testing.assert_array_equal(
            teacher.weights()[name], weights.astype(np.float16).astype(np.float32)
        )
    assert not any(weights.requires_grad for weights in teacher.parameters())
    pupil = pupil_of(teacher, sharpness=60.0)
    assert all(weights.requires_grad for weights in pupil.parameters())
    torch.testing.assert_close(pupil.log_scale.exp(), torch.tensor([60.0, 60.0]))


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"settings": {"seed": 2}}, "changed: seed"), ({"data_sha": "other"}, "the data")],
)
def test_a_teacher_of_another_run_is_refused(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, FitTowers(TINY, seed=3), settings={"seed": 1}, data_sha="data")
    asked = {"settings": {"seed": 1}, "data_sha": "data", **changed}
    with pytest.raises(UsageError, match=why):
        load_teacher(path, TINY, **asked)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(MissingDependency, match="damaged"):
        load_teacher(path, TINY, settings={"seed": 1}, data_sha="data")


def test_a_pupil_comes_to_see_what_its_teacher_sees(bank: FitBank, tmp_path: Path) -> None:
    """The teacher's answers differ from the truth, and a little learning moves towards them."""
    teacher = kept(FitTowers(TINY, seed=5), tmp_path)
    torch.manual_seed(0)
    pupil = FitTowers(TINY, seed=6)
    optimiser = torch.optim.Adam(pupil.parameters(), lr=3e-3)

    def seen(towers: FitTowers) -> np.ndarray:
        with torch.no_grad():
            parts = [towers.pitch("voice", *pitch_tensors(bank.voice))]
            parts.append(towers.pitch("stem", *pitch_tensors(bank.stem))[:, 8:40])
            return similarities(*parts).numpy().ravel()

    before = np.corrcoef(seen(pupil), seen(teacher))[0, 1]
    for step in range(40):
        loss = batch_loss(pupil, bank, np.random.default_rng(step), [teacher])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert np.corrcoef(seen(pupil), seen(teacher))[0, 1] > before + 0.2
    assert all(weights.grad is None for weights in teacher.parameters())


def test_a_pupil_sees_windows_that_no_teacher_saw(material: FitMaterial) -> None:
    """Each teacher has a seed of its own, and so have the lessons."""
    asked: list[int] = []

    class Source:
        songs, groups = material.train.songs, material.train.groups

        def bank(self, windows: int, *, seed: int) -> FitBank:
            asked.append(seed)
            return material.train.bank(windows, seed=seed)

    for number in range(2):
        own = FEW.of_teacher(number)
        towers_job(FitTowers(TINY, seed=own.seed), Source(), own).step(0)
    teachers = [FitTowers(TINY, seed=seed) for seed in range(2)]
    towers_job(FitTowers(TINY, seed=0), Source(), FEW, teachers=teachers).step(0)
    assert len(set(asked)) == 3


def test_a_finished_teacher_is_not_trained_again(
    material: FitMaterial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "fit.safetensors"
    begun: list[int] = []
    run_job = training.run_job

    def counting(job: object, path: Path, **options: object) -> object:
        begun.append(int(path.stem.split("-")[1].split(".")[0]) if "teacher" in path.stem else -1)
        if begun == [0, 1]:
            options["minutes"] = 1e-9
        return run_job(job, path, **options)

    monkeypatch.setattr(training, "run_job", counting)
    first = train_fit(material, out, settings=FEW)
    assert not first.finished
    assert first.steps_done == FEW.steps + 1
    taught = load_checkpoint(teacher_path(out, 0), "fit-teacher").tensors
    published = {n: w for n, w in load_fit(out).weights.items() if n.startswith("drum_rhythm.")}
    assert published  # by the first teacher: the second one has only begun
    for name, values in published.items():
        np.testing.assert_array_equal(values, taught[name.replace(".", "_")].numpy())
    second = train_fit(material, out, settings=FEW, resume=True)
    assert begun == [0, 1, 1, -1]
    assert second.finished
    assert second.steps_done == 2 * FEW.steps + FEW.lessons + FEW.judge_steps
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["fit.safetensors"]


@pytest.mark.parametrize(
    ("job", "steps", "done"),
    [(0, 1, 1), (1, 2, FEW.steps + 2), (2, 1, 2 * FEW.steps + 1), (2, FEW.lessons + 1, None)],
    ids=["first teacher", "second teacher", "pupil", "judge"],
)
def test_a_run_that_is_stopped_anywhere_ends_as_one_that_was_not(
    material: FitMaterial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: int,
    steps: int,
    done: int | None,
) -> None:
    run_job, jobs = training.run_job, itertools.count()

    def stopping(part: Job, path: Path, **options: object) -> object:
        if next(jobs) != job:
            return run_job(part, path, **options)
        made = [0]

        def step(number: int) -> tuple[float, ...]:
            made[0] += 1
            return part.step(number)

        def clock() -> float:
            return 0.0 if made[0] < steps else 3600.0

        counted = replace(part, step=step)
        return run_job(counted, path, minutes=1.0, resume=True, clock=clock)

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train_fit(material, whole, settings=FEW)
    monkeypatch.setattr(training, "run_job", stopping)
    stopped = train_fit(material, parts, settings=FEW)
    assert not stopped.finished
    assert stopped.steps_done == (done or 2 * FEW.steps + FEW.lessons + 1)
    monkeypatch.setattr(training, "run_job", run_job)
    assert train_fit(material, parts, settings=FEW, resume=True).finished
    one, other = load_fit(whole).weights, load_fit(parts).weights
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
