"""Which beat is which: a tracker's beats with whole numbers, its slips repaired.

Trackers miss a beat, insert one, or follow the off-beat through a breakdown and slide back. Where
one constant tempo runs through most of the beats, that line itself is the count, and no slip can
disturb it (:func:`constant_beats`). Otherwise the count walks along the beats with a slowly
adapting period (:func:`number_beats`). Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["NumberedBeats", "constant_beats", "number_beats", "typical_period"]

#: A constant tempo is looked for within this share of the typical one. Beats within PHASE_SHARE of
#: a beat lie on it; it is believed when this many lie on it, and this many on it or halfway between
#: (beats of no constant tempo would give 0.16 and 0.32).
PERIOD_SEARCH: Final = 0.015
PHASE_SHARE: Final = 0.08
LEAST_ON: Final = 0.4
LEAST_ON_OR_OFF: Final = 0.75
#: Of a very long recording about this many beats are looked at; more would take much memory.
MOST_SAMPLED: Final = 1000


@dataclass(frozen=True, eq=False)
class NumberedBeats:
    """Beats with whole numbers: ``numbers`` may skip where the tracker missed a beat."""

    beats_s: NDArray[np.float64]
    numbers: NDArray[np.int64]


def constant_beats(beats_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The beats of one constant tempo, if most tracked beats lie on it or halfway between.

    A tracker that loses the beat of a steady song comes back to it, or to the off-beat, sooner or
    later; a tempo that drifts spreads the beats over all phases.

    Returns:
        (n,) seconds from the first to the last tracked beat, or None.
    """
    middle = typical_period(beats_s)
    finest = 0.05 / beats_s.size
    steps = round(PERIOD_SEARCH / finest)
    periods = middle * (1 + finest * np.arange(-steps, steps + 1))
    sample = beats_s[:: max(beats_s.size // MOST_SAMPLED, 1)]
    turns = np.exp(2j * np.pi * sample[None, :] / periods[:, None])
    best = int(np.argmax(np.abs(turns.mean(axis=1)) + np.abs((turns**2).mean(axis=1))))
    period = float(periods[best])
    phase = sample / period % 1.0
    distance = np.abs((phase[:, None] - phase[None, :] + 0.5) % 1.0 - 0.5)
    on = (distance < PHASE_SHARE).mean(axis=0)
    off = (distance > 0.5 - PHASE_SHARE).mean(axis=0)
    chosen = int(np.argmax(on))
    if on[chosen] < LEAST_ON or on[chosen] + off[chosen] < LEAST_ON_OR_OFF:
        return None
    start = float(sample[chosen])
    first, last = (round((edge - start) / period) for edge in (beats_s[0], beats_s[-1]))
    return np.asarray(start + period * np.arange(first, last + 1))


def number_beats(beats_s: NDArray[np.float64]) -> NumberedBeats:
    """Give every beat a whole number, with gaps and half-beat jumps repaired.

    Walking along the beats, every step is read as 0.5, 1, 1.5, 2 … periods of a slowly adapting
    period. Beats that end up between numbers (the minority) are the off-beats of a passage that
    the tracker heard half a beat late: the midpoints between them are the beats.
    """
    period = typical_period(beats_s)
    steps = np.empty(beats_s.size)
    steps[0] = 0.0
    for i in range(1, beats_s.size):
        ratio = (beats_s[i] - beats_s[i - 1]) / period
        near_whole = abs(ratio - round(ratio)) < 0.3
        steps[i] = round(ratio) if near_whole else np.floor(ratio) + 0.5
        if steps[i] > 0 and abs(ratio / steps[i] - 1) < 0.1:
            period *= (ratio / steps[i]) ** 0.2
    position = np.cumsum(steps)
    off = np.abs(position - np.rint(position)) > 0.25
    if off.mean() > 0.5:
        position, off = position + 0.5, ~off
    between = np.flatnonzero(off[1:] & off[:-1] & (np.diff(position) == 1))
    numbers = np.concatenate([position[~off], position[between] + 0.5])
    times = np.concatenate([beats_s[~off], (beats_s[between] + beats_s[between + 1]) / 2])
    whole, first = np.unique(np.rint(numbers).astype(np.int64), return_index=True)
    keep = np.concatenate([[True], np.diff(times[first]) > 0])
    return NumberedBeats(times[first][keep], whole[keep] - whole[0])


def typical_period(beats_s: NDArray[np.float64]) -> float:
    """Median period over spans of four beats: the 10 ms raster averages out."""
    span = min(4, beats_s.size - 1)
    return float(np.median(beats_s[span:] - beats_s[:-span]) / span)
