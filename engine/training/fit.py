"""Training of the fit model: voices and beds from piano rolls, told apart by contrast.

For every window of a batch the voice must pick its own bed among all beds of the batch in all
twelve transpositions, and among its own bed moved by a few beats (in-batch contrast, van den Oord
et al. 2018, InfoNCE, section 2.3). No two windows of a batch come from one composition, and moved
beds that sound nearly the same as the true one do not count as wrong. The harmonic stem picks its
drums likewise, and so does the query, both without transpositions. When the towers are done the
judge learns to tell original from matched and broken groups (:mod:`engine.training.fit_judge`).
Afterwards logistic curves turn similarities and the judge's opinion into the probability that
stems belong together (Platt 1999), fitted on validation songs.

``python -m engine.training.fit --data CORPUS --out fit.safetensors`` trains and writes it all; what
may be given as data, and how it is split, says :mod:`engine.training.fit_material`.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import FitModel
from engine.models.fit_curves import JUDGED, FitCurves
from engine.models.fit_net import FitSizes, dense_weights
from engine.training.checkpoints import CheckpointInfo, Plain, save_checkpoint
from engine.training.fit_calibration import calibrated, reliability
from engine.training.fit_check import ANY_KEY, KEY_GIVEN, ranks
from engine.training.fit_data import FitBank, chosen_windows
from engine.training.fit_judge import judge_loss
from engine.training.fit_judge_calibration import judged_log_odds, with_judge
from engine.training.fit_loss import batch_loss
from engine.training.fit_material import FitMaterial, WindowSource, open_fit_material
from engine.training.fit_towers import FitTowers
from engine.training.resuming import Job, Outcome, resume_path, run_job

__all__ = ["Batches", "FitSettings", "publish", "train_fit", "train_towers"]

_LOGGER = logging.getLogger(__name__)
_CLIP_NORM: Final = 1.0
_REPORT_STEPS: Final = 50
#: Share of the steps in which the learning rate rises, and its floor as a share of the highest.
_WARM_UP, _LEAST_RATE = 0.05, 1e-3


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Args:
        sizes: widths of the towers.
        steps: batches for the towers.
        judge_steps: batches for the judge, after the towers.
        schedule: batches over which the towers' learning rate falls; a run may end before.
        batch: windows in a batch, fewer when there are not so many compositions.
        bank: windows that are rendered at a time.
        bank_passes: how often a bank's windows are drawn on average before the next is rendered.
        learning_rate: highest rate of AdamW.
        weight_decay: of AdamW.
        rules: weight of the rules' score beside the learned similarity, chosen on validation songs.
        drum_rules: that for drums under the clip.
        seed: of weights, windows and sounds.
        threads: of torch.
    """

    sizes: FitSizes = field(default_factory=FitSizes)
    steps: int = 10000
    judge_steps: int = 1000
    schedule: int = 10000
    batch: int = 80
    bank: int = 4000
    bank_passes: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    rules: float = 0.1
    drum_rules: float = 4.0
    seed: int = 0
    threads: int = 1

    def record(self) -> dict[str, Plain]:
        """As it is written into checkpoints; the number of threads changes nothing."""
        plain = {k: v for k, v in asdict(self).items() if k not in ("sizes", "threads")}
        return {**plain, **asdict(self.sizes)}

    def rate(self, step: int) -> float:
        """Learning rate: a short rise, then half a cosine; the judge begins anew."""
        done = min(1.0, (step + 1) / self.schedule)
        if step >= self.steps:
            done = (step + 1 - self.steps) / self.judge_steps
        rise = min(1.0, done / _WARM_UP)
        return self.learning_rate * (rise * 0.5 * (1 + math.cos(math.pi * done)) + _LEAST_RATE)


