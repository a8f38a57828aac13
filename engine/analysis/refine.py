"""From a tracker's beats to a beat map that a render can trust.

A tracker's beats lie on a 10 ms raster, skip or insert a beat now and then, and jump by half a beat
in breakdowns. This module (1) numbers the beats, repairing such jumps, (2) finds the attack near
every beat, (3) fits a map through the attacks. If one constant tempo explains the whole song it is
used exactly, because sequenced music is exactly steady; otherwise a smoother follows the drift. The
smoother minimises ``sum w (b - y)^2 + stiffness * sum (second difference of b)^2`` (Whittaker 1923;
the stationary form of a Kalman smoother whose beat period walks randomly), with weights that fade
for attacks far off the curve, and the stiffness that best predicts attacks left out. Beats without
an attack are carried by their neighbours.

Times are seconds; a beat's number counts from the first tracked beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.attacks import Attacks, Picks
from engine.analysis.beats import FEWEST_BEATS, TrackedBeats, beat_confidence
from engine.analysis.madmom_compat import ACTIVATION_FPS
from engine.analysis.numbering import constant_beats, number_beats, typical_period
from engine.errors import UnusableInput
from engine.grid import BeatGrid

__all__ = ["RefinedBeats", "refine"]

#: Search reach around the expected beat, round after round [s]: the tracker's raster and bias
#: first, then what the fit leaves open.
REACHES_S: Final = (0.045, 0.020, 0.012)
#: An attack weaker than this is no evidence [dB over three bands].
WEAKEST_ATTACK_DB: Final = 12.0
#: Attacks from here on count fully [dB over three bands].
FULL_ATTACK_DB: Final = 60.0
#: Weight of a tracked beat without an attack, against 1 for a clear attack: its error is about
#: 10 ms where an attack's is 1 ms.
UNHEARD_WEIGHT: Final = 0.01
#: Smallest spread of the attacks that is believed [s]; below it outliers are not judged.
SMALLEST_SPREAD_S: Final = 0.001
#: Stiffnesses that are tried, from "follow every attack" to "almost constant".
STIFFNESSES: Final = tuple(10.0**power for power in range(-1, 6))
#: A steady map may leave this much of slow deviation unexplained [s]: half the error that a
#: rendered beat may have.
STEADY_DEVIATION_S: Final = 0.005
#: The slow deviation is measured over blocks of this many beats.
STEADY_BLOCK_BEATS: Final = 16
#: This share of the blocks must lie within it, and none may be further off than this times it.
STEADY_SHARE: Final = 0.9
FAR_OFF: Final = 5.0
#: Factor on the tolerance when the best constant tempo is a whole number of BPM.
WHOLE_TEMPO_TRUST: Final = 3.0
#: Stiffness of the first map through the bare tracked beats.
FIRST_STIFFNESS: Final = 10.0
#: A tempo is rounded to the nearest multiple of these [BPM] if that moves no beat by more than
#: :data:`ROUNDING_SHIFT_S`: nobody sets a sequencer to 123.998.
ROUND_TEMPI_BPM: Final = (1.0, 0.5, 0.1, 0.01)
ROUNDING_SHIFT_S: Final = 0.0015
#: A beat this near to 0 s in a song of whole tempo is at 0 s [s].
EXPORT_SHIFT_S: Final = 0.004
_REWEIGHTING_ROUNDS: Final = 4


@dataclass(frozen=True, eq=False)
class RefinedBeats:
    """A beat map and how it was found.

    Args:
        grid: covers the whole file; beat 0 is a downbeat at or before the first sample.
        steady: the grid has one constant tempo.
        spread_s: robust standard deviation of the attacks around the map.
        heard: share [0, 1] of the beats with a clear attack.
    """

    grid: BeatGrid
    steady: bool
    spread_s: float
    heard: float


@dataclass(frozen=True, eq=False)
class _Fit:
    """A fitted map: seconds of beats 0 … n - 1."""

    beats_s: NDArray[np.float64]
    steady: bool
    spread_s: float
    heard: float = 0.0


def refine(
    tracked: TrackedBeats,
    sources: Sequence[Attacks],
    *,
    duration_s: float,
    steady_deviation_s: float = STEADY_DEVIATION_S,
) -> RefinedBeats:
    """The beat map behind tracked beats.

    Args:
        tracked: what a tracker heard.
        sources: attack functions, the most trusted first (drums before the mix); a later one is
            asked only where the earlier ones hold no attack.
        duration_s: length of the file.
        steady_deviation_s: slow deviation from a constant tempo that is taken as expression, not
            as a change of tempo. Voices stray by more than drums.

    Raises:
        UnusableInput: fewer than four beats were tracked.
    """
    if tracked.beats_s.size < FEWEST_BEATS:
        raise UnusableInput(
            f"Only {tracked.beats_s.size} beats were found in {duration_s:.1f} s of audio; "
            f"a beat map needs {FEWEST_BEATS}.",
            hint="Add a longer part, or a loop with --role; a pad or a voice alone has no beat.",
            code="no_beats",
        )
    fit = None
    line = constant_beats(tracked.beats_s)
    if line is not None:
        fit = _follow(line, sources, steady_deviation_s)
    if fit is None or not fit.steady:
        numbered = number_beats(tracked.beats_s)
        number = np.arange(int(numbered.numbers[-1]) + 1)
        expected = np.interp(number, numbered.numbers, numbered.beats_s)
        seen = np.where(np.isin(number, numbered.numbers), 1.0, UNHEARD_WEIGHT)
        fit = _follow(_smooth(expected, seen, FIRST_STIFFNESS), sources, steady_deviation_s)
    grid = _grid(fit, tracked, duration_s)
    return RefinedBeats(grid, fit.steady, fit.spread_s, fit.heard)


def _follow(
    expected_s: NDArray[np.float64], sources: Sequence[Attacks], steady_deviation_s: float
) -> _Fit:
    """Fit a map to the attacks near the expected beats, looking closer every round."""
    fit = _Fit(expected_s, False, 0.0, 0.0)
    for reach_s in REACHES_S:
        picks = _pick(sources, fit.beats_s, reach_s)
        heard = np.clip(picks.strength / FULL_ATTACK_DB, 0, 1)
        heard[picks.strength < WEAKEST_ATTACK_DB] = 0.0
        believed = np.where(heard > 0, picks.times_s, expected_s)
        fit = _fit(believed, np.maximum(heard, UNHEARD_WEIGHT), steady_deviation_s)
    return replace(fit, heard=float(np.mean(heard > 0)))


def _pick(sources: Sequence[Attacks], expected_s: NDArray[np.float64], reach_s: float) -> Picks:
    """The attack at each expected beat, from the first source that has a clear one."""
    times = expected_s.copy()
    strength = np.zeros(expected_s.size)
    for source in sources:
        picks = source.near(expected_s, reach_s=reach_s, spread_s=reach_s / 2)
        open_ = (strength < WEAKEST_ATTACK_DB) & (picks.strength > strength)
        times = np.where(open_, picks.times_s, times)
        strength = np.where(open_, picks.strength, strength)
    return Picks(times, strength)


def _fit(
    observed_s: NDArray[np.float64], weight: NDArray[np.float64], steady_deviation_s: float
) -> _Fit:
    """A constant grid if it explains the beats, else the smoother."""
    number = np.arange(observed_s.size, dtype=np.float64)
    robust = weight
    for _ in range(_REWEIGHTING_ROUNDS):
        slope, start = np.polyfit(number, observed_s, 1, w=np.sqrt(robust))
        line = start + slope * number
        spread = _spread(observed_s - line, weight)
        robust = weight * _faded(observed_s - line, spread)
    if _is_steady(observed_s - line, robust, _tolerance_s(slope, number.size, steady_deviation_s)):
        return _Fit(_rounded(start, slope, observed_s.size), True, spread)
    stiffness = _best_stiffness(observed_s, weight)
    robust = weight
    for _ in range(_REWEIGHTING_ROUNDS):
        curve = _smooth(observed_s, robust, stiffness)
        spread = _spread(observed_s - curve, weight)
        robust = weight * _faded(observed_s - curve, spread)
    return _Fit(curve, False, spread)


def _rounded(start: float, period_s: float, count: int) -> NDArray[np.float64]:
    """The constant grid, at a round tempo if that leaves every beat where it is."""
    number = np.arange(count, dtype=np.float64)
    centre = start + period_s * (count - 1) / 2
    for step in ROUND_TEMPI_BPM:
        period = 60.0 / max(round(60.0 / period_s / step) * step, step)
        if abs(period - period_s) * (count - 1) / 2 < ROUNDING_SHIFT_S:
            return np.asarray(centre + period * (number - (count - 1) / 2))
    return start + period_s * number


def _tolerance_s(period_s: float, count: int, steady_deviation_s: float) -> float:
    """More deviation is forgiven when the tempo is a whole number, which hardly happens by chance.

    A free tempo comes as near to a whole number as its own uncertainty in about one song of fifty.
    """
    round_period_s = 60.0 / max(round(60.0 / period_s), 1)
    shift_s = abs(round_period_s - period_s) * (count - 1) / 2
    return steady_deviation_s * (WHOLE_TEMPO_TRUST if shift_s < steady_deviation_s else 1.0)


def _is_steady(
    residual_s: NDArray[np.float64], weight: NDArray[np.float64], tolerance_s: float
) -> bool:
    """Whether nearly all blocks of beats lie on the line; a few may be syncopated, none far off."""
    size = min(STEADY_BLOCK_BEATS, residual_s.size)
    medians = []
    for start in range(0, residual_s.size - size + 1, max(size // 2, 1)):
        part = slice(start, start + size)
        sure = weight[part] > 2 * UNHEARD_WEIGHT
        if sure.sum() >= size / 3:
            medians.append(abs(float(np.median(residual_s[part][sure]))))
    if not medians:
        return bool(np.median(np.abs(residual_s)) < tolerance_s)
    most = float(np.quantile(medians, STEADY_SHARE))
    return most < tolerance_s and max(medians) < FAR_OFF * tolerance_s


def _best_stiffness(observed_s: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """The stiffness whose curve through half of the beats best predicts the other half."""
    scores = []
    even = np.arange(observed_s.size) % 2 == 0
    for stiffness in STIFFNESSES:
        error = np.empty_like(observed_s)
        for held_out in (even, ~even):
            curve = _smooth(observed_s, np.where(held_out, 1e-9, weight), stiffness)
            error[held_out] = np.abs(observed_s - curve)[held_out]
        believed = np.minimum(error, 4 * np.median(error) + SMALLEST_SPREAD_S)
        scores.append(float(np.average(believed, weights=weight)))
    close = np.flatnonzero(np.array(scores) <= 1.03 * min(scores))
    return STIFFNESSES[int(close[-1])]


def _smooth(
    observed_s: NDArray[np.float64], weight: NDArray[np.float64], stiffness: float
) -> NDArray[np.float64]:
    """Whittaker's smoother of second order: (n,) beats, strictly increasing."""
    from scipy.linalg import solveh_banded

    n = observed_s.size
    banded = np.zeros((3, n))
    for offset, value in ((0, 1.0), (1, -2.0), (2, 1.0)):
        banded[0, offset : n - 2 + offset] += stiffness * value * value
    banded[1, : n - 2] += -2.0 * stiffness
    banded[1, 1 : n - 1] += -2.0 * stiffness
    banded[2, : n - 2] += stiffness
    banded[0] += weight
    curve = solveh_banded(banded, weight * observed_s, lower=True)
    shortest = 0.25 * typical_period(observed_s)
    return np.asarray(curve[0] + np.concatenate([[0], np.cumsum(np.diff(curve).clip(shortest))]))


