"""The steps of the fit model's training: which windows each sees, and what it learns from them.

First the towers learn (:mod:`engine.training.fit.loss`), then the judge
(:mod:`engine.training.fit.judge`). A step depends on its number and the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.checkpoints import Plain, Recorded
from engine.models.fit.towers import FitSizes
from engine.training.fit.data import FitBank, chosen_windows
from engine.training.fit.held_out import HeldOutWindows
from engine.training.fit.judge import judge_loss
from engine.training.fit.loss import batch_loss
from engine.training.fit.material import WindowSource
from engine.training.fit.towers import FitTowers
from engine.training.resuming import Job
from engine.training.watching import Progress

__all__ = ["Batches", "FitSettings", "towers_job", "train_towers"]

_CLIP_NORM: Final = 1.0
#: Widest tower, and the largest number of a record, that can be meant.
_WIDEST, _MOST = 4096, 10**9
#: Largest seed that a training may be asked for.
_MOST_SEED: Final = 2**63 - 1
#: A loss is told every so many steps.
_REPORT_STEPS: Final = 50
#: Keys and faults of what is held out are drawn from this stream, the same every time.
_HELD_OUT_STREAM: Final = 8
#: Share of the steps in which the learning rate rises, and its floor as a share of the highest.
_WARM_UP, _LEAST_RATE = 0.05, 1e-3


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Args:
        sizes: widths of the towers.
        steps: batches for each teacher's towers, or for the only ones.
        teachers: how many there are; with none, the towers learn from the truth alone.
        lessons: batches in which the first of them learns from all.
        judge_steps: batches for the judge, after the towers.
        schedule: batches over which the towers' learning rate falls; a run may end before.
        batch: windows in a batch, fewer when there are not so many compositions.
        bank: windows that are rendered at a time.
        bank_passes: how often a bank's windows are drawn on average before the next is rendered.
        learning_rate: highest rate of AdamW.
        lesson_rate: that of the lessons.
        weight_decay: of AdamW.
        rules: weight of the rules' score beside the learned similarity, chosen on validation songs.
        drum_rules: that for drums under the clip.
        seed: of weights, windows and sounds.
        threads: of torch.
    """

    sizes: FitSizes = field(default_factory=FitSizes)
    steps: int = 10000
    teachers: int = 3
    lessons: int = 3000
    judge_steps: int = 1000
    schedule: int = 10000
    batch: int = 80
    bank: int = 4000
    bank_passes: int = 8
    learning_rate: float = 2e-3
    lesson_rate: float = 1e-3
    weight_decay: float = 1e-2
    rules: float = 0.1
    drum_rules: float = 4.0
    seed: int = 0
    threads: int = 1

    def record(self) -> dict[str, Plain]:
        """As it is written into checkpoints; the number of threads changes nothing."""
        plain = {k: v for k, v in asdict(self).items() if k not in ("sizes", "threads")}
        return {**plain, **asdict(self.sizes)}

    @classmethod
    def of(cls, record: Mapping[str, Plain]) -> FitSettings:
        """The settings that :meth:`record` wrote.

        Raises:
            ValueError: one is missing, of another type or cannot be meant.
        """
        said = Recorded(record)

        def count(name: str, least: int = 0, most: int = _MOST) -> int:
            return said.whole(name, least=least, most=most)

        def share(name: str) -> float:
            return said.number(name, least=0, most=_MOST)

        return cls(
            sizes=FitSizes(**{n: count(n, 1, _WIDEST) for n in FitSizes.__dataclass_fields__}),
            steps=count("steps"),
            teachers=count("teachers"),
            lessons=count("lessons"),
            judge_steps=count("judge_steps"),
            schedule=count("schedule"),
            batch=count("batch"),
            bank=count("bank"),
            bank_passes=count("bank_passes"),
            learning_rate=share("learning_rate"),
            lesson_rate=share("lesson_rate"),
            weight_decay=share("weight_decay"),
            rules=share("rules"),
            drum_rules=share("drum_rules"),
            seed=count("seed", most=_MOST_SEED),
        )

    @property
    def tower_steps(self) -> int:
        """Batches for the towers that are published."""
        return self.lessons if self.teachers else self.steps

    @property
    def all_steps(self) -> int:
        """Batches of a whole run: those of the teachers, of the towers and of the judge."""
        return self.teachers * self.steps + self.tower_steps + self.judge_steps

    def of_teacher(self, number: int) -> FitSettings:
        """How a teacher is trained: its own seed, and nobody to learn from."""
        return replace(self, seed=self.seed + number, teachers=0, lessons=0, judge_steps=0)

    def rate(self, step: int) -> float:
        """Learning rate: a short rise, then half a cosine; the judge begins anew."""
        judging = step >= self.tower_steps
        highest = self.lesson_rate if self.teachers and not judging else self.learning_rate
        done = min(1.0, (step + 1) / (self.lessons if self.teachers else self.schedule))
        if judging:
            done = (step + 1 - self.tower_steps) / self.judge_steps
        rise = min(1.0, done / _WARM_UP)
        return highest * (rise * 0.5 * (1 + math.cos(math.pi * done)) + _LEAST_RATE)


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


