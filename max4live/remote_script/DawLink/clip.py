"""The selected clip, read out of Live: what it is, where it plays in its file, how it is warped.

Markers and loop points are beats while the clip is warped, seconds while it is not. The region is
the loop while looping, else from start to end marker. A deleted clip equals None.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Clip, Song

#: What a clip turned down to nothing counts as [dB].
SILENT_DB = -70.0
#: Live's number of the warp mode in which pitch follows tempo.
RE_PITCH = 3
#: Semitones that the engine takes.
WIDEST_PITCH = 48


class Refused(Exception):
    """Something that a person has to change; the text is the sentence that is shown."""


class SelectedClip:
    """A clip as the engine is told of it. Units: see the module; markers are (seconds, beats)."""

    def __init__(self, clip: Clip, song: Song) -> None:
        self.clip = clip
        self.song = song
        self.name = str(clip.name)
        self.path = str(clip.file_path)
        self.warped = bool(clip.warping)
        looping = bool(clip.looping)
        self.start = float(clip.loop_start if looping else clip.start_marker)
        self.end = float(clip.loop_end if looping else clip.end_marker)
        self.plays_from = float(clip.start_marker)
        if not self.warped:
            self.end = min(self.end, file_seconds(clip) or self.end)
        self.markers = warp_markers(clip) if self.warped else []
        self.pitch = semitones(clip, self.markers, float(song.tempo))
        self.gain_db = decibels(str(clip.gain_display_string))
        self.arranged = bool(clip.is_arrangement_clip)

    @property
    def start_time(self) -> float:
        """Beat of the arrangement on which it lies now; 0 in a slot."""
        return float(self.clip.start_time) if self.arranged else 0.0

    @property
    def heard(self) -> tuple[object, ...]:
        """What suggestions are made for."""
        return (self.path, self.warped, self.start, self.end, self.pitch, tuple(self.markers))

    def read_again(self) -> SelectedClip:
        """The clip where it lies now: it may have been moved or trimmed.

        Raises:
            Refused: the suggestions were made for something else.
        """
        now = SelectedClip(self.clip, self.song)
        if now.heard != self.heard:
            raise Refused("The clip was changed. Press Suggest again.")
        return now

    def check_alive(self) -> None:
        """Refuses when the clip was deleted meanwhile."""
        if self.clip == None:  # noqa: E711 - a deleted object equals None and is not None
            raise Refused("The clip was deleted. Select another one.")


def read_selected(song: Song) -> SelectedClip:
    """The clip in Live's clip view.

    Raises:
        Refused: none, or one that has no finished audio file.
    """
    clip = song.view.detail_clip
    if clip is None or clip == None:  # noqa: E711
        slot = song.view.highlighted_clip_slot
        clip = slot.clip if slot is not None else None
    if clip is None or clip == None:  # noqa: E711
        raise Refused("Select an audio clip.")
    if not clip.is_audio_clip:
        raise Refused("This is a MIDI clip. Select an audio clip.")
    if clip.is_recording:
        raise Refused("This clip is being recorded. Stop, then press Suggest.")
    read = SelectedClip(clip, song)
    if not read.path or not Path(read.path).is_file():
        raise Refused("This clip's file is missing. Save the set, or find the file.")
    return read


def warp_markers(clip: Clip) -> list[tuple[float, float]]:
    """[(seconds, beats)], rising, with Live's last, unseen marker."""
    found: list[tuple[float, float]] = []
    for marker in clip.warp_markers:
        point = (float(marker.sample_time), float(marker.beat_time))
        if not found or (point[0] > found[-1][0] and point[1] > found[-1][1]):
            found.append(point)
    return found


def semitones(clip: Clip, markers: Sequence[tuple[float, float]], tempo: float) -> int:
    """By which Live transposes the clip: as it says, or in Re-Pitch as the tempo does."""
    if len(markers) < 2 or clip.warp_mode != RE_PITCH:
        return int(clip.pitch_coarse)
    (first_s, first_beat), (last_s, last_beat) = markers[0], markers[-1]
    faster = tempo * (last_s - first_s) / (60.0 * (last_beat - first_beat))
    return max(-WIDEST_PITCH, min(WIDEST_PITCH, round(12.0 * math.log(faster, 2))))


def file_seconds(clip: Clip) -> float:
    """Length of the clip's file; 0 where this Live does not know the sample rate."""
    rate = getattr(clip, "sample_rate", 0)
    return float(clip.sample_length) / rate if rate else 0.0


def decibels(text: str) -> float:
    """``-6.0 dB`` as a number; 0 where there is none."""
    if "inf" in text:
        return SILENT_DB
    found = re.search(r"[-+]?\d+(\.\d+)?", text.replace("\u2212", "-").replace(",", "."))
    return float(found.group()) if found else 0.0
