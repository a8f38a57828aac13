"""Trains PreMixNet and PostMixNet on mashup examples.

Huang et al. (AAAI 2021), Training: Adam at 1e-4, cross-entropy over "good" and "bad"; with LSRO
the unlabeled, matched examples take part with the uniform target. Batch size, crop and epochs are
not in the paper. A step is :func:`~engine.training.mix_nets.batches.draw_batch`: PreMixNet judges
all triples of a dozen songs at the price of hearing each stem once, PostMixNet some of them. Good,
bad and unlabeled examples weigh the same in the loss, as in the paper, where there are as many of
each, and so do the kinds of the bad ones; the unlabeled come in slowly, through the first half. An
epoch shows as many songs as there are.

At first all stems hold some bleed of the others of their song, at a level drawn anew for each step,
as the paper's separated stems did. By that the networks soon learn to compare stems, which clean
stems alone did not teach them in 780 steps; then clean steps become more frequent, and so
do steps on planes that are drawn from notes, of many more songs.

For few rounds on a CPU the rate may be higher and fall to nothing along a cosine.
Everything is drawn from the seed and the number of the step, so a run that was stopped goes on as
if it had not been. Processors that multiply bfloat16 natively do so, at three times the speed.

Metrics of the held-out songs, whose examples are heard from the first bar to the last: ``loss``,
``accuracy`` of good against bad at 0.5, ``auc_key``, ``auc_tempo``, ``auc_both`` of good against
each kind of bad, ``mean_rank``, the average rank (1 is best, ties count half) of each good example
among the ``unlabeled`` ones.
"""

from __future__ import annotations

import contextlib
import hashlib
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

from engine.checkpoints import Plain
from engine.errors import UnusableInput
from engine.evaluation.axes import auc_of
from engine.mashup.generation import Condition, Label
from engine.models.mix_nets.beat_mel import FLOOR_DB, FRAMES_PER_BEAT, added_up, scaled
from engine.models.mix_nets.checkpoint import spectra_record
from engine.models.mix_nets.network import (
    LABELS,
    MixNet,
    NetSettings,
    channels_last,
    lsro_loss,
    mashability,
)
from engine.training.mix_nets.batches import SILENT, MixBatch, draw_batch
from engine.training.mix_nets.crops import CropSet
from engine.training.mix_nets.material import FEWEST_COMPOSITIONS, MixSongs, compositions_of
from engine.training.resuming import Job, Outcome, run_job
from engine.training.watching import Progress

__all__ = ["MixTraining", "measure_mix", "mix_scores", "train_mix"]

#: Metrics by what makes an example bad.
_AUC_OF: Final[dict[str, Condition]] = {
    "auc_key": "unmatched-key",
    "auc_tempo": "unmatched-tempo",
    "auc_both": "unmatched-both",
}
#: Metrics that are told while training.
_WATCHED: Final = ("loss", "accuracy")


@dataclass(frozen=True)
class MixTraining:
    """How to train.

    Args:
        net: the network.
        lsro: let unlabeled examples take part.
        seed: of the weights, the order and the crops.
        epochs: rounds through the songs.
        batch: songs per step.
        summed: triples that PostMixNet judges in a step.
        learning_rate: of Adam.
        decaying: let the learning rate fall to nothing along a cosine.
        crop_beats: length of what the network sees.
        recorded: share of steps on recordings, at the first and at the last step.
        clean: share of steps on stems without bleed, at the first and at the last step.
        bleed_db: faintest and loudest level of the bleed in the others.
    """

    net: NetSettings
    lsro: bool = False
    seed: int = 0
    epochs: int = 30
    batch: int = 12
    summed: int = 36
    learning_rate: float = 1e-4
    decaying: bool = False
    crop_beats: int = 16
    recorded: tuple[float, float] = (1.0, 0.5)
    clean: tuple[float, float] = (0.0, 0.8)
    bleed_db: tuple[float, float] = (-45.0, -8.0)

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
        for name in ("recorded", "clean", "bleed_db"):
            values |= dict(zip((f"{name}_first", f"{name}_last"), values.pop(name), strict=True))
        return {
            **{f"net_{name}": value for name, value in net.items()},
            **values,
            **spectra_record(),
        }

    def is_recorded(self, share: float, lot: float) -> bool:
        """Is this step on recordings, after ``share`` [0, 1] of all steps, for a lot in [0, 1)?"""
        return lot < _between(self.recorded, share)

    def bleed_at(self, share: float, rng: np.random.Generator) -> float | None:
        """Level of the bleed in a step after ``share`` [0, 1] of all steps; None: there is none."""
        level = float(rng.uniform(*self.bleed_db))
        return None if rng.random() < _between(self.clean, share) else level

    def rate(self, share: float) -> float:
        """Learning rate after ``share`` [0, 1] of all steps."""
        fallen = 0.5 * (1 + math.cos(math.pi * share)) if self.decaying else 1.0
        return self.learning_rate * fallen


