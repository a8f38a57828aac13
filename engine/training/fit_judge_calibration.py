"""How much the judge of the fit model counts, and what its groups' scores mean.

On validation songs, as in use: a clip of each is asked for in a library of all, and the towers
place every stem. The judge's weight is the one under which the true bed, alone and with its drums,
is most likely to be picked from among the foreign ones that the towers like best (conditional
logistic regression, McFadden 1974). Curves then turn the weighted sum into the probability that a
group belongs together, against randomly drawn foreign stems at even odds (Platt 1999).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import FitModel
from engine.models.fit_curves import CURVE_BARS, GROUP, JUDGED, PITCHED, FitCurves
from engine.models.fit_groups import Members
from engine.training.fit_calibration import Numbers, curves_of, logistic
from engine.training.fit_questions import Answered, ValidationSongs, bands
from engine.training.fit_windows import SongRows

__all__ = ["JudgedGroups", "judge_weight", "judged_groups", "judged_log_odds", "with_judge"]

_LOGGER = logging.getLogger(__name__)

#: Clips that the weight is chosen on [bars], and what they ask for.
_WEIGHED_BARS: Final = (8, 16)
_WEIGHED: Final = ("harmonic", GROUP)
_WEIGHTS: Final = np.linspace(0.0, 3.0, 61)
#: What weighted sums may be multiplied by, so that only the judge's share is compared.
_SCALES: Final = np.geomspace(0.2, 5.0, 33)
#: Foreign stems of a question, the best by the towers and random ones: alone, and with drums.
_ALONE, _WITH_DRUMS = (40, 23), (4, 3)
#: Gain in log likelihood per question below which the judge is not worth asking.
_WORTH: Final = 1e-3


#: (groups,) odds and opinions.
Groups = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class JudgedGroups:
    """Groups of each question: the true one first, then the best foreign ones, then random ones.

    Args:
        odds: (questions, groups) summed log odds of the pairs.
        opinion: (questions, groups) the judge's.
        best: number of groups among which the true one, the first, must be found.
    """

    odds: NDArray[np.float32]
    opinion: NDArray[np.float32]
    best: int


def with_judge(model: FitModel, songs: Sequence[SongRows], *, seed: int) -> FitCurves:
    """The curves of a model whose pairs are calibrated, with the judge's weight and curves.

    A clip length of which there are no questions takes the curve of the nearest one. Where there
    are none at all of one kind of group, too few songs could be told apart, and the judge is not
    asked.
    """
    asking = ValidationSongs(model, songs)
    seen = {bars: judged_groups(model, asking, bars=bars, seed=seed) for bars in CURVE_BARS}
    if not all(any(seen[bars][name].odds.size for bars in CURVE_BARS) for name in _WEIGHED):
        _LOGGER.warning("Too few songs validate to weigh the judge; scores do without it.")
        return model.curves
    chosen = [seen[bars][name] for bars in _WEIGHED_BARS for name in _WEIGHED]
    weight = judge_weight([groups for groups in chosen if groups.odds.size])
    fitted = {name: [_fitted(seen[bars][name], weight) for bars in CURVE_BARS] for name in JUDGED}
    return replace(model.curves, judge=weight, judged=curves_of(fitted))


def judged_groups(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> dict[str, JudgedGroups]:
    """What towers and judge say of each question's groups, by the names of :data:`JUDGED`.

    With few songs there are fewer foreign groups in a question, of both kinds.
    """
    ranker = FitRanker(model)
    there = songs.compositions - 1
    alone, together = (_as_many(wanted, there) for wanted in (_ALONE, _WITH_DRUMS))
    found: dict[str, JudgedGroups] = {}
    for number, role in enumerate(PITCHED):
        rng = np.random.default_rng([seed, bars, 3, number])
        asked = (songs.question(one, role, rng) for one in songs.without(role, bars, rng))
        answers = [
            _answers(ranker, [Answered(question, question.placed(ranker))], alone, rng)
            for question in asked
            if question is not None
        ]
        found[role] = _stacked(answers, 1 + alone[0])
    rng = np.random.default_rng([seed, bars, 3, len(PITCHED)])
    answers = [_answers(ranker, band, together, rng) for band in bands(ranker, songs, bars, rng)]
    found[GROUP] = _stacked(answers, 1 + together[0] ** 2)
    return found


def _as_many(wanted: tuple[int, int], there: int) -> tuple[int, int]:
    """The best and the random foreign stems of a question where there are only so many."""
    if there >= sum(wanted):
        return wanted
    best = max(there * wanted[0] // sum(wanted), 1)
    return best, max(there - best, 1)


def judged_log_odds(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Log odds of true and of random foreign groups as ranking scores them, by kind of group."""
    found = {}
    for name, groups in judged_groups(model, songs, bars=bars, seed=seed).items():
        total = groups.odds + np.float32(model.curves.judge) * groups.opinion
        odds = model.curves.judged[name].log_odds(total, bars)
        found[name] = odds[:, 0], odds[:, groups.best :].ravel()
    return found


