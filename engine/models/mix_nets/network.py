"""PreMixNet and PostMixNet: does this vocal go with this harmony and these drums?

Huang, Wang, Smith, Song and Wang, "Modeling the Compatibility of Stem Tracks to Generate Music
Mashups" (AAAI 2021), Model: a ConvBlock is (convolution, batch norm, ReLU) twice and an average
pool over time; a SourceNet is two of them with 3 × 3 kernels and 64, 64, 128, 128 filters; then
one ConvBlock of 256 filters whose first kernel spans three frames and all 128 mel bins, and two
fully connected layers. PreMixNet has a SourceNet of its own for each of vocal, harmony and
percussion; PostMixNet has one for their sum. How time is summarised is told as adding maximum and
average; it is read here as the sum of both over time, one number per filter.

Input is (batch, sources, frames, mels) of :mod:`engine.models.mix_nets.beat_mel`; output is (batch,
2) logits, class 0 "good", class 1 "bad". The probability of class 0 is the mashability. At full
width 38.76 and 13.07 million numbers; almost all sit in the kernel over all bins. ``bottleneck``
puts a 1 × 1 convolution to so many channels before it, ``width`` scales every filter count,
``joint_width`` those of the joint layers by another factor: what a chord is to a tune is decided
there, and there filters are cheap. ``meeting`` lets stems meet one step earlier: as published, a
voice and a harmony are first compared after all bins have been added up, which takes a filter for
every note and many examples to learn.

LSRO (label smoothing regularisation for outliers): examples without a label have the uniform
target, so their loss is ``-(log p0 + log p1) / 2`` and pulls both probabilities to one half.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = [
    "LABELS",
    "MixNet",
    "NetKind",
    "NetSettings",
    "SourceNet",
    "channels_last",
    "for_listening",
    "lsro_loss",
    "mashability",
]

NetKind = Literal["premixnet", "postmixnet"]

#: Targets: (probability of good, probability of bad).
LABELS: Final = {"good": (1.0, 0.0), "unknown": (0.5, 0.5), "bad": (0.0, 1.0)}
#: Filters of the published networks.
_SOURCE_FILTERS: Final = (64, 128)
_MIX_FILTERS: Final = 256
_HIDDEN: Final = 128


@dataclass(frozen=True)
class NetSettings:
    """What a network is made of.

    Args:
        kind: ``premixnet`` looks at three stems, ``postmixnet`` at their sum.
        width: factor on every filter count, 1 as published.
        bottleneck: channels before the kernel over all bins; 0 as published: no reduction.
        joint_width: factor for the layers after the SourceNets; 0 for ``width``.
        meeting: batch norm and ReLU after the bottleneck, so that stems meet bin by bin before
            the kernel over all bins; published is that they meet in its sum only.
        mels: bins of the input.
    """

    kind: NetKind
    width: float = 1.0
    bottleneck: int = 0
    joint_width: float = 0.0
    meeting: bool = False
    mels: int = 128

    def __post_init__(self) -> None:
        if self.kind not in get_args(NetKind):
            raise ValueError(f"{self.kind!r} is none of {get_args(NetKind)}")
        if not (0 < self.width <= 4 and 0 <= self.joint_width <= 4):
            raise ValueError(f"a network cannot be made of {self}")
        if self.bottleneck < 0 or self.mels < 1 or (self.meeting and not self.bottleneck):
            raise ValueError(f"a network cannot be made of {self}")

    @property
    def sources(self) -> int:
        """Spectrograms per example."""
        return 3 if self.kind == "premixnet" else 1

    def filters(self, published: int) -> int:
        """A filter count at this width."""
        return max(1, round(published * self.width))

    def joint_filters(self, published: int) -> int:
        """A filter count of the joint layers."""
        return max(1, round(published * (self.joint_width or self.width)))


class MixNet(nn.Module):
    """PreMixNet or PostMixNet, as ``settings.kind`` says."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.source_nets = nn.ModuleList(SourceNet(settings) for _ in range(settings.sources))
        channels = settings.sources * settings.filters(_SOURCE_FILTERS[-1])
        narrow = settings.bottleneck
        self.narrow = nn.Conv2d(channels, narrow, 1) if narrow else nn.Identity()
        self.met = nn.BatchNorm2d(narrow) if settings.meeting else nn.Identity()
        mixed = settings.joint_filters(_MIX_FILTERS)
        self.mix = _conv_block(narrow or channels, mixed, (3, settings.mels), (3, 1))
        self.hidden = nn.Linear(mixed, settings.joint_filters(_HIDDEN))
        self.out = nn.Linear(settings.joint_filters(_HIDDEN), 2)

    def forward(self, spectra: Tensor) -> Tensor:
        """(batch, 2) logits of (batch, sources, frames, mels)."""
        expected = (self.settings.sources, self.settings.mels)
        if spectra.ndim != 4 or (spectra.shape[1], spectra.shape[3]) != expected:
            raise ValueError(
                f"expected (batch, {expected[0]}, frames, {expected[1]}), got {spectra.shape}"
            )
        parts = [self.part(i, spectra[:, i]) for i in range(self.settings.sources)]
        return self.judged(torch.stack(parts).sum(dim=0))

    def part(self, source: int, planes: Tensor) -> Tensor:
        """(batch, filters, frames / 4), or (…, mels) where stems meet bin by bin: one stem's share.

        All before the first joint non-linearity is linear over the sources, so this is made once
        for every stem, and :meth:`judged` of a sum is all that a triple costs.

        Args:
            source: 0 vocal (or the sum), 1 harmony, 2 drums.
            planes: (batch, frames, mels) of that source.
        """
        heard = self.source_nets[source](planes.unsqueeze(1))
        kernel = self._first.weight
        own = slice(source * heard.shape[1], (source + 1) * heard.shape[1])
        if isinstance(self.narrow, nn.Conv2d):
            bias = self.narrow.bias if source == 0 else None
            heard = nn.functional.conv2d(heard, self.narrow.weight[:, own], bias)
        else:
            kernel = kernel[:, own]
        return heard if self.settings.meeting else _over_all_bins(heard, kernel)

    def judged(self, parts: Tensor) -> Tensor:
        """(batch, 2) logits of the :meth:`part` of all sources, added up."""
        if self.settings.meeting:
            parts = _over_all_bins(torch.relu(self.met(parts)), self._first.weight)
        bias = self._first.bias
        total = parts if bias is None else parts + bias[:, None]
        return self._decided(self.mix[1:](total.unsqueeze(3)))

    @property
    def _first(self) -> nn.Conv2d:
        layer = self.mix[0]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def _decided(self, mixed: Tensor) -> Tensor:
        over_time = mixed.squeeze(3)
        summary = over_time.mean(dim=2) + over_time.amax(dim=2)
        logits: Tensor = self.out(torch.relu(self.hidden(summary)))
        return logits


