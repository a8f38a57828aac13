"""How the judge of the fit model learns: original, matched and broken groups (Huang et al. 2021).

An *original* is a query over its own bed and drums. A *matched* group has the bed of another song,
in one of the transpositions that suit it best by the towers, over the drums of a third: it may be
good or not, so its target is one half (label smoothing for outliers, LSRO, as in PreMixNet's
training). A *broken* group is an original in which one axis is wrong: the bed in another key, the
bed or the drums early or late by quarters of a beat up to two beats, the bed's bars in another
order; or a foreign bed in any transposition and half a beat to one and a half off, which is wrong
in time whatever its key. Changes that leave a bed nearly as it was count for nothing. At times a
group has no drums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.fit.towers import PITCH_INPUTS, BeatInput
from engine.training.fit.data import FitBank, chosen
from engine.training.fit.loss import alike, inner_window, pitch_tensors, similarities, transposed
from engine.training.fit.shifts import moved
from engine.training.fit.towers import FitTowers, JudgeInput

__all__ = ["judge_input", "judge_loss"]

#: Targets of the three kinds.
_ORIGINAL, _MATCHED, _BROKEN = 1.0, 0.5, 0.0
#: A matched bed is one of so many that the towers like best, transposed at most so far.
_BEST_OF: Final = 8
_NEAR_KEYS: Final = (0, 1, 2, 3, 9, 10, 11)
#: Quarter beats by which a part comes early or late.
_LATE: Final = (-8, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8)
_WITHOUT_DRUMS: Final = 0.3
_BARS: Final = 8


@dataclass(frozen=True, eq=False)
class _Group:
    """Examples: a query, a bed and drums each, all of 32 beats, and which of them count."""

    query: BeatInput
    bed: BeatInput
    drums: BeatInput
    counts: NDArray[np.bool_]


def judge_loss(towers: FitTowers, batch: FitBank, rng: np.random.Generator) -> Tensor:
    """Binary cross entropy over a third of originals, of matched and of broken groups."""
    whole = _Group(batch.voice, batch.stem, batch.drums, np.ones(len(batch.song), np.bool_))
    breaks = (_other_key, _late_bed, _late_drums, _other_order, _unsuited(batch))
    parts = np.array_split(rng.permutation(len(batch.song)), len(breaks))
    broken = [make(_some(whole, part), rng) for make, part in zip(breaks, parts, strict=True)]
    original = _inner(whole)
    matched = _matched(towers, original, rng)
    total, count = torch.zeros(()), 0.0
    kinds = ((original, _ORIGINAL), (matched, _MATCHED), *((group, _BROKEN) for group in broken))
    for group, target in kinds:
        odds = towers.judge(
            judge_input(towers, group.query, group.bed, _at_times(group.drums, rng))
        )
        weight = torch.from_numpy(group.counts.astype(np.float32))
        total = total + torch.nn.functional.binary_cross_entropy_with_logits(
            odds, torch.full_like(odds, target), weight=weight, reduction="sum"
        )
        count += float(group.counts.sum())
    return total / max(count, 1.0)


def judge_input(
    towers: FitTowers, query: BeatInput, bed: BeatInput, drums: BeatInput
) -> JudgeInput:
    """Parts of (examples, beats, …) as the judge takes them; the towers are not trained by it."""
    n, beats = query.active.shape
    with torch.no_grad():
        v = towers.pitch("voice", *pitch_tensors(query))
        h = towers.pitch("stem", *pitch_tensors(bed))
    v = v * math.sqrt(beats) / v.flatten(1).norm(dim=1).clamp_min(1e-6)[:, None, None, None]
    asked, laid = (
        torch.from_numpy(part.chroma).reshape(n, beats, 12, PITCH_INPUTS) for part in (query, bed)
    )
    chroma = torch.cat([asked, v, laid[..., :1], h], dim=3)
    context = np.concatenate([query.context, bed.context[..., :4]], axis=2)
    steps = query.pattern.shape[2] - 2
    heard = [part.pattern[..., :steps] for part in (query, bed, drums)]
    sounding = [part.active[..., None] for part in (query, bed, drums)]
    pattern = np.concatenate([*heard, *sounding, query.pattern[..., steps:]], axis=2)
    return JudgeInput(chroma.flatten(2), torch.from_numpy(context), torch.from_numpy(pattern))


def _inner(group: _Group) -> _Group:
    """Bed and drums without the beats around the window."""
    return replace(group, bed=inner_window(group.bed), drums=inner_window(group.drums))


def _some(group: _Group, index: NDArray[np.int64]) -> _Group:
    return _Group(
        chosen(group.query, index),
        chosen(group.bed, index),
        chosen(group.drums, index),
        group.counts[index],
    )


def _at_times(drums: BeatInput, rng: np.random.Generator) -> BeatInput:
    """Drums, of which some are silent."""
    kept = (rng.random(len(drums.active)) >= _WITHOUT_DRUMS).astype(np.float32)
    pattern = drums.pattern.copy()
    pattern[..., :-2] *= kept[:, None, None]
    return replace(drums, pattern=pattern, active=drums.active * kept[:, None])


def _matched(towers: FitTowers, group: _Group, rng: np.random.Generator) -> _Group:
    """Every query over a bed of another song that suits it, and over any drums."""
    with torch.no_grad():
        v = towers.pitch("voice", *pitch_tensors(group.query))
        h = towers.pitch("stem", *pitch_tensors(group.bed))
        found = similarities(v, h)[:, :, list(_NEAR_KEYS)].numpy()
    count = len(found)
    found[np.arange(count), np.arange(count)] = -np.inf
    best = np.argsort(-found.max(axis=2), axis=1)[:, : min(_BEST_OF, count - 1)]
    bed = best[np.arange(count), rng.integers(0, best.shape[1], count)]
    keys = np.array(_NEAR_KEYS)[found[np.arange(count), bed].argmax(axis=1)]
    drums = rng.permutation(count)
    return replace(
        group, bed=transposed(chosen(group.bed, bed), keys), drums=chosen(group.drums, drums)
    )


def _other_key(group: _Group, rng: np.random.Generator) -> _Group:
    inner = _inner(group)
    keys = rng.integers(1, 12, len(group.counts))
    return _unless_alike(inner, transposed(inner.bed, keys))


def _late_bed(group: _Group, rng: np.random.Generator) -> _Group:
    late = inner_window(moved(group.bed, int(rng.choice(_LATE))))
    return _unless_alike(_inner(group), late, onsets=True)


def _late_drums(group: _Group, rng: np.random.Generator) -> _Group:
    inner = _inner(group)
    late = inner_window(moved(group.drums, int(rng.choice(_LATE))))
    same = alike(late.pattern, inner.drums.pattern) | ~inner.drums.active.any(axis=1)
    return replace(inner, drums=late, counts=inner.counts & ~same)


def _other_order(group: _Group, rng: np.random.Generator) -> _Group:
    inner = _inner(group)
    beats = inner.bed.active.shape[1]
    order = np.arange(beats).reshape(_BARS, -1)[rng.permutation(_BARS)].ravel()
    bed = BeatInput(*(getattr(inner.bed, field.name)[:, order] for field in fields(BeatInput)))
    return _unless_alike(inner, bed)


def _unsuited(batch: FitBank) -> Callable[[_Group, np.random.Generator], _Group]:
    def make(group: _Group, rng: np.random.Generator) -> _Group:
        inner = _inner(group)
        count = len(group.counts)
        other = chosen(batch.stem, rng.permutation(len(batch.song))[:count])
        late = inner_window(moved(other, int(rng.choice((-6, -4, -2, 2, 4, 6)))))
        return replace(inner, bed=transposed(late, rng.integers(0, 12, count)))

    return make


def _unless_alike(inner: _Group, bed: BeatInput, *, onsets: bool = False) -> _Group:
    same = alike(bed.chroma, inner.bed.chroma)
    if onsets:
        same &= alike(bed.pattern, inner.bed.pattern)
    return replace(inner, bed=bed, counts=inner.counts & ~same)