def _between(ends: tuple[float, float], share: float) -> float:
    first, last = ends
    return first + (last - first) * share


def train_mix(
    material: Sequence[MixSongs],
    held_out: CropSet,
    settings: MixTraining,
    *,
    out: Path,
    bled: CropSet | None = None,
    device: str = "cpu",
    minutes: float | None = None,
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
    report: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Train until all epochs are done or the minutes are up, and write the checkpoint.

    Args:
        material: songs to learn from: recordings, and drawn ones if there are any; of these
            fewer than two compositions are left out.
        held_out: examples of other songs.
        settings: how.
        out: the checkpoint.
        bled: the held-out examples with bleed; their metrics' names begin with ``bled_``.
        device: of PyTorch.
        minutes: of this run; all that is needed when None.
        resume: go on where the last run with the same settings and data stopped.
        clock: seconds.
        report: told how far it is after every step, with loss and accuracy of ``held_out``.

    Raises:
        UsageError: other settings or data (those that are held out too, and their order) than the
            run to go on with.
        UnusableInput: fewer than two recorded compositions, or fewer that can be read, or the loss
            is no number any more.
        MissingDependency: the state to go on with is damaged.
        UnwritableOutput: the checkpoint cannot be written.
    """
    course = _Course(material, settings, held_out.data_sha)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        net = MixNet(settings.net).to(device)
    channels_last(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)

    def step(number: int) -> tuple[float, ...]:
        batch = course.batch(number)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(number / course.steps)
        optimiser.zero_grad()
        with _fast_arithmetic(device):
            logits = _judged(net, batch)
        unknown = min(1.0, 2.0 * number / course.steps)
        loss = _balanced_loss(logits.float(), batch, unknown)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        optimiser.step()
        return (float(loss.detach()),)

    def measured() -> dict[str, float]:
        of_bled = {} if bled is None else measure_mix(net, bled, settings)
        return measure_mix(net, held_out, settings) | {f"bled_{k}": v for k, v in of_bled.items()}

    def watched(_step: int) -> dict[str, float]:
        found = measure_mix(net, held_out, settings)
        return {name: found[name] for name in _WATCHED if name in found}

    job = Job(
        kind=settings.net.kind,
        model=net,
        optimiser=optimiser,
        step=step,
        steps=course.steps,
        columns=("loss",),
        settings=settings.record,
        data_sha=course.data_sha,
        measure=measured,
        watch=watched,
        report=report,
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
    for name, condition in _AUC_OF.items():
        own = scores[np.array(crops.conditions) == condition]
        if good.size and own.size:
            metrics[name] = auc_of(good, own)
    if good.size and unknown.size:
        above = (unknown > good[:, None]) + 0.5 * (unknown == good[:, None])
        metrics["mean_rank"] = float(np.mean(1 + above.sum(axis=1)))
        metrics["unlabeled"] = float(unknown.size)
    return metrics


class _Course:
    """Which songs each step sees."""

    def __init__(
        self, material: Sequence[MixSongs], settings: MixTraining, held_out_sha: str = ""
    ) -> None:
        self._recorded, *drawn = material
        self._drawn = [s for s in drawn if compositions_of(s) >= FEWEST_COMPOSITIONS]
        self._settings = settings
        if compositions_of(self._recorded) < FEWEST_COMPOSITIONS:
            raise _too_few(self._recorded)
        learned_from = [self._recorded, *self._drawn]
        usable = sum(song.whole.size > 0 for songs in learned_from for song in songs.songs)
        self.steps = settings.epochs * -(-usable // settings.batch)
        order = [song.id for songs in learned_from for song in songs.songs]
        shas = [*(songs.data_sha for songs in learned_from), held_out_sha, *order]
        self.data_sha = hashlib.sha256(" ".join(shas).encode()).hexdigest()

    def batch(self, number: int) -> MixBatch:
        """The songs of step ``number``."""
        settings = self._settings
        rng = np.random.default_rng([settings.seed, number])
        share = number / self.steps
        recorded = settings.is_recorded(share, rng.random())
        songs = self._recorded if recorded or not self._drawn else self._drawn[0]
        batch = draw_batch(
            songs,
            songs=settings.batch,
            beats=settings.crop_beats,
            rng=rng,
            bleed_db=settings.bleed_at(share, rng),
        )
        kept = batch.of_labels(settings.labels)
        return kept.some(settings.summed, rng) if settings.net.kind == "postmixnet" else kept


def _too_few(recorded: MixSongs) -> UnusableInput:
    why = f" ({'; '.join(recorded.notes)})" if recorded.notes else ""
    return UnusableInput(
        f"There are too few compositions to train on: {compositions_of(recorded)}, and "
        f"{FEWEST_COMPOSITIONS} or more are needed{why}.",
        hint="Give more songs in 4/4 with vocals, harmony and drums.",
        code="no_examples",
    )


def _judged(net: MixNet, batch: MixBatch) -> Tensor:
    """(triples, 2) logits."""
    device = next(net.parameters()).device
    if net.settings.kind == "postmixnet":
        sums = [
            added_up([batch.planes[plane] for plane in triple if plane != SILENT])
            for triple in batch.triples.tolist()
        ]
        logits: Tensor = net(torch.from_numpy(scaled(np.stack(sums)))[:, None].to(device))
        return logits
    silence = np.full(batch.planes.shape[1:], FLOOR_DB, dtype=np.float32)
    parts = []
    for source in range(net.settings.sources):
        wanted, place = np.unique(batch.triples[:, source], return_inverse=True)
        planes = [silence if plane == SILENT else batch.planes[plane] for plane in wanted]
        heard = net.part(source, torch.from_numpy(scaled(np.stack(planes))).to(device))
        # indexing would add up gradients in whatever order two threads finish
        parts.append(heard.index_select(0, torch.from_numpy(place.ravel()).to(device)))
    judged: Tensor = net.judged(torch.stack(parts).sum(dim=0))
    return judged


def _balanced_loss(logits: Tensor, batch: MixBatch, unknown: float) -> Tensor:
    """Mean over the labels, the unlabeled weighing ``unknown``, of the mean over their kinds."""
    kinds = np.array(batch.kinds)
    losses: dict[Label, list[Tensor]] = {}
    for kind in sorted(set(batch.kinds)):
        places = np.flatnonzero(kinds == kind)
        label = batch.labels[int(places[0])]
        own = torch.from_numpy(places).to(logits.device)
        targets = torch.tensor([LABELS[label]], device=logits.device).expand(own.numel(), 2)
        losses.setdefault(label, []).append(lsro_loss(logits[own], targets))
    weights = {label: unknown if label == "unknown" else 1.0 for label in losses}
    total = sum(weights[label] * torch.stack(found).mean() for label, found in losses.items())
    return torch.as_tensor(total / sum(weights.values()))


def _fast_arithmetic(device: str) -> contextlib.AbstractContextManager[None]:
    """Half precision where the processor is fast at it."""
    if device == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def mix_scores(
    net: MixNet, crops: CropSet, settings: MixTraining
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(examples,) mashability of whole examples, and each one's own loss."""
    scores, losses = np.zeros(len(crops)), np.zeros(len(crops))
    for index in range(len(crops)):
        logits = _of_whole(net, crops.planes(index), settings.frames)
        scores[index] = float(mashability(logits)[0])
        losses[index] = float(lsro_loss(logits, torch.tensor([LABELS[crops.labels[index]]])))
    return scores, losses


def _of_whole(net: MixNet, planes: NDArray[np.float32], frames: int) -> Tensor:
    """(1, 2) logits of an example of any length: the mean of those of its pieces."""
    if net.settings.kind == "postmixnet":
        planes = added_up(list(planes))[None]
    count = max(planes.shape[1] // frames, 1)
    pieces = np.stack(np.array_split(planes[:, : count * frames], count, axis=1))
    device = next(net.parameters()).device
    with torch.no_grad():
        logits: Tensor = net(torch.from_numpy(scaled(pieces)).to(device))
    return logits.cpu().double().mean(dim=0, keepdim=True)
