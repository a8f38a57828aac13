"""The clip that a producer asks for: where its beats are, what key it is in, how many bars it is.

A voice alone is the hardest thing to find beats in, so what is known comes first: what a person
says, then the beat map of the library's song that the clip is (or is cut from), then tempo and key
in the file's name, and only then the tracker. The bars of a clip begin on its first downbeat; an
upbeat that is sung before it makes the bar before it the first one, so nothing is lost. A pickup of
less than a third of a beat gets that bar only when it is as loud as a note: breath and consonants
are not worth one. As much after the last bar line is a tail, and gets none. Bars are counted up to
a multiple of four once there are more than two: phrases come that way.

A DAW that warps the clip knows its beats already: its map of seconds to beats is used as it is, and
so is the length of its region.

Times are seconds of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import KeyEstimate
from engine.clips.region import OVERHANG_BEATS, is_whole_bars
from engine.errors import UsageError
from engine.grid import BeatGrid
from engine.models.ranker import ClipFeatures
from engine.naming import without_tempo_and_key
from engine.theory import Key, check_metre

__all__ = ["BeatMap", "ClipAnalysis", "ClipRequest", "ClipSource"]

#: A warp marker this close to a whole beat says nothing that the beat does not [beats].
LEAST_MARKER_BEATS: Final = 0.02
#: Longest region that a map may have [beats]: an hour at 120 BPM.
MOST_BEATS: Final = 7200


#: A downbeat is stated at most so far from the beginning of the file [s]: a day.
_FARTHEST_DOWNBEAT_S: Final = 86_400.0


@dataclass(frozen=True)
class BeatMap:
    """A warped clip as its DAW has it: where its beats lie in the file, and which of them play.

    A region of whole bars is a loop and begins on a bar line; otherwise bar lines are those of the
    DAW's own ruler, the multiples of a bar.

    Args:
        points: (seconds of the file, beat) of the warp markers, two or more, rising in both.
        start_beat: where the region begins.
        end_beat: where it ends.
        beats_per_bar: of the session [1, 12].
    """

    points: tuple[tuple[float, float], ...]
    start_beat: float
    end_beat: float
    beats_per_bar: int = 4

    def __post_init__(self) -> None:
        known = np.array(self.points, dtype=np.float64)
        if known.ndim != 2 or known.shape[0] < 2 or not np.all(np.isfinite(known)):
            raise _bad_map("A beat map needs two points or more, all of them numbers.")
        if not np.all(np.diff(known, axis=0) > 0):
            raise _bad_map("The points of a beat map must rise in seconds and in beats.")
        if not 1 <= self.end_beat - self.start_beat <= MOST_BEATS:
            raise _bad_map(
                f"A region from beat {self.start_beat:g} to {self.end_beat:g} is not valid."
            )
        if self.time_at(self.end_beat) <= 0:
            raise _bad_map("The clip's region ends before its file begins.")

    def time_at(self, beat: float) -> float:
        """Seconds of the file at which a beat of the clip lies; may be negative."""
        return float(self._times(np.array([beat]))[0])

    @property
    def first_beat(self) -> float:
        """The beat on which bar 1 begins, at or before the region's start."""
        bar = self.beats_per_bar
        if self._whole:
            return self.start_beat
        return float(np.floor((self.start_beat + OVERHANG_BEATS) / bar) * bar)

    @property
    def bars(self) -> int:
        """Whole bars from :attr:`first_beat` that the region needs."""
        beats = self.end_beat - self.first_beat
        overhang = 0.5 if self._whole else OVERHANG_BEATS
        return max(int(np.ceil((beats - overhang) / self.beats_per_bar)), 1)

    def grid(self, bars: int | None = None) -> BeatGrid:
        """The beats of the region's bars, in seconds of the file."""
        count = bars or self.bars
        beats = self.first_beat + np.arange(count * self.beats_per_bar + 1, dtype=np.float64)
        return BeatGrid(self._times(beats), self.beats_per_bar)

    def warp(self, bars: int) -> tuple[tuple[float, float], ...]:
        """(seconds, beats from :attr:`first_beat`): whole beats, and the markers between them."""
        beats = np.arange(bars * self.beats_per_bar + 1, dtype=np.float64)
        markers = np.array([beat for _, beat in self.points]) - self.first_beat
        between = markers[(markers > 0) & (markers < beats[-1])]
        near = np.abs(between - np.round(between)) < LEAST_MARKER_BEATS
        placed = np.unique(np.concatenate([beats, between[~near]]))
        times = self._times(placed + self.first_beat)
        return tuple((float(t), float(b)) for t, b in zip(times, placed, strict=True))

    @property
    def _whole(self) -> bool:
        return is_whole_bars(self.end_beat - self.start_beat, self.beats_per_bar)

    def _times(self, beats: NDArray[np.float64]) -> NDArray[np.float64]:
        """Piecewise linear through the points, continued with the slope of the ends."""
        known = np.array(self.points, dtype=np.float64)
        at = np.clip(np.searchsorted(known[:, 1], beats, side="right") - 1, 0, len(known) - 2)
        low, high = known[at], known[at + 1]
        share = (beats - low[:, 1]) / (high[:, 1] - low[:, 1])
        return np.asarray(low[:, 0] + share * (high[:, 0] - low[:, 0]))


