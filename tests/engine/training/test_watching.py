"""Held-out material is measured while training: when, how dear, and that it changes nothing."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoints import load_checkpoint
from engine.errors import UnusableInput
from engine.models.song_masher.network import Defects, MasherConfig
from engine.training.fit.material import open_fit_material
from engine.training.fit.training import train_fit
from engine.training.mix_nets.training import train_mix
from engine.training.resuming import Job, resume_path, run_job
from engine.training.song_masher.mask_training import train_mash_mask
from engine.training.song_masher.training import train_song_masher
from engine.training.stem_jepa.training import train_stem_jepa
from engine.training.watching import HeldOut, Progress
from tests.engine.training.mix_nets.songs_to_mix import ToySongs
from tests.engine.training.mix_nets.test_training import crops, tiny
from tests.engine.training.scores import made_up_song, write_corpus
from tests.engine.training.song_masher.test_mask_training import TINY as MASK
from tests.engine.training.song_masher.test_mask_training import ducked
from tests.engine.training.song_masher.test_training import TINY as MASHER
from tests.engine.training.song_masher.test_training import triple
from tests.engine.training.stem_jepa.test_phases import TINY as TWO_PHASES
from tests.engine.training.stem_jepa.test_phases import song
from tests.engine.training.stem_jepa.test_training import TINY as ONE_PHASE
from tests.engine.training.tiny_fit import FEW

Report = Callable[[Progress], None]


class Clock:
    """Stands still but when it is moved [s]."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def job(
    report: Report | None, *, steps: int = 40, measured: Callable[[int], Mapping[str, float]]
) -> Job:
    """A network whose steps draw from the global generator, with batch norm and dropout."""
    torch.manual_seed(0)
    frozen = nn.BatchNorm1d(4).eval()
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), frozen)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(_number: int) -> tuple[float, ...]:
        optimiser.zero_grad()
        noise = random.random() + np.random.random()  # the global ones are meant
        loss = (model(torch.randn(5, 3)) - noise).square().mean()
        loss.backward()
        optimiser.step()
        return (float(loss.detach()),)

    return Job(
        "toy",
        model,
        optimiser,
        step,
        steps,
        ("loss",),
        watch=measured,
        report=report,
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path, "toy").tensors)


def measured_after(told: list[Progress]) -> list[int]:
    return [progress.step for progress in told if progress.is_measured]


def toy_weights(out: Path, told: list[Progress], *, with_report: bool) -> dict[str, torch.Tensor]:
    """Weights of a run whose measuring draws from every global generator."""
    random.seed(0)
    np.random.seed(0)

    def measured(_step: int) -> dict[str, float]:
        heard = watched.model(torch.randn(9, 3))
        assert not any(module.training for module in watched.model.modules())
        assert not heard.requires_grad
        return {"loss": float(heard.mean()) + random.random() + np.random.random()}

    watched = job(told.append if with_report else None, measured=measured)
    run_job(watched, out, clock=Clock())
    return weights(out)


def test_weights_are_the_same_with_and_without(tmp_path: Path) -> None:
    told: list[Progress] = []
    one = toy_weights(tmp_path / "with.safetensors", told, with_report=True)
    assert len(measured_after(told)) == 9
    other = toy_weights(tmp_path / "without.safetensors", told, with_report=False)
    assert len(measured_after(told)) == 9
    assert one.keys() == other.keys()
    assert any("running_mean" in key for key in one)
    for key, values in one.items():
        torch.testing.assert_close(values, other[key], rtol=0, atol=0)


