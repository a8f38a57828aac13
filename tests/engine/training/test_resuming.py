from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoints import Plain, load_checkpoint, load_run, save_checkpoint
from engine.errors import Interrupted, MissingDependency, UnusableInput, UsageError
from engine.parallel.stop_signals import STOP_SIGNALS
from engine.training import resuming
from engine.training.resuming import SAVE_EVERY_S, Job, resume_path, run_job
from engine.training.run_files import has_earlier_run


def job(*, steps: int = 5, spoil: Callable[[int], float] = lambda _: 0.0) -> Job:
    """Fits one number to the step's number, with momentum, so that the optimiser has a state."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(number: int) -> tuple[float, ...]:
        optimiser.zero_grad()
        loss = (model(torch.ones(1)) - number).square().sum()
        loss.backward()
        optimiser.step()
        return float(loss.detach()) + spoil(number), float(number)

    return Job("toy", model, optimiser, step, steps, ("loss", "number"))


def test_runs_to_the_end(tmp_path: Path) -> None:
    outcome = run_job(job(), tmp_path / "toy.safetensors")
    assert outcome.finished
    assert outcome.history[:, 1].tolist() == [0, 1, 2, 3, 4]
    info = load_checkpoint(tmp_path / "toy.safetensors", "toy").info
    assert info.settings["steps_done"] == 5
    assert info.metrics["train_loss"] == outcome.history[-1, 0]


def test_one_step_is_made_whatever_the_minutes(tmp_path: Path) -> None:
    """An untrained network replaces no checkpoint, and every run that goes on gets further."""
    out = tmp_path / "toy.safetensors"
    outcome = run_job(job(), out, minutes=0.0)
    assert outcome.history.shape == (1, 2)
    done = [run_job(job(), out, minutes=0.0, resume=True) for _ in range(5)]
    assert [outcome.steps_done for outcome in done] == [2, 3, 4, 5, 5]
    assert [outcome.finished for outcome in done] == [False, False, False, True, True]


def test_what_is_done_is_not_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"
    first = run_job(replace(job(), measure=lambda: {"heard": 1.0}), out)
    before = out.read_bytes()

    def unmeasurable() -> dict[str, float]:
        raise UnusableInput("Nothing to hear.")

    again = run_job(replace(job(), measure=unmeasurable), out, resume=True, minutes=0.0)
    assert again.finished
    assert dict(again.metrics) == dict(first.metrics)
    np.testing.assert_array_equal(again.history, first.history)
    assert out.read_bytes() == before
    assert not first.notes
    assert any("already finished" in note for note in again.notes)


def test_a_run_that_only_has_to_be_measured_was_not_finished(tmp_path: Path) -> None:
    def unmeasurable() -> dict[str, float]:
        raise UnusableInput("Nothing to hear.")

    out = tmp_path / "toy.safetensors"
    with pytest.raises(UnusableInput):
        run_job(replace(job(), measure=unmeasurable), out)
    assert not run_job(job(), out, resume=True).notes


def test_what_killed_runs_left_half_written_is_removed(tmp_path: Path) -> None:
    old, new, other = (
        tmp_path / f".part-{name}" for name in ("1.safetensors", "2.safetensors", "3.wav")
    )
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (1e9, 1e9))
    run_job(job(), tmp_path / "toy.safetensors")
    assert sorted(path.name for path in tmp_path.glob(".part-*")) == [new.name, other.name]


def test_killed_runs_go_on_from_the_last_save(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"

    def killed(number: int) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return 0.0

    ticks = itertools.count(step=SAVE_EVERY_S)
    with pytest.raises(KeyboardInterrupt):
        run_job(job(spoil=killed), out, clock=lambda: float(next(ticks)))
    assert resume_path(out).is_file()
    assert not out.exists()
    resumed = run_job(job(), out, resume=True)
    straight = run_job(job(), tmp_path / "straight.safetensors")
    np.testing.assert_array_equal(resumed.history, straight.history)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_ends_a_run_after_the_step_at_hand(tmp_path: Path, number: int) -> None:
    out = tmp_path / "toy.safetensors"
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # whoever runs the tests may ignore it

    def told(step: int) -> float:
        if step == 2:
            os.kill(os.getpid(), number)
        return 0.0

    try:
        with pytest.raises(Interrupted, match="after step 3 of 5") as caught:
            run_job(job(spoil=told), out)
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)
    assert "--resume" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [resume_path(out).name]
    resumed = run_job(job(), out, resume=True)
    straight = run_job(job(), tmp_path / "straight.safetensors")
    np.testing.assert_array_equal(resumed.history, straight.history)


def test_a_signal_that_comes_while_the_state_is_saved_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = resuming._save_state
    saved: list[int] = []

    def slow(job_: Job, out: Path, history: list[tuple[float, ...]]) -> None:
        saved.append(len(history))
        if saved == [5]:
            os.kill(os.getpid(), signal.SIGTERM)
        save(job_, out, history)

    monkeypatch.setattr(resuming, "_save_state", slow)
    ticks = itertools.count(step=SAVE_EVERY_S / 4.8)  # one look a step: after the fifth
    out = tmp_path / "toy.safetensors"
    with pytest.raises(Interrupted, match="after step 5 of 5"):
        run_job(job(), out, clock=lambda: float(next(ticks)))
    assert not out.exists()
    assert run_job(job(), out, resume=True).finished


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    def told(step: int) -> float:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        run_job(job(spoil=told), tmp_path / "toy.safetensors")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not list(tmp_path.iterdir())


def test_signals_that_others_wait_for_are_left_to_them(tmp_path: Path) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        spoil = job(spoil=lambda step: 0.0 if step else float(os.kill(os.getpid(), 15) or 0))
        assert run_job(spoil, tmp_path / "toy.safetensors").finished
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [15]


def test_a_thread_trains_without_signals(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(run_job, job(), tmp_path / "toy.safetensors").result().finished


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("toy.safetensors", True),
        ("toy.resume.safetensors", True),
        ("toy.teacher-1.run.safetensors", True),
        ("toy-phase.resume.safetensors", True),
        ("toy.b.resume.safetensors", False),
        ("toy.b.safetensors", False),
        ("toys.safetensors", False),
        ("toy.txt", False),
    ],
)
def test_what_an_earlier_run_left(tmp_path: Path, name: str, *, expected: bool) -> None:
    out = tmp_path / "run" / "toy.safetensors"
    assert not has_earlier_run(out)
    out.parent.mkdir()
    (out.parent / name).touch()
    assert has_earlier_run(out) is expected


def test_divergence_is_an_error_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    broken = job(spoil=lambda number: float("nan") if number == 2 else 0.0)
    with pytest.raises(UnusableInput, match="nan in step 3"):
        run_job(broken, tmp_path / "toy.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_be_measured_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"

    def unmeasurable() -> dict[str, float]:
        raise UnusableInput("Nothing to hear.")

    with pytest.raises(UnusableInput, match="hear"):
        run_job(replace(job(), measure=unmeasurable), out)
    assert not out.exists()
    steps: list[int] = []
    again = job(spoil=lambda number: float(steps.append(number) or 0))
    outcome = run_job(replace(again, measure=lambda: {"heard": 1.0}), out, resume=True)
    assert outcome.finished
    assert not steps
    assert outcome.metrics["heard"] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def stopped(out: Path) -> None:
    """A run that made two of its five steps."""
    ticks = itertools.count(step=60.0)
    assert run_job(job(), out, minutes=4.0, clock=lambda: float(next(ticks))).steps_done == 2


def test_a_checkpoint_without_its_state_is_not_gone_on_from(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"
    stopped(out)
    resume_path(out).rename(tmp_path / "elsewhere")
    with pytest.raises(MissingDependency, match="is not there") as caught:
        run_job(job(), out, resume=True)
    assert "without --resume" in caught.value.hint
    (tmp_path / "elsewhere").rename(resume_path(out))
    resumed = run_job(job(), out, resume=True)
    straight = run_job(job(), tmp_path / "straight.safetensors")
    np.testing.assert_array_equal(resumed.history, straight.history)


def test_the_state_of_a_run_is_no_model(tmp_path: Path) -> None:
    """The checkpoint that it is measured for is, though the time was up."""
    out = tmp_path / "toy.safetensors"
    stopped(out)
    assert load_checkpoint(out, "toy").info.settings["steps_done"] == 2
    with pytest.raises(MissingDependency, match="holds a toy-run, not a toy model"):
        load_checkpoint(resume_path(out), "toy")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            {"steps": 4, "contrast_steps": 2},
            {"steps": 8, "contrast_steps": 4},
            "contrast_steps, steps (--epochs).",
        ),
        ({"epochs": 2, "seed": 0}, {"epochs": 3, "seed": 1}, "epochs (--epochs); seed (--seed)."),
        ({"lsro": False, "batch": 1}, {"lsro": True, "batch": 2}, "batch; lsro (--lsro)."),
        ({"noise_targets": True}, {"noise_targets": False}, "noise_targets (--mended)."),
        ({"schedule": 3}, {"schedule": 4}, "schedule (--epochs)."),
    ],
)
def test_what_changed_is_told_by_its_option(
    tmp_path: Path, before: dict[str, Plain], after: dict[str, Plain], told: str
) -> None:
    out = tmp_path / "toy.safetensors"
    run_job(replace(job(), settings=before), out)
    with pytest.raises(UsageError, match="begun otherwise") as caught:
        run_job(replace(job(), settings=after), out, resume=True)
    assert caught.value.message.endswith(f"changed: {told}")
    with pytest.raises(UsageError) as caught:
        run_job(replace(job(), settings=before, data_sha="other"), out, resume=True)
    assert caught.value.message.endswith("changed: the data (--data).")


def test_more_songs_are_more_steps(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"
    run_job(replace(job(), settings={"steps": 4}), out)
    more = replace(job(), settings={"steps": 5}, data_sha="more")
    with pytest.raises(UsageError) as caught:
        run_job(more, out, resume=True)
    assert caught.value.message.endswith("steps (--epochs or --data); the data (--data).")


@pytest.mark.parametrize(
    "changed",
    [
        {"history": None},
        {"history": torch.zeros((), dtype=torch.float64)},
        {"history": torch.zeros((2, 3), dtype=torch.float64)},
        {"history": torch.zeros((9, 2), dtype=torch.float64)},
        {"optimiser.x.step": torch.ones(())},
        {"optimiser.1": torch.ones(())},
        {"optimiser.7.step": torch.ones(())},
        {"optimiser.0.exp_avg": torch.ones(3, 3)},
        {"optimiser.0.exp_avg": None},
        {"optimiser.0.more": torch.ones(1, 1)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_state_of_something_else_is_damaged(
    changed: dict[str, torch.Tensor | None], tmp_path: Path
) -> None:
    out = tmp_path / "toy.safetensors"
    stopped(out)
    state = load_run(resume_path(out), "toy")
    tensors = {k: v for k, v in (dict(state.tensors) | changed).items() if v is not None}
    save_checkpoint(resume_path(out), tensors, info=state.info)
    with pytest.raises(MissingDependency) as caught:
        run_job(job(), out, resume=True)
    assert caught.value.code == "checkpoint_damaged"


def test_weights_that_become_no_numbers_replace_no_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "toy.safetensors"
    run_job(job(), out)
    before = out.read_bytes()
    broken = job()
    last = broken.step

    def step(number: int) -> tuple[float, ...]:
        values = last(number)
        if number == 4:
            broken.model.weight.data.fill_(float("inf"))
        return values

    with pytest.raises(UnusableInput, match="no numbers in step 5"):
        run_job(replace(broken, step=step), out)
    assert out.read_bytes() == before
    assert not resume_path(out).exists()
