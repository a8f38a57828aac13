"""An audio track as Live's element: empty slots for every scene, sends for every return track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from dawlink.daw.live.clip import COLORS, ClipPlace, audio_clip
from dawlink.daw.live.skeleton import Skeleton
from dawlink.daw.project import AudioTrack

__all__ = ["TrackPlace", "add_slots", "audio_track"]

_SEQUENCERS: Final = ("MainSequencer", "FreezeSequencer")


@dataclass(frozen=True)
class TrackPlace:
    """What a track has to know of the set it goes into.

    Args:
        track_id: unique among the tracks.
        scenes: slots that every track has.
        returns: return tracks that it can send to.
        samples: the folder of samples, relative to the project's root or to the file.
        path_type: which of the two, as Live numbers them.
        tempo_bpm: of the set, whatever the project was rendered at.
        beats_per_bar: metre.
    """

    track_id: int
    scenes: int
    returns: int
    samples: str
    path_type: int
    tempo_bpm: float
    beats_per_bar: int

    def clip(self, number: int, *, session: bool) -> ClipPlace:
        """The place of one of its clips."""
        return ClipPlace(
            number, self.samples, self.path_type, session, self.tempo_bpm, self.beats_per_bar
        )


def audio_track(skeleton: Skeleton, track: AudioTrack, place: TrackPlace) -> Element:
    """The ``AudioTrack``: its first clip in the first slot, all of them on the timeline.

    Raises:
        OSError: a sample cannot be read.
    """
    main = "AudioOut/Main" if skeleton.version >= (12, 0) else "AudioOut/Master"
    element = skeleton.one(
        "audio_track",
        {
            "track_id": place.track_id,
            "name": track.name,
            "user_name": track.name,
            "color": COLORS[track.role],
            "unfolded": True,
            "output": main,
            "output_name": "Master",
            "output_channels": "",
        },
    )
    add_slots(skeleton, element, place.scenes)
    sends = _found(element, "DeviceChain/Mixer/Sends")
    for number in range(place.returns):
        sends.append(skeleton.one("send", {"number": number}))
    if track.clips and place.scenes:
        slot = _found(element, "DeviceChain/MainSequencer/ClipSlotList/ClipSlot/ClipSlot/Value")
        clip_place = place.clip(0, session=True)
        slot.append(audio_clip(skeleton, track.clips[0], track.role, clip_place))
    events = _found(element, "DeviceChain/MainSequencer/Sample/ArrangerAutomation/Events")
    for number, clip in enumerate(track.clips):
        clip_place = place.clip(number, session=False)
        events.append(audio_clip(skeleton, clip, track.role, clip_place))
    return element


def add_slots(skeleton: Skeleton, track: Element, scenes: int) -> None:
    """Empty slots in both sequencers of a track."""
    for sequencer in _SEQUENCERS:
        slots = _found(track, f"DeviceChain/{sequencer}/ClipSlotList")
        for number in range(scenes):
            slots.append(skeleton.one("clip_slot", {"number": number}))


def _found(element: Element, path: str) -> Element:
    found = element.find(path)
    assert found is not None, path
    return found
