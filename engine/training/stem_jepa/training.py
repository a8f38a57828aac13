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

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import Bands, MelStatistics
from engine.models.stem_jepa.network import JepaConfig, StemJepa
from engine.training.checkpoints import (
    Checkpoint,
    build_network,
    load_checkpoint,
    recorded_settings,
)
from engine.training.deadline import Deadline
from engine.training.resuming import Job, Outcome, run_job
from engine.training.stem_jepa.check import measure
from engine.training.stem_jepa.draws import SongArray, draw_batch
from engine.training.stem_jepa.settings import (
    PUBLISHED_TRAINING,
    SMALL_TRAINING,
    JepaTraining,
    plain_settings,
)
from engine.training.stem_jepa.steps import JepaSteps

__all__ = [
    "PUBLISHED_TRAINING",
    "SMALL_TRAINING",
    "JepaTraining",
    "load_stem_jepa",
    "train_stem_jepa",
]

KIND: Final = "stem-jepa"
#: Draws for validation come from this stream, draws for training from the steps' numbers.
_VALIDATION_STREAM: Final = 2**31
#: What a checkpoint says about its network, and the most of each; published are 768, 12, 12, 1024
#: and 6.
_SIZES: Final[Mapping[str, int]] = {
    "width": 8192,
    "depth": 128,
    "heads": 8192,
    "predictor_width": 16384,
    "predictor_layers": 128,
}
_STATISTICS: Final = ("mel_mean", "mel_std")
#: Log-mel values lie within this [natural log of power].
_MOST_LOG: Final = 1000.0
_BANDS: Final[Mapping[str, Bands]] = {"mel": "mel", "semitones": "semitones"}


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
    report: Callable[[int, float], None] | None = None,
    pictured: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Train, and write the checkpoint ``out``; see :func:`engine.training.resuming.run_job`.

    The history's columns are loss, learning rate, norm of the gradients, tau; ``report`` is told
    the number of steps done and the loss after each, ``pictured`` before that how many songs have
    been made pictures of.

    Raises:
        UnusableInput: nothing can be learned from ``songs``, or the loss is no number any more.
    """
    if not songs:
        raise UnusableInput("There are no songs to train on.", hint="Name folders with stems.")
    deadline = Deadline(minutes, clock=clock)  # pictures take minutes too
    work = JepaSteps(songs, training, device, pictured=pictured)

    def step(number: int) -> tuple[float, ...]:
        values = work.step(number)
        if report is not None:
            report(number + 1, values[0])
        return values

    def metrics() -> Mapping[str, float]:
        if not validation:
            return {}
        batch = draw_batch(
            validation,
            batch=training.batch,
            samples=training.crop_samples,
            seed=(training.seed, _VALIDATION_STREAM),
        )
        return dataclasses.asdict(measure(work.model, validation, batch))

    job = Job(
        kind=KIND,
        model=work.model,
        optimiser=work.optimiser,
        step=step,
        steps=training.all_steps,
        columns=("loss", "learning_rate", "gradient_norm", "tau"),
        settings=plain_settings(training),
        data_sha=data_sha,
        measure=metrics,
    )
    return run_job(job, out, minutes=deadline.minutes_left(), resume=resume, clock=clock)


def load_stem_jepa(path: Path) -> StemJepa:
    """The network of a checkpoint, ready to embed.

    Raises:
        MissingDependency: it is not there, damaged, of another kind, or of another size.
    """
    checkpoint = load_checkpoint(path, KIND)
    with recorded_settings(checkpoint) as said:
        sizes = {name: said.whole(name, least=1, most=most) for name, most in _SIZES.items()}
        statistics = MelStatistics(
            *(said.number(name, least=-_MOST_LOG, most=_MOST_LOG) for name in _STATISTICS)
        )
        config = JepaConfig(
            **sizes,
            relative=said.flag("relative", default=False),
            bands=_BANDS[str(said.settings.get("bands", "mel"))],
            centred=said.flag("centred", default=False),
            statistics=statistics,
        )
    return build_network(lambda: StemJepa(config), _with_target(checkpoint), prefix="model.")


def _with_target(checkpoint: Checkpoint) -> Checkpoint:
    """A file without a target encoder means that the context encoder is the target too."""
    tensors = dict(checkpoint.tensors)
    if not any(name.startswith("model.target.") for name in tensors):
        for name, tensor in checkpoint.tensors.items():
            if name.startswith("model.context."):
                tensors[name.replace("model.context.", "model.target.")] = tensor
    return dataclasses.replace(checkpoint, tensors=tensors)
