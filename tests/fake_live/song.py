"""The song, its views, the application; and the person who uses them, for tests."""

from __future__ import annotations

from typing import ClassVar

from tests.fake_live.clips import Clip, read_sample
from tests.fake_live.lom import LiveObject, World
from tests.fake_live.tracks import ClipSlot, Track
from tests.fake_live.versions import LiveVersion
from tests.fake_live.warping import WarpMap

SCALES = {
    "Major": (0, 2, 4, 5, 7, 9, 11),
    "Minor": (0, 2, 3, 5, 7, 8, 10),
    "Dorian": (0, 2, 3, 5, 7, 9, 10),
}


class Scene(LiveObject):
    """A row of slots."""

    lom_name = "Scene"
    observable: ClassVar[frozenset[str]] = frozenset({"name"})
    name = ""


class SongView(LiveObject):
    """What is selected."""

    lom_name = "Song.View"
    observable: ClassVar[frozenset[str]] = frozenset(
        {"detail_clip", "selected_track", "selected_scene"}
    )

    def __init__(self, song: Song) -> None:
        super().__init__(song.world)
        self._song = song
        self._clip: Clip | None = None
        self._slot: ClipSlot | None = None
        self._track: Track | None = None

    canonical_parent = property(lambda self: self._song)
    selected_scene = property(lambda self: self._song.scenes[0])

    @property
    def detail_clip(self) -> Clip | None:
        return self._clip if self._clip is not None and self._clip.alive else None

    @detail_clip.setter
    def detail_clip(self, clip: Clip | None) -> None:
        self._changing()
        self._clip = clip
        self._notify("detail_clip")

    @property
    def highlighted_clip_slot(self) -> ClipSlot | None:
        return self._slot

    @highlighted_clip_slot.setter
    def highlighted_clip_slot(self, slot: ClipSlot | None) -> None:
        self._changing()
        self._slot = slot

    @property
    def selected_track(self) -> Track | None:
        return self._track

    @selected_track.setter
    def selected_track(self, track: Track | None) -> None:
        self._changing()
        self._track = track
        self._notify("selected_track")


class Song(LiveObject):
    """``live_set``."""

    lom_name = "Song"
    observable: ClassVar[frozenset[str]] = frozenset(
        {
            "tempo",
            "signature_numerator",
            "signature_denominator",
            "root_note",
            "scale_name",
            "scale_mode",
            "scale_intervals",
            "is_playing",
            "tracks",
            "visible_tracks",
            "scenes",
            "current_song_time",
        }
    )
    gated: ClassVar[dict[str, str]] = {
        "scale_mode": "scale_mode",
        "file_path": "create_audio_clip",
        "name": "create_audio_clip",
    }

    def __init__(self, world: World, *, scenes: int, max_tracks: int) -> None:
        super().__init__(world)
        self._tempo, self._signature = 120.0, (4, 4)
        self._root, self._scale, self._in_key = 0, "Major", False
        self._path = ""
        self._playing, self._time = False, 0.0
        self._tracks: list[Track] = []
        self._max_tracks = max_tracks
        self.auto_warp_long_samples = True
        self._view = SongView(self)
        self._scenes = [Scene(world) for _ in range(scenes)]

    view = property(lambda self: self._view)
    tracks = property(lambda self: tuple(self._tracks))
    visible_tracks = property(lambda self: tuple(self._tracks))
    scenes = property(lambda self: tuple(self._scenes))
    file_path = property(lambda self: self._path)
    name = property(lambda self: self._path.rpartition("/")[2].removesuffix(".als"))
    is_playing = property(lambda self: self._playing)
    current_song_time = property(lambda self: self._time)
    signature_numerator = property(lambda self: self._signature[0])
    signature_denominator = property(lambda self: self._signature[1])
    beats_per_bar = property(lambda self: 4 * self._signature[0] / self._signature[1])
    root_note = property(lambda self: self._root)
    scale_name = property(lambda self: self._scale)
    scale_mode = property(lambda self: self._in_key)
    scale_intervals = property(lambda self: SCALES[self._scale])

    @property
    def tempo(self) -> float:
        return self._tempo

    @tempo.setter
    def tempo(self, value: float) -> None:
        self._changing()
        if not 20.0 <= value <= 999.0:
            raise RuntimeError("Invalid value: tempo")
        self._tempo = float(value)
        self._notify("tempo")

    def create_audio_track(self, index: int = -1) -> Track:
        return self._new_track(index, audio=True)

    def create_midi_track(self, index: int = -1) -> Track:
        return self._new_track(index, audio=False)

    def create_scene(self, index: int = -1) -> Scene:
        self._changing()
        scene = Scene(self.world)
        self._scenes.insert(len(self._scenes) if index < 0 else index, scene)
        for track in self._tracks:
            track._slots.insert(self._scenes.index(scene), ClipSlot(track))
        self._notify("scenes")
        return scene

    def delete_track(self, index: int) -> None:
        self._changing()
        track = self._tracks.pop(index)
        for clip in [*track._lane, *(slot.clip for slot in track._slots if slot.clip)]:
            clip._die()
        track._die()
        self._notify("tracks", "visible_tracks")

    def start_playing(self) -> None:
        self._changing()
        self._playing = True
        self._notify("is_playing")

    def stop_playing(self) -> None:
        self._changing()
        self._playing = False
        self._notify("is_playing")

    def begin_undo_step(self) -> None:
        self._changing()

    def end_undo_step(self) -> None:
        self._changing()

    def pass_time(self, seconds: float) -> None:
        """The transport runs on; not part of Live's model."""
        if self._playing:
            self._time += seconds * self._tempo / 60
            self._notify("current_song_time")

    def _new_track(self, index: int, *, audio: bool) -> Track:
        self._changing()
        if len(self._tracks) >= self._max_tracks:
            raise RuntimeError("The maximum number of tracks is reached")
        if not -1 <= index <= len(self._tracks):
            raise RuntimeError("Invalid track index")
        place = len(self._tracks) if index == -1 else index
        track = Track(self, f"{place + 1}-{'Audio' if audio else 'MIDI'}", audio=audio)
        track._slots = [ClipSlot(track) for _ in self._scenes]
        self._tracks.insert(place, track)
        self._notify("tracks", "visible_tracks")
        return track


