"""DAWproject 1.0 (Bitwig and PreSonus, MIT), read by Bitwig Studio, Studio One and Cubase.

A ZIP of ``project.xml``, ``metadata.xml`` and the audio. Each clip is a ``Clip`` in beats around
``Warps`` that map beats to seconds of its file; transposition and gain are expression ``Points``
beside them. Ids count up in document order and the archive carries no clock, so the same project
gives the same bytes. Audio is stored as it is: it would hardly get smaller.
"""

from __future__ import annotations

import zipfile
from itertools import count
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dawlink import __version__
from dawlink.daw.project import AudioClip, AudioTrack, Project

__all__ = ["DawprojectWriter"]

#: Earliest time a ZIP can state; the real one would make every archive different.
_NO_DATE: Final = (1980, 1, 1, 0, 0, 0)
#: Range of the faders: +6 dB, as DAWs draw them.
_LOUDEST: Final = 2.0
_AUDIO: Final = "audio"


class DawprojectWriter:
    """A :class:`~dawlink.daw.writer.ProjectWriter` for ``.dawproject``."""

    name = "dawproject"
    warps = True

    def entry(self, project_name: str) -> str:
        """See :class:`~dawlink.daw.writer.ProjectWriter`: one archive."""
        return f"{project_name}.dawproject"

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """See :class:`~dawlink.daw.writer.ProjectWriter`."""
        name = Path(self.entry(project.name))
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, root in (
                ("project.xml", _Document(project).root()),
                ("metadata.xml", _metadata(project)),
            ):
                indent(root)
                text = tostring(root, encoding="UTF-8", xml_declaration=True)
                archive.writestr(_member(member), text, zipfile.ZIP_DEFLATED)
            for audio in project.files:
                with (
                    audio.path.open("rb") as source,
                    archive.open(_member(f"{_AUDIO}/{audio.name}"), "w") as target,
                ):
                    while block := source.read(1 << 20):
                        target.write(block)
        return (name,)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _NO_DATE)


def _metadata(project: Project) -> Element:
    root = Element("MetaData")
    SubElement(root, "Title").text = project.name
    return root


class _Document:
    """``project.xml`` of one project; hands out ids in document order."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._numbers = count()

    def root(self) -> Element:
        root = Element("Project", version="1.0")
        SubElement(root, "Application", name="dawlink", version=__version__)
        self._transport(root)
        structure = SubElement(root, "Structure")
        master = self._id()
        tracks = [self._track(structure, track, master) for track in self._project.tracks]
        self._channel(_track_element(structure, self._id(), "Master"), master, "master")
        lanes = SubElement(
            SubElement(root, "Arrangement", id=self._id()),
            "Lanes",
            timeUnit="beats",
            id=self._id(),
        )
        for track, track_id in zip(self._project.tracks, tracks, strict=True):
            lane = SubElement(lanes, "Lanes", track=track_id, id=self._id())
            clips = SubElement(lane, "Clips", id=self._id())
            for clip in track.clips:
                self._clip(clips, clip)
        SubElement(root, "Scenes")
        return root

    def _transport(self, root: Element) -> None:
        transport = SubElement(root, "Transport")
        tempo = {"unit": "bpm", "value": _number(self._project.tempo_bpm)}
        SubElement(transport, "Tempo", tempo, id=self._id(), name="Tempo", min="20", max="666")
        metre = {"numerator": str(self._project.beats_per_bar), "denominator": "4"}
        SubElement(transport, "TimeSignature", metre, id=self._id())

    def _track(self, structure: Element, track: AudioTrack, master: str) -> str:
        track_id = self._id()
        element = _track_element(structure, track_id, track.name, color=track.color)
        self._channel(element, self._id(), "regular", destination=master)
        return track_id

    def _channel(self, track: Element, channel_id: str, role: str, **more: str) -> None:
        channel = SubElement(
            track, "Channel", more, id=channel_id, role=role, audioChannels="2", solo="false"
        )
        SubElement(channel, "Mute", value="false", id=self._id(), name="Mute")
        pan = {"unit": "normalized", "min": "0", "max": "1", "value": "0.5"}
        SubElement(channel, "Pan", pan, id=self._id(), name="Pan")
        volume = {"unit": "linear", "min": "0", "max": _number(_LOUDEST), "value": "1"}
        SubElement(channel, "Volume", volume, id=self._id(), name="Volume")

    def _clip(self, clips: Element, clip: AudioClip) -> None:
        fade = _number(clip.fade_s * self._project.tempo_bpm / 60.0)
        element = SubElement(
            clips,
            "Clip",
            time=_number(clip.start_beat),
            duration=_number(clip.beats),
            playStart="0.0",
            contentTimeUnit="beats",
            fadeTimeUnit="beats",
            fadeInTime=fade,
            fadeOutTime=fade,
            name=clip.name,
        )
        lanes = element
        if clip.semitones or clip.gain_db:
            lanes = SubElement(element, "Lanes", id=self._id())
        self._warps(lanes, clip)
        if clip.semitones:
            self._expression(lanes, "transpose", "semitones", clip.semitones)
        if clip.gain_db:
            self._expression(lanes, "gain", "linear", 10 ** (clip.gain_db / 20))

    def _warps(self, parent: Element, clip: AudioClip) -> None:
        warps = SubElement(
            parent, "Warps", timeUnit="beats", contentTimeUnit="seconds", id=self._id()
        )
        audio = SubElement(
            warps,
            "Audio",
            algorithm="stretch",
            channels=str(clip.audio.channels),
            duration=_number(clip.audio.duration_s),
            sampleRate=str(clip.audio.sample_rate),
            id=self._id(),
        )
        SubElement(audio, "File", path=f"{_AUDIO}/{clip.audio.name}")
        for point in clip.warp:
            place = {"time": _number(point.beat), "contentTime": _number(point.source_s)}
            SubElement(warps, "Warp", place)

    def _expression(self, lanes: Element, name: str, unit: str, value: float) -> None:
        points = SubElement(lanes, "Points", unit=unit, id=self._id())
        SubElement(points, "Target", expression=name)
        SubElement(points, "RealPoint", time="0", value=_number(value), interpolation="hold")

    def _id(self) -> str:
        return f"id{next(self._numbers)}"


def _track_element(structure: Element, track_id: str, name: str, **more: str) -> Element:
    attributes = {"contentType": "audio", "loaded": "true", "id": track_id, "name": name}
    return SubElement(structure, "Track", attributes, **more)


def _number(value: float) -> str:
    """Shortest text that reads back as the same number."""
    return repr(float(value))
