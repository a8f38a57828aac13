"""Training of the fit model: voices and beds from piano rolls, told apart by contrast.

For every window of a batch the voice must pick its own bed among all beds of the batch in all
twelve transpositions, and among its own bed moved by a few beats (in-batch contrast, van den Oord
et al. 2018, InfoNCE, section 2.3). No two windows of a batch come from one composition, and moved
beds that sound nearly the same as the true one do not count as wrong. The harmonic stem picks its
drums likewise, and so does the query, both without transpositions. Several towers are trained so,
from other seeds; then the first goes on and learns their common opinion beside the truth
(:mod:`engine.training.fit.teachers`). When the towers are done the judge learns to tell original
from matched and broken groups (:mod:`engine.training.fit.judge`). Afterwards logistic curves turn
similarities and the judge's opinion into the probability that stems belong together (Platt 1999),
fitted on validation songs.

``python -m engine.training.fit --data CORPUS --out fit.safetensors`` trains and writes it all; what
may be given as data, and how it is split, says :mod:`engine.training.fit.material`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.checkpoints import (
    CheckpointInfo,
    Plain,
    load_checkpoint,
    recorded_settings,
    save_checkpoint,
)
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import dense_weights, shapes_of
from engine.training.deadline import Deadline
from engine.training.earlier_runs import (
    check_same_run,
    gone_state,
    load_to_resume,
    other_run,
)
from engine.training.fit.calibration import calibrated, reliability
from engine.training.fit.check import ANY_KEY, KEY_GIVEN, ranks
from engine.training.fit.held_out import HeldOutWindows
from engine.training.fit.judge_calibration import judged_log_odds, with_judge
from engine.training.fit.material import FitMaterial
from engine.training.fit.questions import ValidationSongs
from engine.training.fit.steps import FitSettings, towers_job
from engine.training.fit.teachers import load_teacher, pupil_of, save_teacher, teacher_path
from engine.training.fit.towers import FitTowers
from engine.training.resuming import Job, Outcome, resume_path, run_job, state_files

__all__ = ["publish", "recalibrate", "train_fit"]

_LOGGER = logging.getLogger(__name__)
#: Factor of similarities that a pupil begins with.
_SHARPNESS: Final = 60.0


def train_fit(
    material: FitMaterial,
    out: Path,
    *,
    settings: FitSettings | None = None,
    minutes: float | None = None,
    resume: bool = False,
    report: Callable[[str], None] | None = None,
) -> Outcome:
    """Train, calibrate on the validation songs, write a checkpoint.

    Args:
        material: the songs.
        out: the checkpoint; the state of an unfinished run lies beside it.
        settings: how to train.
        minutes: of this run; what was reached by then is published and may be resumed.
        resume: go on where the last run stopped.
        report: told how far it is.

    Raises:
        UnwritableOutput: the checkpoint cannot be written.
        UsageError: the run to go on with had other settings or data.
        MissingDependency: a file of that run is damaged or gone.
    """
    settings = settings if settings is not None else FitSettings()
    first = _taught_before(out, settings) if resume else 0
    run = _Run(material, out, settings, first, resume=resume, report=report)
    done = run.done_before()
    if done is not None:
        return done
    if not resume:
        run.forget()
    deadline = Deadline(minutes)
    teachers: list[FitTowers] = []
    for number in range(settings.teachers):
        outcome = run.taught(number, teachers, deadline)
        if outcome is not None:
            return outcome
    pupil = (
        pupil_of(teachers[0], sharpness=_SHARPNESS)
        if teachers
        else FitTowers(settings.sizes, seed=settings.seed)
    )
    outcome = run.last(pupil, teachers, deadline)
    if outcome.finished:
        run.forget()
    return outcome


def _taught_before(out: Path, settings: FitSettings) -> int:
    """How many teachers are done, one after another."""
    paths = (teacher_path(out, settings.of_teacher(n).seed) for n in range(settings.teachers))
    return sum(1 for _ in itertools.takewhile(Path.is_file, paths))


@dataclass(frozen=True, eq=False)
class _Run:
    """One training: its files, and its parts one after another.

    The parts are the teachers and, after them, the towers that are published; ``first`` is the
    part that is trained first, in which a step is made whatever the minutes.
    """

    material: FitMaterial
    out: Path
    settings: FitSettings
    first: int
    resume: bool
    report: Callable[[str], None] | None

    def done_before(self) -> Outcome | None:
        """What a run to go on with came to, if it is done; its checkpoint is all it left.

        Raises:
            UsageError: it had other settings or data.
            MissingDependency: it is not done, and all that it was to go on from is gone.
        """
        own = [path for path in self.files() if path.is_file()]
        others = [path for path in state_files(self.out) if path not in own]
        if self.resume and others and not own:
            raise other_run(f"{others[0]} is of a run with another seed (--seed).")
        if not self.resume or own or not self.out.is_file():
            return None
        checkpoint = load_to_resume(self.out, "fit")
        wanted = self.settings.record()
        said = {name: value for name, value in checkpoint.info.settings.items() if name in wanted}
        of_run = replace(checkpoint, info=replace(checkpoint.info, settings=said))
        check_same_run(of_run, wanted, self.material.data_sha)
        steps = round(checkpoint.info.metrics.get("steps_done", 0.0))
        if steps == 0:
            return None
        if steps != self.settings.all_steps:
            raise gone_state(resume_path(self._running(self.out)), self.out)
        return Outcome(steps, True, np.empty((0, 2)), checkpoint.info.metrics, was_done=True)

    def taught(self, number: int, teachers: list[FitTowers], deadline: Deadline) -> Outcome | None:
        """Add a teacher to the others.

        Where the time is not enough, the first one is published: it is whole, if there is one.
        """
        own = self.settings.of_teacher(number)
        path = teacher_path(self.out, own.seed)
        sha = self.material.data_sha
        if not (self.resume and path.is_file()):
            towers = FitTowers(own.sizes, seed=own.seed)
            named = f"teacher {number + 1} of {self.settings.teachers}: "
            job = towers_job(
                towers,
                self.material.train,
                own,
                data_sha=sha,
                report=self._as(named),
                held_out=self.held_out,
            )
            if number != self.first and self._is_over(deadline, path):
                return self._published(teachers[0], _nothing(job), number * own.steps)
            outcome = run_job(
                job, self._running(path), minutes=deadline.minutes_left(), resume=self.resume
            )
            if not outcome.finished:
                return self._published([*teachers, towers][0], outcome, number * own.steps)
            save_teacher(path, towers, settings=own.record(), data_sha=sha)
        teachers.append(load_teacher(path, own.sizes, settings=own.record(), data_sha=sha))
        return None

    def last(self, towers: FitTowers, teachers: Sequence[FitTowers], deadline: Deadline) -> Outcome:
        """Train the towers that are published, and the judge."""
        job = towers_job(
            towers,
            self.material.train,
            self.settings,
            teachers=teachers,
            data_sha=self.material.data_sha,
            report=self.report,
            held_out=self.held_out,
        )
        before = len(teachers) * self.settings.steps
        if len(teachers) != self.first and self._is_over(deadline, self.out):
            return self._published(towers, _nothing(job), before)
        outcome = run_job(
            job, self._running(self.out), minutes=deadline.minutes_left(), resume=self.resume
        )
        return self._published(towers, outcome, before)

    @cached_property
    def held_out(self) -> HeldOutWindows:
        """What all parts are measured on while they are trained."""
        own = self.settings
        return HeldOutWindows(self.material, own.batch, rules=own.rules, drum_rules=own.drum_rules)

    def _is_over(self, deadline: Deadline, path: Path) -> bool:
        """Whether there is no time to begin with these towers."""
        begun = self.resume and resume_path(self._running(path)).is_file()
        return deadline.is_over() and not begun

    def forget(self) -> None:
        """Remove what lies beside the checkpoint, of whatever seed."""
        for path in state_files(self.out):
            path.unlink(missing_ok=True)

    def files(self) -> Iterator[Path]:
        """What lies beside the checkpoint until the training is done."""
        numbers = range(self.settings.teachers)
        paths = [teacher_path(self.out, self.settings.of_teacher(n).seed) for n in numbers]
        yield from paths
        for path in (*paths, self.out):
            yield self._running(path)
            yield resume_path(self._running(path))

    def _published(self, towers: FitTowers, outcome: Outcome, before: int) -> Outcome:
        done = before + outcome.steps_done
        metrics = publish(
            towers.weights(), self.material, self.out, settings=self.settings, steps_done=done
        )
        return Outcome(done, outcome.finished, outcome.history, metrics)

    def _as(self, named: str) -> Callable[[str], None] | None:
        report = self.report
        return None if report is None else lambda text: report(named + text)

    @staticmethod
    def _running(path: Path) -> Path:
        return path.with_name(f"{path.stem}.run.safetensors")


def _nothing(job: Job) -> Outcome:
    """No step was made."""
    return Outcome(0, False, np.empty((0, len(job.columns))), {})


def recalibrate(checkpoint: Path, material: FitMaterial, out: Path) -> dict[str, float]:
    """Fit the curves of trained networks anew; returns the metrics.

    Args:
        checkpoint: of a fit model; its networks and how they were trained stay as they are.
        material: the data that it was trained with, of which the validation songs are read.
        out: the new checkpoint.

    Raises:
        MissingDependency: the checkpoint is damaged or another model's.
        UnwritableOutput: the new one cannot be written.
    """
    read = load_checkpoint(checkpoint, kind="fit")
    weights = {name: tensor.float().numpy() for name, tensor in read.tensors.items()}
    with recorded_settings(read):
        settings = FitSettings.of(read.info.settings)
        if {name: w.shape for name, w in weights.items()} != shapes_of(settings.sizes):
            raise ValueError("its weights have other shapes")
        if not all(np.isfinite(w).all() for w in weights.values()):
            raise ValueError("not all of its weights are numbers")
    if read.info.data_sha != material.data_sha:
        _LOGGER.warning(
            "%s was trained with other data: see that it learned of no song that validates here.",
            checkpoint,
        )
    steps = round(read.info.metrics.get("steps_done", settings.all_steps))
    return publish(
        weights, material, out, settings=settings, steps_done=steps, data_sha=read.info.data_sha
    )


def publish(
    weights: Mapping[str, NDArray[np.float32]],
    material: FitMaterial,
    out: Path,
    *,
    settings: FitSettings,
    steps_done: int,
    data_sha: str = "",
) -> dict[str, float]:
    """Write the half-precision checkpoint that ranking reads; returns its metrics.

    Args:
        weights: of the networks.
        material: whose validation songs set the curves.
        out: the checkpoint.
        settings: how the networks were trained.
        steps_done: of all that they take.
        data_sha: of what they learned from; that of ``material`` when empty.
    """
    halves = {name: w.astype(np.float16) for name, w in weights.items()}
    rounded = {name: w.astype(np.float32) for name, w in halves.items()}
    plain = FitCurves.plain(rules=settings.rules, drum_rules=settings.drum_rules)
    model = FitModel(dense_weights(rounded), settings.sizes, plain)
    drawn = material.val_whole(settings.seed + 1)
    model = replace(model, curves=calibrated(model, drawn, seed=settings.seed + 1))
    model = replace(model, curves=with_judge(model, drawn, seed=settings.seed + 1))
    metrics = {"steps_done": float(steps_done), **_measured(model, material, settings.seed)}
    record: dict[str, Plain] = {**settings.record(), **model.curves.record()}
    record["calibrated_with"] = material.data_sha
    info = CheckpointInfo("fit", record, data_sha or material.data_sha, metrics)
    tensors = {name: torch.from_numpy(values) for name, values in halves.items()}
    save_checkpoint(out, tensors, info=info)
    return metrics


def _measured(model: FitModel, material: FitMaterial, seed: int) -> dict[str, float]:
    """Ranks on validation windows, and the calibration error of stems by role and of groups.

    Notes are heard under other sounds than when the curves were fitted; of analysed songs only the
    questions are drawn anew.
    """
    ranker = FitRanker(model)
    pairs = material.val_pairs()
    metrics = {
        f"val.rank.{key}": float(ranks(ranker, pairs, semitones=semitones).mean())
        for key, semitones in (("key_given", KEY_GIVEN), ("any_key", ANY_KEY))
    }
    drawn = ValidationSongs(model, material.val_whole(seed + 2))
    for bars in (8, 16):
        for name, odds in judged_log_odds(model, drawn, bars=bars, seed=seed + 2).items():
            if odds[0].size and odds[1].size:
                metrics[f"val.calibration_error.{name}.{bars}_bars"] = reliability(*odds).error
    return metrics
