"""What ``dawlink train fit`` does: MIDI corpora and multitrack songs in, one fit checkpoint out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from engine.errors import UsageError
from engine.training.deadline import Deadline
from engine.training.fit.material import open_fit_material
from engine.training.fit.steps import FitSettings
from engine.training.fit.training import train_fit
from engine.training.requests import Tell, TrainReport, TrainRequest

__all__ = ["run"]


def run(
    request: TrainRequest, tell: Tell, *, clock: Callable[[], float] = time.monotonic
) -> TrainReport:
    """Train the fit model; an epoch shows as many windows as there are training songs.

    Raises:
        UsageError: a device that this small model does not use.
        UnusableInput: the data cannot be read, or are too few songs.
        LibraryUnusable: a library is damaged or made by a newer dawlink.
        SomeItemsFailed: the minutes were over before all was read.
    """
    deadline = Deadline(request.minutes, clock=clock)
    preparing = deadline.telling(tell)
    if request.device not in ("auto", "cpu"):
        raise UsageError(
            f"The fit model is trained on the CPU, not on {request.device}.",
            hint="Leave --device out.",
        )
    work = request.out.with_name(f"{request.out.stem}-songs")
    material = open_fit_material(request.data, work, jobs=request.jobs, tell=preparing)
    settings = FitSettings(seed=request.seed)
    if request.epochs is not None:
        steps = request.epochs * math.ceil(material.train.songs / settings.batch)
        lessons = math.ceil(steps * settings.lessons / settings.steps)
        settings = replace(settings, steps=steps, schedule=steps, lessons=lessons)
    preparing(f"training on {material.train.songs} songs")
    outcome = train_fit(
        material,
        request.out,
        settings=settings,
        minutes=deadline.minutes_left(),
        resume=request.resume,
        report=tell,
    )
    notes = (*material.notes, *outcome.notes)
    return TrainReport(request.out, outcome.finished, outcome.steps_done, outcome.metrics, notes)
