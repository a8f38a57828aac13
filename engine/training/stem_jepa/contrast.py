"""The contrastive first phase: which of these stems, all of one role, belongs to this mix?

Source: Riou et al., "Zero-shot musical stem retrieval with joint-embedding predictive
architectures" (ICASSP 2025): before it learns to predict, the encoder alone learns to put a stem
and a mix of other stems of the same moment near each other, told from the other pairs of the batch.

Our choices, since a short training needs every one of them:

- all stems of a batch have one role and come from different songs, so that roles help nobody;
- embeddings keep the five frequency rows, as retrieval does;
- what all mixes share, and what all stems share, is taken off before they are compared. Without it
  one fixed batch of 64 was at chance after 75 steps, with it it was known by heart after 50.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Contrast", "contrastive_loss", "missing_loss"]


@dataclass(frozen=True)
class Contrast:
    """How the first phase goes.

    Args:
        steps: in all.
        warmup_steps: linear rise of the learning rate.
        batch: pairs per step; fewer when fewer songs have the role.
        rate: highest learning rate.
        crop_frames: length of a crop [10 ms], whole columns of patches.
        temperature: cosines are divided by it.
        told_apart: weight of :func:`missing_loss` in the second phase.
    """

    steps: int
    warmup_steps: int
    batch: int = 64
    rate: float = 2e-3
    crop_frames: int = 400
    temperature: float = 0.125
    told_apart: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps < self.steps:
            raise ValueError(f"{self.warmup_steps} of {self.steps} steps cannot be warm-up")
        if self.batch < 2 or self.temperature <= 0:
            raise ValueError(f"a batch of {self.batch} at {self.temperature} tells nothing apart")


def contrastive_loss(mixes: Tensor, stems: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy of finding the stem of each mix, and the mix of each stem.

    Args:
        mixes: (batch, rows, columns, width) tokens of the mixes.
        stems: the same of the stems, pair by pair.
        temperature: cosines are divided by it.
    """
    asked, found = _embedded(mixes), _embedded(stems)
    cosines = asked @ found.T / temperature
    own = torch.arange(len(cosines), device=cosines.device)
    there = functional.cross_entropy(cosines, own)
    return 0.5 * (there + functional.cross_entropy(cosines.T, own))


def missing_loss(predicted: Tensor, target: Tensor, roles: Tensor, *, temperature: float) -> Tensor:
    """Cross-entropy of finding the missing stem among those of its role in the batch.

    Args:
        predicted: (batch, rows, columns, width) tokens.
        target: the same of the true stems; no gradient reaches it.
        roles: (batch,) labels.
        temperature: cosines are divided by it.
    """
    cosines = _pooled(predicted) @ _pooled(target.detach()).T / temperature
    others = roles[:, None] != roles
    own = torch.arange(len(cosines), device=cosines.device)
    return functional.cross_entropy(cosines.masked_fill(others, -torch.inf), own)


def _embedded(tokens: Tensor) -> Tensor:
    """(batch, rows * width) of length 1, without what the batch has in common."""
    normed = _pooled(tokens)
    return functional.normalize(normed - normed.mean(dim=0), dim=1)


def _pooled(tokens: Tensor) -> Tensor:
    """(batch, rows * width) of length 1, as retrieval compares them."""
    flat = tokens.float().mean(dim=2).flatten(1)
    return functional.normalize(functional.layer_norm(flat, flat.shape[1:]), dim=1)