class SourceNet(nn.Sequential):
    """(batch, 1, frames, mels) to (batch, 128, frames / 4, mels), at full width."""

    def __init__(self, settings: NetSettings) -> None:
        low, high = (settings.filters(count) for count in _SOURCE_FILTERS)
        super().__init__(_conv_block(1, low, (3, 3)), _conv_block(low, high, (3, 3)))


def _conv_block(
    channels: int, filters: int, first: tuple[int, int], second: tuple[int, int] | None = None
) -> nn.Sequential:
    """Twice convolution, batch norm and ReLU, then every two frames averaged."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, first, padding=_padding(first)),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.Conv2d(filters, filters, second or first, padding=_padding(second or first)),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.AvgPool2d((2, 1)),
    )


def _over_all_bins(heard: Tensor, kernel: Tensor) -> Tensor:
    """(batch, filters, frames) of a convolution whose kernel spans three frames and every bin.

    The same as ``conv2d`` with one frame of padding, as three matrix products: its gradient costs a
    quarter.
    """
    batch, channels, frames, bins = heard.shape
    flat = heard.permute(0, 2, 1, 3).reshape(batch * frames, channels * bins)
    before, now, after = (
        (flat @ kernel[:, :, tap].flatten(1).T).view(batch, frames, -1) for tap in range(3)
    )
    pad = nn.functional.pad
    late, early = pad(before[:, :-1], (0, 0, 1, 0)), pad(after[:, 1:], (0, 0, 0, 1))
    return (late + now + early).transpose(1, 2)


def _padding(kernel: tuple[int, int]) -> tuple[int, int]:
    """As many frames and bins out as in; a kernel over all bins leaves one."""
    return kernel[0] // 2, 1 if kernel[1] == 3 else 0


def channels_last(net: MixNet) -> None:
    """Kernels with their channels last, which convolutions are fastest on."""
    for weights in net.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)


def for_listening(net: MixNet) -> MixNet:
    """A copy to score with, that cannot be trained: batch norms are part of their convolutions.

    Logits are the same but for rounding, in some two thirds of the time.
    """
    quick = copy.deepcopy(net).eval()
    blocks = [block for block in quick.modules() if isinstance(block, nn.Sequential)]
    for block in blocks:
        for index, (layer, after) in enumerate(itertools.pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                block[index] = fuse_conv_bn_eval(layer, after)
                block[index + 1] = nn.Identity()
    channels_last(quick)
    return quick.requires_grad_(False)


def mashability(logits: Tensor) -> Tensor:
    """(batch,) probability [0, 1] of "good"."""
    return torch.softmax(logits, dim=1)[:, 0]


def lsro_loss(logits: Tensor, targets: Tensor | Sequence[tuple[float, float]]) -> Tensor:
    """Mean cross-entropy with soft targets.

    Args:
        logits: (batch, 2).
        targets: (batch, 2) probabilities, rows of :data:`LABELS`.
    """
    wanted = torch.as_tensor(targets, dtype=logits.dtype, device=logits.device)
    return -(wanted * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
