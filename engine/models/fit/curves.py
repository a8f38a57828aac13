"""From similarities to probabilities: the logistic curves of a fit model.

A *curve* turns one kind of evidence into the probability that two parts belong together, at even
odds of a true and a foreign pair (Platt 1999). Longer clips say more, so every curve is fitted at
four lengths and read in between on a logarithmic axis. Evidence is what ranking itself sees: the
best of all bars and transpositions of a stem. Of many places one fits well by chance, so evidence
counts less the more places were tried: a long song among loops, a search of all keys. Every role
that may be asked for has a curve of its own: a bass says less of whose it is than a whole band. Log
odds of several pairs of one group are added up as if they were independent, and scaled down by one
number because they are not. Where the judge has seen the group, its opinion is added first, and a
curve of its own makes log odds of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.theory import Role

__all__ = ["ASKED", "CURVE_BARS", "GROUP", "JUDGED", "PITCHED", "Curve", "FitCurves", "probability"]

#: Lengths of the clips that curves are fitted at [bars].
CURVE_BARS: Final = (4, 8, 16, 32)
#: Pitched roles that have curves of their own, and all roles that have one under the clip.
PITCHED: Final[tuple[Role, ...]] = ("harmonic", "vocals", "bass", "other")
ASKED: Final[tuple[Role, ...]] = (*PITCHED, "drums")
#: What the judge has a curve for: one stem of each pitched role alone, and several stems together.
GROUP: Final = "group"
JUDGED: Final = (*PITCHED, GROUP)
#: Roles that are read by the curve of another.
_READ_AS: Final = {"percussion": "drums", "mix": "harmonic"}
_WEIGHTS: Final = ("group.scale", "rules.weight", "drum_rules.weight", "judge.weight")
_NUMBERS: Final = ("slope", "offset", "places")
#: Log odds beyond this are certainty [natural logarithm].
_MOST_ODDS: Final = 30.0
_ALIKE: Final = (0.0,) * len(CURVE_BARS)


def probability(log_odds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log odds as probabilities in (0, 1)."""
    clipped = np.clip(np.asarray(log_odds, np.float64), -_MOST_ODDS, _MOST_ODDS)
    result: NDArray[np.float64] = 1 / (1 + np.exp(-clipped))
    return result


@dataclass(frozen=True)
class Curve:
    """Log odds = ``slope`` × evidence + ``offset`` + ``places`` × log2(places tried).

    Each is a number for each of :data:`CURVE_BARS`; ``places`` are 0 where nothing was searched.
    """

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    places: tuple[float, ...] = _ALIKE

    def __post_init__(self) -> None:
        if not len(self.slopes) == len(self.offsets) == len(self.places) == len(CURVE_BARS):
            raise ValueError(f"a curve has {len(CURVE_BARS)} slopes, offsets and prices of places")
        if min(self.slopes) < 0 or max(self.places) > 0:
            raise ValueError("a curve falls with evidence, or rises with the places tried")

    def log_odds(
        self, evidence: NDArray[np.float32], bars: int, places: NDArray[np.int64] | int = 1
    ) -> NDArray[np.float32]:
        """Log odds of evidence from a clip of ``bars`` bars; shape as given.

        Args:
            evidence: of the best place of each stem.
            bars: length of the clip.
            places: start bars × transpositions that each was chosen from.
        """
        at, known = np.log2(max(bars, 1)), np.log2(CURVE_BARS)
        slope, offset, price = (
            np.float32(np.interp(at, known, values))
            for values in (self.slopes, self.offsets, self.places)
        )
        searched = price * np.log2(np.maximum(places, 1)).astype(np.float32)
        result: NDArray[np.float32] = slope * np.asarray(evidence, np.float32) + offset + searched
        return result


@dataclass(frozen=True)
class FitCurves:
    """All that turns evidence into scores.

    Args:
        asked: of clip and stem, for each of :data:`ASKED`.
        groove: of pitched stem and drums, as they are placed.
        group: what the summed log odds of a group with several pairs are multiplied by (0, 1].
        rules: weight of the rules' score beside the learned similarity of pitched stems.
        drum_rules: that of drums.
        judge: weight of the judge's opinion beside the summed log odds; 0 where it is not asked.
        judged: from that sum to log odds, for each of :data:`JUDGED`.
    """

    asked: Mapping[str, Curve]
    groove: Curve
    group: float
    rules: float
    drum_rules: float
    judge: float
    judged: Mapping[str, Curve]

    def __post_init__(self) -> None:
        if not 0 < self.group <= 1 or self.judge < 0:
            raise ValueError(f"group.scale {self.group} or judge.weight {self.judge} is none")

    def of_role(self, role: str) -> Curve:
        """The curve of clip and stem."""
        return self.asked[_READ_AS.get(role, role)]

    def of_groups(
        self,
        roles: Sequence[str],
        odds: NDArray[np.float32],
        opinion: NDArray[np.float32] | None,
        bars: int,
    ) -> NDArray[np.float32]:
        """Log odds of whole groups; shape as given.

        Args:
            roles: of their stems.
            odds: summed log odds of their pairs.
            opinion: the judge's; None where it was not asked.
            bars: length of the clip.
        """
        if opinion is not None:
            name = _READ_AS.get(roles[0], roles[0]) if len(roles) == 1 else GROUP
            return self.judged[name].log_odds(odds + np.float32(self.judge) * opinion, bars)
        return odds * np.float32(self.group if len(roles) > 1 else 1)

    @classmethod
    def plain(cls, *, rules: float, drum_rules: float = 1.0, judge: float = 0.0) -> FitCurves:
        """Evidence as log odds, before anything is fitted."""
        same = Curve((1.0,) * len(CURVE_BARS), _ALIKE)
        asked: dict[str, Curve] = dict.fromkeys(ASKED, same)
        judged: dict[str, Curve] = dict.fromkeys(JUDGED, same)
        return cls(asked, same, 1.0, rules, drum_rules, judge, judged)

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> FitCurves:
        """From the numbers of :meth:`record`.

        Raises:
            KeyError: one is missing.
        """
        asked: dict[str, Curve] = {role: _read(numbers, f"asked.{role}") for role in ASKED}
        judged = {name: _read(numbers, f"judged.{name}") for name in JUDGED}
        group, rules, drum_rules, judge = (float(numbers[name]) for name in _WEIGHTS)
        return cls(asked, _read(numbers, "groove"), group, rules, drum_rules, judge, judged)

    def record(self) -> dict[str, float]:
        """As numbers by name, for a checkpoint."""
        weights = (self.group, self.rules, self.drum_rules, self.judge)
        numbers = dict(zip(_WEIGHTS, weights, strict=True))
        named = {f"asked.{role}": curve for role, curve in self.asked.items()}
        named |= {f"judged.{name}": curve for name, curve in self.judged.items()}
        for name, curve in {**named, "groove": self.groove}.items():
            for kind, values in zip(
                _NUMBERS, (curve.slopes, curve.offsets, curve.places), strict=True
            ):
                for bars, value in zip(CURVE_BARS, values, strict=True):
                    numbers[f"{name}.{kind}.{bars}"] = value
        return numbers


def _read(numbers: Mapping[str, float], name: str) -> Curve:
    slopes, offsets, places = (
        tuple(float(numbers[f"{name}.{kind}.{bars}"]) for bars in CURVE_BARS) for kind in _NUMBERS
    )
    return Curve(slopes, offsets, places)
