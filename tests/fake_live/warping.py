"""The sample-to-beat map of a clip, and what Live makes of a file that it has never seen.

A marker ties seconds of the file to beats of the clip; between markers the tempo is constant, and
it goes on beyond the outermost ones. ``warp_markers`` of Live ends with one more, the shadow
marker 1/32 beat after the last, which only says the tempo from there on.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

#: Beats from the last marker to the shadow marker.
SHADOW_BEATS = 0.03125
#: Loops of these lengths are guessed right [bars].
GUESSED_BARS = (1, 2, 4, 8, 16)
#: A loop counts as well cut when it is this near to whole bars at some sensible tempo.
GUESSED_BPM = (70.0, 180.0)
#: What is longer than the longest loop is long, and auto-warped (or left alone) instead.
LONG_BARS = 16
#: Auto-warp is never trusted: here it is always wrong by this much.
AUTO_WARP_ERROR = 1.013


@dataclass(frozen=True)
class WarpMap:
    """Markers (seconds, beats) without the shadow, and the tempo after the last [BPM]."""

    markers: tuple[tuple[float, float], ...]
    last_bpm: float

    def __post_init__(self) -> None:
        if not self.markers:
            raise ValueError("a clip has at least one warp marker")
        for (sec_a, beat_a), (sec_b, beat_b) in pairwise(self.markers):
            if sec_b <= sec_a or beat_b <= beat_a:
                raise ValueError("warp markers rise in both time and beats")

    @property
    def with_shadow(self) -> tuple[tuple[float, float], ...]:
        sec, beat = self.markers[-1]
        return (*self.markers, (sec + SHADOW_BEATS * 60 / self.last_bpm, beat + SHADOW_BEATS))

    def beat_at(self, sec: float) -> float:
        points = self.with_shadow
        index = bisect_right([point[0] for point in points], sec) - 1
        return _on_line(points, index, sec, 0)

    def second_at(self, beat: float) -> float:
        points = self.with_shadow
        index = bisect_right([point[1] for point in points], beat) - 1
        return _on_line(points, index, beat, 1)

    def added(self, sec: float, beat: float) -> WarpMap:
        """One marker more; one on the same beat is replaced."""
        kept = [point for point in self.markers if abs(point[1] - beat) > 1e-9]
        return WarpMap(tuple(sorted([*kept, (sec, beat)])), self.last_bpm)

    def moved(self, beat: float, distance: float) -> WarpMap:
        """The marker on ``beat`` moved along the beats."""
        found = [point for point in self.markers if abs(point[1] - beat) < 1e-6]
        if not found:
            raise ValueError(f"no warp marker on beat {beat}")
        rest = [point for point in self.markers if point is not found[0]]
        moved = (found[0][0], found[0][1] + distance)
        return WarpMap(tuple(sorted([*rest, moved])), self.last_bpm)

    def removed(self, beat: float) -> WarpMap:
        kept = tuple(point for point in self.markers if abs(point[1] - beat) > 1e-6)
        if len(kept) == len(self.markers):
            raise ValueError(f"no warp marker on beat {beat}")
        if len(kept) < 1:
            raise ValueError("the last warp marker cannot be removed")
        return WarpMap(kept, self._end_bpm(kept))

    def _end_bpm(self, kept: tuple[tuple[float, float], ...]) -> float:
        if len(kept) < 2:
            return self.last_bpm
        (sec_a, beat_a), (sec_b, beat_b) = kept[-2:]
        return 60 * (beat_b - beat_a) / (sec_b - sec_a)


def guess(seconds: float, session_bpm: float, beats_per_bar: float, *, auto_warp: bool) -> WarpMap:
    """The map that Live gives a new clip of that length.

    A file of exactly 1, 2, 4, 8 or 16 bars of the session is a loop at the session's tempo.
    Another one that is no longer than 16 bars is taken for the number of bars whose tempo is
    nearest to the session's. A longer one is auto-warped, never quite right, or, without
    "Auto-Warp Long Samples", taken at the session's tempo.
    """
    bar_s = beats_per_bar * 60 / session_bpm
    if seconds > LONG_BARS * bar_s * 1.001:
        bpm = session_bpm * AUTO_WARP_ERROR if auto_warp else session_bpm
        return WarpMap(((0.0, 0.0),), bpm)
    tempi = [bars * beats_per_bar * 60 / seconds for bars in GUESSED_BARS]
    sensible = [bpm for bpm in tempi if GUESSED_BPM[0] <= bpm <= GUESSED_BPM[1]]
    bpm = min(sensible or tempi, key=lambda tempo: abs(math.log(tempo / session_bpm)))
    return WarpMap(((0.0, 0.0),), bpm)


def _on_line(points: tuple[tuple[float, float], ...], index: int, value: float, axis: int) -> float:
    first = min(max(index, 0), len(points) - 2)
    low, high = points[first], points[first + 1]
    share = (value - low[axis]) / (high[axis] - low[axis])
    return low[1 - axis] + share * (high[1 - axis] - low[1 - axis])
