"""Ardour 7 sessions: a folder with ``NAME.ardour`` and the audio under ``interchange``.

Times are superclocks, 282 240 000 a second, which every usual sample rate divides: ``a<n>`` in
audio time. Every track is stereo: a mono file feeds both sides, as in the mix that dawlink writes,
because Ardour's panner would take 3 dB off it. Ardour has no warp markers, so it plays rendered
files only. Regions have no fades unless the clip asks for them: the default would blunt the first
attack. Ids count up in document order. What Ardour makes by itself when it is missing (processors,
panners, automation) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dawlink.daw.project import AudioClip, AudioTrack, Project
from dawlink.daw.writer import collect_audio
from engine.errors import UsageError

__all__ = ["SUPERCLOCKS", "ArdourWriter"]

#: Superclocks per second.
SUPERCLOCKS: Final = 282_240_000
#: Of the session format that is written.
_VERSION: Final = "7002"
_SIDES: Final = (1, 2)
_DEFAULT_RATE: Final = 44100


class ArdourWriter:
    """A :class:`~dawlink.daw.writer.ProjectWriter` for Ardour."""

    name = "ardour"
    warps = False

    def entry(self, project_name: str) -> str:
        """See :class:`~dawlink.daw.writer.ProjectWriter`: the session folder."""
        return f"{project_name} (Ardour)"

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """See :class:`~dawlink.daw.writer.ProjectWriter`.

        Raises:
            UsageError: a clip is warped or transposed, or the files have several rates.
        """
        rates = {audio.sample_rate for audio in project.files} or {_DEFAULT_RATE}
        if not project.is_steady() or len(rates) > 1:
            raise UsageError(
                "Ardour plays files as they are, at one sample rate.",
                hint="Use --deliver rendered.",
                code="not_warpable",
            )
        entry = Path(self.entry(project.name))
        session = project.name
        collect_audio(project, folder / entry / "interchange" / session / "audiofiles")
        root = _Session(project, rates.pop()).root()
        indent(root)
        name = entry / f"{session}.ardour"
        (folder / name).write_bytes(tostring(root, encoding="UTF-8", xml_declaration=True))
        return (name,)


class _Session:
    """The session file of one project; hands out ids in document order."""

    def __init__(self, project: Project, sample_rate: int) -> None:
        self._project = project
        self._rate = sample_rate
        self._ids = count(1)
        self._sources: dict[tuple[str, int], str] = {}

    def root(self) -> Element:
        project = self._project
        root = Element("Session", {"version": _VERSION, "name": project.name})
        root.set("sample-rate", str(self._rate))
        root.set("session-range-is-free", "1")
        self._config(root)
        sources = SubElement(root, "Sources")
        SubElement(root, "Regions")
        self._location(root)
        routes = SubElement(root, "Routes")
        names = _distinct([track.name for track in project.tracks])
        self._master(routes, names)
        playlists = Element("Playlists")
        for order, (track, name) in enumerate(zip(project.tracks, names, strict=True), 1):
            route_id, playlist_id = self._id(), self._id()
            self._track(routes, track, name, order, route_id, playlist_id)
            playlist = SubElement(playlists, "Playlist", id=playlist_id, name=name, type="audio")
            playlist.set("orig-track-id", route_id)
            for clip in track.clips:
                self._region(playlist, sources, clip)
        root.append(playlists)
        SubElement(root, "RouteGroups")
        self._tempo_map(root)
        root.set("id-counter", self._id())
        return root

    def _config(self, root: Element) -> None:
        config = SubElement(root, "Config")
        for name, value in (
            ("use-region-fades", "1"),
            ("native-file-data-format", "FormatFloat"),
            ("native-file-header-format", "WAVE"),
            ("auto-input", "1"),
        ):
            SubElement(config, "Option", name=name, value=value)

    def _location(self, root: Element) -> None:
        end = self._clocks(self._project.seconds(self._project.beats))
        locations = SubElement(root, "Locations")
        attributes = {"name": "session", "start": "a0", "end": f"a{end}"}
        SubElement(locations, "Location", attributes, id=self._id(), flags="IsSessionRange")

    def _master(self, routes: Element, tracks: Sequence[str]) -> None:
        route = self._route(routes, "Master", 0, self._id(), "MasterOut")
        feeds = {side: [f"{name}/audio_out {side}" for name in tracks] for side in _SIDES}
        self._ports(route, "Master", "Input", feeds)
        speakers = {side: [f"system:playback_{side}"] for side in _SIDES}
        self._ports(route, "Master", "Output", speakers)

    def _track(
        self,
        routes: Element,
        track: AudioTrack,
        name: str,
        order: int,
        route_id: str,
        playlist_id: str,
    ) -> None:
        route = self._route(routes, name, order, route_id, "AudioTrack", color=track.color)
        route.set("audio-playlist", playlist_id)
        route.set("mode", "Normal")
        self._ports(route, name, "Input", {side: [] for side in _SIDES})
        master = {side: [f"Master/audio_in {side}"] for side in _SIDES}
        self._ports(route, name, "Output", master)

    def _route(
        self,
        routes: Element,
        name: str,
        order: int,
        route_id: str,
        flags: str,
        color: str = "#808080",
    ) -> Element:
        attributes = {"version": _VERSION, "id": route_id, "name": name, "active": "1"}
        route = SubElement(routes, "Route", attributes)
        route.set("default-type", "audio")
        rgba = str(int(color[1:], 16) << 8 | 0xFF)
        SubElement(
            route, "PresentationInfo", order=str(order), flags=f"{flags},OrderSet", color=rgba
        )
        return route

    def _ports(
        self, route: Element, name: str, direction: str, wires: dict[int, list[str]]
    ) -> None:
        io = SubElement(route, "IO", name=name, id=self._id(), direction=direction)
        io.set("default-type", "audio")
        for side, others in wires.items():
            wire = "in" if direction == "Input" else "out"
            port = SubElement(io, "Port", type="audio", name=f"{name}/audio_{wire} {side}")
            for other in others:
                SubElement(port, "Connection", other=other)

    def _region(self, playlist: Element, sources: Element, clip: AudioClip) -> None:
        start = self._clocks(clip.source_at(0.0))
        position = self._clocks(self._project.seconds(clip.start_beat))
        length = self._clocks(self._project.seconds(clip.beats))
        length = min(length, self._clocks(clip.audio.duration_s) - start)
        fades = "1" if clip.fade_s else "0"
        region = SubElement(playlist, "Region", name=clip.name, id=self._id(), type="audio")
        for key, value in {
            "start": f"a{start}",
            "length": f"a{length}@a{position}",
            "muted": "0",
            "opaque": "1",
            "whole-file": "0",
            "external": "0",
            "import": "1",
            "default-fade-in": fades,
            "default-fade-out": fades,
            "fade-in-active": fades,
            "fade-out-active": fades,
            "envelope-active": "0",
            "scale-amplitude": repr(10 ** (clip.gain_db / 20)),
            "channels": str(len(_SIDES)),
        }.items():
            region.set(key, value)
        for side in range(len(_SIDES)):
            source = self._source(sources, clip, min(side, clip.audio.channels - 1))
            region.set(f"source-{side}", source)
            region.set(f"master-source-{side}", source)

    def _source(self, sources: Element, clip: AudioClip, channel: int) -> str:
        """The id of one channel of a file, each of which is one source."""
        key = (clip.audio.name, channel)
        if key not in self._sources:
            self._sources[key] = self._id()
            attributes = {"name": clip.audio.name, "id": self._sources[key], "type": "audio"}
            source = SubElement(sources, "Source", attributes, flags="", channel=str(channel))
            source.set("origin", clip.audio.name)
            source.set("gain", "1")
        return self._sources[key]

    def _tempo_map(self, root: Element) -> None:
        tempo_map = SubElement(root, "TempoMap")
        tempo_map.set("superclocks-per-second", str(SUPERCLOCKS))
        start = {"sclock": "0", "quarters": "0:0", "bbt": "1|1|0"}
        tempo = SubElement(SubElement(tempo_map, "Tempos"), "Tempo", start)
        for key, value in {
            "npm": repr(self._project.tempo_bpm),
            "enpm": repr(self._project.tempo_bpm),
            "note-type": "4",
            "type": "Tempo::Constant",
            "active": "1",
            "locked-to-meter": "0",
            "continuing": "0",
            "omega": "0",
        }.items():
            tempo.set(key, value)
        metre = SubElement(SubElement(tempo_map, "Meters"), "Meter", start)
        metre.set("note-value", "4")
        metre.set("divisions-per-bar", str(self._project.beats_per_bar))
        SubElement(tempo_map, "MusicTimes")

    def _clocks(self, seconds: float) -> int:
        """Superclocks of the nearest sample."""
        return round(seconds * self._rate) * (SUPERCLOCKS // self._rate)

    def _id(self) -> str:
        return str(next(self._ids))


def _distinct(names: Sequence[str]) -> list[str]:
    """Track names without the signs that port names use, each only once."""
    seen: set[str] = {"Master"}
    result = []
    for name in names:
        plain = name.replace("/", "-").replace(":", "-") or "track"
        number, unique = 2, plain
        while unique in seen:
            unique, number = f"{plain} {number}", number + 1
        seen.add(unique)
        result.append(unique)
    return result
