"""From similarities to probabilities: the logistic curves of a fit model.

A *curve* turns one kind of evidence into the probability that two parts belong together, at even
odds of a true and a foreign pair (Platt 1999). Longer clips say more, so every curve is fitted at
four lengths and read in between on a logarithmic axis. Evidence is what ranking itself sees: the
best of all bars and transpositions of a stem. Log odds of several pairs of one group are added up
as if they were independent, and scaled down by one number because they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CURVE_BARS", "PAIRS", "Curve", "FitCurves", "probability"]

#: Lengths of the clips that curves are fitted at [bars].
CURVE_BARS: Final = (4, 8, 16, 32)
#: Pairs that have a curve: clip and pitched stem, clip and drums, pitched stem and drums.
PAIRS: Final = ("harmony", "clip_drums", "stem_drums")
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
    """

    pairs: Mapping[str, Curve]
    group: float
    rules: float

    @classmethod
    def plain(cls, *, rules: float) -> FitCurves:
        """Evidence as log odds, before anything is fitted."""
        ones, zeros = (1.0,) * len(CURVE_BARS), (0.0,) * len(CURVE_BARS)
        return cls({pair: Curve(ones, zeros) for pair in PAIRS}, 1.0, rules)

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> FitCurves:
        """From the numbers of :meth:`record`.

        Raises:
            KeyError: one is missing.
        """
        pairs = {
            pair: Curve(
                tuple(float(numbers[f"{pair}.slope.{bars}"]) for bars in CURVE_BARS),
                tuple(float(numbers[f"{pair}.offset.{bars}"]) for bars in CURVE_BARS),
            )
            for pair in PAIRS
        }
        return cls(pairs, float(numbers["group.scale"]), float(numbers["rules.weight"]))

    def record(self) -> dict[str, float]:
        """As numbers by name, for a checkpoint."""
        numbers = {"group.scale": self.group, "rules.weight": self.rules}
        for pair, curve in self.pairs.items():
            for bars, slope, offset in zip(CURVE_BARS, curve.slopes, curve.offsets, strict=True):
                numbers |= {f"{pair}.slope.{bars}": slope, f"{pair}.offset.{bars}": offset}
        return numbers
