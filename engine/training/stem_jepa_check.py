"""How good a Stem-JEPA is on songs that it was not trained on, and whether it is alive.

Collapse shows as a small spread: all stems have the same embedding, and predicting it is easy. So
the loss alone says little; the retrieval of whole songs' stems, as published, says what was
learned. A network that only knows roles ranks the missing stem in the middle of its role: 0.125
among the stems of four roles, 0.5 among those of its role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.audio.waveform import Waveform
from engine.models.log_mel import SAMPLE_RATE
from engine.models.stem_jepa import JEPA_ROLES, StemJepa, jepa_loss
from engine.training.stem_jepa_draws import ACTIVE_PEAK, SongArray

__all__ = ["JepaMetrics", "measure"]

#: So much of a song is read [s], and so many songs: half a minute for the small preset on a CPU.
_READ_S: Final = 32
_MOST_SONGS: Final = 40


@dataclass(frozen=True)
class JepaMetrics:
    """How good and how alive a network is.

    Args:
        loss: [0, 4].
        top1: share of the batch whose own target is the most similar one.
        spread: mean deviation of the targets' unit embeddings, 0 when all are the same (collapse).
        mean_nr: normalised rank (0, 1] of the missing stem among all stems of the songs.
        mean_nr_of_role: among the stems of its role.
    """

    loss: float
    top1: float
    spread: float
    mean_nr: float
    mean_nr_of_role: float


@torch.no_grad()
def measure(
    model: StemJepa, songs: Sequence[SongArray], batch: tuple[Tensor, Tensor, Tensor]
) -> JepaMetrics:
    """The network on ``songs`` and on one batch of them: mixes, stems and labels."""
    device = model.predictor.roles.weight.device
    predicted, wanted = model.views(*(part.to(device) for part in batch))
    asked, found = (
        functional.normalize(
            functional.layer_norm(mean := tokens.mean(dim=2).flatten(1), mean.shape[1:]), dim=1
        )
        for tokens in (predicted, wanted)
    )
    hit = (asked @ found.T).argmax(dim=1) == torch.arange(len(asked), device=device)
    spread = found.std(dim=0, unbiased=False).square().sum().sqrt()
    among_all, of_role = _ranks(model, songs[:_MOST_SONGS])
    loss = jepa_loss(predicted, wanted)
    return JepaMetrics(float(loss), float(hit.float().mean()), float(spread), among_all, of_role)


def _ranks(model: StemJepa, songs: Sequence[SongArray]) -> tuple[float, float]:
    """Mean normalised ranks of the missing stems: among all, and among those of their role."""
    asked, found, labels = [], [], []
    for song in songs:
        heard = np.asarray(song[:, : _READ_S * SAMPLE_RATE], dtype=np.float32)
        active = np.flatnonzero(np.abs(heard).max(axis=1) > ACTIVE_PEAK)
        for label in active.tolist() if active.size >= 2 else ():
            rest = Waveform(np.delete(heard, label, axis=0).sum(axis=0, keepdims=True), SAMPLE_RATE)
            asked.append(model.embed_query(rest, JEPA_ROLES[label]))
            found.append(model.embed_stem(Waveform(heard[label][np.newaxis], SAMPLE_RATE)))
            labels.append(label)
    if not asked:
        return 1.0, 1.0
    cosines = np.stack(asked) @ np.stack(found).T
    better = cosines > np.diagonal(cosines)[:, np.newaxis]
    alike = np.equal.outer(labels, labels)
    among_all = (1 + better.sum(axis=1)) / len(labels)
    of_role = (1 + (better & alike).sum(axis=1)) / alike.sum(axis=1)
    return float(among_all.mean()), float(of_role.mean())
