"""The contrast that the fit model learns by, on one batch of windows.

Similarity is the cosine of a voice's whole window with a stem's, whose beats all have norm 1 (or 0
while silent), as in :mod:`engine.models.fit.towers`. Teachers, where there are any, are asked the
same question with the same wrong answers, and the probabilities that they give on average are
targets beside the truth (Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural
network", sec. 2; their temperature is a constant here). Axis order is (songs, beats, …).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.fit.towers import BeatInput
from engine.training.fit.data import FitBank, chosen
from engine.training.fit.shifts import moved
from engine.training.fit.towers import FitTowers
from engine.training.fit.windows import CONTEXT_BEATS, WINDOW_BEATS

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
#: Weight of the teachers' opinion against the truth's, and the factor that makes their mean cosines
#: the most likely answers on validation songs.
_TAUGHT: Final = 0.8
_SURENESS: Final = 75.0
#: Likeness of a wrong answer that does not count.
_NOT_THERE: Final = -2.0


def batch_loss(
    towers: FitTowers,
    batch: FitBank,
    rng: np.random.Generator,
    teachers: Sequence[FitTowers] = (),
) -> Tensor:
    """Contrast of query and bed, and of both and the drums, over one batch.

    Args:
        towers: what learns.
        batch: windows of different compositions.
        rng: draws keys, faults and wrong answers.
        teachers: whose common opinion of query and bed is learned too.
    """
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
    wrong = _Misplaced.draw(stem, rng) if context else None
    seen = _seen(towers, voice, stem, wrong)
    target = torch.arange(len(batch.song))
    loss = _choice(seen, scales[0], 12 * target, target)
    if teachers:
        with torch.no_grad():
            told = [_seen(teacher, voice, stem, wrong) for teacher in teachers]
            forth, back = (torch.stack(both).mean(dim=0) for both in zip(*told, strict=True))
            wanted = [torch.softmax(_SURENESS * values, dim=1) for values in (forth, back)]
        loss = (1 - _TAUGHT) * loss + _TAUGHT * _choice(seen, scales[0], *wanted)
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


@dataclass(frozen=True, eq=False)
class _Misplaced:
    """Each window's own bed as a wrong answer: beats early or late, the same for all who are asked.

    Args:
        moves: whole beats by which it is moved.
        moved_same: (windows, moves) where a moved bed is as good as the true one.
        index: windows whose bed is really played early or late.
        late: those beds.
        late_same: (windows of ``index``,) where that is as good as the true one.
    """

    moves: tuple[int, ...]
    moved_same: NDArray[np.bool_]
    index: NDArray[np.int64]
    late: BeatInput
    late_same: NDArray[np.bool_]

    @classmethod
    def draw(cls, stem: BeatInput, rng: np.random.Generator) -> _Misplaced:
        """For stems with the beats around their windows."""
        true = inner_window(stem).chroma
        moves = tuple(rng.choice(_MOVES, _MOVES_AT_A_TIME, replace=False).tolist())
        same = [alike(stem.chroma[:, _window_at(move)], true) for move in moves]
        windows = len(stem.chroma)
        index = rng.permutation(windows)[: max(1, round(_LATE_SHARE * windows))]
        late = moved(chosen(stem, index), int(rng.choice(_LATE)))
        late_same = alike(inner_window(late).chroma, true[index])
        return cls(moves, np.stack(same, axis=1), index, late, late_same)

    def cosines(self, towers: FitTowers, v: Tensor, h: Tensor) -> Tensor:
        """(windows, moves + 1) likeness to the query; -2 where there is none to count."""
        q = torch.nn.functional.normalize(v.flatten(1), dim=1)
        columns = []
        for move, same in zip(self.moves, self.moved_same.T, strict=True):
            cosine = (q * h[:, _window_at(move)].flatten(1)).sum(dim=1) / math.sqrt(WINDOW_BEATS)
            columns.append(cosine.masked_fill(torch.from_numpy(same.copy()), _NOT_THERE))
        played = towers.pitch("stem", *pitch_tensors(self.late))[:, _window_at(0)].flatten(1)
        q = torch.nn.functional.normalize(v[self.index].flatten(1), dim=1)
        cosine = (q * played).sum(dim=1) / math.sqrt(WINDOW_BEATS)
        cosine = cosine.masked_fill(torch.from_numpy(self.late_same), _NOT_THERE)
        column = torch.full((len(v), 1), _NOT_THERE)
        column = column.index_put((torch.from_numpy(self.index),), cosine[:, None])
        return torch.cat([torch.stack(columns, dim=1), column], dim=1)


def _window_at(move: int) -> slice:
    """The beats of a window that is moved, in a stem with the beats around it."""
    return slice(CONTEXT_BEATS + move, CONTEXT_BEATS + move + WINDOW_BEATS)


def _seen(
    towers: FitTowers, voice: BeatInput, stem: BeatInput, wrong: _Misplaced | None
) -> tuple[Tensor, Tensor]:
    """Likeness (windows, answers) of queries to beds, and (windows, windows) of beds to queries.

    Answers are all beds in twelve transpositions, then the own one misplaced.
    """
    v = towers.pitch("voice", *pitch_tensors(voice))
    h = towers.pitch("stem", *pitch_tensors(stem))
    found = similarities(v, h if wrong is None else h[:, _window_at(0)])
    forth = found.flatten(1)
    if wrong is not None:
        forth = torch.cat([forth, wrong.cosines(towers, v, h)], dim=1)
    return forth, found[:, :, 0].T


def _choice(seen: tuple[Tensor, Tensor], scale: Tensor, forth: Tensor, back: Tensor) -> Tensor:
    """Cross-entropy of both choices with their targets, numbers or probabilities."""
    entropy = torch.nn.functional.cross_entropy
    return _FORTH * entropy(scale * seen[0], forth) + (1 - _FORTH) * entropy(scale * seen[1], back)


def _contrast(query: Tensor, stems: Tensor, scale: Tensor) -> Tensor:
    found = scale * cosines(query, stems)
    target = torch.arange(len(query))
    forth = torch.nn.functional.cross_entropy(found, target)
    return 0.5 * (forth + torch.nn.functional.cross_entropy(found.T, target))


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
