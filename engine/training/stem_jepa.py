"""Training Stem-JEPA on multitrack songs.

Source: Riou et al. (ISMIR 2024), section 4.2, and the authors' configuration. AdamW, linear
warm-up, cosine to 0, gradients clipped at norm 3; after every step the target follows the context
encoder with a rate that rises linearly. What is drawn is told in ``stem_jepa_draws``.

Every draw depends on the seed and the step's number alone, so an interrupted run goes on exactly.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from engine.errors import MissingDependency, UnusableInput
from engine.models.log_mel import MelStatistics
from engine.models.stem_jepa import (
    CHUNK_SAMPLES,
    PUBLISHED,
    SMALL,
    JepaConfig,
    StemJepa,
)
from engine.training.checkpoints import Plain, load_checkpoint, load_weights
from engine.training.resuming import Job, Outcome, run_job
from engine.training.stem_jepa_check import measure
from engine.training.stem_jepa_draws import SongArray, draw_batch

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
#: What a checkpoint says about its network.
_SIZES: Final = ("width", "depth", "heads", "predictor_width", "predictor_layers")
_STATISTICS: Final = ("mel_mean", "mel_std")


@dataclass(frozen=True)
class JepaTraining:
    """How a network is trained; the defaults are the published run.

    Args:
        network: sizes.
        steps: in all.
        warmup_steps: linear rise of the learning rate.
        batch: examples per step.
        rate_per_256: learning rate for a batch of 256; it scales with the batch.
        weight_decay: of AdamW.
        clip_norm: highest norm of all gradients together.
        tau: of the target's moving average, first and last step.
        crop_samples: length of a crop at 16 kHz, whole columns of patches.
        seed: of weights and draws.
    """

    network: JepaConfig = field(default=PUBLISHED)
    steps: int = 300_000
    warmup_steps: int = 20_000
    batch: int = 256
    rate_per_256: float = 3e-4
    weight_decay: float = 0.05
    clip_norm: float = 3.0
    tau: tuple[float, float] = (0.99995, 0.99999)
    crop_samples: int = CHUNK_SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps < self.steps:
            raise ValueError(f"{self.warmup_steps} of {self.steps} steps cannot be warm-up")
        if not 0.0 <= self.tau[0] <= self.tau[1] <= 1.0:
            raise ValueError(f"the target's rate cannot go from {self.tau[0]} to {self.tau[1]}")

    def learning_rate(self, step: int) -> float:
        """Of step ``step`` (0-based): linear from 0, then half a cosine down to 0."""
        peak = self.rate_per_256 * self.batch / 256
        if step < self.warmup_steps:
            return peak * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        return peak * 0.5 * (1 + math.cos(math.pi * done))

    def tau_at(self, step: int) -> float:
        """Share of itself that the target keeps after step ``step``."""
        first, last = self.tau
        return first + (last - first) * step / max(self.steps - 1, 1)


PUBLISHED_TRAINING: Final = JepaTraining()
#: Half an hour of one CPU core. As in the first epochs of the published run the target
#: hardly moves: there is no time to learn new features, and targets that follow within hundreds of
#: steps become alike (spread .57 to .43 in 200 steps at .998, .55 to .22 in 205 at .99, on
#: synthesised songs).
SMALL_TRAINING: Final = JepaTraining(
    network=SMALL,
    steps=4000,
    warmup_steps=200,
    batch=8,
    rate_per_256=16e-3,
    tau=(0.9995, 0.99995),
)


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
) -> Outcome:
    """Train, and write the checkpoint ``out``; see :func:`engine.training.resuming.run_job`.

    The history's columns are loss, learning rate, norm of the gradients, tau; ``report`` is told
    the number of steps done and the loss after each.

    Raises:
        UnusableInput: nothing can be learned from ``songs``, or the loss is no number any more.
    """
    if not songs:
        raise UnusableInput("There are no songs to train on.", hint="Name folders with stems.")
    model = StemJepa(training.network, seed=training.seed).to(device)
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=0.0, betas=(0.9, 0.95), weight_decay=training.weight_decay
    )

    halved = _computes_bfloat16(device)

    def step(number: int) -> tuple[float, ...]:
        rate, tau = training.learning_rate(number), training.tau_at(number)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = [part.to(device) for part in _draw(songs, training, number)]
        optimiser.zero_grad(set_to_none=True)
        # half precision as published, but bfloat16: it needs no scaling of the loss
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=halved):
            loss: Tensor = model(*batch)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(trained, training.clip_norm)
        optimiser.step()
        model.follow(tau)
        if report is not None:
            report(number + 1, float(loss.detach()))
        return float(loss.detach()), rate, float(norm), tau

    def metrics() -> Mapping[str, float]:
        if not validation:
            return {}
        batch = _draw(validation, training, _VALIDATION_STREAM)
        return dataclasses.asdict(measure(model, validation, batch))

    job = Job(
        kind=KIND,
        model=model,
        optimiser=optimiser,
        step=step,
        steps=training.steps,
        columns=("loss", "learning_rate", "gradient_norm", "tau"),
        settings=_record(training),
        data_sha=data_sha,
        measure=metrics,
    )
    return run_job(job, out, minutes=minutes, resume=resume, clock=clock)


def _draw(
    songs: Sequence[SongArray], training: JepaTraining, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    return draw_batch(
        songs,
        batch=training.batch,
        samples=training.crop_samples,
        seed=(training.seed, number),
    )


def _computes_bfloat16(device: str) -> bool:
    """Some CPUs do, a quarter faster than single precision; others imitate it, slowly."""
    return device != "cpu" or "avx512_bf16" in _cpu_features()


def _cpu_features() -> frozenset[str]:
    """What the CPU can do, as far as this PyTorch can tell."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return frozenset(name for name, there in known.items() if there)


def load_stem_jepa(path: Path) -> StemJepa:
    """The network of a checkpoint, ready to embed.

    Raises:
        MissingDependency: it is not there, damaged, or of another kind.
    """
    checkpoint = load_checkpoint(path, KIND)
    settings = checkpoint.info.settings
    try:
        sizes = {name: int(settings[name] or 0) for name in _SIZES}
        relative = bool(settings.get("relative", False))
        statistics = MelStatistics(*(float(settings[name] or 0.0) for name in _STATISTICS))
        model = StemJepa(JepaConfig(**sizes, relative=relative, statistics=statistics))
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise MissingDependency(
            f"The checkpoint {path} does not say how its network is built ({error}).",
            hint="Train it again with dawlink train, or choose another model with --model.",
            code="checkpoint_mismatch",
        ) from error
    load_weights(model, checkpoint, prefix="model.")
    return model.eval()


def _record(training: JepaTraining) -> dict[str, Plain]:
    """All settings of a run by plain names."""
    plain: dict[str, Plain] = {}
    for name, value in dataclasses.asdict(training).items():
        if name == "network":
            statistics = value.pop("statistics")
            plain.update(value, mel_mean=statistics["mean"], mel_std=statistics["std"])
        elif name == "tau":
            plain.update(tau_first=value[0], tau_last=value[1])
        else:
            plain[name] = value
    return plain
