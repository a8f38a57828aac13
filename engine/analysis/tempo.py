"""Tempo with its doubts: which of the plausible counts is meant, and how sure that is.

Listeners and trackers agree on *where* pulses are far more often than on *which* of them is the
beat. Every way to count (half, two thirds, once, one and a half times, twice) is scored by a comb
on the tracker's activation: mean strength on its beats minus mean strength halfway between them,
times the usual preference of listeners for tempi around 120 BPM (van Noorden & Moelants 1999, a
resonance curve, here log-normal). Tempi are BPM; activations are (frames at 100 per second, 2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.beats import FEWEST_BEATS, TrackedBeats
from engine.analysis.madmom_compat import ACTIVATION_FPS
from engine.analysis.records import TempoEstimate, TempoHypothesis
from engine.errors import UsageError
from engine.grid import BeatGrid
from engine.theory import Key

__all__ = [
    "NameHints",
    "estimate_tempo",
    "hints_from_name",
    "settle_octave",
    "tempo_preference",
]

#: Ways to count, as multiples of the tracked tempo.
MULTIPLES: Final = (0.5, 2 / 3, 1.0, 1.5, 2.0)
#: Half of the beats of these counts are beats of the tracked count too, and collect half of its
#: comb for nothing: only what they collect beyond that speaks for them.
HALF_SHARED: Final = (2 / 3, 2.0)
#: Centre [BPM] and width [octaves] of the preference for middle tempi.
PREFERRED_BPM: Final = 120.0
PREFERENCE_OCTAVES: Final = 0.6
#: Another octave must be better by this factor before the tracker is overruled.
OVERRULE: Final = 1.5
#: Tempi in file names outside this range are not believed [BPM].
NAME_RANGE_BPM: Final = (40.0, 260.0)

_BPM_IN_NAME: Final = re.compile(r"(?<![\d.])(\d{2,3}(?:[.,]\d+)?)[\s_-]*bpm", re.IGNORECASE)
_BPM_BEFORE: Final = re.compile(r"bpm[\s_-]*(\d{2,3}(?:[.,]\d+)?)(?!\d)", re.IGNORECASE)
_BARE_NUMBER: Final = re.compile(r"(?<![\dA-Za-z.])(\d{2,3})(?![\dA-Za-z.])")
_KEY_WORD: Final = re.compile(
    r"(?!^Am\s)(?<![A-Za-z0-9#])([A-G](?:#|b|s(?=[\s_-]|m|min|maj))?)[\s_-]?(major|maj|minor|min|m)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_KEY_LETTER: Final = re.compile(r"(?<=[\s_-])([A-G](?:#|b)?)$")


@dataclass(frozen=True)
class NameHints:
    """What a file name says: ``loop_120bpm_Am`` says 120 BPM and A minor."""

    tempo_bpm: float | None = None
    key: Key | None = None


def hints_from_name(stem: str) -> NameHints:
    """Tempo and key from the name of a file, without folder and suffix.

    ``120bpm``, ``bpm120`` and ``120 BPM`` are believed; a bare number only when it is the only one
    of two or three digits in the name and lies in 60–200. Keys need a mode (``Am``, ``F#min``,
    ``Bb_major``) or stand alone at the end (``…_G#``).
    """
    return NameHints(_tempo_in(stem), _key_in(stem))


def tempo_preference(bpm: float) -> float:
    """How readily listeners take this tempo as the beat (0, 1]."""
    return float(np.exp(-0.5 * (np.log2(bpm / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2))


def estimate_tempo(
    grid: BeatGrid, activation: NDArray[np.float32], *, steady: bool, exact: bool = False
) -> TempoEstimate:
    """The grid's tempo, weighed against the other ways to count.

    Args:
        grid: the beats as they are used.
        activation: (frames at 100 per second, 2).
        steady: the grid has one constant tempo.
        exact: a person or a file format stated the tempo; there is no doubt then.
    """
    bpm = grid.tempo_bpm
    if exact:
        return TempoEstimate(bpm, 1.0, (TempoHypothesis(bpm, 1.0, 1.0),), steady)
    weights = _weights(grid.beats_s, bpm, activation)
    total = sum(weights.values())
    if total <= 0:
        return TempoEstimate(bpm, 0.0, (), steady)
    hypotheses = sorted(
        (TempoHypothesis(bpm * m, m, w / total) for m, w in weights.items()),
        key=lambda hypothesis: -hypothesis.weight,
    )
    return TempoEstimate(bpm, weights[1.0] / total, tuple(hypotheses), steady)


def settle_octave(tracked: TrackedBeats) -> TrackedBeats:
    """Count at half or twice the speed where the activation clearly says so.

    A tracker that follows eighth notes has every second beat weak; one that follows the half bar
    has beats as strong between its own.
    """
    if tracked.beats_s.size < 2 * FEWEST_BEATS:
        return tracked
    bpm = 60.0 / float(np.median(np.diff(tracked.beats_s)))
    weights = _weights(tracked.beats_s, bpm, tracked.activation)
    if weights[0.5] > OVERRULE * weights[1.0] and weights[0.5] >= weights[2.0]:
        return _halved(tracked)
    if weights[2.0] > OVERRULE * weights[1.0]:
        return _doubled(tracked)
    return tracked


def _weights(
    beats_s: NDArray[np.float64], bpm: float, activation: NDArray[np.float32]
) -> dict[float, float]:
    """Comb score times preference for every multiple; none is negative."""
    if activation.shape[0] == 0:
        return dict.fromkeys(MULTIPLES, 0.0)
    strength = widened_strength(activation)
    combs = {multiple: _comb(beats_s, strength, multiple) for multiple in MULTIPLES}
    for multiple in HALF_SHARED:
        combs[multiple] -= combs[1.0] / 2
    return {m: max(comb, 0.0) * tempo_preference(bpm * m) for m, comb in combs.items()}


def _comb(beats_s: NDArray[np.float64], strength: NDArray[np.float32], multiple: float) -> float:
    """Best strength on the beats of this count minus strength halfway between them."""
    spacing = 1.0 / multiple
    last = beats_s.size - 1
    number = np.arange(beats_s.size, dtype=np.float64)
    scores = []
    for start in np.arange(0.0, spacing - 1e-6, 0.5):
        beats = np.arange(start, last + 1e-6, spacing)
        between = beats[:-1] + spacing / 2
        if between.size:
            on, off = (
                strength_at(strength, np.interp(where, number, beats_s)).mean()
                for where in (beats, between)
            )
            scores.append(float(on - off))
    return max(scores, default=0.0)


def widened_strength(activation: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames,) activation of any beat, each frame taking the strongest of its neighbours."""
    strength = np.minimum(activation.sum(axis=1), 1.0)
    wide = strength.copy()
    wide[1:] = np.maximum(wide[1:], strength[:-1])
    wide[:-1] = np.maximum(wide[:-1], strength[1:])
    return np.asarray(wide, dtype=np.float32)


def strength_at(strength: NDArray[np.float32], times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """The strength at each time, 0 outside."""
    frames = np.rint(times_s * ACTIVATION_FPS).astype(np.int64)
    inside = (frames >= 0) & (frames < strength.size)
    return np.where(inside, strength[np.clip(frames, 0, strength.size - 1)], np.float32(0))


def _halved(tracked: TrackedBeats) -> TrackedBeats:
    """Every second beat, the stronger ones; bars hold as many beats as before."""
    strength = strength_at(widened_strength(tracked.activation), tracked.beats_s)
    start = int(strength[1::2].mean() > strength[::2].mean())
    return _recounted(tracked, tracked.beats_s[start::2])


def _doubled(tracked: TrackedBeats) -> TrackedBeats:
    """A beat between every two; bars hold as many beats as before."""
    number = np.arange(2 * tracked.beats_s.size - 1) / 2
    return _recounted(tracked, np.interp(number, np.arange(tracked.beats_s.size), tracked.beats_s))


def _recounted(tracked: TrackedBeats, beats_s: NDArray[np.float64]) -> TrackedBeats:
    """The same music with other beats: the bar line goes where most downbeats were heard."""
    metre = 4
    down = strength_at(tracked.activation[:, 1], beats_s)
    was_down = np.isin(np.round(beats_s, 4), np.round(_downbeats(tracked), 4))
    votes = np.bincount(np.arange(beats_s.size) % metre, weights=down + was_down, minlength=metre)
    positions = (np.arange(beats_s.size) - int(np.argmax(votes))) % metre
    return replace(tracked, beats_s=beats_s, positions=positions, beats_per_bar=metre)


def _downbeats(tracked: TrackedBeats) -> NDArray[np.float64]:
    return np.asarray(tracked.beats_s[tracked.positions == 0])


def _tempo_in(stem: str) -> float | None:
    for pattern in (_BPM_IN_NAME, _BPM_BEFORE):
        found = pattern.search(stem)
        if found:
            bpm = float(found[1].replace(",", "."))
            return bpm if NAME_RANGE_BPM[0] <= bpm <= NAME_RANGE_BPM[1] else None
    numbers = [float(number) for number in _BARE_NUMBER.findall(stem)]
    if len(numbers) == 1 and 60 <= numbers[0] <= 200:
        return numbers[0]
    return None


def _key_in(stem: str) -> Key | None:
    words = _KEY_WORD.findall(stem)
    if words:
        letter, mode = words[-1]
        name = letter[0].upper() + letter[1:].replace("s", "#")
        minor = mode.lower() in ("minor", "min") or mode == "m"
        return _parsed(f"{name} {'minor' if minor else 'major'}")
    alone = _KEY_LETTER.search(stem)
    return _parsed(alone[1]) if alone else None


def _parsed(text: str) -> Key | None:
    try:
        return Key.parse(text)
    except UsageError:
        return None
