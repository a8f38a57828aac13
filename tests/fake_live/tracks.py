"""Tracks, their slots, and the arrangement, where a new clip overwrites what it covers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from tests.fake_live.clips import Clip, Sample, read_sample
from tests.fake_live.lom import LiveObject

if TYPE_CHECKING:
    from tests.fake_live.song import Song

#: The last beat at which Live takes an arrangement clip.
LAST_BEAT = 1576800.0
#: Shorter rests of an overwritten clip are gone [beats].
CRUMB_BEATS = 1e-6


class Track(LiveObject):
    """A track with one row of slots and one lane of the arrangement."""

    lom_name = "Track"
    observable: ClassVar[frozenset[str]] = frozenset(
        {
            "name",
            "clip_slots",
            "arrangement_clips",
            "playing_slot_index",
            "fired_slot_index",
        }
    )
    gated: ClassVar[dict[str, str]] = {"create_audio_clip": "create_audio_clip"}

    def __init__(self, song: Song, name: str, *, audio: bool) -> None:
        super().__init__(song.world)
        self._song, self._name, self._audio = song, name, audio
        self._frozen = False
        self._slots: list[ClipSlot] = []
        self._lane: list[Clip] = []

    song = property(lambda self: self._song)
    canonical_parent = property(lambda self: self._song)
    has_audio_input = property(lambda self: self._audio)
    has_midi_input = property(lambda self: not self._audio)
    is_foldable = property(lambda self: False)
    is_frozen = property(lambda self: self._frozen)
    clip_slots = property(lambda self: tuple(self._slots))
    arrangement_clips = property(lambda self: tuple(self._lane))
    playing_slot_index = property(
        lambda self: next((i for i, slot in enumerate(self._slots) if slot.playing), -1)
    )

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._changing()
        self._name = str(value)
        self._notify("name")

    @property
    def is_recording(self) -> bool:
        return any(slot.is_recording for slot in self._slots)

    def create_audio_clip(self, path: str, position: float) -> Clip:
        self._changing()
        sample = self.new_sample(path)
        if not 0.0 <= position <= LAST_BEAT:
            raise RuntimeError("Invalid position")
        clip = Clip(self, sample, slot=None, start_time=float(position))
        self._clear(clip.start_time, clip.end_time)
        self._lane = sorted([*self._lane, clip], key=lambda item: item.start_time)
        self._notify("arrangement_clips")
        return clip

    def delete_clip(self, clip: Clip) -> None:
        self._changing()
        if clip not in self._lane:
            raise RuntimeError("The clip is not in this track")
        self._lane.remove(clip)
        clip._die()
        self._notify("arrangement_clips")

    def stop_all_clips(self) -> None:
        for slot in self._slots:
            slot.playing = False
        self._notify("playing_slot_index")

    def new_sample(self, path: str) -> Sample:
        """What a clip on this track would play.

        Raises:
            RuntimeError: not an audio track, frozen, recording, or no audio file.
        """
        if not self._audio:
            raise RuntimeError("Audio clips can only be created on audio tracks")
        if self._frozen:
            raise RuntimeError("The track is frozen")
        if self.is_recording:
            raise RuntimeError("The track is being recorded")
        return read_sample(path)

    def _clear(self, start: float, end: float) -> None:
        for clip in [
            clip for clip in self._lane if clip.start_time < end and clip.end_time > start
        ]:
            if clip.end_time > end + CRUMB_BEATS:
                self._keep_tail(clip, end)
            if clip.start_time < start - CRUMB_BEATS:
                clip._end = _content(clip, start)
            else:
                self._lane.remove(clip)
                clip._die()

    def _keep_tail(self, clip: Clip, beat: float) -> None:
        """What an overwritten clip has after ``beat`` goes on as a clip of its own."""
        tail = Clip(self, clip._sample, slot=None, start_time=beat)
        tail._map, tail._warping, tail._name = clip._map, clip._warping, clip._name
        tail._start, tail._end, tail._loop = _content(clip, beat), clip._end, clip._loop
        self._lane.append(tail)


class ClipSlot(LiveObject):
    """A place for a session clip."""

    lom_name = "ClipSlot"
    observable: ClassVar[frozenset[str]] = frozenset(
        {
            "has_clip",
            "is_triggered",
            "playing_status",
        }
    )
    gated: ClassVar[dict[str, str]] = {"create_audio_clip": "create_audio_clip"}

    def __init__(self, track: Track) -> None:
        super().__init__(track.world)
        self._track = track
        self._clip: Clip | None = None
        self.playing = False
        self.launched_at = 0.0

    canonical_parent = property(lambda self: self._track)
    has_clip = property(lambda self: self._clip is not None)
    clip = property(lambda self: self._clip)
    is_playing = property(lambda self: self.playing)
    is_recording = property(lambda self: bool(self._clip and self._clip.is_recording))
    has_stop_button = property(lambda self: True)

    def create_audio_clip(self, path: str) -> None:
        self._changing()
        if self._clip is not None:
            raise RuntimeError("The clip slot is not empty")
        self.put(Clip(self._track, self._track.new_sample(path), slot=self))

    def delete_clip(self) -> None:
        self._changing()
        if self._clip is None:
            raise RuntimeError("The clip slot is empty")
        clip, self._clip, self.playing = self._clip, None, False
        clip._die()
        self._notify("has_clip")

    def fire(self) -> None:
        self._changing()
        self._track.stop_all_clips()
        self.playing = self._clip is not None
        bar = self._track.song.beats_per_bar
        self.launched_at = math.ceil(self._track.song.current_song_time / bar) * bar
        self._track.song.start_playing()
        self._track._notify("playing_slot_index")

    def stop(self) -> None:
        self._changing()
        self._track.stop_all_clips()

    def put(self, clip: Clip) -> None:
        self._clip = clip
        self._notify("has_clip")


def _content(clip: Clip, beat: float) -> float:
    """The clip's own position (beats or seconds) that is heard at a beat of the arrangement."""
    beats = beat - clip.start_time
    return clip._start + (beats if clip._warping else beats * 60 / clip._track.song.tempo)