def judge_weight(questions: Sequence[JudgedGroups]) -> float:
    """The weight under which the true groups are most likely; 0 where the judge is no help."""
    if not questions:
        return 0.0
    likely = np.array([np.mean([_likelihood(groups, w) for groups in questions]) for w in _WEIGHTS])
    best = int(likely.argmax())
    return float(_WEIGHTS[best]) if likely[best] - likely[0] > _WORTH else 0.0


def _likelihood(groups: JudgedGroups, weight: float) -> float:
    """Mean log probability of the true group among the best foreign ones, at its best scale."""
    odds = groups.odds[:, : groups.best].astype(np.float64)
    total = odds + weight * groups.opinion[:, : groups.best]
    scaled = _SCALES[:, None, None] * (total - total.max(axis=1, keepdims=True))
    log_sums = np.log(np.exp(scaled).sum(axis=2))
    return float((scaled[:, :, 0] - log_sums).mean(axis=1).max())


def _fitted(groups: JudgedGroups, weight: float) -> Numbers | None:
    total = groups.odds + np.float32(weight) * groups.opinion
    return logistic(total[:, 0], total[:, groups.best :].ravel())


def _answers(
    ranker: FitRanker,
    answered: Sequence[Answered],
    counts: tuple[int, int],
    rng: np.random.Generator,
) -> Groups | None:
    """(groups,) odds and opinions: the true group, foreign ones of the best, of the random.

    None where there are not enough foreign stems.
    """
    best, others = counts
    axes = [_drawn(one, counts, rng) for one in answered]
    if any(len(axis) < 1 + best + others for axis in axes):
        return None
    clip = answered[0].question.asking.clip
    odds, _ = ranker.pair_odds(clip, axes)
    opinion = ranker.opinions(clip, axes, odds)
    if opinion is None:
        raise ValueError("groups without a pitched stem have no judge")
    kinds = ([0], range(1, 1 + best), range(1 + best, 1 + best + others))
    order = np.concatenate(
        [
            np.ravel_multi_index(np.ix_(*[np.array(kind)] * len(axes)), odds.shape).ravel()
            for kind in kinds
        ]
    )
    return odds.ravel()[order], opinion.ravel()[order]


def _drawn(answered: Answered, counts: tuple[int, int], rng: np.random.Generator) -> Members:
    """The own stem, the best foreign ones, and random ones of all foreign ones, also the best."""
    question, placed = answered.question, answered.placed
    ranked = [index for index in placed if question.foreign[index]]
    rest = rng.permutation(ranked)[: counts[1]].tolist()
    chosen = (question.own, *ranked[: counts[0]], *rest)
    return [(question.pool, placed[index]) for index in chosen]


def _stacked(answers: Sequence[Groups | None], best: int) -> JudgedGroups:
    whole = [one for one in answers if one is not None]
    nothing = np.zeros((0, best), np.float32)
    if not whole:
        return JudgedGroups(nothing, nothing, best)
    return JudgedGroups(np.stack([a for a, _ in whole]), np.stack([b for _, b in whole]), best)
