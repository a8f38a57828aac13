"""Training that may stop at any step and go on from there as if it had never stopped.

A :class:`Job` is a network, its optimiser and a function that makes one step; the step's number is
all the randomness it may depend on, so step 700 draws the same examples whether or not the run was
interrupted at 699. Beside the checkpoint ``NAME.safetensors`` lies ``NAME.resume.safetensors``
with the optimiser's moments while the run is unfinished; it is written every ten minutes, and when
Ctrl-C or SIGTERM ends the run. Times are seconds of the clock handed in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.checkpoints import (
    MOMENTS,
    STEPS_DONE,
    Checkpoint,
    CheckpointInfo,
    Plain,
    load_weights,
    save_checkpoint,
)
from engine.errors import Interrupted, MissingDependency, UnusableInput
from engine.parallel.stop_signals import stop_signals
from engine.training.earlier_runs import check_same_run, gone_state, last_file, load_to_resume
from engine.training.run_files import resume_path, state_files, sweep
from engine.training.watching import HeldOut, Progress, Watch

__all__ = [
    "WAS_DONE",
    "Job",
    "Outcome",
    "resume_path",
    "run_job",
    "state_files",
]

#: A killed run loses at most this much work.
SAVE_EVERY_S: Final = 600.0
#: Said of a run to go on with that had come to its end.
WAS_DONE: Final = "The run was already finished; nothing was done."
_MODEL: Final = "model."
#: What Adam keeps of every parameter.
_ADAM: Final = {"step", "exp_avg", "exp_avg_sq"}
_HISTORY: Final = "history"


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained.

    Args:
        kind: name of the model in its checkpoints.
        model: the network.
        optimiser: over the network's trainable parameters, in their order.
        step: makes one step, given its number, and returns a value for each of ``columns``.
        steps: how many there are.
        columns: names of the measured values; the first one is the loss.
        settings: everything that builds the network and the run again.
        data_sha: names the training data.
        measure: metrics of the network as it stands, taken before a checkpoint is published.
        watch: the few metrics of held-out material that are told while training, by their names for
            people, after so many steps; taken where somebody is told (:class:`~.watching.Watch`).
        report: told how far it is, after every step.
    """

    kind: str
    model: nn.Module
    optimiser: Optimizer
    step: Callable[[int], tuple[float, ...]]
    steps: int
    columns: tuple[str, ...]
    settings: Mapping[str, Plain] = field(default_factory=dict)
    data_sha: str = ""
    measure: Callable[[], Mapping[str, float]] = dict
    watch: Callable[[int], Mapping[str, float]] | None = None
    report: Callable[[Progress], None] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended.

    Args:
        steps_done: of all runs together.
        finished: False when the time was up first.
        history: (steps_done, columns) the measured values.
        metrics: what the checkpoint says about itself.
        was_done: the run to go on with had come to its end, so nothing was done.
    """

    steps_done: int
    finished: bool
    history: NDArray[np.float64]
    metrics: Mapping[str, float]
    was_done: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        return (WAS_DONE,) if self.was_done else ()


def run_job(
    job: Job,
    out: Path,
    *,
    minutes: float | None = None,
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train until the steps are done or the minutes are up, and write the checkpoint.

    Args:
        job: what to do.
        out: the checkpoint.
        minutes: of this run, all that is needed when None; the step at hand is finished, and one
            is made whatever the minutes, so that no untrained network is ever written and every
            run that goes on gets further.
        resume: go on from an earlier run's files where there are any; what is done is not
            measured again.
        clock: seconds.

    Raises:
        UsageError: the earlier run had other settings or other data.
        UnusableInput: the loss is no number any more.
        MissingDependency: a file of the earlier run is damaged, or its state is gone.
        UnwritableOutput: the checkpoint cannot be written.
        Interrupted: Ctrl-C or SIGTERM came; the state after the step at hand is kept, no checkpoint
            is written. A second signal ends the process as it would have without this.

    What ``job.measure`` raises ends the run too; its state is kept, and ``resume`` measures again.
    """
    sweep(out.parent)
    before = _restored(job, out) if resume else None
    if before is not None and before.is_done:
        table = _table(job, before.history).numpy()
        return Outcome(job.steps, True, table, before.metrics, was_done=True)
    history = before.history if before is not None else []
    made_before = len(history)
    begun = saved = clock()
    watch = _watch(job, made_before, begun, minutes=minutes, clock=clock)
    job.model.train()
    with stop_signals() as came:
        while len(history) < job.steps and not came:
            is_first = len(history) == made_before
            if not is_first and minutes is not None and clock() - begun >= 60.0 * minutes:
                break
            history.append(_one_step(job, len(history)))
            if came:
                break
            now = clock()
            if now - saved >= SAVE_EVERY_S:
                _save_state(job, out, history)
                saved = clock()
            _report(job, history, watch.after(len(history), now) if watch is not None else None)
        if came:
            _save_state(job, out, history)
            raise _interrupted(job, history)
    return _publish(job, out, history)


def _watch(
    job: Job, done: int, begun_s: float, *, minutes: float | None, clock: Callable[[], float]
) -> Watch | None:
    """None where nobody would be told."""
    if job.report is None or job.watch is None:
        return None
    return Watch(
        job.model,
        job.watch,
        done=done,
        steps=job.steps,
        begun_s=begun_s,
        minutes=minutes,
        clock=clock,
    )