class Application(LiveObject):
    """``live_app``."""

    lom_name = "Application"

    def __init__(self, world: World, song: Song) -> None:
        super().__init__(world)
        self._song = song

    def get_major_version(self) -> int:
        return self.world.version.major

    def get_minor_version(self) -> int:
        return self.world.version.minor

    def get_bugfix_version(self) -> int:
        return self.world.version.bugfix

    def get_document(self) -> Song:
        return self._song


class LiveSet:
    """A running Live with one set, and what a person does in it."""

    def __init__(
        self,
        version: str = "12.2.0",
        *,
        tempo: float = 120.0,
        path: str = "",
        scenes: int = 8,
        max_tracks: int = 1000,
    ) -> None:
        self.world = World(LiveVersion.parse(version))
        self.song = Song(self.world, scenes=scenes, max_tracks=max_tracks)
        self.application = Application(self.world, self.song)
        self.song._tempo, self.song._path = tempo, path

    def set_key(self, root: int, scale: str, *, in_key: bool = True) -> None:
        self.song._root, self.song._scale, self.song._in_key = root, scale, in_key
        self.song._notify("root_note", "scale_name", "scale_intervals")
        if self.world.version.has("scale_mode"):
            self.song._notify("scale_mode")

    def save_as(self, path: str) -> None:
        self.song._path = path

    def drop_in_slot(self, track: Track, index: int, path: str) -> Clip:
        """A file dragged from the browser: works in every Live."""
        slot = track.clip_slots[index]
        slot.put(Clip(track, track.new_sample(path), slot=slot))
        return slot.clip

    def drop_in_arrangement(self, track: Track, beat: float, path: str) -> Clip:
        clip = Clip(track, track.new_sample(path), slot=None, start_time=beat)
        track._clear(clip.start_time, clip.end_time)
        track._lane = sorted([*track._lane, clip], key=lambda item: item.start_time)
        return clip

    def warp(self, clip: Clip, *markers: tuple[float, float], bpm: float) -> None:
        """Markers set by hand, the clip running from beat 0 to the file's end."""
        clip._map = WarpMap(markers, bpm)
        clip._start, clip._end = 0.0, clip._map.beat_at(read_sample(clip.file_path).seconds)
        clip._loop = (0.0, clip._end)

    def midi_clip(self, track: Track, index: int) -> Clip:
        slot = track.clip_slots[index]
        slot.put(Clip(track, None, slot=slot))
        return slot.clip

    def record(self, clip: Clip, *, recording: bool = True) -> None:
        clip._recording = recording
        clip._notify("is_recording")

    def freeze(self, track: Track) -> None:
        track._frozen = True

    def select(self, clip: Clip | None) -> None:
        """A click on a clip, or elsewhere."""
        if clip is None or clip._slot is not None:
            self.song.view.highlighted_clip_slot = clip._slot if clip is not None else None
        if clip is not None:
            self.song.view.selected_track = clip._track
        self.song.view.detail_clip = clip

    def delete(self, clip: Clip) -> None:
        """The delete key."""
        shown = self.song.view.detail_clip is clip
        if clip._slot is not None:
            clip._slot.delete_clip()
        else:
            clip._track.delete_clip(clip)
        if shown:
            self.song.view.detail_clip = None
