"""Writes the warp markers of a new clip: second 0 is beat 0, and the file's end its last beat.

Live guesses a new clip's tempo from the file's length, which is right for loops of 1, 2, 4, 8 or 16
bars and otherwise often wrong; a Remote Script can set it right, where Max for Live cannot. What
was written is read back, for Live may refuse in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clip import file_seconds, warp_markers

if TYPE_CHECKING:
    from .shapes import Clip, MakeMarker

    Points = list[tuple[float, float]]

#: How far from its beat a marker may be read back [beats]; 0.001 is 0.5 ms at 120 BPM.
NEAR_BEATS = 0.001
BEATS, COMPLEX = 0, 4
_STRAIGHT = ("percussion", "drums")


def warp_exactly(clip: Clip, beats: float, make_marker: MakeMarker) -> float:
    """Ties the whole file to ``beats`` beats.

    Args:
        clip: the new clip.
        beats: length of the file.
        make_marker: ``Live.Clip.WarpMarker``, called with ``sample_time`` and ``beat_time``.

    Returns:
        The tempo that the markers now say [BPM]; 0.0 where they could not be written.
    """
    seconds = file_seconds(clip)
    wanted = [(0.0, 0.0), (seconds, float(beats))]
    if not clip.warping:
        clip.warping = True
    if seconds <= 0 or not hasattr(clip, "add_warp_marker"):
        return implied_bpm(clip) if _lies_right(clip, wanted) else 0.0
    if not _lies_right(clip, wanted):
        _clear_all_but_one(clip)
        for point in wanted:
            _add(clip, point, make_marker)
        _remove_others(clip, wanted)
        # Markers may have stood in each other's way the first time.
        for point in wanted:
            _add(clip, point, make_marker)
    return implied_bpm(clip) if _lies_right(clip, wanted) else 0.0


def implied_bpm(clip: Clip) -> float:
    """The tempo between the first two markers; 0.0 where there are none."""
    markers = warp_markers(clip)
    if len(markers) < 2:
        return 0.0
    (sec_a, beat_a), (sec_b, beat_b) = markers[:2]
    return 60.0 * (beat_b - beat_a) / (sec_b - sec_a)


def play_whole(clip: Clip, beats: float, *, looped: bool, first: float = 0.0) -> None:
    """Lets the clip play all its beats, from ``first`` on, as a loop or once."""
    if looped:
        clip.looping = True
        clip.loop_end = float(beats)
        clip.loop_start = 0.0
    elif clip.looping:
        clip.looping = False
    clip.end_marker = float(beats)
    clip.start_marker = first


def play_unwarped(clip: Clip, *, skipped: float = 0.0) -> None:
    """Lets the file play once, as it is, but for the share ``skipped`` at its beginning.

    Live leaves the end marker as a number of beats.
    """
    clip.warping = False
    seconds = file_seconds(clip)
    if seconds > 0:
        clip.end_marker = seconds
        clip.start_marker = skipped * seconds


def choose_mode(clip: Clip, role: str) -> None:
    """Beats for drums, Complex for the rest: it is heard only after the set's tempo has changed."""
    mode = BEATS if role in _STRAIGHT else COMPLEX
    if mode in tuple(clip.available_warp_modes):
        clip.warp_mode = mode


def _lies_right(clip: Clip, wanted: Points) -> bool:
    markers = warp_markers(clip)
    return len(markers) > 1 and all(
        abs(_beat_at(markers, sec) - beat) < NEAR_BEATS for sec, beat in wanted
    )


def _beat_at(markers: Points, sec: float) -> float:
    index = max(i for i in range(len(markers) - 1) if i == 0 or markers[i][0] <= sec)
    (sec_a, beat_a), (sec_b, beat_b) = markers[index : index + 2]
    return beat_a + (sec - sec_a) * (beat_b - beat_a) / (sec_b - sec_a)


def _clear_all_but_one(clip: Clip) -> None:
    for _, beat in warp_markers(clip)[1:-1]:
        _remove(clip, beat)


def _remove_others(clip: Clip, wanted: Points) -> None:
    kept = [beat for _, beat in wanted]
    for _, beat in warp_markers(clip)[:-1]:
        if all(abs(beat - other) > NEAR_BEATS for other in kept):
            _remove(clip, beat)


def _remove(clip: Clip, beat: float) -> None:
    try:
        clip.remove_warp_marker(beat)
    except RuntimeError:
        return  # the last one stays, as Live wants it


def _add(clip: Clip, point: tuple[float, float], make_marker: MakeMarker) -> None:
    try:
        clip.add_warp_marker(make_marker(sample_time=point[0], beat_time=point[1]))
    except RuntimeError:
        return  # already there, or in another's way: what counts is what is read back
