"""Clips. Markers and loop points are beats while ``warping``, seconds while not.

``looping`` picks what ``loop_start`` and ``loop_end`` mean: the loop, or, without it, the start and
end markers. Looping needs warping: switching it on switches that on too. Switching warping converts
the markers but leaves ``end_marker`` as the number that it was, which may lie past the file.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import soundfile

from tests.fake_live.lom import LiveObject
from tests.fake_live.warping import WarpMap, guess

if TYPE_CHECKING:
    from tests.fake_live.tracks import ClipSlot, Track

WARP_MODES = (0, 1, 2, 3, 4, 6)


@dataclass(frozen=True)
class WarpMarker:
    """``Live.Clip.WarpMarker``: seconds of the file and beats of the clip."""

    sample_time: float
    beat_time: float


@dataclass(frozen=True)
class Sample:
    """An audio file as far as Live's model shows it."""

    path: str
    frames: int
    rate: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


@cache
def read_sample(path: str) -> Sample:
    """The file's header.

    Raises:
        RuntimeError: a relative path, no file, or no audio.
    """
    if not Path(path).is_absolute() or not Path(path).is_file():
        raise RuntimeError("Invalid file path")
    try:
        about = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise RuntimeError("Not an audio file") from error
    return Sample(path, about.frames, about.samplerate)


