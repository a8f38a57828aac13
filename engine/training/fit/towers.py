"""The towers of :mod:`engine.models.fit.towers` in torch, for training: the same weights by name.

Batches are (songs, beats, …). Weights start as scaled normal draws (He et al. 2015), outputs and
residual branches small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, NestedIOFunction

from engine.models.fit.towers import (
    BLOCK_DILATIONS,
    JUDGE_PITCH,
    JUDGE_RHYTHM,
    TAPS,
    FitSizes,
    shapes_of,
)

__all__ = ["FitTowers", "JudgeInput"]


@dataclass(frozen=True, eq=False)
class JudgeInput:
    """Examples as the judge sees them.

    Args:
        chroma: (examples, beats, 12 * values) chromas and embeddings of query and bed.
        context: (examples, beats, 10) of query and bed.
        pattern: (examples, beats, 113) onsets of query, bed and drums, sounding of each, phase.
    """

    chroma: Tensor
    context: Tensor
    pattern: Tensor


class FitTowers(nn.Module):
    """All four towers, the judge, and the two temperatures."""

    def __init__(self, sizes: FitSizes, *, seed: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.half_precision = False
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.ParameterDict(
            {
                _key(name): nn.Parameter(_first(name, shape, generator))
                for name, shape in shapes_of(sizes).items()
            }
        )
        self.log_scale = nn.Parameter(torch.full((2,), math.log(15.0)))
        interval = (torch.arange(12)[None, :] - torch.arange(12)[:, None]) % 12
        self.register_buffer("interval", interval, persistent=False)

    def weight(self, name: str) -> Tensor:
        """A weight by its name in :func:`~engine.models.fit.towers.shapes_of`."""
        value: Tensor = self.table[_key(name)]
        return value

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Every weight as an array, for :mod:`engine.models.fit.towers`."""
        return {
            name: self.weight(name).detach().numpy().astype(np.float32)
            for name in shapes_of(self.sizes)
        }

    def pitch(self, tower: str, chroma: Tensor, context: Tensor, active: Tensor) -> Tensor:
        """(songs, beats, 12, values), see :func:`engine.models.fit.towers.pitch_tower`."""
        around = context @ self.weight(f"{tower}.context") + self.weight(f"{tower}.bias")
        hidden = self._times(chroma, f"{tower}.in") + around.repeat(1, 1, 12)
        hidden = self._pitch_blocks(tower, torch.relu(hidden))
        values = self._times(hidden, f"{tower}.out")
        weighed = _weighed(values, active, unit=tower != "voice")
        return weighed.reshape(*values.shape[:2], 12, -1)

    def rhythm(self, tower: str, pattern: Tensor, active: Tensor) -> Tensor:
        """(songs, beats, values), see :func:`engine.models.fit.towers.rhythm_tower`."""
        hidden = torch.relu(pattern @ self.weight(f"{tower}.in") + self.weight(f"{tower}.bias"))
        values = self._rhythm_blocks(tower, hidden) @ self.weight(f"{tower}.out")
        return _weighed(values, active, unit=tower == "drum_rhythm")

    def judge(self, seen: JudgeInput) -> Tensor:
        """(examples,) log odds, see :func:`engine.models.fit.judge.judge`."""
        around = seen.context @ self.weight(f"{JUDGE_PITCH}.context")
        around = (around + self.weight(f"{JUDGE_PITCH}.bias")).repeat(1, 1, 12)
        hidden = torch.relu(self._times(seen.chroma, f"{JUDGE_PITCH}.in") + around)
        examples, beats = seen.chroma.shape[:2]
        classes = self._pitch_blocks(JUDGE_PITCH, hidden).reshape(examples, beats, 12, -1)
        heard = torch.relu(self._layer(JUDGE_RHYTHM, seen.pattern))
        rhythm = self._rhythm_blocks(JUDGE_RHYTHM, heard)
        found = torch.cat([classes.mean(dim=2), classes.amax(dim=2), rhythm], dim=2)
        beat = torch.relu(self._layer("judge_beat", found))
        head = torch.relu(self._layer("judge_head", beat.mean(dim=1)))
        return self._layer("judge_odds", head)[:, 0]

    def _layer(self, name: str, values: Tensor) -> Tensor:
        return values @ self.weight(f"{name}.in") + self.weight(f"{name}.bias")

    def _pitch_blocks(self, tower: str, hidden: Tensor) -> Tensor:
        for block, dilation in enumerate(BLOCK_DILATIONS):
            taps = self.weight(f"{tower}.{block}.time").repeat(1, 12)
            mixed = self._times(_over_beats(hidden, taps, dilation), f"{tower}.{block}.mix")
            bias = self.weight(f"{tower}.{block}.bias").repeat(12)
            hidden = hidden + torch.relu(mixed + bias)
        return hidden

    def _rhythm_blocks(self, tower: str, hidden: Tensor) -> Tensor:
        for block, dilation in enumerate(BLOCK_DILATIONS):
            mixed = _over_beats(hidden, self.weight(f"{tower}.{block}.time"), dilation)
            mixed = mixed @ self.weight(f"{tower}.{block}.mix")
            hidden = hidden + torch.relu(mixed + self.weight(f"{tower}.{block}.bias"))
        return hidden

    def _times(self, hidden: Tensor, name: str) -> Tensor:
        """A circulant layer; in half precision while training, where that is much faster."""
        matrix = self._circulant(name)
        if not self.half_precision:
            return hidden @ matrix
        return (hidden.bfloat16() @ matrix.bfloat16()).float()

    def _circulant(self, name: str) -> Tensor:
        kernel = self.weight(name)
        interval = self.get_buffer("interval")
        full = kernel[interval].permute(0, 2, 1, 3)
        return full.reshape(12 * kernel.shape[1], 12 * kernel.shape[2])


