"""What is told of validation songs while a fit model is trained, without any curve.

A batch of validation windows, one of every composition, gives the loss of the phase at hand; the
rank is that of the true bed in its own key among the windows of other compositions
(:mod:`engine.training.fit.check`: 0 best, 0.5 chance).
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import dense_weights
from engine.training.fit.check import KEY_GIVEN, WindowPairs, ranks
from engine.training.fit.data import FitBank, chosen_windows
from engine.training.fit.library import LibraryWindows
from engine.training.fit.material import FitMaterial, RollWindows, WindowSource, mixed
from engine.training.fit.towers import FitTowers

__all__ = ["HeldOutWindows"]

#: Seed of the windows that give the loss: the same for every training, so that they compare.
_SEED: Final = 6


class HeldOutWindows:
    """Validation windows, made when they are first measured.

    Args:
        material: whose validation songs they are of.
        windows: in a batch, fewer when there are not so many compositions.
        rules: weight of the rules' score.
        drum_rules: that for drums under the clip.
    """

    def __init__(
        self, material: FitMaterial, windows: int, *, rules: float, drum_rules: float
    ) -> None:
        self._material, self._windows = material, windows
        self._curves = FitCurves.plain(rules=rules, drum_rules=drum_rules)

    @cached_property
    def batch(self) -> FitBank:
        """Windows of different compositions.

        Raises:
            UnusableInput: not one of the songs has a window.
        """
        material = self._material
        sources: list[WindowSource] = []
        if material.val_notes:
            sources.append(RollWindows(material.val_notes))
        if material.val_songs:
            sources.append(LibraryWindows(material.val_songs))
        bank = mixed(sources).bank(self._windows, seed=_SEED)
        return chosen_windows(bank, np.unique(bank.group, return_index=True)[1])

    def rank(self, towers: FitTowers) -> float:
        """Mean normalised rank [0, 1] of the true beds by these towers."""
        model = FitModel(dense_weights(towers.weights()), towers.sizes, self._curves)
        return float(ranks(FitRanker(model), self._pairs, semitones=KEY_GIVEN).mean())

    @cached_property
    def _pairs(self) -> WindowPairs:
        return self._material.val_pairs()
