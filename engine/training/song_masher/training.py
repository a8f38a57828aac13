"""Training song-masher as published: mashups as labels, their two songs as inputs.

Source: the student project "Machine Mashups" (2020): mean squared error on the spectrogram of the
mix, Adam at 1e-3 for magnitudes and 0.05 for phases, batches of 100, 100 epochs. The defects of
its training loop follow :class:`~engine.models.song_masher.network.Defects`: targets of another
length become noise, the optimiser forgets everything after an epoch, the reported test loss is the
training loss. For cosines of uniform phases a network that always answers 0 has an error of 0.5;
the project reports 0.51.

A :class:`Triple` is two songs and their mix, as waveforms of any rate that begin together. Draws
depend on the seed and the step's number alone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.audio.waveform import Waveform
from engine.checkpoints import Plain
from engine.errors import UnusableInput
from engine.models.song_masher.checkpoint import KIND
from engine.models.song_masher.network import MasherConfig, SongMasher, spectrum
from engine.training.resuming import Job, Outcome, run_job
from engine.training.watching import Progress

__all__ = [
    "MasherTraining",
    "Triple",
    "masher_example",
    "masher_loss",
    "train_song_masher",
]

#: Examples kept as planes, 12 MB a minute.
_KEPT: Final = 64
_RATES: Final = {"magnitude": 1e-3, "phase": 0.05}


@dataclass(frozen=True, eq=False)
class Triple:
    """Two songs and the mashup that somebody made of them."""

    first: Waveform
    second: Waveform
    mix: Waveform


@dataclass(frozen=True)
class MasherTraining:
    """How one network is trained; the defaults are the published run.

    Args:
        network: which network, how wide, with which defects.
        epochs: passes over all triples.
        batch: triples per step.
        learning_rate: of Adam; the published one of the part when None.
        seed: of weights, order and noise.
    """

    network: MasherConfig = field(default_factory=MasherConfig)
    epochs: int = 100
    batch: int = 100
    learning_rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"{self.epochs} epochs of batches of {self.batch} train nothing")

    @property
    def rate(self) -> float:
        """Learning rate."""
        return _RATES[self.network.part] if self.learning_rate is None else self.learning_rate


def masher_example(
    triple: Triple, network: MasherConfig, *, seed: tuple[int, int] = (0, 0)
) -> tuple[Tensor, Tensor, Tensor]:
    """Both songs and the mix, (frames, features) each, as long as the shorter song.

    Args:
        triple: what is to be learned.
        network: whose input is wanted.
        seed: of the noise that replaces a mix of another length, where that defect is on.
    """
    first, second, mix = (
        network.planes(spectrum(part)) for part in (triple.first, triple.second, triple.mix)
    )
    frames = min(len(first), len(second))
    if len(mix) != frames and network.defects.noise_targets:
        noise = np.random.default_rng(seed).standard_normal((frames, network.features))
        mix = torch.from_numpy(noise.astype(np.float32))
    frames = min(frames, len(mix))
    return first[:frames], second[:frames], mix[:frames]


@torch.no_grad()
def masher_loss(model: SongMasher, triples: Sequence[Triple], *, seed: int = 0) -> float:
    """Mean squared error over all triples, each counted once."""
    device = model.output.weight.device
    losses = []
    for index, triple in enumerate(triples):
        example = masher_example(triple, model.config, seed=(seed, index))
        first, second, mix = (part[None].to(device) for part in example)
        losses.append(float(functional.mse_loss(model(first, second), mix)))
    return float(np.mean(losses))


def train_song_masher(
    triples: Sequence[Triple],
    training: MasherTraining,
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
    """Train one network and write the checkpoint ``out``; see ``engine.training.resuming``.

    The history's columns are loss and epoch; ``report`` is told how far it is after every step,
    with the loss on ``validation``, whatever is published as the test loss.

    Raises:
        UnusableInput: there are no triples, or the loss is no number any more.
    """
    if not triples:
        raise UnusableInput("There are no mashups to train on.", hint="Give songs and their mixes.")
    model = SongMasher(training.network, seed=training.seed).to(device)
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=training.rate)
    per_epoch = math.ceil(len(triples) / training.batch)
    steps = training.epochs * per_epoch

    @functools.lru_cache(maxsize=_KEPT)
    def example(index: int) -> tuple[Tensor, Tensor, Tensor]:
        return masher_example(triples[index], training.network, seed=(training.seed, index))

    def order(epoch: int, place: int) -> list[int]:
        shuffled = np.random.default_rng((training.seed, epoch)).permutation(len(triples))
        return [int(index) for index in shuffled[place * training.batch :][: training.batch]]

    def step(number: int) -> tuple[float, ...]:
        epoch, place = divmod(number, per_epoch)
        if place == 0 and training.network.defects.restarted_optimiser:
            optimiser.state.clear()
        first, second, mix = (part.to(device) for part in _batch(example, order(epoch, place)))
        optimiser.zero_grad(set_to_none=True)
        loss = functional.mse_loss(model(first, second), mix)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        optimiser.step()
        return float(loss.detach()), float(epoch)

    def metrics() -> Mapping[str, float]:
        cheated = training.network.defects.tested_on_training
        tested = triples if cheated else validation
        return {"test_loss": masher_loss(model, tested, seed=training.seed)} if tested else {}

    def watched(_step: int) -> Mapping[str, float]:
        if not validation:
            return {}
        return {"loss": masher_loss(model, validation, seed=training.seed)}

    job = Job(
        kind=KIND,
        model=model,
        optimiser=optimiser,
        step=step,
        steps=steps,
        columns=("loss", "epoch"),
        settings=_record(training),
        data_sha=data_sha,
        measure=metrics,
        watch=watched,
        report=report,
    )
    return run_job(job, out, minutes=minutes, resume=resume, clock=clock)


def _batch(
    example: Callable[[int], tuple[Tensor, Tensor, Tensor]], chosen: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """(batch, frames, features) three times, cut to the shortest triple of the batch."""
    examples = [example(index) for index in chosen]
    frames = min(len(planes[0]) for planes in examples)
    first, second, mix = (
        torch.stack([planes[part][:frames] for planes in examples]) for part in range(3)
    )
    return first, second, mix


def _record(training: MasherTraining) -> dict[str, Plain]:
    """All settings of a run by plain names."""
    return {
        "part": training.network.part,
        "width": training.network.width,
        **dataclasses.asdict(training.network.defects),
        "epochs": training.epochs,
        "batch": training.batch,
        "learning_rate": training.rate,
        "seed": training.seed,
    }
