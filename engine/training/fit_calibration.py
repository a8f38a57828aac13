"""From evidence to probabilities, fitted on validation songs as they meet in use.

Whole songs are drawn under random sounds; a clip of each is asked for in a library of all, exactly
as ranking does it: seven transpositions, every bar, the best placement of every stem. A logistic
curve per pair and length of clip then gives the probability that the two belong together, at even
odds of true and foreign (Platt 1999). Pairs of one composition are neither when they are not of one
song. The same evidence of test songs gives the reliability of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import FitModel
from engine.models.fit_curves import CURVE_BARS, PAIRS, Curve, FitCurves
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.training.fit_check import pool_of, sounding
from engine.training.fit_windows import SongRows, draw_song
from engine.training.midi_corpus import MidiSong

__all__ = [
    "PairEvidence",
    "Reliability",
    "by_stem",
    "calibrated",
    "clip_of",
    "drawn_songs",
    "evidence",
    "group_log_odds",
    "plain_curves",
    "platt",
    "reliability",
]

#: Transpositions that ranking tries by default.
_KEYS: Final = tuple(range(-3, 4))
#: A clip must sing in this share of its beats.
_SINGING: Final = 0.3
#: Bins of a reliability curve.
_BINS: Final = 10
_BEATS_PER_BAR: Final = 4
#: A curve rises at least this much per unit of evidence.
_LEAST_SLOPE: Final = 0.1


@dataclass(frozen=True, eq=False)
class PairEvidence:
    """Evidence for every clip (row) with every stem (column); ``true`` marks what belongs.

    Args:
        values: (clips, stems), NaN where there is none.
        true: (clips, stems) bool.
        foreign: (clips, stems) bool, of another composition.
    """

    values: NDArray[np.float32]
    true: NDArray[np.bool_]
    foreign: NDArray[np.bool_]


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
    model: FitModel, songs: Sequence[SongRows], *, bars: int, seed: int
) -> dict[str, PairEvidence]:
    """What ranking sees of each pair, for clips of ``bars`` bars; log odds where curves are set.

    With ``FitCurves.plain`` in the model it is bare evidence.
    """
    ranker = FitRanker(model)
    rng = np.random.default_rng([seed, bars])
    groups = np.array([song.group for song in songs])
    pools = {
        role: pool_of([song.rows[role] for song in songs], role=role)
        for role in ("harmonic", "drums")
    }
    search = Search(_KEYS, keep=len(songs))
    found = {pair: np.full((len(songs), len(songs)), np.nan, np.float32) for pair in PAIRS}
    for row, song in enumerate(songs):
        clip = clip_of(song.rows["vocals"], bars, rng)
        if clip is None:
            continue
        beds = by_stem(ranker.place(clip, pools["harmonic"], search))
        drums = by_stem(ranker.place(clip, pools["drums"], search))
        for index, fit in beds.items():
            found["harmony"][row, index] = ranker.log_odds_of(fit)
        for index, fit in drums.items():
            found["clip_drums"][row, index] = ranker.log_odds_of(fit)
        if row in beds and drums:
            placed = [(pools["drums"], drums[index]) for index in drums]
            own = [(pools["harmonic"], beds[row])]
            found["stem_drums"][row, list(drums)] = ranker.grooves(own, placed, bars)[0]
    true = np.eye(len(songs), dtype=np.bool_)
    foreign = groups[:, None] != groups[None, :]
    return {pair: PairEvidence(values, true, foreign) for pair, values in found.items()}


def calibrated(model: FitModel, songs: Sequence[SongRows], *, seed: int) -> FitCurves:
    """The curves of a model, from validation songs."""
    plain = replace(model, curves=plain_curves(model))
    fitted: dict[str, list[tuple[float, float]]] = {pair: [] for pair in PAIRS}
    for bars in CURVE_BARS:
        for pair, seen in evidence(plain, songs, bars=bars, seed=seed).items():
            fitted[pair].append(platt(*_classes(seen)))
    pairs = {
        pair: Curve(tuple(s for s, _ in numbers), tuple(o for _, o in numbers))
        for pair, numbers in fitted.items()
    }
    curves = replace(plain_curves(model), pairs=pairs)
    tuned = replace(model, curves=curves)
    sums = [group_log_odds(tuned, songs, bars=bars, seed=seed + 1) for bars in (8, 16)]
    true = np.concatenate([one for one, _ in sums])
    foreign = np.concatenate([other for _, other in sums])
    return replace(curves, group=_scale(true, foreign))


def plain_curves(model: FitModel) -> FitCurves:
    """A model's curves before anything is fitted: bare evidence, and no judge."""
    return FitCurves.plain(rules=model.curves.rules, drum_rules=model.curves.drum_rules)


