"""REAPER's project text (``.rpp``): one item per clip, stretch markers where a clip is warped.

Positions are seconds. A warped item reads a ``SECTION`` of its file that begins where the clip
does, so that item position 0 and section second 0 are the same place and each stretch marker ``SM``
is (second of the item, second of the section). The item keeps its beats when the tempo changes
(timebase 1). Track and item ids are hashes of what they name: the same project, the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dawlink.daw.project import AudioClip, AudioTrack, Project
from dawlink.daw.writer import collect_audio

__all__ = ["ReaperWriter"]

_MEDIA: Final = "Media"
#: Namespace of the ids, any fixed one.
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:dawlink:reaper")
_SOURCES: Final = {".wav": "WAVE", ".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS"}


class ReaperWriter:
    """A :class:`~dawlink.daw.writer.ProjectWriter` for ``.rpp``."""

    name = "rpp"
    warps = True

    def entry(self, project_name: str) -> str:
        """See :class:`~dawlink.daw.writer.ProjectWriter`: a folder with the media beside."""
        return f"{project_name} (REAPER)"

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """See :class:`~dawlink.daw.writer.ProjectWriter`."""
        entry = Path(self.entry(project.name))
        collect_audio(project, folder / entry / _MEDIA)
        name = entry / f"{project.name}.rpp"
        text = "\n".join(_lines(project)) + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        return (name,)


def _lines(project: Project) -> Iterator[str]:
    rate = max((audio.sample_rate for audio in project.files), default=44100)
    yield '<REAPER_PROJECT 0.1 "7.0" 0'
    yield f"  TEMPO {_number(project.tempo_bpm)} {project.beats_per_bar} 4"
    yield f"  SAMPLERATE {rate} 0 0"
    for number, track in enumerate(project.tracks):
        yield from _indented(_track(project, track, number))
    yield ">"


def _track(project: Project, track: AudioTrack, number: int) -> Iterator[str]:
    yield f"<TRACK {_guid(project.name, 'track', number)}"
    yield f"  NAME {_quoted(track.name)}"
    yield f"  PEAKCOL {_color(track.color)}"
    yield "  VOLPAN 1 0 -1 -1 1"
    for place, clip in enumerate(track.clips):
        guid = _guid(project.name, "item", number, place)
        yield from _indented(_item(project, clip, guid))
    yield ">"


def _item(project: Project, clip: AudioClip, guid: str) -> Iterator[str]:
    length = project.seconds(clip.beats)
    yield "<ITEM"
    yield f"  POSITION {_number(project.seconds(clip.start_beat))}"
    yield f"  LENGTH {_number(length)}"
    yield "  LOOP 0"
    yield "  BEAT 1"
    yield f"  FADEIN 1 {_number(clip.fade_s)} 0"
    yield f"  FADEOUT 1 {_number(clip.fade_s)} 0"
    yield f"  IGUID {guid}"
    yield f"  NAME {_quoted(clip.name)}"
    yield f"  VOLPAN {_number(10 ** (clip.gain_db / 20))} 0 1 -1"
    first_s = clip.source_at(0.0)
    steady = clip.is_steady(project.tempo_bpm)
    yield f"  SOFFS {_number(max(first_s, 0.0) if steady else 0.0)}"
    yield f"  PLAYRATE 1 1 {_number(clip.semitones)} -1 0 0.0025"
    if steady:
        yield from _indented(_file(clip))
    else:
        yield f"  SM {' + '.join(_markers(project, clip))}"
        yield "  <SOURCE SECTION"
        yield f"    LENGTH {_number(clip.source_at(clip.beats) - first_s)}"
        yield f"    STARTPOS {_number(first_s)}"
        yield "    OVERLAP 0.01"
        yield from _indented(_indented(_file(clip)))
        yield "  >"
    yield ">"


def _markers(project: Project, clip: AudioClip) -> Iterator[str]:
    """Stretch markers on the clip's edges and on every warp point between them."""
    first_s = clip.source_at(0.0)
    inside = [point.beat for point in clip.warp if 0 < point.beat < clip.beats]
    for beat in (0.0, *inside, clip.beats):
        yield f"{_number(project.seconds(beat))} {_number(clip.source_at(beat) - first_s)}"


def _file(clip: AudioClip) -> Iterator[str]:
    kind = _SOURCES.get(Path(clip.audio.name).suffix.lower(), "WAVE")
    yield f"<SOURCE {kind}"
    yield f"  FILE {_quoted(f'{_MEDIA}/{clip.audio.name}')}"
    yield ">"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _quoted(text: str) -> str:
    """REAPER knows three quotation marks and no escapes."""
    text = " ".join(text.split())
    for mark in ('"', "'", "`"):
        if mark not in text:
            return f"{mark}{text}{mark}"
    return "`" + text.replace("`", "'") + "`"


def _color(color: str) -> int:
    """REAPER's native colour: blue, green, red bytes under a flag that says a colour is set."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return 0x1000000 | blue << 16 | green << 8 | red


def _guid(*names: object) -> str:
    return f"{{{str(uuid.uuid5(_IDS, '/'.join(map(str, names)))).upper()}}}"


def _number(value: float) -> str:
    """Nanoseconds are finer than a sample; no exponent, which REAPER would not read."""
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"
