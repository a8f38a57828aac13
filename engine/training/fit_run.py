"""What ``dawlink train fit`` does: one MIDI corpus in, one fit checkpoint out."""

from __future__ import annotations

import math
from dataclasses import replace

from engine.errors import UsageError
from engine.training.fit import FitSettings, train_fit
from engine.training.midi_corpus import load_corpus
from engine.training.requests import Tell, TrainReport, TrainRequest

__all__ = ["run"]


def run(request: TrainRequest, tell: Tell) -> TrainReport:
    """Train the fit model; an epoch shows as many windows as there are training songs.

    Raises:
        UsageError: more than one corpus, or a device that this small model does not use.
        UnusableInput: the corpus cannot be read.
    """
    if len(request.data) != 1:
        raise UsageError(
            f"The fit model is trained on one MIDI corpus, not on {len(request.data)} folders.",
            hint="Give --data once: a folder or archive with an index.csv.",
        )
    if request.device not in ("auto", "cpu"):
        raise UsageError(
            f"The fit model is trained on the CPU, not on {request.device}.",
            hint="Leave --device out; it takes minutes.",
        )
    settings = FitSettings(seed=request.seed)
    if request.epochs is not None:
        songs = len(load_corpus(request.data[0]).of("train"))
        steps = request.epochs * math.ceil(songs / settings.batch)
        settings = replace(settings, steps=steps, schedule=steps)
    outcome = train_fit(
        request.data[0],
        request.out,
        settings=settings,
        minutes=request.minutes,
        resume=request.resume,
        report=tell,
    )
    return TrainReport(request.out, outcome.finished, outcome.steps_done, outcome.metrics)