def _bad_map(message: str) -> UsageError:
    return UsageError(
        message,
        hint="Send every warp marker as seconds of the file and beat, in rising order.",
        code="bad_beat_map",
    )


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
        beat_map: the DAW's own beats of a warped clip; start and end follow from it.
        gain_db: what the DAW turns the clip up by [-70, 24].
        beats_per_bar: the metre, when known [2, 12]; ``beat_map`` has its own.
        counted_so: ``tempo_bpm`` says how beats are counted, whatever the session's tempo; else
            the octave nearest to the session is taken.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    tempo_bpm: float | None = None
    downbeat_s: float | None = None
    key: Key | None = None
    bars: int | None = None
    beat_map: BeatMap | None = None
    gain_db: float = 0.0
    beats_per_bar: int | None = None
    counted_so: bool = False

    @classmethod
    def warped(
        cls, path: Path, beat_map: BeatMap, *, key: Key | None = None, gain_db: float = 0.0
    ) -> ClipRequest:
        """The region of ``beat_map``, as far as the file reaches."""
        return cls(
            path=path,
            start_s=max(beat_map.time_at(beat_map.start_beat), 0.0),
            end_s=beat_map.time_at(beat_map.end_beat),
            key=key,
            beat_map=beat_map,
            gain_db=gain_db,
        )

    def __post_init__(self) -> None:
        end_s = self.end_s
        if not (np.isfinite(self.start_s) and self.start_s >= 0) or (
            end_s is not None and not (np.isfinite(end_s) and end_s > self.start_s)
        ):
            raise UsageError(
                f"A clip from {self.start_s:g} s to "
                f"{'its end' if end_s is None else f'{end_s:g} s'} is not valid.",
                hint="Give --start and --end in seconds of the file, start before end.",
                code="bad_region",
            )
        if self.tempo_bpm is not None and not 20 <= self.tempo_bpm <= 400:
            raise UsageError(
                f"A clip tempo of {self.tempo_bpm:g} BPM is outside 20..400 BPM.",
                hint="Give beats per minute.",
                code="bad_tempo",
            )
        if self.downbeat_s is not None and not abs(self.downbeat_s) <= _FARTHEST_DOWNBEAT_S:
            raise UsageError(
                f"A downbeat at {self.downbeat_s:g} s is not valid.",
                hint="Give --clip-downbeat in seconds of the file.",
                code="bad_downbeat",
            )
        if self.beats_per_bar is not None:
            check_metre(self.beats_per_bar)
        if self.bars is not None and not 1 <= self.bars <= 1024:
            raise UsageError(
                f"{self.bars} bars are outside 1..1024.",
                hint="Leave --bars out to take what the clip has.",
                code="bad_bars",
            )
        if not -70 <= self.gain_db <= 24:
            raise UsageError(
                f"A clip gain of {self.gain_db:g} dB is outside -70..24 dB.",
                hint="Give decibels, 0 for none.",
                code="bad_gain",
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
        metre_known: a person, the DAW or the library's song says how many beats a bar has.
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
    metre_known: bool = True

    @property
    def title(self) -> str:
        """The file's name without its ending, and without the tempo and key stated in it."""
        return without_tempo_and_key(self.request.path.stem)

    @property
    def downbeat_s(self) -> float:
        """Second of the file on which bar 1 begins; before the start when there is an upbeat."""
        return float(self.grid.beats_s[0])

    @property
    def warp(self) -> tuple[tuple[float, float], ...]:
        """(seconds of the file, beat from bar 1) along which the clip is played."""
        if self.request.beat_map is not None:
            return self.request.beat_map.warp(self.bars)
        return tuple((float(time_s), float(beat)) for beat, time_s in enumerate(self.grid.beats_s))

    def offset_beats(self, session_tempo_bpm: float) -> float:
        """Session beats from the start of the clip's region to bar 1; negative with an upbeat.

        A clip that its DAW does not warp plays in its own time, so seconds count.
        """
        beat_map = self.request.beat_map
        if beat_map is not None:
            return beat_map.first_beat - beat_map.start_beat
        return (self.downbeat_s - self.request.start_s) * session_tempo_bpm / 60.0

    def louder(self, gain_db: float) -> ClipAnalysis:
        """The same clip, turned up."""
        if gain_db == 0:
            return self
        rows = self.rows.copy()
        rows["bands"] = rows["bands"].astype(np.float32) * np.float32(10 ** (gain_db / 20))
        return replace(self, rows=rows, peak_db=self.peak_db + gain_db)

    def features(self, *, transpose: int, key_profile: NDArray[np.float32] | None) -> ClipFeatures:
        """The clip as a ranker wants it."""
        return ClipFeatures(
            rows=self.rows,
            active=self.active,
            beats_per_bar=self.grid.beats_per_bar,
            transpose=transpose,
            key_profile=key_profile,
        )
