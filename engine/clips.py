"""The clip that a producer asks for: where its beats are, what key it is in, how many bars it is.

A voice alone is the hardest thing to find beats in, so what is known comes first: what a person
says, then the beat map of the library's song that the clip is (or is cut from), then tempo and key
in the file's name, and only then the tracker. The bars of a clip begin on its first downbeat; an
upbeat that is sung before it makes the bar before it the first one, so nothing is lost. Bars are
counted up to a multiple of four once there are more than two: phrases come that way.

Times are seconds of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import KeyEstimate
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from engine.grid import BeatGrid
from engine.models.ranker import ClipFeatures
from engine.naming import without_tempo_and_key
from engine.theory import Key

__all__ = ["ClipAnalysis", "ClipRequest", "ClipSource", "bars_of_region"]

#: A clip may reach this far over a bar line before another bar is counted [beats].
OVERHANG_BEATS: Final = 0.3
#: An upbeat shorter than this is breath and attack, not music that needs a bar [beats].
LEAST_UPBEAT_BEATS: Final = 0.3


@dataclass(frozen=True)
class ClipRequest:
    """Which part of which file, and what a person knows about it.

    Args:
        path: the audio file.
        start_s: where the clip begins [0, end_s).
        end_s: where it ends; the end of the file when None.
        tempo_bpm: the clip's own tempo, when known.
        downbeat_s: second of the file on which a bar of the clip begins, when known.
        key: the clip's own key, when known.
        bars: how many bars to take; counted when None.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    tempo_bpm: float | None = None
    downbeat_s: float | None = None
    key: Key | None = None
    bars: int | None = None

    def __post_init__(self) -> None:
        end_s = self.end_s
        if not (np.isfinite(self.start_s) and self.start_s >= 0) or (
            end_s is not None and not (np.isfinite(end_s) and end_s > self.start_s)
        ):
            raise UsageError(
                f"A clip from {self.start_s:g} s to "
                f"{'its end' if end_s is None else f'{end_s:g} s'} cannot be meant.",
                hint="Give --start and --end in seconds of the file, start before end.",
                code="bad_region",
            )
        if self.tempo_bpm is not None and not 20 <= self.tempo_bpm <= 400:
            raise UsageError(
                f"A clip tempo of {self.tempo_bpm:g} BPM is outside 20..400 BPM.",
                hint="Give beats per minute.",
                code="bad_tempo",
            )
        if self.bars is not None and not 1 <= self.bars <= 1024:
            raise UsageError(
                f"{self.bars} bars are outside 1..1024.",
                hint="Leave --bars out to take what the clip has.",
                code="bad_bars",
            )


@dataclass(frozen=True)
class ClipSource:
    """The library's song that a clip comes from.

    Args:
        song_id: the song.
        offset_s: second of the song at which the clip's file begins.
        exact: the file itself is in the library, rather than recognised by its sound.
    """

    song_id: str
    offset_s: float
    exact: bool


@dataclass(frozen=True, eq=False)
class ClipAnalysis:
    """A clip on its beats.

    Args:
        request: what was asked for.
        end_s: where the clip ends.
        grid: beat map in seconds of the file; beat 0 is the first downbeat of the clip's bars.
        bars: whole bars.
        tempo_bpm: of the clip.
        key: as estimated or stated.
        tuning_cents: deviation from A = 440 Hz.
        rows: (bars * beats_per_bar,) of BEAT_ROW.
        active: (bars * beats_per_bar,) bool.
        peak_db: true peak of the region.
        sources: songs of the library that the clip comes from, the surest first.
        sha256: of the file's bytes.
        method: what the beat map rests on: "person", "library", "name" or a tracker's name.
        notes: sentences for the person.
    """

    request: ClipRequest
    end_s: float
    grid: BeatGrid
    bars: int
    tempo_bpm: float
    key: KeyEstimate
    tuning_cents: float
    rows: NDArray[np.void]
    active: NDArray[np.bool_]
    peak_db: float
    sources: tuple[ClipSource, ...]
    sha256: str
    method: str
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The file's name without its ending, and without the tempo and key stated in it."""
        return without_tempo_and_key(self.request.path.stem)

    @property
    def downbeat_s(self) -> float:
        """Second of the file on which bar 1 begins; before the start when there is an upbeat."""
        return float(self.grid.beats_s[0])

    def features(self, *, transpose: int, key_profile: NDArray[np.float32] | None) -> ClipFeatures:
        """The clip as a ranker wants it."""
        return ClipFeatures(
            rows=self.rows,
            active=self.active,
            beats_per_bar=self.grid.beats_per_bar,
            transpose=transpose,
            key_profile=key_profile,
        )


def bars_of_region(
    grid: BeatGrid, start_s: float, end_s: float, *, upbeat: bool, bars: int | None = None
) -> BeatGrid:
    """The part of ``grid`` that a region fills, in whole bars from its first downbeat.

    Args:
        grid: covers the region.
        start_s: beginning of the region.
        end_s: end of the region.
        upbeat: whether what lies before the first downbeat is worth a bar.
        bars: how many bars to take; counted when None.
    """
    bar = grid.beats_per_bar
    start, end = grid.beat_at(start_s), grid.beat_at(end_s)
    first = int(np.ceil(start / bar - OVERHANG_BEATS / bar))
    if upbeat and first * bar - start >= LEAST_UPBEAT_BEATS:
        first -= 1
    count = bars or _whole_phrases(int(np.ceil((end - first * bar - OVERHANG_BEATS) / bar)))
    beats = np.arange(first * bar, (first + count) * bar + 1, dtype=np.float64)
    return replace(grid, beats_s=grid.time_at(beats))


def upbeat_sounds(waveform: Waveform, region_start_s: float, downbeat_s: float) -> bool:
    """Whether the region sounds between its start and its first downbeat.

    Args:
        waveform: the region's audio.
        region_start_s: second of the file at which it begins.
        downbeat_s: second of the file of the first downbeat in it.
    """
    frames = round((downbeat_s - region_start_s) * waveform.sample_rate)
    if frames <= 0:
        return False
    upbeat = float(np.sqrt(np.mean(np.square(waveform.samples[:, :frames]))))
    whole = float(np.sqrt(np.mean(np.square(waveform.samples))))
    return upbeat > 0.1 * whole  # 20 dB under the average is breath and room


def _whole_phrases(bars: int) -> int:
    """Up to two bars as they are, then multiples of four."""
    bars = max(bars, 1)
    return bars if bars <= 2 else -(-bars // 4) * 4