def _report(job: Job, history: list[tuple[float, ...]], held_out: HeldOut | None) -> None:
    if job.report is not None:
        job.report(Progress(len(history), job.steps, history[-1][0], held_out))


def _interrupted(job: Job, history: list[tuple[float, ...]]) -> Interrupted:
    return Interrupted(
        f"Interrupted after step {len(history)} of {job.steps}; what was learned is kept.",
        hint="Go on with the same command and --resume.",
    )


def _one_step(job: Job, number: int) -> tuple[float, ...]:
    values = job.step(number)
    if not math.isfinite(values[0]):
        raise _diverged(f"The loss became {values[0]} in step {number + 1}")
    return values


def _diverged(what: str) -> UnusableInput:
    return UnusableInput(
        f"{what}; training cannot go on.",
        hint="Train again with a lower learning rate.",
        code="diverged",
    )


def _publish(job: Job, out: Path, history: list[tuple[float, ...]]) -> Outcome:
    finished = len(history) == job.steps
    if not all(bool(tensor.isfinite().all()) for tensor in job.model.state_dict().values()):
        raise _diverged(f"The weights became no numbers in step {len(history)}")
    _save_state(job, out, history)  # whatever happens while it is measured, nothing is lost
    job.model.eval()
    metrics = dict(job.measure())
    if history:
        metrics["train_loss"] = history[-1][0]
    tensors = {_MODEL + name: tensor for name, tensor in job.model.state_dict().items()}
    tensors[_HISTORY] = _table(job, history)
    save_checkpoint(out, tensors, info=_info(job, len(history), metrics))
    if finished:
        resume_path(out).unlink(missing_ok=True)
    return Outcome(len(history), finished, _table(job, history).numpy(), metrics)


def _save_state(job: Job, out: Path, history: list[tuple[float, ...]]) -> None:
    tensors = {_MODEL + name: tensor for name, tensor in job.model.state_dict().items()}
    for number, moments in job.optimiser.state_dict()["state"].items():
        for name, tensor in moments.items():
            tensors[f"{MOMENTS}{number}.{name}"] = torch.as_tensor(tensor)
    tensors[_HISTORY] = _table(job, history)
    save_checkpoint(resume_path(out), tensors, info=_info(job, len(history), {}))


@dataclass(frozen=True, eq=False)
class _Before:
    """What an earlier run came to; done when its checkpoint is all it left."""

    history: list[tuple[float, ...]]
    is_done: bool
    metrics: Mapping[str, float]


def _restored(job: Job, out: Path) -> _Before | None:
    """Put the network and the optimiser where an earlier run left them; None without one."""
    source = last_file(out)
    if not source.is_file():
        return None
    checkpoint = load_to_resume(source, job.kind)
    check_same_run(checkpoint, job.settings, job.data_sha)
    history = _history_in(checkpoint, job)
    if source == out and 0 < len(history) < job.steps:
        raise gone_state(resume_path(out), out)
    load_weights(job.model, checkpoint, prefix=_MODEL)
    _restore_moments(job.optimiser, checkpoint)
    is_done = source == out and len(history) == job.steps
    return _Before(history, is_done, checkpoint.info.metrics)


def _history_in(checkpoint: Checkpoint, job: Job) -> list[tuple[float, ...]]:
    """The values of all steps that were made."""
    table = checkpoint.tensors.get(_HISTORY)
    done = checkpoint.info.settings.get(STEPS_DONE)
    if (
        table is None
        or table.dtype != torch.float64
        or tuple(table.shape) != (done, len(job.columns))
        or len(table) > job.steps
    ):
        raise _damaged(checkpoint)
    return [tuple(row) for row in table.tolist()]


def _restore_moments(optimiser: Optimizer, checkpoint: Checkpoint) -> None:
    """Put what Adam knows of each parameter in its place: of none, where it has made no step."""
    known = optimiser.state_dict()
    shapes = [weights.shape for group in optimiser.param_groups for weights in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.tensors.items():
        if not name.startswith(MOMENTS):
            continue
        number, _, moment = name.removeprefix(MOMENTS).partition(".")
        if not (number.isdecimal() and number.isascii() and int(number) < len(shapes)):
            raise _damaged(checkpoint)
        if tensor.shape != (torch.Size() if moment == "step" else shapes[int(number)]):
            raise _damaged(checkpoint)
        state.setdefault(int(number), {})[moment] = tensor
    if any(moments.keys() != _ADAM for moments in state.values()):
        raise _damaged(checkpoint)
    optimiser.load_state_dict({"state": state, "param_groups": known["param_groups"]})


def _damaged(checkpoint: Checkpoint) -> MissingDependency:
    return MissingDependency(
        f"{checkpoint.path} is damaged: it does not hold the state of this run.",
        hint="Train anew without --resume.",
        code="checkpoint_damaged",
    )


def _info(job: Job, steps_done: int, metrics: Mapping[str, float]) -> CheckpointInfo:
    settings: dict[str, Plain] = {**job.settings, STEPS_DONE: steps_done}
    return CheckpointInfo(job.kind, settings, job.data_sha, metrics)


def _table(job: Job, history: list[tuple[float, ...]]) -> Tensor:
    return torch.tensor(history, dtype=torch.float64).reshape(len(history), len(job.columns))