class Batches:
    """Batches by number: the same number always gives the same windows."""

    def __init__(self, source: WindowSource, settings: FitSettings) -> None:
        self._source = source
        self._settings = settings
        self._per_bank = max(1, settings.bank_passes * settings.bank // settings.batch)
        self._bank: tuple[int, FitBank] | None = None

    def at(self, step: int) -> tuple[FitBank, np.random.Generator]:
        """Windows of different compositions, and the randomness of this step."""
        number = step // self._per_bank
        if self._bank is None or self._bank[0] != number:
            seed = self._settings.seed * 1000 + 100 + number
            self._bank = (number, self._source.bank(self._settings.bank, seed=seed))
        bank = self._bank[1]
        rng = np.random.default_rng([self._settings.seed, 7, step])
        order = rng.permutation(bank.group.size)
        _, first = np.unique(bank.group[order], return_index=True)
        index = rng.permutation(order[first])[: self._settings.batch]
        return chosen_windows(bank, index), rng


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
    """
    settings = settings if settings is not None else FitSettings()
    running = out.with_name(f"{out.stem}.run.safetensors")
    towers = FitTowers(settings.sizes, seed=settings.seed)
    job = _job(towers, material.train, settings, data_sha=material.data_sha, report=report)
    outcome = run_job(job, running, minutes=minutes, resume=resume)
    metrics = publish(towers, material, out, settings=settings, job=job, outcome=outcome)
    if outcome.finished:
        running.unlink(missing_ok=True)
        resume_path(running).unlink(missing_ok=True)
    return Outcome(outcome.steps_done, outcome.finished, outcome.history, metrics)


def train_towers(
    source: WindowSource,
    *,
    settings: FitSettings,
    report: Callable[[str], None] | None = None,
) -> FitTowers:
    """Only the loop, all in memory."""
    towers = FitTowers(settings.sizes, seed=settings.seed)
    job = _job(towers, source, settings, report=report)
    for number in range(job.steps):
        job.step(number)
    return towers


def publish(
    towers: FitTowers,
    material: FitMaterial,
    out: Path,
    *,
    settings: FitSettings,
    job: Job,
    outcome: Outcome,
) -> dict[str, float]:
    """Write the half-precision checkpoint that ranking reads; returns its metrics."""
    halves = {name: w.astype(np.float16) for name, w in towers.weights().items()}
    rounded = {name: w.astype(np.float32) for name, w in halves.items()}
    plain = FitCurves.plain(rules=settings.rules, drum_rules=settings.drum_rules)
    model = FitModel(dense_weights(rounded), settings.sizes, plain)
    drawn = material.val_whole(settings.seed + 1)
    model = replace(model, curves=calibrated(model, drawn, seed=settings.seed + 1))
    model = replace(model, curves=with_judge(model, drawn, seed=settings.seed + 1))
    metrics = {"steps_done": float(outcome.steps_done), **_measured(model, material, settings.seed)}
    record: dict[str, Plain] = {**job.settings, **model.curves.record()}
    info = CheckpointInfo("fit", record, job.data_sha, metrics)
    tensors = {name: torch.from_numpy(values) for name, values in halves.items()}
    save_checkpoint(out, tensors, info=info)
    return metrics


def _measured(model: FitModel, material: FitMaterial, seed: int) -> dict[str, float]:
    """Ranks on validation windows, and the calibration error of groups of bed and drums."""
    ranker = FitRanker(model)
    pairs = material.val_pairs()
    metrics = {
        f"val.rank.{key}": float(ranks(ranker, pairs, semitones=semitones).mean())
        for key, semitones in (("key_given", KEY_GIVEN), ("any_key", ANY_KEY))
    }
    drawn = material.val_whole(seed + 2)
    for bars in (8, 16):
        true, foreign = judged_log_odds(model, drawn, bars=bars, seed=seed + 2)[JUDGED[1]]
        if true.size and foreign.size:
            metrics[f"val.calibration_error.{bars}_bars"] = reliability(true, foreign).error
    return metrics


def _job(
    towers: FitTowers,
    source: WindowSource,
    settings: FitSettings,
    *,
    data_sha: str = "",
    report: Callable[[str], None] | None = None,
) -> Job:
    torch.set_num_threads(settings.threads)
    optimiser = torch.optim.AdamW(
        towers.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = Batches(source, settings)
    total = settings.steps + settings.judge_steps

    def step(number: int) -> tuple[float, ...]:
        rate = settings.rate(number)
        for group in optimiser.param_groups:
            group["lr"] = rate
        towers.half_precision = True
        lesson = batch_loss if number < settings.steps else judge_loss
        loss = lesson(towers, *batches.at(number))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        torch.nn.utils.clip_grad_norm_(towers.parameters(), _CLIP_NORM)
        optimiser.step()
        towers.half_precision = False
        value = float(loss.detach())
        if report is not None and (number + 1) % _REPORT_STEPS == 0:
            report(f"step {number + 1} of {total}, loss {value:.3f}")
        return value, rate

    return Job(
        kind="fit-run",
        model=towers,
        optimiser=optimiser,
        step=step,
        steps=total,
        columns=("loss", "learning_rate"),
        settings=settings.record(),
        data_sha=data_sha,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m engine.training.fit``."""
    parser = argparse.ArgumentParser(description="Train the fit model.")
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", help="corpora, libraries, multitrack folders"
    )
    parser.add_argument("--out", type=Path, default=Path("fit.safetensors"))
    parser.add_argument("--steps", type=int, default=FitSettings().steps)
    parser.add_argument("--judge-steps", type=int, default=FitSettings().judge_steps)
    parser.add_argument("--schedule", type=int, default=None, help="as many as --steps by default")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out: Path = given.out
    material = open_fit_material(
        given.data,
        out.with_name(f"{out.stem}-songs"),
        cache_dir=given.cache_dir,
        tell=_LOGGER.info,
    )
    outcome = train_fit(
        material,
        out,
        settings=FitSettings(
            steps=given.steps,
            judge_steps=given.judge_steps,
            schedule=given.schedule or given.steps,
            seed=given.seed,
        ),
        minutes=given.minutes,
        resume=given.resume,
        report=_LOGGER.info,
    )
    _LOGGER.info("%s: %d steps, %s", out, outcome.steps_done, dict(outcome.metrics))


if __name__ == "__main__":
    main()
