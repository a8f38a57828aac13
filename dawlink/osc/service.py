"""The engine behind the daemon: opened in the background, asked from worker threads.

Everything here blocks and runs in a thread. The library may be missing when the daemon starts and
come later, may be changed by the command line meanwhile, or vanish.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dawlink.osc.clients import Answered, LiveClip, LiveSession
from dawlink.osc.faults import ErrorCode, Fault
from dawlink.settings import Settings

if TYPE_CHECKING:
    from engine.audio.stretch import Stretcher
    from engine.clips.clip import ClipAnalysis, ClipRequest
    from engine.engine import Engine
    from engine.grid import BeatGrid
    from engine.library.place import LibraryPlace
    from engine.suggestions import Suggestion, SuggestOptions
    from engine.theory import Key, Role

__all__ = ["ClipFacts", "EngineService"]

_DEFAULT_ROLES: Final[tuple[Role, ...]] = ("harmonic", "percussion")
_ADD_HINT: Final = "Add music: dawlink add FOLDER."


class ClipFacts:
    """What a client is told about a clip."""

    def __init__(self, bpm: float, key: Key | None, confidence: float) -> None:
        self.bpm = bpm
        self.root = -1 if key is None else key.tonic
        self.mode = "" if key is None else key.mode
        self.confidence = confidence


class EngineService:
    """Opens the engine and asks it. Threads share one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._analysing: dict[object, threading.Lock] = {}
        self._analysed: set[object] = set()
        self._there: dict[tuple[int, int], tuple[Role, ...]] = {}
        self._place: tuple[int, int] | None = None
        self._revision = -1
        self._songs = 0
        self._refusal = ""  # why the library cannot be opened, when it is there

    @property
    def songs(self) -> int:
        """Songs in the library when it was last looked at."""
        return self._songs

    @property
    def is_open(self) -> bool:
        """Whether there is a library."""
        return self._engine is not None

    def engine(self) -> Engine:
        """The engine.

        Raises:
            Fault: there is no library yet.
        """
        engine = self._engine
        if engine is None:
            raise Fault(
                ErrorCode.NOT_ANALYSED,
                "no_library",
                self._refusal or f"There is no library in {self.settings.library}. {_ADD_HINT}",
            )
        return engine

    def look(self) -> bool:
        """Open the library if it is there now, and see whether it has changed; True if so."""
        from engine.errors import DawlinkError

        before = self._engine
        try:
            place = _place_of(self.settings.library)
            if place is None or place != self._place:  # a file of that name, but another library
                self._forget()
            engine = self._engine or self._opened()
            revision = engine.library.revision()
            if revision == self._revision:
                return False
            self._songs = len(engine.library.song_ids())
            self._place, self._revision, self._engine = place, revision, engine
            self._refusal = ""
        except DawlinkError as error:
            self._refusal = "" if error.code == "no_library" else f"{error.message} {error.hint}"
            self._forget()
            return before is not None
        return True

    def _forget(self) -> None:
        """There is no library, or it is not the one that was open."""
        engine, self._engine = self._engine, None
        self._place, self._revision, self._songs = None, -1, 0
        with self._lock:
            self._analysed.clear()
        self._there = {}
        if engine is not None:
            engine.library.close()

    def warm(self) -> None:
        """Load pools and model, and what the first clip needs; a library without stems is fine."""
        from engine.analysis import beats, key
        from engine.audio import stretch

        assert beats and key and stretch  # noqa: PT018 — imported for the first clip and audition
        self.engine().warm(_DEFAULT_ROLES, model=self.settings.model)

    def close(self) -> None:
        """Let go of the library."""
        self._forget()

    def guess(self, clip: LiveClip, session: LiveSession) -> ClipFacts:
        """What is known of a warped clip before its markers come: its song's or its name's."""
        from engine.analysis.tempo import hints_from_name
        from engine.clips.analysis import content_sha

        hints = hints_from_name(clip.path.stem)
        bpm, key = hints.tempo_bpm or session.tempo_bpm or 0.0, hints.key
        if self._engine is not None:
            for song_id in self._engine.library.find_source(content_sha(clip.path))[:1]:
                song = self._engine.library.song(song_id)
                bpm, key = song.tempo.bpm, song.key.key
        return ClipFacts(bpm, key, 0.0)

    def facts(self, clip: LiveClip, session: LiveSession) -> ClipFacts:
        """The analysed clip's own tempo and key."""
        found = self.analyse(clip, session)
        confidence = found.key.confidence if found.key.key is not None else 0.0
        return ClipFacts(found.tempo_bpm, found.key.key, confidence)

    def analyse(self, clip: LiveClip, session: LiveSession) -> ClipAnalysis:
        """The clip's analysis; several who ask for the same at once wait for one."""
        engine, request = self.engine(), self._request(clip, session)
        key = self._key(clip, session)
        with self._one_at_a_time(key):
            found = engine.analyse(request, session_tempo_bpm=session.tempo_bpm)
        with self._lock:
            self._analysed.add(key)
        return found

    def knows(self, clip: LiveClip, session: LiveSession) -> bool:
        """Whether the clip was analysed before, so that asking about it takes no time."""
        return self._key(clip, session) in self._analysed

    def suggest(self, clip: LiveClip, session: LiveSession, *, roles: str, limit: int) -> Answered:
        """Ranked accompaniments.

        Raises:
            Fault, DawlinkError: see :meth:`Engine.suggest`.
        """
        options = self._options(clip, session, limit or self.settings.limit)
        return self._asked(clip, session, replace(options, roles=self._roles(roles, session)))

    def placed(self, clip: LiveClip, session: LiveSession, stem_ids: tuple[str, ...]) -> Answered:
        """These very stems, placed as well as they can be.

        Raises:
            UsageError: there is no such stem, or two of them play the same role.
        """
        library = self.engine().library
        played = [library.stem(stem_id).role for stem_id in stem_ids]
        names = " ".join("percussion" if role == "drums" else role for role in played)
        options = replace(
            self._options(clip, session, 1),
            roles=_parsed(names),
            only_stems=frozenset(stem_ids),
            include_own=True,
        )
        return self._asked(clip, session, options)

    def _asked(self, clip: LiveClip, session: LiveSession, options: SuggestOptions) -> Answered:
        engine, request = self.engine(), self._request(clip, session)
        if not self.knows(clip, session):
            self.analyse(clip, session)  # or each who asks at once would do it
        return Answered(clip, session, engine.suggest(request, options, model=self.settings.model))

    def _request(self, clip: LiveClip, session: LiveSession) -> ClipRequest:
        """What the engine analyses; a clip that is counted otherwise rests on what was heard."""
        request = clip.request(session.beats_per_bar)
        if clip.counted == 1.0:
            return request
        heard = self.analyse(replace(clip, counted=1.0), session)
        tempo_bpm = heard.tempo_bpm * clip.counted
        return replace(
            request, tempo_bpm=tempo_bpm, downbeat_s=max(heard.downbeat_s, 0.0), counted_so=True
        )

    def stretcher(self, watch: Callable[[float], None], *, draft: bool = False) -> Stretcher:
        """The way to Rubber Band that the settings choose; only the one in process is watched.

        Raises:
            MissingDependency: it is not there.
        """
        from engine.audio.stretch import RubberBandInProcess, RubberBandProgram
        from engine.errors import MissingDependency

        if self.settings.stretcher == "pyrubberband":
            return RubberBandProgram()
        try:
            return RubberBandInProcess(draft=draft, watch=watch)
        except MissingDependency:
            if self.settings.stretcher == "pylibrb":
                raise
            return RubberBandProgram()

    def group(self, answered: Answered, stem_ids: tuple[str, ...]) -> Suggestion | None:
        """The suggestion made of these stems, if the answer holds them."""
        from engine.rendering.auditions import grouped

        return grouped(answered.reply, stem_ids)

    def holds(self, suggestion: Suggestion) -> bool:
        """Whether the stems are still in the library, on the beats and in the key that they had."""
        from engine.errors import UsageError

        library = self.engine().library
        try:
            rows = [library.stem(stem.placement.stem_id) for stem in suggestion.stems]
            songs = [library.song(row.song_id) for row in rows]
            grids = [library.grid(song.id) for song in songs]
        except UsageError:  # a song was removed
            return False
        return all(
            _same_beats(grid, stem.grid)
            and (song.key.key, song.tuning_cents) == (stem.key.key, stem.tuning_cents)
            for grid, song, stem in zip(grids, songs, suggestion.stems, strict=True)
        )

    def _key(self, clip: LiveClip, session: LiveSession) -> object:
        """What an analysis depends on."""
        heard = replace(clip, gain_db=0.0, pitch=0)
        return heard, session.tempo_bpm, session.beats_per_bar, self._revision

    def _opened(self) -> Engine:
        from engine.engine import Engine
        from engine.errors import UnwritableOutput
        from engine.library.library import Library

        folder = self.settings.library
        try:
            return Engine(Library.open(folder, create=False))
        except UnwritableOutput:
            return Engine(Library.open(folder, create=False, read_only=True))

    def _roles(self, text: str, session: LiveSession) -> tuple[Role, ...]:
        if text.strip() != "*":
            return _parsed(text)
        metre = session.beats_per_bar or 4
        engine, key = self.engine(), (metre, self._revision)
        if key not in self._there:
            self._there = {key: tuple(r for r in _DEFAULT_ROLES if engine.has_role(r, metre))}
        return self._there.get(key) or _DEFAULT_ROLES

    def _options(self, clip: LiveClip, session: LiveSession, limit: int) -> SuggestOptions:
        from engine.suggestions import SuggestOptions

        return SuggestOptions(
            tempo_bpm=session.tempo_bpm,
            key=session.key,
            transpose=clip.pitch,
            limit=limit,
            max_semitones=self.settings.max_semitones,
            tempo_range=self.settings.tempo_range,
        )

    def _one_at_a_time(self, what: object) -> threading.Lock:
        with self._lock:
            if len(self._analysing) > 256:
                self._analysed.clear()
                self._analysing = {k: v for k, v in self._analysing.items() if v.locked()}
            return self._analysing.setdefault(what, threading.Lock())


def _place_of(library: LibraryPlace) -> tuple[int, int] | None:
    """What tells a library's database from another one of the same name; None where none is."""
    from engine.library.place import DATABASE_NAME

    if not isinstance(library, Path):
        return 0, 0  # on a server there is only one of a name
    try:
        status = (library / DATABASE_NAME).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _parsed(text: str) -> tuple[Role, ...]:
    from engine.suggestions import parse_roles

    return parse_roles(text)


def _same_beats(now: BeatGrid, then: BeatGrid) -> bool:
    """Whether a song is still counted as it was."""
    same = now.beats_per_bar == then.beats_per_bar and now.intervals == then.intervals
    return same and bool((now.beats_s == then.beats_s).all())


def output_folder(settings: Settings) -> Path:
    """Where renders go without a project."""
    return settings.output.absolute()
