"""The judge of the fit model: query, bed and drums looked at together, in NumPy.

The towers see query and stem apart, which is what makes them fast. The judge sees the chroma and
the embeddings of both in one circulant network, so it can weigh a note against the chord under it,
and the onsets of all three in another (Huang et al. 2021, PreMixNet, join their stems likewise).
What both find in a beat is averaged over the beats and becomes one number: the log odds that the
three belong together. Transposing all of them changes nothing. It looks at a few dozen groups that
the towers found, in pieces of eight bars, as it was trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit.towers import JUDGE_PITCH, JUDGE_RHYTHM, Weights, blocks

__all__ = ["JudgeGroups", "JudgePart", "judge", "pieces"]

#: Bars of a piece, and how many of a long clip are looked at.
_PIECE_BARS: Final = 8
_MOST_PIECES: Final = 2


@dataclass(frozen=True, eq=False)
class JudgePart:
    """One part, or several of one length, as the judge sees them.

    Args:
        pitch: (…, beats, 12, values) of a query three chromas and its embedding, of norm 1 in an
            average beat; of a bed one chroma and its embedding; of drums nothing.
        context: (…, beats, n) see :data:`~engine.models.fit.towers.CONTEXT`.
        pattern: (…, beats, 38) onsets in [0, 1] and the bar's phase.
        active: (…, beats) 1 where the part sounds, else 0.
    """

    pitch: NDArray[np.float32]
    context: NDArray[np.float32]
    pattern: NDArray[np.float32]
    active: NDArray[np.float32]

    def between(self, first: int, last: int) -> JudgePart:
        """Beats ``first`` to ``last`` - 1."""
        return JudgePart(
            self.pitch[..., first:last, :, :],
            self.context[..., first:last, :],
            self.pattern[..., first:last, :],
            self.active[..., first:last],
        )


@dataclass(frozen=True, eq=False)
class JudgeGroups:
    """Groups of one query, some beds and some drums.

    Args:
        query: (beats, …).
        beds: (beds, beats, …) as they are placed and transposed.
        drums: (drums, beats, …) as they are placed; a silent part stands for none.
        bed_of: (groups,) the bed of each group.
        drums_of: (groups,) its drums.
    """

    query: JudgePart
    beds: JudgePart
    drums: JudgePart
    bed_of: NDArray[np.int64]
    drums_of: NDArray[np.int64]

    def between(self, first: int, last: int) -> JudgeGroups:
        """The same groups for beats ``first`` to ``last`` - 1."""
        query, beds, drums = (
            part.between(first, last) for part in (self.query, self.beds, self.drums)
        )
        return JudgeGroups(query, beds, drums, self.bed_of, self.drums_of)


def judge(weights: Weights, groups: JudgeGroups) -> NDArray[np.float32]:
    """(groups,) log odds that query, bed and drums belong together.

    Args:
        weights: from :func:`~engine.models.fit.towers.dense_weights`.
        groups: what is looked at.
    """
    found = np.concatenate([_harmony(weights, groups), _rhythm(weights, groups)], axis=2)
    beat = np.maximum(_layer(weights, "judge_beat", found), 0)
    head = np.maximum(_layer(weights, "judge_head", beat.mean(axis=1)), 0)
    odds: NDArray[np.float32] = _layer(weights, "judge_odds", head)[:, 0]
    return odds


def pieces(bars: int) -> tuple[tuple[int, int], ...]:
    """First and last + 1 bar of the pieces of a clip: all of it, or its first and last."""
    if bars <= _PIECE_BARS:
        return ((0, bars),)
    count = min(_MOST_PIECES, -(-bars // _PIECE_BARS))
    starts = np.linspace(0, bars - _PIECE_BARS, count).astype(np.int64).tolist()
    return tuple((first, first + _PIECE_BARS) for first in starts)


def _harmony(weights: Weights, groups: JudgeGroups) -> NDArray[np.float32]:
    """(groups, beats, 2 * channels) mean and maximum over the pitch classes."""
    query, beds = groups.query, groups.beds
    count, beats = beds.active.shape
    own = np.broadcast_to(query.pitch, (count, *query.pitch.shape))
    both = np.concatenate([own, beds.pitch], axis=3).reshape(count, beats, -1)
    asked = np.broadcast_to(query.context, (count, *query.context.shape))
    context = np.concatenate([asked, beds.context[..., :4]], axis=2)
    around = np.tile(context @ weights[f"{JUDGE_PITCH}.context"], 12)
    around += weights[f"{JUDGE_PITCH}.bias"]
    hidden = np.maximum(both @ weights[f"{JUDGE_PITCH}.in"] + around, 0)
    classes = blocks(weights, JUDGE_PITCH, hidden).reshape(count, beats, 12, -1)
    return np.concatenate([classes.mean(axis=2), classes.max(axis=2)], axis=2)[groups.bed_of]


def _rhythm(weights: Weights, groups: JudgeGroups) -> NDArray[np.float32]:
    """(groups, beats, width); the first layer is linear, so each part goes through it once."""
    query, beds, drums = groups.query, groups.beds, groups.drums
    matrix, steps = weights[f"{JUDGE_RHYTHM}.in"], query.pattern.shape[-1] - 2
    rows = [matrix[i * steps : (i + 1) * steps] for i in range(3)]
    sounding, phase = matrix[3 * steps : 3 * steps + 3], matrix[3 * steps + 3 :]
    own = query.pattern[:, :steps] @ rows[0] + query.active[:, None] * sounding[0]
    own = own + query.pattern[:, steps:] @ phase + weights[f"{JUDGE_RHYTHM}.bias"]
    bed = beds.pattern[..., :steps] @ rows[1] + beds.active[..., None] * sounding[1]
    beat = drums.pattern[..., :steps] @ rows[2] + drums.active[..., None] * sounding[2]
    heard = own + bed[groups.bed_of] + beat[groups.drums_of]
    return blocks(weights, JUDGE_RHYTHM, np.maximum(heard, 0))


def _layer(weights: Weights, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = values @ weights[f"{name}.in"] + weights[f"{name}.bias"]
    return result