def test_every_tenth_of_the_steps_but_the_end(tmp_path: Path) -> None:
    told: list[Progress] = []
    watched = job(told.append, steps=40, measured=lambda step: {"loss": step / 8, "accuracy": 0.75})
    run_job(watched, tmp_path / "toy.safetensors", clock=Clock())
    assert measured_after(told) == [4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert [progress.step for progress in told] == list(range(1, 41))
    assert told[2].held_out is None
    assert str(told[2]).startswith("step 3 of 40, loss ")
    assert "held out" not in str(told[2])
    assert told[4].held_out == HeldOut(4, {"loss": 0.5, "accuracy": 0.75})
    assert str(told[4]).endswith("; held out loss 0.5, accuracy 0.75 (step 4)")


@pytest.mark.parametrize(("steps", "expected"), [(1, []), (3, [1, 2]), (5, [1, 2, 3, 4])])
def test_short_runs(tmp_path: Path, steps: int, expected: list[int]) -> None:
    told: list[Progress] = []
    watched = job(told.append, steps=steps, measured=lambda _: {"a": 1.0})
    run_job(watched, tmp_path / "toy.safetensors", clock=Clock())
    assert measured_after(told) == expected


def timed(clock: Clock, told: list[Progress], *, dear_s: float, steps: int = 1000) -> Job:
    """A step takes a second."""

    def measured(_step: int) -> dict[str, float]:
        clock.now_s += dear_s
        return {"loss": 1.0}

    watched = job(told.append, steps=steps, measured=measured)
    step = watched.step

    def slow(number: int) -> tuple[float, ...]:
        clock.now_s += 1.0
        return step(number)

    return replace(watched, step=slow)


def test_every_tenth_of_the_minutes(tmp_path: Path) -> None:
    clock, told = Clock(), []
    run_job(timed(clock, told, dear_s=0.0), tmp_path / "a.safetensors", minutes=1.0, clock=clock)
    assert measured_after(told) == [6, 12, 18, 24, 30, 36, 42, 48, 54]


@pytest.mark.parametrize("minutes", [None, 10.0])
@pytest.mark.parametrize("dear_s", [2.0, 12.0, 40.0])
def test_measuring_takes_a_tenth_of_the_time_at_most(
    tmp_path: Path, dear_s: float, minutes: float | None
) -> None:
    """But for the first time, whose length nobody knows."""
    clock, told = Clock(), []
    run_job(
        timed(clock, told, dear_s=dear_s, steps=600),
        tmp_path / "a.safetensors",
        minutes=minutes,
        clock=clock,
    )
    steps = measured_after(told)
    for number, step in enumerate(steps[1:], 2):
        assert number * dear_s <= 0.1 * (step + number * dear_s)
    assert steps[0] == 60
    if minutes is None:
        assert len(steps) == {2.0: 9, 12.0: 5, 40.0: 1}[dear_s]
    else:
        assert clock.now_s <= 60 * minutes + dear_s


def test_it_does_not_reach_beyond_the_minutes(tmp_path: Path) -> None:
    clock, told = Clock(), []
    watched = timed(clock, told, dear_s=7.0)
    run_job(watched, tmp_path / "a.safetensors", minutes=2.0, clock=clock)
    assert measured_after(told) == [12]
    assert clock.now_s == 120.0


def test_what_cannot_be_measured_is_said_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def unmeasurable(_step: int) -> dict[str, float]:
        raise UnusableInput("Nothing to hear.")

    told: list[Progress] = []
    watched = job(told.append, measured=unmeasurable)
    assert run_job(watched, tmp_path / "toy.safetensors").finished
    assert [record.getMessage() for record in caplog.records] == [
        "Held-out songs are not measured while training: Nothing to hear."
    ]
    assert not any(progress.held_out for progress in told)
    assert watched.model[1].training is False  # as published


def test_nothing_held_out_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[int] = []

    def measured(step: int) -> dict[str, float]:
        asked.append(step)
        return {}

    watched = job(lambda _progress: None, measured=measured)
    run_job(watched, tmp_path / "toy.safetensors")
    assert asked == [4]


def test_a_resumed_run_is_measured_at_tenths_of_what_is_left_and_is_the_same(
    tmp_path: Path,
) -> None:
    clock, told = Clock(), []
    parts, whole = tmp_path / "parts.safetensors", tmp_path / "whole.safetensors"

    def numbered(report: Report | None) -> Job:
        watched = timed(clock, told, dear_s=0.0, steps=40)
        step = watched.step

        def seeded(number: int) -> tuple[float, ...]:
            torch.manual_seed(number)
            random.seed(number)
            np.random.seed(number)
            return step(number)

        return replace(watched, step=seeded, report=report)

    first = run_job(numbered(told.append), parts, minutes=1 / 3, clock=clock)
    assert first.steps_done == 20
    assert resume_path(parts).is_file()
    told.clear()
    run_job(numbered(told.append), parts, resume=True, clock=clock)
    assert measured_after(told) == [22, 24, 26, 28, 30, 32, 34, 36, 38]
    run_job(numbered(None), whole, clock=clock)
    assert parts.read_bytes() == whole.read_bytes()


def mix(folder: Path, report: Report | None) -> Path:
    held_out = crops(folder / "crops", ["good", "bad", "unknown"] * 2)
    train_mix(
        [ToySongs(8)], held_out, tiny(), out=folder / "x.safetensors", clock=Clock(), report=report
    )
    return folder / "x.safetensors"


def jepa(folder: Path, report: Report | None) -> Path:
    songs, heard = [song(seed) for seed in range(4)], [song(seed) for seed in range(10, 13)]
    out = folder / "x.safetensors"
    train_stem_jepa(songs, TWO_PHASES, out=out, validation=heard, clock=Clock(), report=report)
    return out


def jepa_as_published(folder: Path, report: Report | None) -> Path:
    songs, heard = [song(seed) for seed in range(4)], [song(10)]
    out = folder / "x.safetensors"
    train_stem_jepa(songs, ONE_PHASE, out=out, validation=heard, clock=Clock(), report=report)
    return out


def masher(folder: Path, report: Report | None) -> Path:
    run = dataclasses.replace(TINY_MASHER, network=MasherConfig(width=8, defects=Defects()))
    out = folder / "x.safetensors"
    train_song_masher(
        [triple(0), triple(1)], run, out=out, validation=[triple(2)], clock=Clock(), report=report
    )
    return out


def mask(folder: Path, report: Report | None) -> Path:
    out, songs = folder / "x.safetensors", [ducked(seed)[0] for seed in range(3)]
    train_mash_mask(songs[:2], MASK, out=out, validation=songs[2:], clock=Clock(), report=report)
    return out


TINY_MASHER = dataclasses.replace(MASHER, epochs=4)


@pytest.mark.parametrize(
    ("train", "names"),
    [
        (mix, ("loss", "accuracy")),
        (jepa, ("loss", "rank in role")),
        (jepa_as_published, ("loss", "rank in role")),
        (masher, ("loss",)),
        (mask, ("loss", "unmasked")),
    ],
)
def test_every_network_tells_and_is_the_same(
    tmp_path: Path, train: Callable[[Path, Report | None], Path], names: tuple[str, ...]
) -> None:
    told: list[Progress] = []
    files = []
    for report in (None, told.append):
        folder = tmp_path / ("quiet" if report is None else "watched")
        folder.mkdir()
        files.append(train(folder, report).read_bytes())
    assert files[0] == files[1]
    assert len(measured_after(told)) == told[-1].steps - 1
    for progress in told[:-1]:
        assert progress.held_out is not None
        assert tuple(progress.held_out.metrics) == names
        assert np.isfinite(list(progress.held_out.metrics.values())).all()


def test_the_towers_of_fit_tell_and_are_the_same(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=3)
    material = open_fit_material(
        [tmp_path / "corpus"], tmp_path / "songs", cache_dir=tmp_path / "cache"
    )
    told: list[str] = []
    quiet, watched = tmp_path / "quiet.safetensors", tmp_path / "watched.safetensors"
    train_fit(material, quiet, settings=FEW)
    train_fit(material, watched, settings=FEW, report=told.append)
    assert quiet.read_bytes() == watched.read_bytes()
    for begin in ("teacher 1 of 2: step 1 of 3", "teacher 2 of 2: step 1 of 3", "step 1 of 4"):
        (line,) = (text for text in told if text.startswith(begin))
        assert "; held out loss " in line
        assert ", rank 0." in line