def train_towers(
    source: WindowSource,
    *,
    settings: FitSettings,
) -> FitTowers:
    """Only the loop of one teacher and its judge, all in memory."""
    settings = replace(settings, teachers=0)
    towers = FitTowers(settings.sizes, seed=settings.seed)
    job = towers_job(towers, source, settings)
    for number in range(job.steps):
        job.step(number)
    return towers


def towers_job(
    towers: FitTowers,
    source: WindowSource,
    settings: FitSettings,
    *,
    teachers: Sequence[FitTowers] = (),
    data_sha: str = "",
    report: Callable[[str], None] | None = None,
    held_out: HeldOutWindows | None = None,
) -> Job:
    """The steps of some towers and their judge.

    Args:
        towers: what learns.
        source: of the windows; with teachers other ones than any of them saw.
        settings: how to train.
        teachers: whose opinion is learned too, as many as ``settings`` say.
        data_sha: names the data.
        report: told how far it is, and the loss, of the first step, the last and some between.
        held_out: what is measured now and then, by the loss of the phase at hand and by rank.
    """
    torch.set_num_threads(settings.threads)
    optimiser = torch.optim.AdamW(
        towers.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    lessons = replace(settings, seed=settings.seed + len(teachers))
    batches = Batches(source, lessons)
    total = settings.tower_steps + settings.judge_steps

    def loss_of(number: int, batch: FitBank, rng: np.random.Generator) -> Tensor:
        if number < settings.tower_steps:
            return batch_loss(towers, batch, rng, teachers)
        return judge_loss(towers, batch, rng)

    def step(number: int) -> tuple[float, ...]:
        rate = settings.rate(number)
        for group in optimiser.param_groups:
            group["lr"] = rate
        towers.half_precision = True
        loss = loss_of(number, *batches.at(number))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        torch.nn.utils.clip_grad_norm_(towers.parameters(), _CLIP_NORM)
        optimiser.step()
        towers.half_precision = False
        return float(loss.detach()), rate

    def told(progress: Progress) -> None:
        seldom = progress.step % _REPORT_STEPS == 0 or progress.step in (1, total)
        if report is not None and (seldom or progress.is_measured):
            report(str(progress))

    def watched(step: int) -> dict[str, float]:
        if held_out is None:
            return {}
        rng = np.random.default_rng([settings.seed, _HELD_OUT_STREAM])
        loss = float(loss_of(step - 1, held_out.batch, rng))
        return {"loss": loss, "rank": held_out.rank(towers)}

    return Job(
        kind="fit-run",
        model=towers,
        optimiser=optimiser,
        step=step,
        steps=total,
        columns=("loss", "learning_rate"),
        settings=settings.record(),
        data_sha=data_sha,
        watch=watched,
        report=None if report is None else told,
    )
