"""Live's objects, as far as the script uses them: for readers and type checkers only.

Nothing of this is there when the script runs; annotations are never evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol, Union

    Value = Union[int, float, str]

    class Marker(Protocol):
        """A warp marker: seconds of the file, beats of the clip."""

        sample_time: float
        beat_time: float

    MakeMarker = Callable[..., Marker]

    class Clip(Protocol):
        """``Live.Clip.Clip``. Markers and loop points: beats while warping, else seconds."""

        name: str
        file_path: str
        is_audio_clip: bool
        is_recording: bool
        is_playing: bool
        is_arrangement_clip: bool
        warping: bool
        looping: bool
        loop_start: float
        loop_end: float
        start_marker: float
        end_marker: float
        start_time: float
        end_time: float
        pitch_coarse: int
        gain_display_string: str
        sample_length: int
        sample_rate: float
        warp_mode: int
        available_warp_modes: Sequence[int]
        warp_markers: Sequence[Marker]
        canonical_parent: Slot

        def add_warp_marker(self, marker: Marker) -> None:
            """Refused by a RuntimeError."""

        def remove_warp_marker(self, beat_time: float) -> None:
            """Refused by a RuntimeError."""

    class Slot(Protocol):
        """``Live.ClipSlot.ClipSlot``."""

        has_clip: bool
        clip: Clip | None
        canonical_parent: Track

        def create_audio_clip(self, path: str) -> None:
            """From Live 11.3.25 and 12.0.5 on."""

        def delete_clip(self) -> None:
            """Empties the slot."""

        def fire(self) -> None:
            """Launches it."""

    class Track(Protocol):
        """``Live.Track.Track``."""

        name: str
        has_audio_input: bool
        is_frozen: bool
        clip_slots: Sequence[Slot]
        arrangement_clips: Sequence[Clip]

        def create_audio_clip(self, path: str, position: float) -> Clip:
            """From Live 11.3.25 and 12.0.5 on."""

        def delete_clip(self, clip: Clip) -> None:
            """Takes a clip out of the arrangement."""

    class View(Protocol):
        """``Live.Song.Song.View``."""

        detail_clip: Clip | None
        highlighted_clip_slot: Slot | None

    class Song(Protocol):
        """``Live.Song.Song``."""

        view: View
        tempo: float
        signature_numerator: int
        signature_denominator: int
        root_note: int
        scale_name: str
        tracks: Sequence[Track]

        def create_audio_track(self, index: int) -> Track:
            """Refused by a RuntimeError where the edition allows no more."""

        def create_scene(self, index: int) -> object:
            """One more row of slots."""

        def delete_track(self, index: int) -> None:
            """Takes it out."""

        def begin_undo_step(self) -> None:
            """What follows is undone at once."""

        def end_undo_step(self) -> None:
            """Up to here."""

    class Host(Protocol):
        """The ``c_instance`` that Live hands to a script."""

        def song(self) -> Song:
            """The set that is open."""
