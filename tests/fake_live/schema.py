"""Which members of which object Max shows, for ``get``, ``set``, ``call``, paths and ``info``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """Members of one class. ``members`` are Max's names; ``attribute`` says where Live keeps one
    under another name."""

    properties: tuple[str, ...]
    settable: tuple[str, ...] = ()
    child: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    attribute: dict[str, str] = field(default_factory=dict)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SHAPES: dict[str, Shape] = {
    "Application": Shape(
        (),
        functions=_words("get_major_version get_minor_version get_bugfix_version get_document"),
    ),
    "Song": Shape(
        _words(
            "tempo signature_numerator signature_denominator root_note scale_name scale_mode "
            "scale_intervals is_playing current_song_time file_path name"
        ),
        settable=_words("tempo"),
        child=("view",),
        children=_words("tracks visible_tracks scenes"),
        functions=_words(
            "create_audio_track create_midi_track create_scene delete_track start_playing "
            "stop_playing begin_undo_step end_undo_step"
        ),
    ),
    "Song.View": Shape(
        (),
        settable=_words("detail_clip highlighted_clip_slot selected_track"),
        child=_words("detail_clip highlighted_clip_slot selected_track selected_scene"),
    ),
    "Scene": Shape(("name",)),
    "Track": Shape(
        _words(
            "name has_audio_input has_midi_input is_foldable is_frozen playing_slot_index "
            "fired_slot_index"
        ),
        settable=("name",),
        child=("canonical_parent",),
        children=_words("clip_slots arrangement_clips"),
        functions=_words("create_audio_clip delete_clip stop_all_clips"),
    ),
    "ClipSlot": Shape(
        _words("has_clip is_playing is_recording has_stop_button"),
        child=_words("clip canonical_parent"),
        functions=_words("create_audio_clip delete_clip fire stop"),
    ),
    "Clip": Shape(
        _words(
            "name file_path is_audio_clip is_midi_clip is_arrangement_clip is_session_clip "
            "is_take_lane_clip is_recording is_playing start_marker end_marker loop_start "
            "loop_end looping warping warp_mode available_warp_modes warp_markers pitch_coarse "
            "pitch_fine gain gain_display_string sample_length sample_rate start_time end_time "
            "length playing_position"
        ),
        settable=_words(
            "name start_marker end_marker loop_start loop_end looping warping warp_mode "
            "pitch_coarse gain"
        ),
        child=("canonical_parent",),
        functions=_words("add_warp_marker move_warp_marker remove_warp_marker"),
        attribute={"warp_markers": "warp_markers_json"},
    ),
    "MaxDevice": Shape(_words("name"), child=("canonical_parent",)),
}
