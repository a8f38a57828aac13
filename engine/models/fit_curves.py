"""From similarities to probabilities: the logistic curves of a fit model.

A *curve* turns one kind of evidence into the probability that two parts belong together, at even
odds of a true and a foreign pair (Platt 1999). Longer clips say more, so every curve is fitted at
four lengths and read in between on a logarithmic axis. Evidence is what ranking itself sees: the
best of all bars and transpositions of a stem. Log odds of several pairs of one group are added up
as if they were independent, and scaled down by one number because they are not. Where the judge has
seen the group, its opinion is added first, and a curve of its own makes log odds of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CURVE_BARS", "JUDGED", "PAIRS", "Curve", "FitCurves", "probability"]

#: Lengths of the clips that curves are fitted at [bars].
CURVE_BARS: Final = (4, 8, 16, 32)
#: Pairs that have a curve: clip and pitched stem, clip and drums, pitched stem and drums.
PAIRS: Final = ("harmony", "clip_drums", "stem_drums")
#: Groups that the judge has a curve for: one pitched stem alone, and with other stems.
JUDGED: Final = ("judged_alone", "judged_group")
_WEIGHTS: Final = ("group.scale", "rules.weight", "drum_rules.weight", "judge.weight")
#: Log odds beyond this are certainty [natural logarithm].
_MOST_ODDS: Final = 30.0


def probability(log_odds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log odds as probabilities in (0, 1)."""
    clipped = np.clip(np.asarray(log_odds, np.float64), -_MOST_ODDS, _MOST_ODDS)
    result: NDArray[np.float64] = 1 / (1 + np.exp(-clipped))
    return result


@dataclass(frozen=True)
class Curve:
    """Log odds = ``slope`` × evidence + ``offset``, at each of :data:`CURVE_BARS`."""

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.slopes) == len(self.offsets) == len(CURVE_BARS):
            raise ValueError(f"a curve has {len(CURVE_BARS)} slopes and offsets")

    def log_odds(self, evidence: NDArray[np.float32], bars: int) -> NDArray[np.float32]:
        """Log odds of evidence from a clip of ``bars`` bars; shape as given."""
        at, known = np.log2(max(bars, 1)), np.log2(CURVE_BARS)
        slope = np.float32(np.interp(at, known, self.slopes))
        offset = np.float32(np.interp(at, known, self.offsets))
        result: NDArray[np.float32] = slope * np.asarray(evidence, np.float32) + offset
        return result


@dataclass(frozen=True)
class FitCurves:
    """All that turns evidence into scores.

    Args:
        pairs: a curve for each of :data:`PAIRS`.
        group: what the summed log odds of a group with several pairs are multiplied by (0, 1].
        rules: weight of the rules' score beside the learned similarity in ``harmony``.
        drum_rules: that in ``clip_drums``.
        judge: weight of the judge's opinion beside the summed log odds; 0 where it is not asked.
        judged: from that sum to log odds, for groups of each of :data:`JUDGED` that it saw.
    """

    pairs: Mapping[str, Curve]
    group: float
    rules: float
    drum_rules: float
    judge: float
    judged: Mapping[str, Curve]

    @classmethod
    def plain(cls, *, rules: float, drum_rules: float = 1.0, judge: float = 0.0) -> FitCurves:
        """Evidence as log odds, before anything is fitted."""
        same = Curve((1.0,) * len(CURVE_BARS), (0.0,) * len(CURVE_BARS))
        pairs, groups = dict.fromkeys(PAIRS, same), dict.fromkeys(JUDGED, same)
        return cls(pairs, 1.0, rules, drum_rules, judge, groups)

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> FitCurves:
        """From the numbers of :meth:`record`.

        Raises:
            KeyError: one is missing.
        """
        curves = {
            name: Curve(
                tuple(float(numbers[f"{name}.slope.{bars}"]) for bars in CURVE_BARS),
                tuple(float(numbers[f"{name}.offset.{bars}"]) for bars in CURVE_BARS),
            )
            for name in (*PAIRS, *JUDGED)
        }
        judged = {name: curves.pop(name) for name in JUDGED}
        group, rules, drum_rules, judge = (float(numbers[name]) for name in _WEIGHTS)
        return cls(curves, group, rules, drum_rules, judge, judged)

    def record(self) -> dict[str, float]:
        """As numbers by name, for a checkpoint."""
        weights = (self.group, self.rules, self.drum_rules, self.judge)
        numbers = dict(zip(_WEIGHTS, weights, strict=True))
        for name, curve in {**self.pairs, **self.judged}.items():
            for bars, slope, offset in zip(CURVE_BARS, curve.slopes, curve.offsets, strict=True):
                numbers |= {f"{name}.slope.{bars}": slope, f"{name}.offset.{bars}": offset}
        return numbers
