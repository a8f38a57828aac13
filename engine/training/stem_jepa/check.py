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
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.audio.waveform import Waveform
from engine.evaluation.bootstrap import SongBootstrap
from engine.models.stem_jepa.log_mel import SAMPLE_RATE
from engine.models.stem_jepa.network import JEPA_ROLES, StemJepa, jepa_loss
from engine.training.stem_jepa.draws import ACTIVE_PEAK, SongArray

__all__ = [
    "DrawMetrics",
    "RankMetrics",
    "StemRanks",
    "draw_metrics",
    "rank_metrics",
    "ranked",
    "stem_ranks",
]

#: So much of a song is read [s], and so many songs: half a minute for the small preset on a CPU.
_READ_S: Final = 32
_MOST_SONGS: Final = 80


@dataclass(frozen=True)
class DrawMetrics:
    """How good and how alive a network is on a batch of crops.

    Args:
        loss: [0, 4].
        top1: share of the batch whose own target is the most similar one.
        spread: mean deviation of the targets' unit embeddings, 0 when all are the same (collapse).
    """

    loss: float
    top1: float
    spread: float


@dataclass(frozen=True)
class RankMetrics:
    """How good a network is on songs.

    Args:
        mean_nr: normalised rank (0, 1] of the missing stem among all stems of the songs.
        mean_nr_of_role: among the stems of its role.
        mean_nr_of_role_low: its interval of 95 % by song, lower end.
        mean_nr_of_role_high: upper end.
        chance_of_role: what lot gives among the stems of a role.
    """

    mean_nr: float
    mean_nr_of_role: float
    mean_nr_of_role_low: float
    mean_nr_of_role_high: float
    chance_of_role: float


@dataclass(frozen=True, eq=False)
class StemRanks:
    """One entry (queries,) for every missing stem.

    Args:
        songs: which song's.
        labels: its role.
        among_all: normalised rank (0, 1] among all stems.
        of_role: among the stems of its role.
        chance_of_role: of the same by lot.
    """

    songs: NDArray[np.int64]
    labels: NDArray[np.int64]
    among_all: NDArray[np.float64]
    of_role: NDArray[np.float64]
    chance_of_role: NDArray[np.float64]

    def interval(self, values: NDArray[np.float64]) -> tuple[float, float]:
        """95 % of the mean of (queries,) values when whole songs are drawn again.

        (0, 1), all that is possible, of fewer than two songs.
        """
        if np.unique(self.songs).size < 2:
            return 0.0, 1.0
        found = SongBootstrap(self.songs.astype(str).tolist()).mean(values)
        return found.low, found.high


@torch.no_grad()
def draw_metrics(model: StemJepa, batch: tuple[Tensor, Tensor, Tensor]) -> DrawMetrics:
    """The network on mixes and stems (batch, samples) at 16 kHz and labels (batch,)."""
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
    return DrawMetrics(
        float(jepa_loss(predicted, wanted)), float(hit.float().mean()), float(spread)
    )


def rank_metrics(model: StemJepa, songs: Sequence[SongArray]) -> RankMetrics:
    """The network on the first 80 of ``songs``, (4, samples) each.

    Raises:
        UnusableInput: a song is shorter than one column of patches (160 ms).
    """
    ranks = stem_ranks(model, songs[:_MOST_SONGS])
    return RankMetrics(
        _mean(ranks.among_all),
        _mean(ranks.of_role),
        *ranks.interval(ranks.of_role),
        _mean(ranks.chance_of_role),
    )


def stem_ranks(model: StemJepa, songs: Sequence[SongArray], *, predicted: bool = True) -> StemRanks:
    """The published test on the first half minute of songs: who is missing in the sum of the rest?

    Stems that are never active take no part, nor songs with fewer than two that are.

    Args:
        model: the network.
        songs: (4, samples) each.
        predicted: ask by the predictor, else by the encoder's own view of the rest.

    Raises:
        UnusableInput: a song is shorter than one column of patches (160 ms).
    """
    asked, found, labels, numbers = [], [], [], []
    for number, song in enumerate(songs):
        heard = np.asarray(song[:, : _READ_S * SAMPLE_RATE], dtype=np.float32)
        active = np.flatnonzero(np.abs(heard).max(axis=1) > ACTIVE_PEAK)
        for label in active.tolist() if active.size >= 2 else ():
            rest = Waveform(np.delete(heard, label, axis=0).sum(axis=0, keepdims=True), SAMPLE_RATE)
            role = JEPA_ROLES[label]
            asked.append(model.embed_query(rest, role) if predicted else model.embed_stem(rest))
            found.append(model.embed_stem(Waveform(heard[label][np.newaxis], SAMPLE_RATE)))
            labels.append(label)
            numbers.append(number)
    cosines = np.stack(asked) @ np.stack(found).T if asked else np.zeros((0, 0), dtype=np.float32)
    return ranked(cosines, numbers, labels)


def ranked(
    cosines: NDArray[np.float32],
    songs: Sequence[int],
    labels: Sequence[int],
) -> StemRanks:
    """Ranks of the items on the diagonal of (queries, queries) cosines.

    Of the items that are as near as the own one half are counted before it: a network to which all
    stems are the same ranks by lot.
    """
    alike = np.equal.outer(labels, labels)
    own: NDArray[np.float32] = np.diagonal(cosines)[:, np.newaxis]
    tied = cosines == own
    np.fill_diagonal(tied, val=False)
    before = (cosines > own) + 0.5 * tied
    of_role = alike.sum(axis=1)
    return StemRanks(
        np.array(songs, dtype=np.int64),
        np.array(labels, dtype=np.int64),
        (1 + before.sum(axis=1)) / max(len(labels), 1),
        (1 + (before * alike).sum(axis=1)) / of_role,
        (1 + of_role) / (2 * of_role),
    )


def _mean(ranks: NDArray[np.float64]) -> float:
    """1, the worst rank, where there is none."""
    return float(ranks.mean()) if ranks.size else 1.0
