"""Trains PreMixNet and PostMixNet on mashup examples.

Huang et al. (AAAI 2021), Training: Adam at 1e-4, cross-entropy over "good" and "bad"; with LSRO
the unlabeled, matched examples take part with the uniform target. Batch size, crop and epochs are
not in the paper: 16 examples of four bars and 30 rounds here. For few rounds on a CPU the rate may
be higher and fall to nothing along a cosine. Order, crops and their variations are drawn from the
seed and the number of the step, so a run that was stopped goes on as if it had not been. Processors
that multiply bfloat16 natively do so, at three times the speed.

Metrics of the held-out songs: ``loss``, ``accuracy`` of good against bad at 0.5, ``mean_rank``, the
average rank (1 is best, ties count half) of each good example among the ``unlabeled`` ones.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UsageError
from engine.mashup.generation import Label
from engine.models.beat_mel import FRAMES_PER_BEAT, added_up, scaled
from engine.models.huang import LABELS, MixNet, NetKind, NetSettings, lsro_loss, mashability
from engine.models.mel import MEL
from engine.training.checkpoints import Plain, load_checkpoint, load_weights
from engine.training.mix_crops import CropSet
from engine.training.resuming import Job, Outcome, run_job

__all__ = ["MixTraining", "load_mix_net", "measure_mix", "mix_scores", "train_mix"]

#: How :func:`~engine.training.resuming.run_job` names the network's weights.
_MODEL: Final = "model."


@dataclass(frozen=True)
class MixTraining:
    """How to train.

    Args:
        net: the network.
        lsro: let unlabeled examples take part.
        seed: of the weights, the order and the crops.
        epochs: rounds through the examples.
        batch: examples per step.
        learning_rate: of Adam.
        decaying: let the learning rate fall to nothing along a cosine.
        crop_beats: length of what the network sees.
    """

    net: NetSettings
    lsro: bool = False
    seed: int = 0
    epochs: int = 30
    batch: int = 16
    learning_rate: float = 1e-4
    decaying: bool = False
    crop_beats: int = 16

    @property
    def labels(self) -> tuple[Label, ...]:
        """What takes part in the loss."""
        return ("good", "bad", "unknown") if self.lsro else ("good", "bad")

    @property
    def frames(self) -> int:
        """Length of what the network sees."""
        return self.crop_beats * FRAMES_PER_BEAT

    @property
    def record(self) -> dict[str, Plain]:
        """Flat settings for a checkpoint."""
        values = asdict(self)
        net = values.pop("net")
        mel = {f"mel_{name}": value for name, value in asdict(MEL).items()}
        mel["mel_frames_per_beat"] = FRAMES_PER_BEAT
        return {**{f"net_{name}": value for name, value in net.items()}, **values, **mel}

    def rate(self, share: float) -> float:
        """Learning rate after ``share`` [0, 1] of all steps."""
        fallen = 0.5 * (1 + math.cos(math.pi * share)) if self.decaying else 1.0
        return self.learning_rate * fallen


def train_mix(
    train: CropSet,
    held_out: CropSet,
    settings: MixTraining,
    *,
    out: Path,
    device: str = "cpu",
    minutes: float | None = None,
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[float], None] = lambda _loss: None,
) -> Outcome:
    """Train until all epochs are done or the minutes are up, and write the checkpoint.

    Args:
        train: examples to learn from.
        held_out: examples of other songs.
        settings: how.
        out: the checkpoint.
        device: of PyTorch.
        minutes: of this run; all that is needed when None.
        resume: go on where the last run with the same settings and data stopped.
        clock: seconds.
        report: told the loss of every step.

    Raises:
        UsageError: no examples, or other settings or data than the run to go on with.
        UnusableInput: the loss is no number any more.
        MissingDependency: the state to go on with is damaged.
        UnwritableOutput: the checkpoint cannot be written.
    """
    course = _Course(train, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = MixNet(settings.net).to(device)
    _fast_layout(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)

    def step(number: int) -> tuple[float, ...]:
        spectra, targets = course.batch(number)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(number / course.steps)
        optimiser.zero_grad()
        with _fast_arithmetic(device):
            logits = net(_seen(net, spectra))
        loss = lsro_loss(logits.float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        optimiser.step()
        report(float(loss.detach()))
        return (float(loss.detach()),)

    job = Job(
        kind=settings.net.kind,
        model=net,
        optimiser=optimiser,
        step=step,
        steps=course.steps,
        columns=("loss",),
        settings=settings.record,
        data_sha=train.data_sha,
        measure=lambda: measure_mix(net, held_out, settings),
    )
    return run_job(job, out, minutes=minutes, resume=resume, clock=clock)


def measure_mix(net: MixNet, crops: CropSet, settings: MixTraining) -> dict[str, float]:
    """Held-out metrics (see the module); those that the examples do not allow are left out.

    The network must be in evaluation mode.
    """
    scores, losses = mix_scores(net, crops, settings)
    labels = np.array(crops.labels)
    metrics = {"held_out_examples": float(len(crops))}
    counted = np.isin(labels, settings.labels)
    if counted.any():
        metrics["loss"] = float(losses[counted].mean())
    good, bad, unknown = (scores[labels == name] for name in ("good", "bad", "unknown"))
    if good.size and bad.size:
        right = int((good > 0.5).sum() + (bad <= 0.5).sum())
        metrics["accuracy"] = right / (good.size + bad.size)
    if good.size and unknown.size:
        above = (unknown > good[:, None]) + 0.5 * (unknown == good[:, None])
        metrics["mean_rank"] = float(np.mean(1 + above.sum(axis=1)))
        metrics["unlabeled"] = float(unknown.size)
    return metrics


def load_mix_net(path: Path, kind: NetKind) -> MixNet:
    """A trained network in evaluation mode.

    Raises:
        MissingDependency: the checkpoint is not there, damaged, or not of this kind.
    """
    checkpoint = load_checkpoint(path, kind)
    record = checkpoint.info.settings
    settings = NetSettings(
        kind,
        width=float(record.get("net_width") or 1.0),
        bottleneck=int(record.get("net_bottleneck") or 0),
        mels=int(record.get("net_mels") or MEL.mels),
    )
    net = MixNet(settings)
    load_weights(net, checkpoint, prefix=_MODEL)
    _fast_layout(net)
    return net.eval()


class _Course:
    """Which examples each step sees."""

    def __init__(self, crops: CropSet, settings: MixTraining) -> None:
        self._crops, self._settings = crops, settings
        self._chosen = crops.indices(settings.labels)
        if self._chosen.size < 2:
            raise UsageError(
                f"{self._chosen.size} examples are too few to train on.",
                hint="Give more songs with vocals, harmony and drums.",
                code="no_examples",
            )
        # A last batch of one example is left out: batch norm has nothing to compare it with.
        self._per_epoch = -(-(self._chosen.size - 1) // settings.batch)
        self.steps = self._per_epoch * settings.epochs

    def batch(self, number: int) -> tuple[NDArray[np.float32], Tensor]:
        """Planes (batch, 3, frames, mels) and targets (batch, 2) of step ``number``."""
        epoch, place = divmod(number, self._per_epoch)
        seed, size = self._settings.seed, self._settings.batch
        order = np.random.default_rng([seed, epoch]).permutation(self._chosen)
        indices = order[place * size : (place + 1) * size].tolist()
        rng = np.random.default_rng([seed, epoch, place])
        spectra = self._crops.batch(indices, self._settings.frames, rng=rng)
        return spectra, torch.tensor([LABELS[self._crops.labels[i]] for i in indices])


def _seen(net: MixNet, planes: NDArray[np.float32]) -> Tensor:
    """What this network looks at, on its device: the three stems, or their sum."""
    if net.settings.kind == "postmixnet":
        planes = np.stack([added_up(list(stems)) for stems in planes])[:, None]
    return torch.from_numpy(scaled(planes)).to(next(net.parameters()).device)


def _fast_layout(net: MixNet) -> None:
    """Kernels with their channels last, which convolutions are fastest on."""
    for weights in net.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)


def _fast_arithmetic(device: str) -> contextlib.AbstractContextManager[None]:
    """Half precision where the processor is fast at it."""
    if device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def mix_scores(
    net: MixNet, crops: CropSet, settings: MixTraining
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(examples,) mashability of the middle crops, and each example's own loss."""
    scores, losses = np.zeros(len(crops)), np.zeros(len(crops))
    places: Sequence[int] = range(len(crops))
    with torch.no_grad():
        for start in places[:: settings.batch]:
            chosen = places[start : start + settings.batch]
            logits = net(_seen(net, crops.batch(chosen, settings.frames))).cpu().double()
            scores[chosen] = mashability(logits).numpy()
            for row, index in enumerate(chosen):
                target = torch.tensor([LABELS[crops.labels[index]]])
                losses[index] = float(lsro_loss(logits[row : row + 1], target))
    return scores, losses
