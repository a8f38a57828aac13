"""Where a stem lies under a clip: which source beat sounds on which beat of the session.

Grid beats count from the first downbeat of the render. A stem is read at ``multiplier`` grid beats
per source beat (2 for a half-time song in a fast session, 0.5 the other way round), starts on one
of its own downbeats, and repeats when it is shorter than the clip:

    source_beat = start_beat + (grid_beat mod loop_beats) / multiplier

with ``loop_beats`` in grid beats. Semitones are signed, gains are decibels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.grid import BeatGrid
from engine.theory import Role

__all__ = ["Placement", "WarpPoint", "loop_bars_for"]


@dataclass(frozen=True)
class WarpPoint:
    """``source_s`` seconds of the source sound on grid beat ``beat``."""

    source_s: float
    beat: float


@dataclass(frozen=True)
class Placement:
    """One stem, ready to be warped under a clip.

    Args:
        stem_id: the stem.
        song_id: its song.
        role: what it plays.
        start_beat: source beat that lands on grid beat 0; a downbeat of the source.
        bars: grid bars that are filled.
        beats_per_bar: metre of the session and of the source.
        loop_bars: grid bars after which the source starts again; ``bars`` if it never does.
        multiplier: grid beats per source beat: 0.5, 1 or 2.
        semitones: transposition [-12, 12]; 0 for drums.
        gain_db: the one gain that the stem gets.
    """

    stem_id: str
    song_id: str
    role: Role
    start_beat: int
    bars: int
    beats_per_bar: int
    loop_bars: int
    multiplier: float = 1.0
    semitones: int = 0
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        if self.bars < 1 or not 1 <= self.loop_bars <= self.bars:
            raise ValueError(f"{self.loop_bars} looped bars cannot fill {self.bars} bars")
        if self.multiplier not in (0.5, 1.0, 2.0):
            raise ValueError(f"multiplier {self.multiplier} is none of 0.5, 1, 2")
        if self.role in ("drums", "percussion") and self.semitones:
            raise ValueError("drums are never transposed")

    @property
    def grid_beats(self) -> int:
        """Length in beats of the session."""
        return self.bars * self.beats_per_bar

    @property
    def loop_beats(self) -> int:
        """Grid beats of one pass through the source."""
        return self.loop_bars * self.beats_per_bar

    @property
    def repeats(self) -> int:
        """How often the source starts, the last time perhaps in part."""
        return -(-self.bars // self.loop_bars)

    @property
    def end_beat(self) -> float:
        """Source beat at which one pass ends."""
        return self.start_beat + self.loop_beats / self.multiplier

    def source_span_s(self, grid: BeatGrid) -> tuple[float, float]:
        """Seconds of the source that one pass takes, on the source's own grid."""
        return grid.time_at(float(self.start_beat)), grid.time_at(self.end_beat)

    def warp(self, grid: BeatGrid) -> tuple[WarpPoint, ...]:
        """One pass as warp points, one per source beat, in the order of the session's beats."""
        source_beats = np.arange(self.start_beat, np.ceil(self.end_beat) + 1, dtype=np.float64)
        source_beats = np.minimum(source_beats, self.end_beat)
        grid_beats = (source_beats - self.start_beat) * self.multiplier
        times: NDArray[np.float64] = grid.time_at(source_beats)
        return tuple(WarpPoint(float(t), float(b)) for t, b in zip(times, grid_beats, strict=True))


def loop_bars_for(available_bars: int, bars: int) -> int:
    """Bars of one pass: all of them if the source is long enough, else the longest power of two.

    Sixteen bars over a source of eleven repeat eight of them: phrases come in powers of two.

    Raises:
        ValueError: the source has not one whole bar.
    """
    if available_bars < 1:
        raise ValueError("a source without one whole bar cannot be placed")
    if available_bars >= bars:
        return bars
    return 1 << (available_bars.bit_length() - 1)
