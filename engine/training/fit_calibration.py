"""From similarities to probabilities, and the ranks that a checkpoint reports of itself.

Pairs of windows of validation songs are scored as in use: without context, harmony in the best of
the seven transpositions that ranking tries by default. A logistic curve per pair of towers then
gives the probability that a window belongs, at even odds of true and foreign (Platt 1999).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.training.fit_data import make_bank
from engine.training.fit_loss import (
    cosines,
    inner_window,
    pattern_tensors,
    pitch_tensors,
    similarities,
)
from engine.training.fit_towers import FitTowers
from engine.training.midi_corpus import MidiSong

__all__ = ["PairScores", "accuracies", "calibrated", "pair_scores"]

#: Transpositions that ranking tries by default.
_KEYS: Final = tuple(range(-3, 4))
#: Windows to calibrate on: so many per song, at most so many.
_PER_SONG, _MOST = 4, 400


@dataclass(frozen=True, eq=False)
class PairScores:
    """Similarities of every query with every stem; row and column ``i`` belong together.

    Args:
        values: (windows, windows).
        same: (windows, windows) bool, pairs of one composition.
    """

    values: NDArray[np.float32]
    same: NDArray[np.bool_]

    @property
    def true(self) -> NDArray[np.float32]:
        """(windows,) similarity of what belongs together."""
        return np.diagonal(self.values)


def pair_scores(
    towers: FitTowers, songs: Sequence[MidiSong], *, seed: int
) -> dict[str, PairScores]:
    """Scores of voice and stem (``harmony``) and of stem and drums (``stem_drums``)."""
    bank = make_bank(songs, min(_MOST, _PER_SONG * len(songs)), seed=seed)
    with torch.no_grad():
        stem, drums = inner_window(bank.stem), inner_window(bank.drums)
        voice = towers.pitch("voice", *pitch_tensors(bank.voice))
        bed = towers.pitch("stem", *pitch_tensors(stem))
        keys = torch.tensor([key % 12 for key in _KEYS])
        harmony = similarities(voice, bed)[:, :, keys].amax(dim=2)
        played = towers.rhythm("stem_rhythm", *pattern_tensors(stem))
        groove = cosines(played, towers.rhythm("drum_rhythm", *pattern_tensors(drums)))
    same = bank.group[:, None] == bank.group[None, :]
    return {
        "harmony": PairScores(harmony.numpy(), same),
        "stem_drums": PairScores(groove.numpy(), same),
    }


def calibrated(scores: Mapping[str, PairScores]) -> dict[str, float]:
    """Slope and offset of the logistic curve of each pair of towers."""
    result: dict[str, float] = {}
    for name, pair in scores.items():
        slope, offset = _platt(pair.true, pair.values[~pair.same])
        result |= {f"{name}.slope": slope, f"{name}.offset": offset}
    return result


def accuracies(scores: Mapping[str, PairScores]) -> dict[str, float]:
    """Mean normalised rank of what belongs among the windows of other songs; 0.5 is chance."""
    found = {}
    for name, pair in scores.items():
        true = pair.true[:, None]
        above = ((pair.values > true) + 0.5 * (pair.values == true)) * ~pair.same
        found[f"val_rank.{name}"] = float(np.mean(above.sum(axis=1) / (~pair.same).sum(axis=1)))
    return found


def _platt(true: NDArray[np.float32], foreign: NDArray[np.float32]) -> tuple[float, float]:
    """Logistic regression with both classes weighted alike, by Newton's method."""
    x = np.concatenate([true, foreign]).astype(np.float64)
    y = np.concatenate([np.ones(true.size), np.zeros(foreign.size)])
    weight = np.where(y > 0, 0.5 / true.size, 0.5 / foreign.size)
    design = np.stack([x, np.ones_like(x)], axis=1)
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (weight * (y - p)) - 1e-4 * np.array([beta[0], 0.0])
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design
        beta = beta + np.linalg.solve(curvature + np.diag([1e-4, 1e-9]), gradient)
    return float(beta[0]), float(beta[1])
