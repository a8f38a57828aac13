"""What a plan would take: bytes and seconds, before anything is rendered.

The size follows from the formats: frames times channels times bytes for each file, FLAC at its
usual share of that; each project holds stems and clip once more, or their whole sources, with songs
of a usual length. The time is that of the lines already done here, per second of audio written;
without any, a constant that was measured. Both are estimates: the bars of a clip whose length is
not stated are counted up to whole phrases only when it is analysed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dawlink.batch.plan import PlanLine
from dawlink.daw.maker import Projects
from engine.audio.decode import probe
from engine.errors import DawlinkError

__all__ = ["Estimate", "audio_seconds", "estimate", "pace_of"]

#: Seconds of work for one second of one written track: four bars with two stems, clip and mix
#: (37 s of tracks) took 1.9 s of one core of a shared x86-64 server.
DEFAULT_PACE: Final = 0.05
_BYTES: Final = {"16": 2, "24": 3, "32f": 4}
#: Size of FLAC files of music against WAV of the same depth.
_FLAC_SHARE: Final = 0.65
#: Clips of a higher rate are rendered at a lower one unless it is asked for.
_HIGHEST_RATE_HZ: Final = 96000
#: Channels of stems and mix; the clip keeps its own.
_CHANNELS: Final = 2
#: Of a clip whose metre is not stated.
_BEATS_PER_BAR: Final = 4
#: Length of a usual song [s], and what a second of one channel of its stems takes in a project.
_SONG_S: Final = 200.0
_SOURCE_BYTES: Final = 44_100 * 3


@dataclass(frozen=True)
class Estimate:
    """Files, bytes and seconds of one line; bytes and seconds are None for an unreadable clip."""

    files: int
    size_bytes: int | None
    seconds: float | None


def estimate(line: PlanLine, *, pace: float) -> Estimate:
    """What the line would take.

    Args:
        line: a checked line.
        pace: seconds of work for a second of one written track.
    """
    tracks = _tracks(line)
    files = tracks + (line.top or 1) * (1 + int(line.writing.midi) + _project_files(line))
    try:
        info = probe(line.request.path)
    except DawlinkError:
        return Estimate(files, None, None)
    length_s = _length_s(line, info.duration_s)
    clip_tracks = int(line.writing.clip) * (line.top or 1)
    channels = _CHANNELS * (tracks - clip_tracks) + info.channels * clip_tracks
    rate = line.writing.sample_rate or min(info.sample_rate, _HIGHEST_RATE_HZ)
    per_second = float(rate * _BYTES[line.writing.bit_depth])
    per_second *= _FLAC_SHARE if line.writing.file_format == "flac" else 1.0
    heard = channels - _CHANNELS * int(line.writing.mix) * (line.top or 1)  # projects have no mix
    projects = _projects(line)
    again = len(projects.formats) * heard * length_s * per_second if projects else 0.0
    if projects and projects.deliver == "warped":
        sources_s = len(line.wanted.roles) * _SONG_S * _CHANNELS
        sources_s += info.duration_s * info.channels * int(line.writing.clip)
        again = len(projects.formats) * (line.top or 1) * sources_s * _SOURCE_BYTES
    size = length_s * per_second * channels + again
    return Estimate(files, round(size), round(tracks * length_s * pace, 1))


def audio_seconds(line: PlanLine) -> float | None:
    """Seconds of audio that a line writes, over all its tracks; None for an unreadable clip."""
    try:
        return _tracks(line) * _length_s(line, probe(line.request.path).duration_s)
    except DawlinkError:
        return None


def pace_of(done: Iterable[tuple[PlanLine, float]]) -> float | None:
    """Seconds of work for a second of one written track, from lines and what they took."""
    work, audio = 0.0, 0.0
    for line, seconds in done:
        written_s = audio_seconds(line)
        if written_s:
            work, audio = work + seconds, audio + written_s
    return work / audio if audio else None


def _tracks(line: PlanLine) -> int:
    extra = int(line.writing.clip) + int(line.writing.mix)
    return (len(line.wanted.roles) + extra) * (line.top or 1)


def _projects(line: PlanLine) -> Projects | None:
    made = line.writing.projects
    return made if isinstance(made, Projects) else None


def _project_files(line: PlanLine) -> int:
    """Files in the projects of one suggestion: samples beside a file, or all in one archive."""
    projects = _projects(line)
    tracks = len(line.wanted.roles) + int(line.writing.clip)
    counts = {"dawproject": 1, "alc": 2 * tracks}
    return sum(counts.get(name, tracks + 1) for name in projects.formats) if projects else 0


def _length_s(line: PlanLine, duration_s: float) -> float:
    """Length of each file [s]: the stated bars, else the clip's own length at the new tempo."""
    request, tempo = line.request, line.wanted.tempo_bpm
    if request.bars and (tempo or request.tempo_bpm):
        beats = request.bars * (request.beats_per_bar or _BEATS_PER_BAR)
        return beats * 60.0 / (tempo or request.tempo_bpm or 120.0)
    end_s = duration_s if request.end_s is None else min(request.end_s, duration_s)
    length_s = max(end_s - request.start_s, 0.0)
    return length_s * request.tempo_bpm / tempo if tempo and request.tempo_bpm else length_s
