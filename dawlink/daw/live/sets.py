"""Live sets made from a project: a new one, or tracks added to a copy of somebody's own.

A new set has the schema of Live 11.3, which every Live 12 opens; a copy keeps its own. Tempo and
metre stand in the main track's mixer and again in its automation, which is what Live shows. A copy
keeps its tempo, its metre and everything else to the letter: tracks go in before the return tracks,
``NextPointeeId`` goes up, and samples that lay relative to the set are named by their full paths.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from dawlink.daw.live.own_set import set_tempo
from dawlink.daw.live.set_file import LiveSet
from dawlink.daw.live.skeleton import LIVE_11_3, Skeleton
from dawlink.daw.live.tracks import TrackPlace, audio_track
from dawlink.daw.project import Project
from engine.theory import Key

__all__ = [
    "CLIP_SAMPLES",
    "SAMPLES",
    "add_tracks",
    "clip_set",
    "new_set",
    "project_root",
    "rebase",
]

#: Where samples lie, relative to the project's root.
SAMPLES: Final = "Samples/Processed/dawlink"
#: Where the samples of clip files lie, relative to them.
CLIP_SAMPLES: Final = "Samples"
#: Scenes of a new set: as many as Live's own.
_SCENES: Final = 8
_ROOT: Final = {
    "MajorVersion": "5",
    "MinorVersion": "11.0_11300",
    "SchemaChangeCount": "3",
    "Creator": "Ableton Live 11.3.13",
    "Revision": "",
}
_ARRANGEMENT_VIEW: Final = 0
#: Of a track below ``Ableton``, ``LiveSet`` and ``Tracks``.
_TRACK_DEPTH: Final = 3
#: What a sample's path is relative to, as Live numbers it.
_TO_FILE, _TO_PROJECT = 1, 3


def new_set(project: Project) -> LiveSet:
    """A set of Live 11.3 that holds the project and nothing else.

    Raises:
        OSError: a sample cannot be read.
    """
    live, skeleton = _empty_set(project, _SCENES)
    _fill(live, skeleton, project, SAMPLES, _TO_PROJECT)
    _indent(live.root)
    return live


def clip_set(project: Project) -> LiveSet:
    """What a clip file (``.alc``) holds: a set of one scene, its clips in the slots only.

    Raises:
        OSError: a sample cannot be read.
    """
    live, skeleton = _empty_set(project, 1)
    _fill(live, skeleton, project, CLIP_SAMPLES, _TO_FILE)
    for events in live.live_set.iterfind("Tracks/*/*/*/Sample/ArrangerAutomation/Events"):
        events.clear()
    _indent(live.root)
    return live


def add_tracks(live: LiveSet, project: Project) -> None:
    """Put the project's tracks into a set that was read, before its return tracks.

    Raises:
        OSError: a sample cannot be read.
    """
    used = max(live.pointee_ids, default=0)
    skeleton = Skeleton(live.version, next_id=max(used + 1, live.next_pointee_id))
    _fill(live, skeleton, project, SAMPLES, _TO_PROJECT)


def rebase(live: LiveSet, old_folder: Path) -> None:
    """Let a set find its samples from anywhere: relative references become absolute ones.

    Args:
        live: a set that was read from ``old_folder``.
        old_folder: what its references are relative to.
    """
    root = project_root(old_folder)
    for reference in live.root.iter("FileRef"):
        kind, relative = (_value(reference, tag) for tag in ("RelativePathType", "RelativePath"))
        base = {"1": old_folder, "3": root}.get(kind)
        path, path_type = reference.find("Path"), reference.find("RelativePathType")
        if base is None or not relative or path is None or path_type is None:
            continue
        target = os.path.normpath(base / relative)
        if os.path.isfile(target):  # noqa: PTH113  # unlike Path.is_file, False for impossible names
            path_type.set("Value", "0")
            path.set("Value", Path(target).as_posix())


def project_root(folder: Path) -> Path:
    """The Live project that a folder belongs to: the nearest with ``Ableton Project Info``."""
    for candidate in (folder, *folder.parents):
        if (candidate / "Ableton Project Info").is_dir():
            return candidate
    return folder


def _empty_set(project: Project, scenes: int) -> tuple[LiveSet, Skeleton]:
    """A set without tracks, and the skeleton that goes on with its ids."""
    skeleton = Skeleton(LIVE_11_3)
    values = {
        "tempo": float(project.tempo_bpm),
        "signature": _signature(project.beats_per_bar),
        "name": "Master",
        "user_name": "",
        "color": 13,
        "unfolded": False,
        "output": "AudioOut/External/S0",
        "output_name": "Ext. Out",
        "output_channels": "1/2",
        "beats": project.beats,
        "view": _ARRANGEMENT_VIEW,
        **_scale(project.key),
    }
    root = Element("Ableton", _ROOT)
    live_set = SubElement(root, "LiveSet")
    live_set.extend(skeleton.build("set_start"))
    master = skeleton.one("master_track", values)
    envelopes = master.find("AutomationEnvelopes/Envelopes")
    assert envelopes is not None
    envelopes.extend(skeleton.build("master_envelopes", values))
    live_set.extend([master, skeleton.one("prehear_track", values)])
    live_set.extend(skeleton.build("set_end", values))
    rows = live_set.find("Scenes")
    assert rows is not None
    rows.extend(skeleton.one("scene", {**values, "number": n}) for n in range(scenes))
    return LiveSet(root, LIVE_11_3), skeleton


def _fill(
    live: LiveSet, skeleton: Skeleton, project: Project, samples: str, path_type: int
) -> None:
    """Put the project's tracks in, and the first free id."""
    tracks = live.tracks
    existing = list(tracks)
    returns = [track for track in existing if track.tag == "ReturnTrack"]
    at = existing.index(returns[0]) if returns else len(existing)
    first_id = max((int(track.get("Id", "0")) for track in existing), default=-1) + 1
    for number, track in enumerate(project.tracks):
        place = TrackPlace(
            track_id=first_id + number,
            scenes=live.scenes,
            returns=len(returns),
            samples=samples,
            path_type=path_type,
            tempo_bpm=set_tempo(live),
            beats_per_bar=project.beats_per_bar,
        )
        element = audio_track(skeleton, track, place)
        _indent(element, _TRACK_DEPTH)
        tracks.insert(at + number, element)
    _line_up(tracks, _TRACK_DEPTH - 1)
    next_id = live.live_set.find("NextPointeeId")
    assert next_id is not None
    next_id.set("Value", str(max(skeleton.next_id, live.next_pointee_id)))


def _signature(beats_per_bar: int) -> int:
    """Live's number of a metre: 99 per power of two of the denominator, numerators from 0."""
    return 99 * 2 + beats_per_bar - 1


def _scale(key: Key | None) -> dict[str, object]:
    if key is None:
        return {"root": 0, "scale": "Major", "in_key": False}
    return {"root": key.tonic, "scale": key.mode.capitalize(), "in_key": False}


def _value(parent: Element, tag: str) -> str:
    element = parent.find(tag)
    return element.get("Value", "") if element is not None else ""


def _indent(element: Element, depth: int = 0) -> None:
    """Tabs and line ends inside an element, as Live writes them."""
    for child in element:
        _indent(child, depth + 1)
    _line_up(element, depth)


def _line_up(element: Element, depth: int) -> None:
    """Each child of an element on a line of its own."""
    children = list(element)
    if children:
        element.text = "\n" + "\t" * (depth + 1)
        for child in children:
            child.tail = "\n" + "\t" * (depth + 1)
        children[-1].tail = "\n" + "\t" * depth
