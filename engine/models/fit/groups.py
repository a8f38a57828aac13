"""Groups of placed stems as the judge of the fit model sees them.

A question ends in hundreds of groups, of which the judge looks at the 64 that the towers like best,
at most four of each first stem so that there is something to choose from. A group that it did not
look at counts as if the judge liked it no better than the worst of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.exact import by_pool, placed_rows
from engine.models.fit.embedding import Embedding
from engine.models.fit.judge import JudgeGroups, JudgePart, judge, pieces
from engine.models.fit.towers import PITCH_INPUTS, Weights, beat_input, pitch_tower, rhythm_input
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit

__all__ = ["Members", "judged"]

#: Placed stems of one role.
Members = Sequence[tuple[RolePool, Fit]]

#: Groups that are looked at, and how many of them may share the first stem.
_JUDGED: Final = 64
_PER_FIRST: Final = 4
_LEAST_NORM: Final = 1e-6


def judged(
    weights: Weights,
    clip: ClipFeatures,
    axes: Sequence[Members],
    odds: NDArray[np.float32],
    embedding: Callable[[RolePool], Embedding],
) -> NDArray[np.float32] | None:
    """What the judge says of every group; None where no group has a pitched stem.

    Args:
        weights: from :func:`~engine.models.fit.towers.dense_weights`.
        clip: the query.
        axes: the placed stems of every role.
        odds: (n_1, …, n_r) log odds of every group so far.
        embedding: of a whole pool.
    """
    pitched = [axis for axis, members in enumerate(axes) if members[0][0].transposable]
    drums = [axis for axis in range(len(axes)) if axis not in pitched]
    if not pitched:
        return None
    chosen = _worth_judging(odds)
    index = np.unravel_index(chosen, odds.shape)
    query = _query(weights, clip)
    struck, drums_of = _used(axes[drums[0]], index[drums[0]]) if drums else ([], None)
    beat = _stacked(struck, clip, None) if struck else _silence(clip)
    if drums_of is None:
        drums_of = np.zeros(chosen.size, np.int64)
    opinions = []
    for axis in pitched:
        laid, bed_of = _used(axes[axis], index[axis])
        groups = JudgeGroups(query, _stacked(laid, clip, embedding), beat, bed_of, drums_of)
        opinions.append(_in_pieces(weights, clip, groups))
    found = np.mean(opinions, axis=0, dtype=np.float32)
    result = np.full(odds.size, found.min(), np.float32)
    result[chosen] = found
    return result.reshape(odds.shape)


def _worth_judging(odds: NDArray[np.float32]) -> NDArray[np.int64]:
    """Flat numbers of the groups to look at, best first."""
    order = np.argsort(-odds, axis=None, kind="stable")
    if order.size <= _JUDGED:
        return order
    first = order // (odds.size // odds.shape[0])
    by_first = np.argsort(first, kind="stable")
    sorted_first = first[by_first]
    place = np.arange(order.size) - np.searchsorted(sorted_first, sorted_first)
    nth = np.empty(order.size, np.int64)
    nth[by_first] = place
    fair = order[nth < _PER_FIRST]
    return fair[:_JUDGED]


def _used(
    members: Members, index: NDArray[np.int64]
) -> tuple[list[tuple[RolePool, Fit]], NDArray[np.int64]]:
    """The members that occur, and which of them each group has."""
    numbers, of = np.unique(index, return_inverse=True)
    return [members[int(number)] for number in numbers], of.astype(np.int64)


def _in_pieces(weights: Weights, clip: ClipFeatures, groups: JudgeGroups) -> NDArray[np.float32]:
    """The mean opinion over the pieces of a clip in which it sounds."""
    bar, opinions = clip.beats_per_bar, []
    for first, last in pieces(clip.bars):
        piece = groups.between(first * bar, last * bar)
        if piece.query.active.any():
            opinions.append(judge(weights, replace(piece, query=_of_norm_one(piece.query))))
    if not opinions:
        return np.zeros(groups.bed_of.size, np.float32)
    mean: NDArray[np.float32] = np.mean(opinions, axis=0, dtype=np.float32)
    return mean


def _of_norm_one(query: JudgePart) -> JudgePart:
    """The query with an embedding whose average beat has norm 1, as in training."""
    pitch = query.pitch.copy()
    norm = max(float(np.linalg.norm(pitch[..., PITCH_INPUTS:])), _LEAST_NORM)
    pitch[..., PITCH_INPUTS:] *= np.float32(np.sqrt(query.active.size) / norm)
    return replace(query, pitch=pitch)


def _query(weights: Weights, clip: ClipFeatures) -> JudgePart:
    beats = beat_input(
        clip.rows, clip.active, beats_per_bar=clip.beats_per_bar, transpose=clip.transpose
    )
    embedded = pitch_tower(weights, "voice", beats)
    chroma = beats.chroma.reshape(beats.active.size, 12, PITCH_INPUTS)
    pitch = np.concatenate([chroma, embedded], axis=2, dtype=np.float32)
    return JudgePart(pitch, beats.context, beats.pattern, beats.active)


def _stacked(
    members: Members, clip: ClipFeatures, embedding: Callable[[RolePool], Embedding] | None
) -> JudgePart:
    """(members, beats, …) as they are placed; the pitch of drums is not read."""
    parts: dict[int, JudgePart] = {}
    for pool, numbers in by_pool(members).items():
        fits = [members[number][1] for number in numbers]
        rows = placed_rows(pool, fits, clip.bars)
        active = np.asarray(pool.active[rows])
        context, pattern = rhythm_input(pool.onsets[rows], active, beats_per_bar=clip.beats_per_bar)
        pitch = np.zeros((*active.shape, 12, 0), np.float32)
        if embedding is not None:
            pitch = _pitch(pool, fits, rows, embedding(pool)) * active[..., None, None]
        sounding = active.astype(np.float32)
        for at, number in enumerate(numbers):
            parts[number] = JudgePart(pitch[at], context[at], pattern[at], sounding[at])
    return _together([parts[number] for number in range(len(members))])


def _pitch(
    pool: RolePool, fits: Sequence[Fit], rows: NDArray[np.int64], embedding: Embedding
) -> NDArray[np.float32]:
    """(fits, beats, 12, 1 + values) chroma and embedding of stems as they are transposed."""
    chroma = pool.chroma[rows].astype(np.float32)[..., None]
    embedded = embedding.pitch[rows].astype(np.float32).reshape(*rows.shape, -1, 12)
    both = np.concatenate([chroma, embedded.swapaxes(2, 3)], axis=3)
    shifts = np.array([fit.semitones for fit in fits])
    classes = (np.arange(12)[None, :] - shifts[:, None]) % 12
    rolled: NDArray[np.float32] = np.take_along_axis(both, classes[:, None, :, None], axis=2)
    return rolled


def _silence(clip: ClipFeatures) -> JudgePart:
    """Drums that do not play."""
    active = np.zeros((1, clip.rows.size), np.bool_)
    onsets = np.zeros((1, *clip.rows["onsets"].shape), np.uint8)
    context, pattern = rhythm_input(onsets, active, beats_per_bar=clip.beats_per_bar)
    return JudgePart(
        np.zeros((*active.shape, 12, 0), np.float32), context, pattern, active.astype(np.float32)
    )


def _together(parts: Sequence[JudgePart]) -> JudgePart:
    return JudgePart(
        np.stack([part.pitch for part in parts]),
        np.stack([part.context for part in parts]),
        np.stack([part.pattern for part in parts]),
        np.stack([part.active for part in parts]),
    )
