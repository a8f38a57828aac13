"""What a training tells while it runs: the loss of every step and, now and then, held-out songs.

Held-out material is measured at every tenth of a run, of its steps or of its minutes, whichever is
further. The first tenth is trained before anything is measured, and what was dear comes seldom: the
next time waits until all measuring is a tenth of the time at most. The end is not measured here,
because what is published is. A measurement leaves no trace in the network or in any generator of
random numbers, so the weights are the same with and without. Times are seconds of the clock handed
in.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from engine.errors import DawlinkError

__all__ = ["HeldOut", "Progress", "Watch", "untouched"]

_LOGGER = logging.getLogger(__name__)
#: Parts of a run, after each of which held-out material is measured.
PARTS: Final = 10
#: Share of the time that all measuring takes at most, but for the first, whose length is not known.
MOST_MEASURING: Final = 0.1
#: A tenth is reached in spite of rounding.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class HeldOut:
    """Metrics of held-out material by their names for people, after ``step`` steps."""

    step: int
    metrics: Mapping[str, float]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"held out {told} (step {self.step})"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        step: done, of all runs together.
        steps: how many there are.
        loss: of that step.
        held_out: what was measured last, None before the first time.
    """

    step: int
    steps: int
    loss: float
    held_out: HeldOut | None = None

    @property
    def is_measured(self) -> bool:
        """Whether held-out material was measured after this very step."""
        return self.held_out is not None and self.held_out.step == self.step

    def __str__(self) -> str:
        told = f"step {self.step} of {self.steps}, loss {self.loss:.4g}"
        return told if self.held_out is None else f"{told}; {self.held_out}"


class Watch:
    """Measures held-out material while a network is trained.

    Args:
        model: the network.
        measure: its metrics after so many steps; it finds the network in evaluation mode.
        done: steps before this run.
        steps: how many there are.
        begun_s: when this run began.
        minutes: of this run; None for no limit.
        clock: seconds.
    """

    def __init__(
        self,
        model: nn.Module,
        measure: Callable[[int], Mapping[str, float]],
        *,
        done: int,
        steps: int,
        begun_s: float,
        minutes: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._model, self._measure, self._clock = model, measure, clock
        self._done, self._steps = done, steps
        self._begun_s = begun_s
        self._limit_s = None if minutes is None else 60.0 * minutes
        self._part = 0
        self._last_s = self._spent_s = 0.0
        self._is_blind = False
        self._found: HeldOut | None = None

    def after(self, step: int, now_s: float) -> HeldOut | None:
        """What is known of held-out material after ``step`` steps, measured now if it is time.

        What cannot be measured is said once, and the training goes on.
        """
        share = self._share(step, now_s)
        part = int(PARTS * share + _ROUNDING)
        if self._is_blind or not self._part < part < PARTS or not self._is_affordable(now_s):
            return self._found
        self._part = part
        begun_s = self._clock()
        try:
            with untouched(self._model):
                metrics = self._measure(step)
        except DawlinkError as error:
            _LOGGER.warning("Held-out songs are not measured while training: %s", error.message)
            metrics = {}
        self._last_s = self._clock() - begun_s
        self._spent_s += self._last_s
        self._is_blind = not metrics
        if metrics:
            self._found = HeldOut(step, dict(metrics))
        return self._found

    def _share(self, step: int, now_s: float) -> float:
        """Of this run that is done [0, 1]."""
        of_steps = (step - self._done) / max(self._steps - self._done, 1)
        if not self._limit_s:
            return of_steps
        return max(of_steps, (now_s - self._begun_s) / self._limit_s)

    def _is_affordable(self, now_s: float) -> bool:
        """Whether there is time to measure as long as the last time."""
        after_s = now_s - self._begun_s + self._last_s
        if self._limit_s is not None and after_s >= self._limit_s:
            return False
        return self._spent_s + self._last_s <= MOST_MEASURING * after_s


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """A block in which a network is in evaluation mode, after which all is as it was before.

    That is the mode of each of its modules, and PyTorch's, NumPy's and Python's global generators.
    Statistics of batch norms do not move in evaluation mode; no gradients are kept.
    """
    modes = [(module, module.training) for module in model.modules()]
    own, of_numpy = random.getstate(), np.random.get_state()
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    is_cpu = device.type == "cpu"
    model.eval()
    try:
        with (
            torch.random.fork_rng(
                devices=[] if is_cpu else [device], device_type="cuda" if is_cpu else device.type
            ),
            torch.no_grad(),
        ):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(own)
        np.random.set_state(of_numpy)
