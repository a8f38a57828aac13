"""The neutral record of a project that every writer starts from.

One tempo and metre, audio tracks, clips on them. Positions and lengths are beats (quarter notes) of
the project, places in audio are seconds of the file. A clip's warp says which second of the file
sounds on which of the clip's own beats, beat 0 being the clip's start; between two points time runs
linearly, outside them at the rate of the nearest two. Gains are decibels, transpositions semitones
with cents as the fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.mashup.placement import WarpPoint
from engine.theory import Key, Role

__all__ = ["AudioClip", "AudioFile", "AudioTrack", "Project"]

#: Warp points this close to the steady line count as lying on it [s]: a tenth of a millisecond.
_STEADY_S = 1e-4


@dataclass(frozen=True)
class AudioFile:
    """Audio that the project uses.

    Args:
        path: where it can be read now.
        name: its file name inside the project, unique there.
        frames: length.
        sample_rate: Hz.
        channels: how many.
    """

    path: Path
    name: str
    frames: int
    sample_rate: int
    channels: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class AudioClip:
    """A piece of audio on the timeline.

    Args:
        name: shown on the clip.
        audio: what it plays.
        start_beat: where it begins in the project.
        beats: its length.
        warp: two points or more, both columns strictly increasing.
        semitones: transposition; the fraction is the fine tuning.
        gain_db: of this clip.
        fade_s: length of the fades at both ends, 0 for none.
        lead_beats: silence that belongs to it before it begins, when it repeats.
        tail_beats: the same after its end.
    """

    name: str
    audio: AudioFile
    start_beat: float
    beats: float
    warp: tuple[WarpPoint, ...]
    semitones: float = 0.0
    gain_db: float = 0.0
    fade_s: float = 0.0
    lead_beats: float = 0.0
    tail_beats: float = 0.0

    def __post_init__(self) -> None:
        if self.beats <= 0 or self.start_beat < 0:
            raise ValueError(f"a clip of {self.beats} beats at beat {self.start_beat} is none")
        steps = list(zip(self.warp, self.warp[1:], strict=False))
        if not steps or any(b.source_s <= a.source_s or b.beat <= a.beat for a, b in steps):
            raise ValueError("a warp has two points or more, all of them later than the last")

    def source_at(self, beat: float) -> float:
        """Second of the file that sounds on ``beat`` of the clip."""
        later = sum(point.beat <= beat for point in self.warp[1:-1])
        low, high = self.warp[later], self.warp[later + 1]
        share = (beat - low.beat) / (high.beat - low.beat)
        return low.source_s + share * (high.source_s - low.source_s)

    def is_steady(self, tempo_bpm: float) -> bool:
        """Whether the file runs at its own speed when the project does at ``tempo_bpm``."""
        first = self.warp[0]
        return all(
            abs(point.source_s - first.source_s - (point.beat - first.beat) * 60 / tempo_bpm)
            < _STEADY_S
            for point in self.warp
        )


@dataclass(frozen=True)
class AudioTrack:
    """A track with its clips in order of time; they do not overlap.

    Args:
        name: of the track.
        role: what plays.
        clips: on the timeline.
    """

    name: str
    role: Role
    clips: tuple[AudioClip, ...]

    @property
    def color(self) -> str:
        """``#rrggbb``, the same for the same role everywhere."""
        return _COLORS[self.role]


@dataclass(frozen=True)
class Project:
    """All of it.

    Args:
        name: of the project and its file.
        tempo_bpm: quarter notes per minute.
        beats_per_bar: metre, over quarter notes.
        bars: length.
        tracks: from top to bottom.
        key: of the music, when known.
    """

    name: str
    tempo_bpm: float
    beats_per_bar: int
    bars: int
    tracks: tuple[AudioTrack, ...]
    key: Key | None = None

    @property
    def beats(self) -> int:
        """Length in beats."""
        return self.bars * self.beats_per_bar

    @property
    def files(self) -> Sequence[AudioFile]:
        """Every file once, in order of first use."""
        used = {clip.audio.name: clip.audio for track in self.tracks for clip in track.clips}
        return tuple(used.values())

    def seconds(self, beats: float) -> float:
        """Seconds of the project that so many beats last."""
        return beats * 60.0 / self.tempo_bpm

    def is_steady(self) -> bool:
        """Whether every clip runs at its own speed and pitch."""
        clips = [clip for track in self.tracks for clip in track.clips]
        return all(clip.is_steady(self.tempo_bpm) and clip.semitones == 0 for clip in clips)


_COLORS: dict[Role, str] = {
    "vocals": "#e0559b",
    "harmonic": "#3b82d6",
    "other": "#2fa8a0",
    "bass": "#7a5bd0",
    "drums": "#e8912d",
    "percussion": "#e8912d",
    "mix": "#8a8f98",
}
