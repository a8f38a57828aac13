"""Training the mask network: how must two songs be turned up and down to give this mix?

Crops of a few seconds of (song, song, mix) triples; the loss compares the magnitudes of the
weighted sum with those of the mix (``engine.models.song_masher.mask_network.mask_loss``), so the
mix may come from any console. A song that was not touched has weight 1: triples are levelled so
before. What the checkpoint reports is set beside the loss of turning nothing down.

Draws depend on the seed and the step's number alone, so an interrupted run goes on exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.song_masher.mask_checkpoint import BANDS_HZ, KIND
from engine.models.song_masher.mask_network import (
    SAMPLE_RATE,
    MaskConfig,
    MaskNetwork,
    apply_masks,
    mask_loss,
    spectra,
)
from engine.training.resuming import Job, Outcome, run_job
from engine.training.song_masher.training import Triple
from engine.training.watching import Progress

__all__ = ["MaskMetrics", "MaskTraining", "measure", "train_mash_mask"]

_CLIP_NORM: Final = 1.0
#: What a person reads while training.
_WATCHED: Final = {"loss_unmasked": "unmasked"}


@dataclass(frozen=True)
class MaskTraining:
    """How a mask network is trained; our own choices, nothing is published.

    Args:
        network: sizes.
        steps: in all.
        batch: crops per step.
        crop_s: their length [s].
        learning_rate: of Adam.
        seed: of weights and draws.
    """

    network: MaskConfig = field(default_factory=MaskConfig)
    steps: int = 3000
    batch: int = 8
    crop_s: float = 4.0
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.crop_s <= 0:
            raise ValueError(f"{self.steps} steps of {self.batch} x {self.crop_s} s train nothing")


@dataclass(frozen=True)
class MaskMetrics:
    """Loss of the network's mixes, and of adding up both songs as they are."""

    loss: float
    loss_unmasked: float


@torch.no_grad()
def measure(model: MaskNetwork, triples: Sequence[Triple]) -> MaskMetrics:
    """Means over whole triples."""
    device = model.last.weight.device
    losses = []
    for triple in triples:
        parts = _samples(triple)
        length = min(part.size for part in parts)
        first, second, mix = (
            spectra(torch.from_numpy(part[None, :length]).to(device)) for part in parts
        )
        written = apply_masks(first, second, masks=model(first, second))
        losses.append((float(mask_loss(written, mix)), float(mask_loss(first + second, mix))))
    mean = np.mean(losses, axis=0)
    return MaskMetrics(float(mean[0]), float(mean[1]))


def train_mash_mask(
    triples: Sequence[Triple],
    training: MaskTraining,
    *,
    out: Path,
    validation: Sequence[Triple] = (),
    data_sha: str = "",
    minutes: float | None = None,
    resume: bool = False,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Train and write the checkpoint ``out``; see ``engine.training.resuming``.

    The history's columns are loss and norm of the gradients; ``report`` is told how far it is after
    every step, with the loss on ``validation`` and that of turning nothing down.

    Raises:
        UnusableInput: there are no triples, or the loss is no number any more.
    """
    if not triples:
        raise UnusableInput("There are no mashups to train on.", hint="Give songs and their mixes.")
    model = MaskNetwork(training.network, seed=training.seed).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=training.learning_rate)

    def step(number: int) -> tuple[float, ...]:
        crops = _draw(triples, training, number)
        first, second, mix = (spectra(part.to(device)) for part in crops)
        optimiser.zero_grad(set_to_none=True)
        loss = mask_loss(apply_masks(first, second, masks=model(first, second)), mix)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP_NORM)
        optimiser.step()
        return float(loss.detach()), float(norm)

    def metrics() -> Mapping[str, float]:
        if not validation:
            return {}
        found = measure(model, validation)
        return {"loss": found.loss, "loss_unmasked": found.loss_unmasked}

    def watched(_step: int) -> Mapping[str, float]:
        found = metrics()
        return {_WATCHED.get(name, name): value for name, value in found.items()}

    job = Job(
        kind=KIND,
        model=model,
        optimiser=optimiser,
        step=step,
        steps=training.steps,
        columns=("loss", "gradient_norm"),
        settings={
            "bands_hz": BANDS_HZ,
            "width": training.network.width,
            "dilations": " ".join(str(step) for step in training.network.dilations),
            "steps": training.steps,
            "batch": training.batch,
            "crop_s": training.crop_s,
            "learning_rate": training.learning_rate,
            "seed": training.seed,
        },
        data_sha=data_sha,
        measure=metrics,
        watch=watched,
        report=report,
    )
    return run_job(job, out, minutes=minutes, resume=resume, clock=clock)


def _draw(
    triples: Sequence[Triple], training: MaskTraining, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, samples) crops of first songs, second songs and mixes."""
    rng = np.random.default_rng((training.seed, number))
    length = round(training.crop_s * SAMPLE_RATE)
    crops: tuple[list[Tensor], ...] = ([], [], [])
    for _ in range(training.batch):
        parts = _samples(triples[int(rng.integers(len(triples)))])
        shortest = min(part.size for part in parts)
        start = int(rng.integers(max(shortest - length, 0) + 1))
        for crop, part in zip(crops, parts, strict=True):
            cut = torch.from_numpy(part[start : min(start + length, shortest)])
            crop.append(functional.pad(cut, (0, length - cut.numel())))
    first, second, mix = (torch.stack(crop) for crop in crops)
    return first, second, mix


def _samples(triple: Triple) -> list[NDArray[np.float32]]:
    """(samples,) mono at 16 kHz of first song, second song and mix."""
    mono = (
        Waveform(part.mono()[np.newaxis], part.sample_rate)
        for part in (triple.first, triple.second, triple.mix)
    )
    return [resample(part, SAMPLE_RATE).samples[0] for part in mono]