class Clip(LiveObject):
    """An audio clip, or with no sample a MIDI clip; in a slot, or in the arrangement."""

    lom_name = "Clip"
    observable: ClassVar[frozenset[str]] = frozenset(
        {
            "name",
            "looping",
            "warping",
            "warp_mode",
            "loop_start",
            "loop_end",
            "start_marker",
            "end_marker",
            "gain",
            "pitch_coarse",
            "pitch_fine",
            "warp_markers",
            "start_time",
            "end_time",
            "is_recording",
            "playing_status",
        }
    )
    gated: ClassVar[dict[str, str]] = {
        "sample_rate": "warp_editing",
        "add_warp_marker": "warp_editing",
        "move_warp_marker": "warp_editing",
        "remove_warp_marker": "warp_editing",
        "is_session_clip": "is_session_clip",
        "is_take_lane_clip": "is_session_clip",
    }

    def __init__(
        self, track: Track, sample: Sample | None, *, slot: ClipSlot | None, start_time: float = 0.0
    ) -> None:
        super().__init__(track.world)
        song = track.song
        self._track, self._slot, self._sample = track, slot, sample
        self._start_time = start_time
        self._name = Path(sample.path).stem if sample else "MIDI"
        self._recording = False
        self._warping, self._mode = sample is not None, 0
        self._pitch, self._cents, self._gain = 0, 0.0, 0.4
        beats = 4.0
        self._map = WarpMap(((0.0, 0.0),), song.tempo)
        if sample is not None:
            self._map = guess(
                sample.seconds,
                song.tempo,
                song.beats_per_bar,
                auto_warp=song.auto_warp_long_samples,
            )
            beats = self._map.beat_at(sample.seconds)
        self._start, self._end = 0.0, beats
        self._loop = (0.0, beats)
        self._looping = slot is not None and beats <= 16 * song.beats_per_bar * 1.001

    # What it is

    canonical_parent = property(lambda self: self._slot or self._track)
    is_audio_clip = property(lambda self: self._sample is not None)
    is_midi_clip = property(lambda self: self._sample is None)
    is_arrangement_clip = property(lambda self: self._slot is None)
    is_session_clip = property(lambda self: self._slot is not None)
    is_take_lane_clip = property(lambda self: False)
    is_recording = property(lambda self: self._recording)
    is_playing = property(lambda self: self._slot is not None and self._slot.playing)
    warp_mode = property(lambda self: self._mode)
    available_warp_modes = property(lambda self: WARP_MODES)

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._changing()
        self._name = str(value)
        self._notify("name")

    @property
    def file_path(self) -> str:
        sample = self._audio("file_path")
        return "" if self._recording else sample.path

    @property
    def sample_length(self) -> int:
        return self._audio("sample_length").frames

    @property
    def sample_rate(self) -> float:
        return float(self._audio("sample_rate").rate)

    # How it is tuned

    @property
    def pitch_coarse(self) -> int:
        self._audio("pitch_coarse")
        return self._pitch

    @pitch_coarse.setter
    def pitch_coarse(self, value: int) -> None:
        self._changing()
        if not -48 <= value <= 48:
            raise RuntimeError("Invalid value")
        self._pitch = int(value)
        self._notify("pitch_coarse")

    @property
    def pitch_fine(self) -> float:
        self._audio("pitch_fine")
        return self._cents

    @property
    def gain(self) -> float:
        self._audio("gain")
        return self._gain

    @gain.setter
    def gain(self, value: float) -> None:
        self._changing()
        if not 0.0 <= value <= 1.0:
            raise RuntimeError("Invalid value")
        self._gain = float(value)
        self._notify("gain")

    @property
    def gain_display_string(self) -> str:
        """dB; 0.4 is 0 dB here, 1.0 is 24 dB, as Live's clip gain ends."""
        self._audio("gain_display_string")
        if self._gain <= 0:
            return "-inf dB"
        return f"{40.0 * (self._gain - 0.4):.1f} dB"

    # Where it lies in the file

    @property
    def start_marker(self) -> float:
        return self._start

    @start_marker.setter
    def start_marker(self, value: float) -> None:
        self._changing()
        if value >= self._end:
            raise RuntimeError("Invalid value: the start marker must lie before the end marker")
        self._start = float(value)
        self._notify("start_marker")

    @property
    def end_marker(self) -> float:
        return self._end

    @end_marker.setter
    def end_marker(self, value: float) -> None:
        self._changing()
        if value <= self._start:
            raise RuntimeError("Invalid value: the end marker must lie after the start marker")
        self._end = float(value)
        self._notify("end_marker", "end_time")

    @property
    def loop_start(self) -> float:
        return self._loop[0] if self._looping else self._start

    @loop_start.setter
    def loop_start(self, value: float) -> None:
        if not self._looping:
            self.start_marker = value
            return
        self._changing()
        if value >= self._loop[1]:
            raise RuntimeError("Invalid value: the loop must start before it ends")
        self._loop = (float(value), self._loop[1])
        self._notify("loop_start")

    @property
    def loop_end(self) -> float:
        return self._loop[1] if self._looping else self._end

    @loop_end.setter
    def loop_end(self, value: float) -> None:
        if not self._looping:
            self.end_marker = value
            return
        self._changing()
        if value <= self._loop[0]:
            raise RuntimeError("Invalid value: the loop must end after it starts")
        self._loop = (self._loop[0], float(value))
        self._notify("loop_end")

    @property
    def looping(self) -> bool:
        return self._looping

    @looping.setter
    def looping(self, value: object) -> None:
        self._changing()
        if value and self._sample is not None:
            self.warping = True
        self._looping = bool(value)
        self._notify("looping")

    @property
    def playing_position(self) -> float:
        """Beats of the clip that are heard now (seconds when unwarped); the start while silent."""
        if not self.is_playing or self._slot is None:
            return self.start_marker
        beats = self._track.song.current_song_time - self._slot.launched_at
        position = self._start + (beats if self._warping else beats * 60 / self._track.song.tempo)
        if self._looping and position >= self._loop[1]:
            position = self._loop[0] + (position - self._loop[0]) % self.length
        return position

    @property
    def length(self) -> float:
        return self.loop_end - self.loop_start

    # How it is warped

    @property
    def warping(self) -> bool:
        self._audio("warping")
        return self._warping

    @warping.setter
    def warping(self, value: object) -> None:
        self._changing()
        self._audio("warping")
        if bool(value) != self._warping:
            convert = self._map.beat_at if value else self._map.second_at
            self._start = convert(self._start)
            self._loop = (convert(self._loop[0]), convert(self._loop[1]))
            self._end = max(self._end, math.nextafter(self._start, math.inf))
            self._warping = bool(value)
            self._looping = self._looping and self._warping
        self._notify("warping", "looping", "start_marker", "end_time")

    @warp_mode.setter  # type: ignore[no-redef]
    def warp_mode(self, value: int) -> None:
        self._changing()
        if value not in WARP_MODES:
            raise RuntimeError("Invalid value")
        self._mode = int(value)
        self._notify("warp_mode")

    @property
    def warp_markers(self) -> tuple[WarpMarker, ...]:
        self._audio("warp_markers")
        return tuple(WarpMarker(*point) for point in self._map.with_shadow)

    @property
    def warp_markers_json(self) -> str:
        """As Max gets it."""
        markers = [
            {"sample_time": marker.sample_time, "beat_time": marker.beat_time}
            for marker in self.warp_markers
        ]
        return json.dumps({"warp_markers": markers})

    def add_warp_marker(self, marker: WarpMarker) -> None:
        self._rewarp(lambda: self._map.added(marker.sample_time, marker.beat_time))

    def move_warp_marker(self, beat_time: float, beat_time_distance: float) -> None:
        self._rewarp(lambda: self._map.moved(beat_time, beat_time_distance))

    def remove_warp_marker(self, beat_time: float) -> None:
        self._rewarp(lambda: self._map.removed(beat_time))

    def _rewarp(self, change: object) -> None:
        self._changing()
        self._audio("warp_markers")
        if not callable(change):
            raise TypeError("a change of the map is a function")
        try:
            self._map = change()
        except ValueError as error:
            raise RuntimeError(str(error)) from error
        self._notify("warp_markers", "end_time")

    # Where it lies in the set

    @property
    def start_time(self) -> float:
        return self._start_time

    @property
    def end_time(self) -> float:
        return self._start_time + self.beats_in_set

    @property
    def beats_in_set(self) -> float:
        """How long it is in the set: no longer than its file lasts. Not part of Live's model."""
        if self._sample is None:
            return self._end - self._start
        if self._warping:
            return min(self._end, self._map.beat_at(self._sample.seconds)) - self._start
        seconds = min(self._end, self._sample.seconds) - self._start
        return seconds * self._track.song.tempo / 60

    def beat_in_set(self, sec: float) -> float:
        """Where a moment of the file is heard: beats after the clip's launch, or of the
        arrangement. Not part of Live's model: it is what a test measures.
        """
        if self._warping:
            return self._start_time + self._map.beat_at(sec) - self._start
        return self._start_time + (sec - self._start) * self._track.song.tempo / 60

    def _audio(self, member: str) -> Sample:
        if self._sample is None:
            raise RuntimeError(f"Clip.{member}: only available for audio clips")
        return self._sample