def _spread(residual_s: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Robust standard deviation of the residuals that have evidence behind them."""
    sure = weight > 2 * UNHEARD_WEIGHT
    chosen = residual_s[sure] if sure.any() else residual_s
    return max(float(1.4826 * np.median(np.abs(chosen))), SMALLEST_SPREAD_S)


def _faded(residual_s: NDArray[np.float64], spread_s: float) -> NDArray[np.float64]:
    """Weight [0, 1] that fades beyond three spreads (Cauchy, squared)."""
    return 1.0 / (1.0 + (residual_s / (3 * spread_s)) ** 2) ** 2


def _grid(fit: _Fit, tracked: TrackedBeats, duration_s: float) -> BeatGrid:
    """The fitted beats from a bar line on, continued over the whole file."""
    metre = tracked.beats_per_bar
    phase = _bar_phase(fit.beats_s, tracked)
    lead = -phase % metre
    span = min(4, fit.beats_s.size - 1)
    period = (fit.beats_s[span] - fit.beats_s[0]) / span
    before = fit.beats_s[0] - period * np.arange(lead, 0, -1)
    after = fit.beats_s[-1] + (fit.beats_s[-1] - fit.beats_s[-1 - span]) / span
    beats = np.concatenate([before, fit.beats_s, [after]])
    if fit.steady:
        beats = _from_the_start(beats)
    heard = beats[(beats >= 0) & (beats <= duration_s)]
    confidence = beat_confidence(heard, tracked.activation)
    return BeatGrid(beats, metre, confidence).covering(0.0, duration_s)


def _from_the_start(beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """An exported song starts on its grid: at a whole tempo, a beat next to 0 s is moved there."""
    period_s = float(beats_s[-1] - beats_s[0]) / (beats_s.size - 1)
    bpm = 60.0 / period_s
    nearest = float(beats_s[0]) - period_s * round(float(beats_s[0]) / period_s)
    exported = abs(bpm - round(bpm)) < 1e-6 * bpm and abs(nearest) < EXPORT_SHIFT_S
    return beats_s - nearest if exported else beats_s


def _bar_phase(beats_s: NDArray[np.float64], tracked: TrackedBeats) -> int:
    """Number modulo the metre of the downbeats: the tracker's votes and its activation together."""
    metre = tracked.beats_per_bar
    nearest = np.searchsorted((beats_s[1:] + beats_s[:-1]) / 2, tracked.beats_s)
    votes = np.bincount((nearest - tracked.positions) % metre, minlength=metre).astype(np.float64)
    heard = np.zeros(metre)
    if tracked.activation.size:
        frames = np.rint(beats_s * ACTIVATION_FPS).astype(np.int64)
        frames = np.clip(frames, 1, max(tracked.activation.shape[0] - 2, 1))
        down = tracked.activation[:, 1]
        level = np.maximum(np.maximum(down[frames - 1], down[frames]), down[frames + 1])
        heard += np.bincount(np.arange(level.size) % metre, weights=level, minlength=metre)
    return int(np.argmax(votes / max(votes.sum(), 1) + heard / max(heard.sum(), 1e-9)))
