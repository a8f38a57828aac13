"""Training Stem-JEPA on multitrack songs.

Source: Riou et al. (ISMIR 2024), section 4.2, and the authors' configuration. AdamW, linear
warm-up, cosine to 0, gradients clipped at norm 3; after every step the target follows the context
encoder with a rate that rises linearly. What is drawn is told in ``draws``.

The small preset has a contrastive phase before (``contrast``), in which there is one
encoder and no predictor, and draws both phases' examples from pictures in memory
(``pictures``).

Every draw depends on the seed and the step's number alone, so an interrupted run goes on exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import UnusableInput
from engine.models.stem_jepa.checkpoint import KIND
from engine.training.deadline import Deadline
from engine.training.resuming import Job, Outcome, run_job
from engine.training.stem_jepa.draws import SongArray
from engine.training.stem_jepa.held_out import HeldOutSongs
from engine.training.stem_jepa.settings import JepaTraining, plain_settings
from engine.training.stem_jepa.steps import JepaSteps
from engine.training.watching import Progress

__all__ = ["train_stem_jepa"]


def train_stem_jepa(
    songs: Sequence[SongArray],
    training: JepaTraining,
    *,
    out: Path,
    validation: Sequence[SongArray] = (),
    data_sha: str = "",
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[Progress], None] | None = None,
    pictured: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Train, and write the checkpoint ``out``; see :func:`engine.training.resuming.run_job`.

    The history's columns are loss, learning rate, norm of the gradients, tau; ``report`` is told
    how far it is after every step, with what a few songs of ``validation`` say, ``pictured`` before
    that how many songs have been made pictures of.

    Raises:
        UnusableInput: nothing can be learned from ``songs``, or the loss is no number any more.
    """
    if not songs:
        raise UnusableInput("There are no songs to train on.", hint="Name folders with stems.")
    deadline = Deadline(minutes, clock=clock)  # pictures take minutes too
    work = JepaSteps(songs, training, device, pictured=pictured)
    held_out = HeldOutSongs(work, validation, training, device)
    job = Job(
        kind=KIND,
        model=work.model,
        optimiser=work.optimiser,
        step=work.step,
        steps=training.all_steps,
        columns=("loss", "learning_rate", "gradient_norm", "tau"),
        settings=plain_settings(training),
        data_sha=data_sha,
        measure=held_out.metrics,
        watch=held_out.measured,
        report=report,
    )
    return run_job(job, out, minutes=deadline.minutes_left(), resume=resume, clock=clock)