def group_log_odds(
    model: FitModel, songs: Sequence[SongRows], *, bars: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Summed log odds of a clip's own bed and drums, and of a foreign bed with foreign drums.

    The groove of a foreign bed with other drums is taken from another song's own bed.
    """
    seen = evidence(model, songs, bars=bars, seed=seed)
    harmony, clip_drums, groove = (seen[pair].values for pair in PAIRS)
    own = np.diagonal(harmony) + np.diagonal(clip_drums) + np.diagonal(groove)
    rng = np.random.default_rng(seed)
    beds, drums = (rng.integers(0, len(songs), (len(songs), 20)) for _ in range(2))
    rows = np.arange(len(songs))[:, None]
    other = harmony[rows, beds] + clip_drums[rows, drums] + groove[beds, drums]
    apart = seen["harmony"].foreign
    fair = apart[rows, beds] & apart[rows, drums] & apart[beds, drums] & np.isfinite(other)
    return own[np.isfinite(own)].astype(np.float32), other[fair].astype(np.float32)


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


def _classes(seen: PairEvidence) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Evidence of true and of foreign pairs."""
    there = np.isfinite(seen.values)
    return seen.values[seen.true & there], seen.values[seen.foreign & there]


def clip_of(voice: NDArray[np.void], bars: int, rng: np.random.Generator) -> ClipFeatures | None:
    """A stretch in which the voice sings, from a random bar; None when there is none."""
    beats = bars * _BEATS_PER_BAR
    singing = np.concatenate([[0], np.cumsum(sounding(voice))])
    starts = np.arange(0, voice.size - beats + 1, _BEATS_PER_BAR)
    share = (singing[starts + beats] - singing[starts]) / beats if starts.size else np.zeros(0)
    good = starts[share >= _SINGING]
    if not good.size:
        return None
    rows = voice[int(rng.choice(good)) :][:beats]
    return ClipFeatures(rows, sounding(rows), _BEATS_PER_BAR)


def by_stem(fits: Sequence[Fit]) -> dict[int, Fit]:
    """Placements by the number of their stem."""
    return {fit.index: fit for fit in fits}


def platt(true: NDArray[np.float32], foreign: NDArray[np.float32]) -> tuple[float, float]:
    """Logistic regression with both classes weighted alike, by Newton's method."""
    x = np.concatenate([true, foreign]).astype(np.float64)
    y = np.concatenate([np.ones(true.size), np.zeros(foreign.size)])
    if true.size == 0 or foreign.size == 0:
        return 1.0, 0.0
    weight = np.where(y > 0, 0.5 / true.size, 0.5 / foreign.size)
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (weight * (y - p)) - 1e-4 * np.array([beta[0], 0.0])
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design
        beta = beta + np.linalg.solve(curvature + np.diag([1e-4, 1e-9]), gradient)
    if beta[0] < _LEAST_SLOPE:  # says nothing about what belongs, but keeps the order
        return _LEAST_SLOPE, -_LEAST_SLOPE * float(weight @ x)
    return float(beta[0]), float(beta[1])


def _scale(true: NDArray[np.float32], foreign: NDArray[np.float32]) -> float:
    """The factor in (0, 1] under which summed log odds are most likely."""
    if true.size == 0 or foreign.size == 0:
        return 1.0
    factors = np.linspace(0.3, 1.0, 71)
    losses = [
        np.logaddexp(0, -f * true).mean() + np.logaddexp(0, f * foreign).mean() for f in factors
    ]
    return float(factors[int(np.argmin(losses))])
