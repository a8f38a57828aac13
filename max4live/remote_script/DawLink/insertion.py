"""Puts rendered files into the set: on a new audio track each, or on the next free slot.

A session clip starts in the clip's own scene and loops; an arrangement clip lies where its first
beat belongs, never over another clip. Lite and Intro allow few tracks: when Live takes no more, the
clips go to free slots of the tracks that dawlink made before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .clip import Refused
from .warping import choose_mode, play_unwarped, play_whole, warp_exactly

if TYPE_CHECKING:
    from .clip import SelectedClip
    from .shapes import Clip, MakeMarker, Slot, Song, Track

#: Tracks of dawlink begin with this.
TRACK_WORD = "dawlink"
#: How far a new clip may lie from where it was asked for [beats].
NEAR_BEATS = 0.001
TOO_OLD = "This Live cannot take files from scripts. Drag this one in: "


class Stem:
    """A rendered file and what it is."""

    def __init__(self, path: str, title: str, role: str) -> None:
        self.path, self.title, self.role = path, title, role

    @property
    def name(self) -> str:
        """How the clip is called."""
        return f"{self.title} ({self.role})"


class Place:
    """Where clips go: ``beat`` of the arrangement, or ``scene`` (an index) of the session.

    ``inside`` is the beat of the selected session clip's region that it plays from; ``cut`` are
    the beats at the end of an arrangement clip that are not heard.
    """

    def __init__(
        self,
        *,
        arranged: bool,
        beat: float,
        scene: int,
        beats: float,
        inside: float = 0.0,
        cut: float = 0.0,
    ) -> None:
        self.arranged, self.beat, self.scene, self.beats = arranged, beat, scene, beats
        self.inside, self.cut = inside, cut

    @property
    def first_heard(self) -> float:
        """Beat that a loop plays from, so that launched together it stays under its clip."""
        return round(self.inside, 6) % self.beats


class Inserted:
    """A clip that was made, and the tempo that Live now reads out of its file [BPM]."""

    def __init__(self, clip: Clip, track: Track, *, made_track: bool, bpm: float) -> None:
        self.clip, self.track, self.made_track, self.bpm = clip, track, made_track, bpm


def place_of(
    selected: SelectedClip, *, offset_beats: float, bars: int, bar_beats: float, tempo_bpm: float
) -> tuple[Place, float, int]:
    """Where a render belongs, and from which of its beats on.

    Returns:
        A :class:`Place`, the render's ``start_beat`` and its bars. Bars that would lie before the
        song's first beat are left out, of a last one the beginning: then so many beats are cut
        from the end, that it ends with its clip.
    """
    if not selected.arranged:
        slot = selected.clip.canonical_parent
        slots = list(slot.canonical_parent.clip_slots)
        place = Place(
            arranged=False,
            beat=0.0,
            scene=slots.index(slot),
            beats=bars * bar_beats,
            inside=selected.plays_from - selected.start,
        )
        return place, -offset_beats, bars
    inside = selected.start - selected.plays_from
    if not selected.warped:
        inside = inside * tempo_bpm / 60.0
    beat, start_beat = selected.start_time + inside + offset_beats, 0.0
    while beat < 0 and bars > 1:
        beat, start_beat, bars = beat + bar_beats, start_beat + bar_beats, bars - 1
    cut = max(0.0, -beat)
    place = Place(arranged=True, beat=beat + cut, scene=0, beats=bars * bar_beats, cut=cut)
    return place, start_beat + cut, bars


def insert_stem(song: Song, stem: Stem, place: Place, *, make_marker: MakeMarker) -> Inserted:
    """One clip in the set.

    Raises:
        Refused: this Live takes no files, or has no room.
    """
    track, made = _track_for(song, stem, place)
    if not hasattr(track, "create_audio_clip"):
        raise Refused(TOO_OLD + stem.path)
    clip = _created(song, track, stem, place)
    clip.name = stem.name
    bpm = warp_exactly(clip, place.beats, make_marker)
    if bpm:
        heard = place.beats - place.cut
        play_whole(clip, heard, looped=not place.arranged, first=place.first_heard)
        choose_mode(clip, stem.role)
    else:
        play_unwarped(clip, skipped=place.first_heard / place.beats)
    return Inserted(clip, track, made_track=made, bpm=bpm)


def remove(song: Song, inserted: Inserted) -> None:
    """Takes a clip out again, and the track that was made for it if nothing else is on it."""
    if inserted.clip != None:  # noqa: E711 - a deleted object equals None
        if inserted.clip.is_arrangement_clip:
            inserted.track.delete_clip(inserted.clip)
        else:
            inserted.clip.canonical_parent.delete_clip()
    tracks = list(song.tracks)
    if inserted.made_track and inserted.track in tracks and _is_empty(inserted.track):
        song.delete_track(tracks.index(inserted.track))


def can_insert(song: Song) -> bool:
    """Whether this Live makes clips out of files: looked for, never concluded from a version."""
    return any(hasattr(track, "create_audio_clip") for track in song.tracks)


def _track_for(song: Song, stem: Stem, place: Place) -> tuple[Track, bool]:
    try:
        track = song.create_audio_track(-1)
    except RuntimeError:
        return _old_track(song, place), False
    track.name = f"{TRACK_WORD} {stem.role}"
    return track, True


def _old_track(song: Song, place: Place) -> Track:
    for track in song.tracks:
        ours = str(track.name).startswith(TRACK_WORD) and track.has_audio_input
        if ours and not track.is_frozen and not (place.arranged and _covers(track, place)):
            return track
    raise Refused("Live takes no more tracks. Delete one, or name an audio track 'dawlink'.")


def _covers(track: Track, place: Place) -> bool:
    end = place.beat + place.beats
    return any(
        clip.start_time < end and clip.end_time > place.beat for clip in track.arrangement_clips
    )


def _created(song: Song, track: Track, stem: Stem, place: Place) -> Clip:
    try:
        if place.arranged:
            clip = track.create_audio_clip(stem.path, place.beat)
            return clip if clip is not None else _clip_at(track, place.beat)
        slot = _free_slot(song, track, place.scene)
        slot.create_audio_clip(stem.path)
    except RuntimeError as error:
        raise Refused(f"Live did not take the file ({error}): {stem.path}") from error
    if slot.clip is None:
        raise Refused(f"Live did not take the file: {stem.path}")
    return slot.clip


def _clip_at(track: Track, beat: float) -> Clip:
    for clip in track.arrangement_clips:
        if abs(clip.start_time - beat) < NEAR_BEATS:
            return clip
    raise Refused("Live made no clip.")


def _free_slot(song: Song, track: Track, scene: int) -> Slot:
    slots = list(track.clip_slots)
    for slot in slots[scene:]:
        if not slot.has_clip:
            return slot
    song.create_scene(-1)
    return track.clip_slots[-1]


def _is_empty(track: Track) -> bool:
    return not len(track.arrangement_clips) and not any(slot.has_clip for slot in track.clip_slots)
