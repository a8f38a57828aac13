"""Accuracy at 0.5: is the original above, and what was not matched at or below?

Huang et al. (AAAI 2021), Table 1: of originals (good) and unmatched triples (bad), as many of one
as of the other; matched ones have no label and do not count. Only a score that is meant as a
probability has a side of 0.5 to be on, so other models have no accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.bootstrap import Interval, SongBootstrap

__all__ = ["PROBABILITIES", "THRESHOLD", "Accuracy", "accuracy_of"]

THRESHOLD: Final = 0.5
#: Models whose score is a probability; shares of rules, cosines and lots are none.
PROBABILITIES: Final = frozenset({"fit", "premixnet", "postmixnet"})


@dataclass(frozen=True)
class Accuracy:
    """Share of right decisions at 0.5; originals weigh as much as unmatched ones.

    Args:
        share: of right decisions [0, 1]; half is chance.
        ci95: interval of ``share``, redrawn by song.
        originals: share of the originals that score above 0.5.
        unmatched: share of the unmatched that score 0.5 or less.
    """

    share: float
    ci95: Interval
    originals: float
    unmatched: float


def accuracy_of(
    kinds: Sequence[NDArray[np.float64]], songs: Sequence[str], *, seed: int
) -> Accuracy | None:
    """Accuracy of one model; None where no vocal has an unmatched triple.

    Every kind has the weight of every other in each vocal, and every vocal that of every other.

    Args:
        kinds: (vocals, 1 + copies) scores of each kind of unmatched triples, the original's first,
            transposed as freely as the copies; NaN throughout where a vocal has none of a kind.
        songs: (vocals,) song of each vocal.
        seed: of the interval.
    """
    known = np.stack([~np.isnan(table).any(axis=1) for table in kinds])
    if not known.any():
        return None
    count = np.maximum(known.sum(axis=0), 1)
    above = np.stack([table[:, 0] > THRESHOLD for table in kinds])
    below = np.stack([(table[:, 1:] <= THRESHOLD).mean(axis=1) for table in kinds])
    asked = np.flatnonzero(known.any(axis=0))
    originals = ((above & known).sum(axis=0) / count)[asked]
    unmatched = ((below * known).sum(axis=0) / count)[asked]
    right = (originals + unmatched) / 2
    where = [songs[i] for i in asked.tolist()]
    return Accuracy(
        share=float(right.mean()),
        ci95=SongBootstrap(where, seed=seed).mean(right),
        originals=float(originals.mean()),
        unmatched=float(unmatched.mean()),
    )
