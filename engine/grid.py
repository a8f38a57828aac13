"""The beat map of a piece of audio: which second every beat falls on.

A :class:`BeatGrid` covers the whole file. Beat 0 is always a downbeat and lies at or before the
first sample, but for a twentieth of a beat (early beats may have negative times: the lead-in), the
last beat at or after the end. Bar ``k`` is the beats ``[k * beats_per_bar, (k + 1) *
beats_per_bar)``; one metre holds for the whole file. A *beat coordinate* is a float: 4.5 is halfway
between beats 4 and 5, and time runs linearly between neighbouring beats. Outside the map the tempo
of the nearest two beats goes on. Times are seconds, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SLACK_BEATS", "BeatGrid"]

#: A grid covers a file even if its first beat comes this much after the start [beats].
SLACK_BEATS: Final = 0.05


@dataclass(frozen=True, eq=False)
class BeatGrid:
    """Strictly increasing beat times that start on a downbeat.

    Args:
        beats_s: (beats,) seconds, strictly increasing, at least two; ``beats_s[0]`` is a downbeat.
        beats_per_bar: metre [1, 12].
        confidence: how sure the tracker is of these beats [0, 1].
    """

    beats_s: NDArray[np.float64]
    beats_per_bar: int = 4
    confidence: float = 1.0

    def __post_init__(self) -> None:
        beats = np.array(self.beats_s, dtype=np.float64)
        if beats.ndim != 1 or beats.size < 2:
            raise ValueError(f"a beat grid needs two beats or more, got shape {beats.shape}")
        if not np.all(np.isfinite(beats)) or not np.all(np.diff(beats) > 0):
            raise ValueError("beat times must be finite and strictly increasing")
        if not 1 <= self.beats_per_bar <= 12:
            raise ValueError(f"{self.beats_per_bar} beats per bar is outside 1..12")
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence {self.confidence} is outside 0..1")
        beats.flags.writeable = False
        object.__setattr__(self, "beats_s", beats)

    @property
    def intervals(self) -> int:
        """Number of whole beat intervals: one row of beat-grid features each."""
        return self.beats_s.size - 1

    @property
    def bars(self) -> int:
        """Number of whole bars."""
        return self.intervals // self.beats_per_bar

    @property
    def tempo_bpm(self) -> float:
        """Average tempo over the map, robust to a few odd beats (median of 8-beat spans)."""
        span = min(8, self.intervals)
        return float(60.0 * span / np.median(self.beats_s[span:] - self.beats_s[:-span]))

    @property
    def downbeats_s(self) -> NDArray[np.float64]:
        """(bars + 1 or fewer,) seconds of the downbeats."""
        return self.beats_s[:: self.beats_per_bar]

    @overload
    def time_at(self, beat: float) -> float: ...
    @overload
    def time_at(self, beat: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def time_at(self, beat: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Seconds of a beat coordinate."""
        index = np.arange(self.beats_s.size, dtype=np.float64)
        return _interpolate(beat, index, self.beats_s)

    @overload
    def beat_at(self, time_s: float) -> float: ...
    @overload
    def beat_at(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def beat_at(self, time_s: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Beat coordinate of a time in seconds."""
        index = np.arange(self.beats_s.size, dtype=np.float64)
        return _interpolate(time_s, self.beats_s, index)

    def covering(self, start_s: float, end_s: float) -> BeatGrid:
        """The same beats, extended or cut by whole bars so that [start_s, end_s] is covered.

        A bar line that misses an end by less than :data:`SLACK_BEATS` is taken for that end: no
        whole silent bar is added for a tracker's few milliseconds.
        """
        bar = self.beats_per_bar
        first = int(np.floor((self.beat_at(start_s) + SLACK_BEATS) / bar)) * bar
        last = int(np.ceil((self.beat_at(end_s) - SLACK_BEATS) / bar)) * bar
        beats = np.arange(first, max(last, first + bar) + 1, dtype=np.float64)
        return BeatGrid(self.time_at(beats), bar, self.confidence)

    def with_downbeat_at(self, time_s: float) -> BeatGrid:
        """Shift the map by up to half a beat, and its bar lines, so ``time_s`` is a downbeat."""
        nearest = round(self.beat_at(time_s))
        beats = self.beats_s + (time_s - self.time_at(float(nearest)))
        start, end = float(self.beats_s[0]), float(self.beats_s[-1])
        return self._rephased(beats, nearest, start, end)

    def with_metre(self, beats_per_bar: int, *, from_s: float = 0.0) -> BeatGrid:
        """The same beats in bars of another metre; the first bar line from ``from_s`` on stays."""
        start, end = float(self.beats_s[0]), float(self.beats_s[-1])
        first_bar = np.ceil((self.beat_at(from_s) - SLACK_BEATS) / self.beats_per_bar)
        downbeat = max(int(first_bar), 0) * self.beats_per_bar
        counted = BeatGrid(self.beats_s, beats_per_bar, self.confidence)
        return counted._rephased(self.beats_s, downbeat, start, end)

    def doubled(self) -> BeatGrid:
        """Twice the tempo: a beat on every half beat."""
        halves = np.arange(2 * self.intervals + 1, dtype=np.float64) / 2
        return BeatGrid(self.time_at(halves), self.beats_per_bar, self.confidence)

    def halved(self) -> BeatGrid:
        """Half the tempo: every second beat, beginning with beat 0."""
        start, end = float(self.beats_s[0]), float(self.beats_s[-1])
        beats = np.arange(0, self.intervals + 2, 2, dtype=np.float64)
        grid = BeatGrid(self.time_at(beats), self.beats_per_bar, self.confidence)
        return grid.covering(start, end)

    @classmethod
    def constant(
        cls,
        tempo_bpm: float,
        *,
        downbeat_s: float = 0.0,
        start_s: float = 0.0,
        end_s: float,
        beats_per_bar: int = 4,
        confidence: float = 1.0,
    ) -> BeatGrid:
        """A steady grid at ``tempo_bpm`` with a downbeat at ``downbeat_s``."""
        period_s = 60.0 / tempo_bpm
        seed = downbeat_s + period_s * np.arange(beats_per_bar + 1, dtype=np.float64)
        return cls(seed, beats_per_bar, confidence).covering(start_s, end_s)

    def _rephased(
        self, beats_s: NDArray[np.float64], downbeat: int, start_s: float, end_s: float
    ) -> BeatGrid:
        """``beats_s`` with bar lines through index ``downbeat``, covering the given span."""
        flat = BeatGrid(beats_s, 1, self.confidence)
        bar = self.beats_per_bar
        first = int(np.floor((flat.beat_at(start_s) - downbeat + SLACK_BEATS) / bar)) * bar
        last = int(np.ceil((flat.beat_at(end_s) - downbeat - SLACK_BEATS) / bar)) * bar
        first, last = first + downbeat, last + downbeat
        index = np.arange(first, max(last, first + bar) + 1, dtype=np.float64)
        return BeatGrid(flat.time_at(index), bar, self.confidence)


def _interpolate(
    value: ArrayLike, known: NDArray[np.float64], wanted: NDArray[np.float64]
) -> float | NDArray[np.float64]:
    """Piecewise linear map through (known, wanted), continued with the slope of its ends."""
    x = np.asarray(value, dtype=np.float64)
    segment = np.clip(np.searchsorted(known, x, side="right") - 1, 0, known.size - 2)
    low, high = known[segment], known[segment + 1]
    fraction = (x - low) / (high - low)
    result = wanted[segment] + fraction * (wanted[segment + 1] - wanted[segment])
    return float(result) if np.isscalar(value) or x.ndim == 0 else result
