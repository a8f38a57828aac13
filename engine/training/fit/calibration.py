"""From evidence to probabilities, fitted on validation songs as they meet in use.

Clips of whole songs, drawn under random sounds, are asked for in a library of all of them
(:mod:`engine.training.fit.questions`), exactly as ranking does it: every bar, the best placement of
every stem. A logistic curve for each role and length of clip then gives the probability that clip
and stem belong together, at even odds of true and foreign (Platt 1999). It counts evidence less the
more places were tried. Pairs of one composition are neither when they are not of one song. The same
evidence of test songs gives the reliability of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.models.exact import places_tried
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import ASKED, CURVE_BARS, Curve, FitCurves
from engine.models.fit.groups import Members
from engine.models.fit.ranker import FitRanker
from engine.training.fit.questions import Answered, Question, ValidationSongs, bands
from engine.training.fit.windows import SongRows, draw_song
from engine.training.midi_corpus import MidiSong

__all__ = [
    "Fitted",
    "PairEvidence",
    "Reliability",
    "calibrated",
    "curve_of",
    "drawn_songs",
    "evidence",
    "group_log_odds",
    "groove_evidence",
    "logistic",
    "plain_curves",
    "reliability",
]

#: What is drawn: each kind of evidence has its own stream.
_ASKED, _GROOVES, _GROUPS = 11, 12, 13
#: Bins of a reliability curve.
_BINS: Final = 10
#: A curve rises at least this much per unit of evidence.
_LEAST_SLOPE: Final = 0.1
#: Twice the places: odds that halve (Bonferroni, all places independent) or stay as they are.
_DEAREST_PLACES: Final = -float(np.log(2))
#: What holds coefficients back, of evidence in units of its spread, and the least such unit.
_RIDGE, _LEAST_SPREAD = 1e-4, 1e-6
_MOST_STEPS, _LEAST_STEP = 50, 1e-6
#: Foreign groups drawn for each clip.
_FOREIGN_GROUPS: Final = 20


class Fitted(NamedTuple):
    """A curve at one length of clip: see :class:`~engine.models.fit.curves.Curve`."""

    slope: float
    offset: float
    places: float


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """Evidence of clips with stems that belong, and with stems that do not.

    Args:
        true: (clips,) evidence.
        true_places: (clips,) start bars × transpositions that each was chosen from.
        foreign: (pairs,) of other compositions.
        foreign_places: (pairs,) as above.
        ranks: (clips,) share of the foreign stems with more evidence than the own one.
    """

    true: NDArray[np.float32]
    true_places: NDArray[np.int64]
    foreign: NDArray[np.float32]
    foreign_places: NDArray[np.int64]
    ranks: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often pairs of a predicted probability belong, true and foreign weighted alike.

    Args:
        predicted: (bins,) mean probability, NaN in empty bins.
        found: (bins,) share that belongs.
        weight: (bins,) share of all pairs.
    """

    predicted: NDArray[np.float64]
    found: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of predicted and found [0, 1]."""
        return float(np.nansum(self.weight * np.abs(self.predicted - self.found)))


def drawn_songs(songs: Sequence[MidiSong], *, seed: int) -> list[SongRows]:
    """One song of every composition, whole, under random sounds."""
    rng = np.random.default_rng(seed)
    first: dict[str, MidiSong] = {}
    for number in rng.permutation(len(songs)):
        first.setdefault(songs[number].group, songs[number])
    found = [draw_song(first[group], rng) for group in sorted(first)]
    return [song for song in found if song is not None]


def evidence(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> dict[str, PairEvidence]:
    """What ranking sees of clip and stem, for clips of ``bars`` bars, by role.

    It is log odds where curves are set; with ``FitCurves.plain`` in the model, bare evidence.
    """
    ranker = FitRanker(model)
    found: dict[str, PairEvidence] = {}
    for number, role in enumerate(ASKED):
        rng = np.random.default_rng([seed, bars, _ASKED, number])
        asked = songs.without(role, bars, rng)
        questions = (songs.question(asking, role, rng) for asking in asked)
        found[role] = _gathered(ranker, [question for question in questions if question])
    return found


def groove_evidence(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of a voice's own bed with its own drums, and of the bed with foreign drums, as placed."""
    ranker = FitRanker(model)
    true, foreign = [], []
    for bed, drums in bands(ranker, songs, bars, np.random.default_rng([seed, bars, _GROOVES])):
        own = [(bed.question.pool, bed.placed[bed.question.own])]
        placed = [(drums.question.pool, fit) for fit in drums.placed.values()]
        found = dict(zip(drums.placed, ranker.grooves(own, placed, bars)[0].tolist(), strict=True))
        true.append(found[drums.question.own])
        foreign += [value for index, value in found.items() if drums.question.foreign[index]]
    return np.array(true, np.float32), np.array(foreign, np.float32)


