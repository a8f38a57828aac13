"""Live sets made from a project: a new one, or tracks added to a copy of somebody's own.

A new set has the schema of Live 11.3, which every Live 12 opens; a copy keeps its own. Tempo and
metre stand in the main track's mixer and again in its automation, which is what Live shows. A copy
keeps its tempo, its metre and everything else: tracks go in before the return tracks, and the first
of them sounds as soon as its scene is fired.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from dawlink.daw.live.set_file import LiveSet
from dawlink.daw.live.skeleton import LIVE_11_3, Skeleton
from dawlink.daw.live.tracks import TrackPlace, audio_track
from dawlink.daw.project import Project
from engine.theory import Key

__all__ = [
    "CLIP_SAMPLES",
    "SAMPLES",
    "clip_set",
    "faults_of",
    "new_set",
    "project_root",
    "rebased",
    "set_tempo",
    "with_tracks",
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
#: What a sample's path is relative to, as Live numbers it.
_TO_FILE, _TO_PROJECT = 1, 3


def new_set(project: Project) -> LiveSet:
    """A set of Live 11.3 that holds the project and nothing else.

    Raises:
        OSError: a sample cannot be read.
    """
    live, skeleton = _empty_set(project, _SCENES)
    return _filled(live, skeleton, project, SAMPLES, _TO_PROJECT)


def clip_set(project: Project) -> LiveSet:
    """What a clip file (``.alc``) holds: a set of one scene, its clips in the slots only.

    Raises:
        OSError: a sample cannot be read.
    """
    live, skeleton = _empty_set(project, 1)
    filled = _filled(live, skeleton, project, CLIP_SAMPLES, _TO_FILE)
    for events in filled.live_set.iterfind("Tracks/*/*/*/Sample/ArrangerAutomation/Events"):
        for clip in list(events):
            events.remove(clip)
        events.text = None
    return filled


def with_tracks(live: LiveSet, project: Project) -> LiveSet:
    """A copy of a set with the project's tracks; ``live`` stays as it is.

    Raises:
        OSError: a sample cannot be read.
    """
    changed = LiveSet(copy.deepcopy(live.root), live.version)
    used = max(_pointee_ids(changed.live_set), default=0)
    skeleton = Skeleton(live.version, next_id=max(used + 1, _next_id(changed.live_set)))
    return _filled(changed, skeleton, project, SAMPLES, _TO_PROJECT)


def set_tempo(live: LiveSet) -> float:
    """Beats per minute of a set."""
    manual = live.master.find("DeviceChain/Mixer/Tempo/Manual")
    return float(manual.get("Value", "120")) if manual is not None else 120.0


def rebased(live: LiveSet, old_folder: Path) -> LiveSet:
    """A copy whose samples are found from anywhere: relative references become absolute ones.

    Args:
        live: a set that was read from ``old_folder``.
        old_folder: what its references are relative to.
    """
    moved = LiveSet(copy.deepcopy(live.root), live.version)
    root = project_root(old_folder)
    for reference in moved.root.iter("FileRef"):
        kind, relative = (_value(reference, tag) for tag in ("RelativePathType", "RelativePath"))
        base = {"1": old_folder, "3": root}.get(kind)
        if base is None or not relative:
            continue
        target = Path(os.path.normpath(base / relative))
        if target.is_file():
            for tag, text in (("RelativePathType", "0"), ("Path", target.as_posix())):
                element = reference.find(tag)
                assert element is not None
                element.set("Value", text)
    return moved


def project_root(folder: Path) -> Path:
    """The Live project that a folder belongs to: the nearest with ``Ableton Project Info``."""
    for candidate in (folder, *folder.parents):
        if (candidate / "Ableton Project Info").is_dir():
            return candidate
    return folder


def faults_of(live: LiveSet) -> list[str]:
    """What Live would refuse about the ids of a set; nothing when it is sound."""
    live_set = live.live_set
    ids = _pointee_ids(live_set)
    faults = []
    if len(ids) != len(set(ids)):
        faults.append("pointee ids are not unique")
    if ids and max(ids) >= _next_id(live_set):
        faults.append("NextPointeeId is too low")
    tracks = live_set.find("Tracks")
    assert tracks is not None
    track_ids = [track.get("Id") for track in tracks]
    if len(track_ids) != len(set(track_ids)):
        faults.append("track ids are not unique")
    scenes = len(live_set.findall("Scenes/Scene"))
    for track in tracks:
        for slots in track.findall("DeviceChain/*/ClipSlotList"):
            if len(slots) not in (0, scenes):
                faults.append(f"track {track.get('Id')} has {len(slots)} slots of {scenes}")
    return faults


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


def _filled(
    live: LiveSet, skeleton: Skeleton, project: Project, samples: str, path_type: int
) -> LiveSet:
    """The set with the project's tracks in it, ids and line ends in order."""
    tracks = live.live_set.find("Tracks")
    assert tracks is not None
    existing = list(tracks)
    returns = [track for track in existing if track.tag == "ReturnTrack"]
    at = existing.index(returns[0]) if returns else len(existing)
    ids = [int(track.get("Id", "0")) for track in existing]
    first_id = max(ids, default=-1) + 1
    for number, track in enumerate(project.tracks):
        place = TrackPlace(
            track_id=first_id + number,
            scenes=len(live.live_set.findall("Scenes/Scene")),
            returns=len(returns),
            samples=samples,
            path_type=path_type,
            tempo_bpm=project.tempo_bpm,
            beats_per_bar=project.beats_per_bar,
        )
        tracks.insert(at + number, audio_track(skeleton, track, place))
    next_id = live.live_set.find("NextPointeeId")
    assert next_id is not None
    next_id.set("Value", str(max(skeleton.next_id, _next_id(live.live_set))))
    _indent(live.root)
    return live


def _pointee_ids(live_set: Element) -> list[int]:
    """Every id of the one counter: pointees and the targets of automation and modulation."""
    return [
        int(element.get("Id", "0"))
        for element in live_set.iter()
        if "Id" in element.attrib and _is_target(element.tag)
    ]


def _is_target(tag: str) -> bool:
    return tag == "Pointee" or tag.endswith("Target") or tag.startswith("ControllerTargets.")


def _next_id(live_set: Element) -> int:
    element = live_set.find("NextPointeeId")
    return int(element.get("Value", "0")) if element is not None else 0


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
    """Tabs and line ends as Live writes them, where there are none yet or they have moved."""
    children = list(element)
    if children:
        element.text = "\n" + "\t" * (depth + 1)
        for child in children:
            _indent(child, depth + 1)
            child.tail = "\n" + "\t" * (depth + 1)
        children[-1].tail = "\n" + "\t" * depth
