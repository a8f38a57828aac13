"""How much the judge of the fit model counts, and what its groups' scores mean.

On validation songs, as in use: a clip of each is asked for in a library of all, and the towers
place every stem. The judge hears what the towers hear less of: whether all begin together. Its
weight is the one under which the true bed is most likely to be picked from among itself a beat or
more off (conditional logistic regression, McFadden 1974), of those weights under which true beds,
alone and with their drums, are found among the foreign ones that the towers like best as well as
they can be, up to one standard error (Breiman et al. 1984, section 3.4.3). Curves then turn the
weighted sum into the probability that a group belongs together, against randomly drawn foreign
stems at even odds (Platt 1999).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import CURVE_BARS, GROUP, JUDGED, PITCHED, FitCurves
from engine.models.fit.groups import Members
from engine.models.fit.ranker import FitRanker
from engine.models.ranker import ClipFeatures
from engine.training.fit.calibration import Fitted, curve_of, logistic, plain_curves
from engine.training.fit.questions import Answered, ValidationSongs, bands
from engine.training.fit.windows import SongRows

__all__ = [
    "JudgedGroups",
    "judge_weight",
    "judged_groups",
    "judged_log_odds",
    "moved_groups",
    "with_judge",
]

_LOGGER = logging.getLogger(__name__)

#: Clips that the weight is chosen on [bars], and what they ask for.
_WEIGHED_BARS: Final = (8, 16)
_WEIGHED: Final = ("harmonic", GROUP)
_WEIGHTS: Final = np.linspace(0.0, 3.0, 61)
#: What weighted sums may be multiplied by, so that only the judge's share is compared.
_SCALES: Final = np.geomspace(0.2, 5.0, 33)
#: What is drawn: streams of their own, beside those of the pairs' evidence.
_ALONE_DRAWS, _GROUP_DRAWS, _MOVED_DRAWS = 21, 22, 23
#: Foreign stems of a question, the best by the towers and random ones: alone, and with drums.
_ALONE, _WITH_DRUMS = (40, 23), (4, 3)
#: Beats that a bed is moved by; the first is the bed as it is placed.
_MOVED: Final = (0, 1, 2, 3)
#: Gain in log likelihood per question below which the judge is not worth asking, and how many
#: questions it takes to say so.
_WORTH: Final = 1e-3
_FEWEST_QUESTIONS: Final = 10


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
    finding = [seen[bars][name] for bars in _WEIGHED_BARS for name in _WEIGHED]
    moved = [moved_groups(model, asking, bars=bars, seed=seed) for bars in _WEIGHED_BARS]
    weight = judge_weight(finding, moved)
    same = plain_curves(model).judged  # log odds of each role are right already
    judged = {
        name: curve_of([_fitted(seen[bars][name], weight) for bars in CURVE_BARS], same[name])
        for name in JUDGED
    }
    return replace(model.curves, judge=weight, judged=judged)


def judged_groups(
    model: FitModel, songs: ValidationSongs, *, bars: int, seed: int
) -> dict[str, JudgedGroups]:
    """What towers and judge say of each question's groups, by the names of :data:`JUDGED`.

    With few songs there are fewer foreign groups in a question, of both kinds.
    """
    ranker = FitRanker(model)
    found: dict[str, JudgedGroups] = {}
    for number, role in enumerate(PITCHED):
        rng = np.random.default_rng([seed, bars, _ALONE_DRAWS, number])
        alone = _as_many(_ALONE, songs.compositions(role) - 1)
        asked = (songs.question(one, role, rng) for one in songs.without(role, bars, rng))
        answers = [
            _answers(ranker, [Answered(question, question.placed(ranker))], alone, rng)
            for question in asked
            if question is not None
        ]
        found[role] = _stacked(answers, 1 + alone[0])
    rng = np.random.default_rng([seed, bars, _GROUP_DRAWS])
    together = _as_many(_WITH_DRUMS, songs.compositions("harmonic") - 1)
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
    curves = model.curves
    for name, groups in judged_groups(model, songs, bars=bars, seed=seed).items():
        roles = ("harmonic", "drums") if name == GROUP else (name,)
        opinion = groups.opinion if curves.judge else None
        odds = curves.of_groups(roles, groups.odds, opinion, bars)
        found[name] = odds[:, 0], odds[:, groups.best :].ravel()
    return found


def moved_groups(model: FitModel, songs: ValidationSongs, *, bars: int, seed: int) -> JudgedGroups:
    """The own bed of each voice, and the same a beat and more late."""
    ranker = FitRanker(model)
    rng = np.random.default_rng([seed, bars, _MOVED_DRAWS])
    answers = []
    for bed, _ in bands(ranker, songs, bars, rng):
        pool, fits = songs.moved(bed, _MOVED)
        answers.append(_judged(ranker, bed.question.asking.clip, [[(pool, fit) for fit in fits]]))
    return _stacked(answers, len(_MOVED))


def judge_weight(finding: Sequence[JudgedGroups], moved: Sequence[JudgedGroups]) -> float:
    """The weight that tells moved groups best and costs no song.

    It is 0 where the judge tells them no better than without it by more than one standard error, or
    where too few questions say so.

    Args:
        finding: true groups among foreign ones.
        moved: true groups among themselves moved.
    """
    found = _likelihoods(finding)
    told = _likelihoods(moved)
    if not found.size or not told.size:
        return 0.0
    behind = found - found[found.mean(axis=1).argmax()]
    allowed = behind.mean(axis=1) >= -behind.std(axis=1) / np.sqrt(behind.shape[1])
    better = told - told[0]
    gain = np.where(allowed, better.mean(axis=1), 0.0)
    best = int(gain.argmax())
    error = better[best].std() / np.sqrt(better.shape[1])
    sure = gain[best] > max(_WORTH, error) and better.shape[1] >= _FEWEST_QUESTIONS
    return float(_WEIGHTS[best]) if sure else 0.0


def _likelihoods(kinds: Sequence[JudgedGroups]) -> NDArray[np.float64]:
    """(weights, questions) log probability of the true group, each kind at its best scale."""
    there = [groups for groups in kinds if groups.odds.size]
    columns = [np.stack([_likelihood(groups, w) for w in _WEIGHTS]) for groups in there]
    return np.concatenate(columns, axis=1) if columns else np.zeros((len(_WEIGHTS), 0))


def _likelihood(groups: JudgedGroups, weight: float) -> NDArray[np.float64]:
    """(questions,) log probability of the true group among the best, at the best scale of all."""
    odds = groups.odds[:, : groups.best].astype(np.float64)
    total = odds + weight * groups.opinion[:, : groups.best]
    scaled = _SCALES[:, None, None] * (total - total.max(axis=1, keepdims=True))
    likely = scaled[:, :, 0] - np.log(np.exp(scaled).sum(axis=2))
    best: NDArray[np.float64] = likely[likely.mean(axis=1).argmax()]
    return best


def _fitted(groups: JudgedGroups, weight: float) -> Fitted | None:
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
    odds, opinion = _judged(ranker, answered[0].question.asking.clip, axes)
    kinds = ([0], range(1, 1 + best), range(1 + best, 1 + best + others))
    order = np.concatenate(
        [
            np.ravel_multi_index(np.ix_(*[np.array(kind)] * len(axes)), odds.shape).ravel()
            for kind in kinds
        ]
    )
    return odds.ravel()[order], opinion.ravel()[order]


def _judged(ranker: FitRanker, clip: ClipFeatures, axes: Sequence[Members]) -> Groups:
    """(n_1, …) odds and opinions of every group."""
    odds, _ = ranker.pair_odds(clip, axes)
    opinion = ranker.opinions(clip, axes, odds)
    if opinion is None:
        raise ValueError("groups without a pitched stem have no judge")
    return odds, opinion


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