def calibrated(model: FitModel, songs: Sequence[SongRows], *, seed: int) -> FitCurves:
    """The curves of a model, from validation songs."""
    asking = ValidationSongs(model, songs)
    plain = replace(model, curves=plain_curves(model))
    fitted: dict[str, list[Fitted | None]] = {role: [] for role in ASKED}
    grooves: list[Fitted | None] = []
    for bars in CURVE_BARS:
        for role, seen in evidence(plain, asking, bars=bars, seed=seed).items():
            places = seen.true_places, seen.foreign_places
            fitted[role].append(logistic(seen.true, seen.foreign, places))
        grooves.append(logistic(*groove_evidence(plain, asking, bars=bars, seed=seed)))
    bare = plain_curves(model)
    harmony = curve_of(fitted["harmonic"], bare.asked["harmonic"])
    asked = {role: curve_of(numbers, harmony) for role, numbers in fitted.items()}
    curves = replace(bare, asked=asked, groove=curve_of(grooves, bare.groove))
    tuned = replace(model, curves=curves)
    sums = [group_log_odds(tuned, asking, bars=bars, seed=seed + 1) for bars in (8, 16)]
    true = np.concatenate([one for one, _ in sums])
    foreign = np.concatenate([other for _, other in sums])
    return replace(curves, group=_scale(true, foreign))


def curve_of(numbers: Sequence[Fitted | None], unknown: Curve) -> Curve:
    """A curve of what :func:`logistic` found at each of its lengths.

    A length of which there was nothing takes what the nearest one has; ``unknown`` is what is
    taken where there was nothing at all.
    """
    known = {bars: found for bars, found in zip(CURVE_BARS, numbers, strict=True) if found}
    if not known:
        return unknown
    nearest = [min(known, key=lambda one: abs(np.log2(one / bars))) for bars in CURVE_BARS]
    return Curve(
        tuple(known[bars].slope for bars in nearest),
        tuple(known[bars].offset for bars in nearest),
        tuple(known[bars].places for bars in nearest),
    )


def plain_curves(model: FitModel) -> FitCurves:
    """A model's curves before anything is fitted: bare evidence, and no judge."""
    return FitCurves.plain(rules=model.curves.rules, drum_rules=model.curves.drum_rules)