def _key(name: str) -> str:
    return name.replace(".", "_")


def _first(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    kind = name.rsplit(".", 1)[1]
    if kind == "bias":
        return torch.zeros(shape)
    if kind == "time":  # begins as the beat itself with a little of its neighbours
        taps = torch.randn(shape, generator=generator) * 0.1
        taps[TAPS // 2] += 1.0
        return taps
    inputs = math.prod(shape[:-1])
    gain = 0.5 if kind == "mix" else 1.0
    return torch.randn(shape, generator=generator) * gain * math.sqrt(2.0 / inputs)


class _OverBeats(torch.autograd.Function):
    """Depthwise convolution over beats, silence beyond the ends; its gradient needs few passes."""

    @staticmethod
    def forward(ctx: FunctionCtx, hidden: Tensor, taps: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(hidden, taps, torch.tensor(dilation))
        return _summed(hidden, taps, dilation)

    @staticmethod
    def backward(ctx: NestedIOFunction, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, taps, between = ctx.saved_tensors
        dilation = int(between)
        beats = hidden.shape[1]
        weights = torch.zeros_like(taps)
        for tap in range(TAPS):
            step = (tap - TAPS // 2) * dilation
            here, there = _overlap(beats, step)
            weights[tap] = (grad[:, here] * hidden[:, there]).sum((0, 1))
        return _summed(grad, taps.flip(0), dilation), weights, None


def _overlap(beats: int, step: int) -> tuple[slice, slice]:
    """Beats that have one ``step`` beats later, and those."""
    here = slice(max(0, -step), beats - max(0, step))
    return here, slice(here.start + step, here.stop + step)


def _summed(hidden: Tensor, taps: Tensor, dilation: int) -> Tensor:
    total = hidden * taps[TAPS // 2]
    for tap in range(TAPS):
        step = (tap - TAPS // 2) * dilation
        if step:
            here, there = _overlap(hidden.shape[1], step)
            total[:, here].addcmul_(hidden[:, there], taps[tap])
    return total


def _over_beats(hidden: Tensor, taps: Tensor, dilation: int) -> Tensor:
    result: Tensor = _OverBeats.apply(hidden, taps, dilation)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    return result


def _weighed(values: Tensor, active: Tensor, *, unit: bool) -> Tensor:
    if unit:
        values = nn.functional.normalize(values, dim=-1, eps=1e-6)
    return values * active[:, :, None]
