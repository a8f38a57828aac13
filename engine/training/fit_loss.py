"""The contrast that the fit model learns by, on one batch of windows.

Similarity is the cosine of a voice's whole window with a stem's, whose beats all have norm 1 (or 0
while silent), as in :mod:`engine.models.fit_net`. Axis order is (songs, beats, …).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.fit_net import BeatInput
from engine.training.fit_data import FitBank, chosen
from engine.training.fit_shifts import moved
from engine.training.fit_towers import FitTowers
from engine.training.fit_windows import CONTEXT_BEATS, WINDOW_BEATS

__all__ = [
    "alike",
    "batch_loss",
    "cosines",
    "inner_window",
    "pattern_tensors",
    "pitch_tensors",
    "similarities",
    "transposed",
]

#: Beats by which a song's own bed is moved to make a wrong answer, and how many of them at a time.
_MOVES: Final = (-8, -4, -2, -1, 1, 2, 4, 8)
_MOVES_AT_A_TIME: Final = 3
#: A moved bed whose chroma is this similar to the true one is no wrong answer.
_SAME_CHROMA: Final = 0.9
#: Quarter beats by which some beds are really moved, and the share of the windows that have one.
_LATE: Final = (-8, -6, -4, -2, 2, 4, 6, 8)
_LATE_SHARE: Final = 0.25
#: Share of the batches whose stems begin and end with the window, as loops do.
_WITHOUT_CONTEXT: Final = 0.3
#: Share of the windows that do not show their onset densities.
_FADED: Final = 0.3
#: Weights of the drums' contrast with the bed and with the query beside the harmony's.
_RHYTHM_SHARE, _QUERY_RHYTHM_SHARE = 0.5, 0.25
#: Weight of a voice choosing among beds against a bed choosing among voices.
_FORTH: Final = 0.75


def batch_loss(towers: FitTowers, batch: FitBank, rng: np.random.Generator) -> Tensor:
    """Contrast of query and bed, and of both and the drums, over one batch."""
    drums = batch.drums
    keys = rng.integers(0, 12, len(batch.song))
    voice, stem = transposed(batch.voice, keys), transposed(batch.stem, keys)
    voice, stem = _faded(voice, rng), _faded(stem, rng)
    if rng.random() < _WITHOUT_CONTEXT:  # a stem that begins and ends with the window
        stem, drums = inner_window(stem), inner_window(drums)
        context = 0
    else:
        context = CONTEXT_BEATS
    scales = towers.log_scale.exp()
    v = towers.pitch("voice", *pitch_tensors(voice))
    h = towers.pitch("stem", *pitch_tensors(stem))
    own = h[:, context : context + WINDOW_BEATS]
    wrong = None
    if context:
        wrong = _moved(v, h, stem, context, rng)
        wrong = torch.cat([wrong, _late(towers, v, stem, rng)], dim=1)
    loss = _key_contrast(v, own, wrong, scales[0])
    beats = slice(context, context + WINDOW_BEATS)
    d = towers.rhythm("drum_rhythm", *pattern_tensors(drums))[:, beats]
    played = towers.rhythm("stem_rhythm", *pattern_tensors(stem))[:, beats]
    asked = towers.rhythm("stem_rhythm", *pattern_tensors(voice))
    return (
        loss
        + _RHYTHM_SHARE * _contrast(played, d, scales[1])
        + _QUERY_RHYTHM_SHARE * _contrast(asked, d, scales[1])
    )


def similarities(query: Tensor, stems: Tensor) -> Tensor:
    """Cosines (queries, stems, 12) of (n, beats, 12, values): stems transposed by 0..11 up."""
    rolls = torch.stack([torch.roll(stems, k, dims=2) for k in range(12)], dim=1)
    q = torch.nn.functional.normalize(query.flatten(1), dim=1)
    length = math.sqrt(stems.shape[1])
    return (q @ rolls.flatten(2).flatten(0, 1).T).reshape(len(query), len(stems), 12) / length


def cosines(query: Tensor, stems: Tensor) -> Tensor:
    """(queries, stems) of (n, beats, values)."""
    q = torch.nn.functional.normalize(query.flatten(1), dim=1)
    return q @ stems.flatten(1).T / math.sqrt(stems.shape[1])


def inner_window(part: BeatInput) -> BeatInput:
    """A stem without the beats around its window."""
    beats = slice(CONTEXT_BEATS, CONTEXT_BEATS + WINDOW_BEATS)
    return BeatInput(
        part.chroma[:, beats], part.context[:, beats], part.pattern[:, beats], part.active[:, beats]
    )


def pitch_tensors(part: BeatInput) -> tuple[Tensor, Tensor, Tensor]:
    """What a pitch tower takes."""
    return (
        torch.from_numpy(part.chroma),
        torch.from_numpy(part.context),
        torch.from_numpy(part.active),
    )


def pattern_tensors(part: BeatInput) -> tuple[Tensor, Tensor]:
    """What a rhythm tower takes."""
    return torch.from_numpy(part.pattern), torch.from_numpy(part.active)


def _key_contrast(v: Tensor, h: Tensor, wrong: Tensor | None, scale: Tensor) -> Tensor:
    found = similarities(v, h)
    target = torch.arange(len(v))
    flat = found.flatten(1)
    if wrong is not None:
        flat = torch.cat([flat, wrong], dim=1)
    forth = torch.nn.functional.cross_entropy(scale * flat, 12 * target)
    back = torch.nn.functional.cross_entropy(scale * found[:, :, 0].T, target)
    return _FORTH * forth + (1 - _FORTH) * back


def _contrast(query: Tensor, stems: Tensor, scale: Tensor) -> Tensor:
    found = scale * cosines(query, stems)
    target = torch.arange(len(query))
    forth = torch.nn.functional.cross_entropy(found, target)
    return 0.5 * (forth + torch.nn.functional.cross_entropy(found.T, target))


def _moved(v: Tensor, h: Tensor, stem: BeatInput, context: int, rng: np.random.Generator) -> Tensor:
    """(windows, moves) cosines with the own bed moved; -2 where that is as good as the truth."""
    q = torch.nn.functional.normalize(v.flatten(1), dim=1)
    columns = []
    for move in rng.choice(_MOVES, _MOVES_AT_A_TIME, replace=False):
        beats = slice(context + int(move), context + int(move) + WINDOW_BEATS)
        same = alike(stem.chroma[:, beats], inner_window(stem).chroma)
        cosine = (q * h[:, beats].flatten(1)).sum(dim=1) / math.sqrt(WINDOW_BEATS)
        columns.append(cosine.masked_fill(torch.from_numpy(same), -2.0))
    return torch.stack(columns, dim=1)


def _late(towers: FitTowers, v: Tensor, stem: BeatInput, rng: np.random.Generator) -> Tensor:
    """(windows, 1) cosines with the own bed played early or late; -2 where there is none."""
    count = max(1, round(_LATE_SHARE * len(v)))
    index = rng.permutation(len(v))[:count]
    part = chosen(stem, index)
    late = moved(part, int(rng.choice(_LATE)))
    same = alike(inner_window(late).chroma, inner_window(part).chroma)
    h = towers.pitch("stem", *pitch_tensors(late))
    inside = h[:, CONTEXT_BEATS : CONTEXT_BEATS + WINDOW_BEATS].flatten(1)
    q = torch.nn.functional.normalize(v[index].flatten(1), dim=1)
    cosine = ((q * inside).sum(dim=1) / math.sqrt(WINDOW_BEATS)).masked_fill(
        torch.from_numpy(same), -2.0
    )
    column = torch.full((len(v), 1), -2.0)
    return column.index_put((torch.from_numpy(index),), cosine[:, None])


def alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(windows,) whether two parts (windows, beats, values) are too alike to tell apart."""
    dots = (one * other).sum(axis=2)
    norms = np.linalg.norm(one, axis=2) * np.linalg.norm(other, axis=2)
    same: NDArray[np.bool_] = (dots / np.maximum(norms, 1e-6)).mean(axis=1) > _SAME_CHROMA
    return same


def transposed(part: BeatInput, keys: NDArray[np.int64]) -> BeatInput:
    """Each window moved up by its own number of semitones."""
    classes = (np.arange(12)[None, :] - keys[:, None]) % 12
    n, beats, _ = part.chroma.shape
    values = part.chroma.reshape(n, beats, 12, -1)
    chroma = np.take_along_axis(values, classes[:, None, :, None], axis=2)
    return replace(part, chroma=chroma.reshape(n, beats, -1))


def _faded(part: BeatInput, rng: np.random.Generator) -> BeatInput:
    """At times without onset densities, so that harmony does not lean on them."""
    context = part.context.copy()
    context[rng.random(len(context)) < _FADED, :, 1:4] = 0
    return replace(part, context=context)