def group_log_odds(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Summed log odds of a voice with its own bed and drums, and with foreign beds and drums."""
    ranker = FitRanker(model)
    rng = np.random.default_rng([seed, bars, _GROUPS])
    true, other = [], []
    for band in bands(ranker, songs, bars, rng):
        axes = [_own_and_foreign(answered, rng) for answered in band]
        odds, _ = ranker.pair_odds(band[0].question.asking.clip, axes)
        true.append(odds[0, 0])
        size = min(odds.shape[0], odds.shape[1])
        other += np.diagonal(odds)[1:size].tolist()
    return np.array(true, np.float32), np.array(other, np.float32)


def reliability(true: NDArray[np.float32], foreign: NDArray[np.float32]) -> Reliability:
    """The curve of predicted log odds of pairs that belong and of pairs that do not."""
    if true.size == 0 or foreign.size == 0:
        raise ValueError(f"{true.size} true and {foreign.size} foreign pairs tell nothing")
    odds = np.concatenate([true, foreign]).astype(np.float64)
    predicted = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    weight = np.concatenate(
        [np.full(true.size, 0.5 / true.size), np.full(foreign.size, 0.5 / foreign.size)]
    )
    belongs = np.concatenate([np.ones(true.size), np.zeros(foreign.size)])
    bins = np.minimum((predicted * _BINS).astype(np.int64), _BINS - 1)
    total = np.bincount(bins, weights=weight, minlength=_BINS).astype(np.float64)
    empty = np.where(total > 0, total, np.nan)
    return Reliability(
        np.bincount(bins, weights=weight * predicted, minlength=_BINS) / empty,
        np.bincount(bins, weights=weight * belongs, minlength=_BINS) / empty,
        total,
    )


def logistic(
    true: NDArray[np.float32],
    foreign: NDArray[np.float32],
    places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Fitted | None:
    """The numbers of a curve under which both classes, weighted alike, are most likely.

    Without ``places`` their price is 0; it is kept between 0 and the price of places that have
    nothing to do with each other, and the slope above a least one.

    Args:
        true: evidence of pairs that belong.
        foreign: evidence of pairs that do not.
        places: how many each was chosen from, of both.

    Returns:
        None where one class is empty.
    """
    if true.size == 0 or foreign.size == 0:
        return None
    x = np.concatenate([true, foreign]).astype(np.float64)
    belongs = np.arange(x.size) < true.size
    weight = np.where(belongs, 0.5 / true.size, 0.5 / foreign.size)
    tried = np.zeros_like(x) if places is None else np.log2(np.concatenate(places))
    spread = max(float(x.std()), _LEAST_SPREAD)
    design = np.stack([x / spread, np.ones_like(x), tried], 1)
    slope, offset, price = _newton(design, belongs, weight)
    kept = float(np.clip(price, _DEAREST_PLACES, 0.0))
    if kept != price:
        slope, offset = _newton(design[:, :2], belongs, weight, kept * tried)
    if slope / spread < _LEAST_SLOPE:  # says nothing about what belongs, but keeps the order
        return Fitted(_LEAST_SLOPE, -_LEAST_SLOPE * float(weight @ x), 0.0)
    return Fitted(float(slope / spread), float(offset), kept)


def _newton(
    design: NDArray[np.float64],
    belongs: NDArray[np.bool_],
    weight: NDArray[np.float64],
    given: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Weighted logistic regression of ``belongs`` by Newton's method, steps halved until they help.

    All but the second column, the offset, are held back a little, so that classes that nothing
    mixes have a finite answer.
    """
    sign = np.where(belongs, -1.0, 1.0)
    ridge = np.where(np.arange(design.shape[1]) == 1, 0.0, _RIDGE)

    def loss(at: NDArray[np.float64]) -> float:
        odds = design @ at + given
        return float(weight @ np.logaddexp(0, sign * odds) + 0.5 * ridge @ np.square(at))

    beta = np.zeros(design.shape[1])
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta + given, -30, 30)))
        gradient = design.T @ (weight * (belongs - p)) - ridge * beta
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(ridge + 1e-9), gradient)
        before, share = loss(beta), 1.0
        while share > _LEAST_STEP and loss(beta + share * step) > before:
            share /= 2
        if share <= _LEAST_STEP:
            break
        beta = beta + share * step
    return beta


def _gathered(ranker: FitRanker, questions: Sequence[Question]) -> PairEvidence:
    """The evidence of all stems of all questions."""
    true, foreign, ranks = [], [], []
    for question in questions:
        placed = question.placed(ranker)
        index = np.array(sorted(placed))
        loops = np.array([placed[i].loop_bars for i in index.tolist()])
        places = places_tried(question.pool, index, loops, question.search.semitones)
        seen = np.array([ranker.log_odds_of(placed[i]) for i in index.tolist()], np.float32)
        own, apart = index == question.own, question.foreign[index]
        true.append((seen[own], places[own]))
        foreign.append((seen[apart], places[apart]))
        ranks.append(float(np.mean(seen[apart] > seen[own])) if apart.any() else np.nan)
    return PairEvidence(*_columns(true), *_columns(foreign), np.array(ranks))


def _columns(
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values = [np.zeros(0, np.float32), *(value for value, _ in parts)]
    places = [np.zeros(0, np.int64), *(place for _, place in parts)]
    return np.concatenate(values), np.concatenate(places)


def _own_and_foreign(answered: Answered, rng: np.random.Generator) -> Members:
    """The clip's own stem, then some foreign ones."""
    question, placed = answered.question, answered.placed
    there = [index for index in placed if question.foreign[index]]
    drawn = rng.permutation(there)[:_FOREIGN_GROUPS].tolist()
    return [(question.pool, placed[index]) for index in (question.own, *drawn)]


def _scale(true: NDArray[np.float32], foreign: NDArray[np.float32]) -> float:
    """The factor in (0, 1] under which summed log odds are most likely."""
    if true.size == 0 or foreign.size == 0:
        return 1.0
    factors = np.linspace(0.3, 1.0, 71)
    losses = [
        np.logaddexp(0, -f * true).mean() + np.logaddexp(0, f * foreign).mean() for f in factors
    ]
    return float(factors[int(np.argmin(losses))])
