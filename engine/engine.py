"""One object that owns library, models and caches; the command line and the daemon are its doors.

Everything is made on first use, so opening an engine costs next to nothing, and an engine that
lives on answers from warm pools. Threads may share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from engine.clips.cache import ClipCache
from engine.clips.clip import ClipAnalysis, ClipRequest
from engine.delivery.records import Progress, RenderedSuggestion, RenderOptions
from engine.delivery.writing import planned_files, render_suggestion, require_room, session_of
from engine.library.place import LibraryPlace
from engine.missing_stems import no_stem_of
from engine.models.ranker import Ranker
from engine.models.registry import DEFAULT_MODEL, load_ranker, own_version
from engine.pools import LibraryPools
from engine.rendering.renderer import ReadSpan, Session
from engine.rendering.spans import decoded_span
from engine.suggestions import Suggestion, SuggestOptions, SuggestReply, suggest
from engine.theory import Role

if TYPE_CHECKING:
    from engine.audio.stretch import Stretcher
    from engine.audio.waveform import Waveform
    from engine.library.library import Library
    from engine.rendering.auditions import Spread

__all__ = ["Engine"]

#: Rates that a render takes over from the clip; others become CD rate [Hz].
_SESSION_RATES = (44100, 48000, 88200, 96000)
_DEFAULT_RATE_HZ = 44100


class Engine:
    """Answers requests against one library. Use it as a context manager."""

    def __init__(self, library: Library, *, stretcher: Stretcher | None = None) -> None:
        self.library = library
        self._pools = LibraryPools(library)
        self._clips = ClipCache(library.cache)
        self._stretcher = stretcher
        self._rankers: dict[str, tuple[object, Ranker]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, place: LibraryPlace, *, create: bool = False) -> Self:
        """An engine on the library at ``place``.

        Raises:
            LibraryUnusable: no library there, or one that cannot be read.
        """
        from engine.library.library import Library

        return cls(Library.open(place, create=create))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.library.close()

    def analyse(
        self, request: ClipRequest, *, session_tempo_bpm: float | None = None
    ) -> ClipAnalysis:
        """Beats, key and features of a clip (cached), as loud as its DAW plays it.

        Raises:
            UnusableInput: see :func:`engine.clips.analysis.analyse_clip`.
        """
        from engine.clips.analysis import analyse_clip

        unity = replace(request, gain_db=0.0)  # one analysis serves every gain
        found = analyse_clip(
            unity, self.library, session_tempo_bpm=session_tempo_bpm, cache=self._clips
        )
        return replace(found, request=request).louder(request.gain_db)

    def warm(self, roles: Iterable[Role], *, beats_per_bar: int = 4, model: str = "auto") -> None:
        """Load what a first question would have to wait for.

        Raises:
            MissingDependency: the model has no checkpoint.
        """
        self._ranker(model)
        for role in roles:
            self._pools.get(role, beats_per_bar)

    def has_role(self, role: Role, beats_per_bar: int) -> bool:
        """Whether the library holds any stem that answers ``role``."""
        return len(self._pools.get(role, beats_per_bar).pool) > 0

    def suggest(
        self, request: ClipRequest, options: SuggestOptions, *, model: str = "auto"
    ) -> SuggestReply:
        """Ranked accompaniments for a clip.

        Raises:
            UnusableInput: the clip cannot be used, or the library has nothing to offer.
            MissingDependency: the model has no checkpoint.
        """
        ranker = self._ranker(model)
        for role in options.roles:  # before a long clip is analysed for nothing
            if not self.has_role(role, request.beats_per_bar or 4):
                raise no_stem_of(role)
        clip = self.analyse(request, session_tempo_bpm=options.tempo_bpm)
        return suggest(clip, options, ranker=ranker, pools=self._pools, library=self.library)

    def render(
        self,
        reply: SuggestReply,
        suggestions: Sequence[Suggestion],
        options: RenderOptions,
        *,
        describe: Callable[[RenderedSuggestion, Suggestion], dict[str, object]],
        progress: Progress = lambda _stage, _share: None,
        stretcher: Stretcher | None = None,
        read: ReadSpan | None = None,
    ) -> list[RenderedSuggestion]:
        """Write suggestions as files.

        Args:
            reply: the answer that they belong to.
            suggestions: which of them.
            options: how and where.
            describe: makes the description that lies beside the files, out of what was written
                and of the suggestion with the gains that its stems were written at.
            progress: told the stage and the share of all the work done.
            stretcher: for this render only; the engine's own when None.
            read: gives pieces of files; those of ``DecodedSpans`` are kept for the next render.

        Raises:
            UnwritableOutput: before anything is made where files of any suggestion are there;
                later nothing of the suggestion at hand is left behind.
        """
        session = self._session(reply, options)
        for suggestion in suggestions:
            require_room(reply, suggestion, session, options)
        warper = stretcher or self._own_stretcher()
        share = 1 / max(len(suggestions), 1)

        def render_one(number: int, suggestion: Suggestion) -> RenderedSuggestion:
            return render_suggestion(
                reply,
                suggestion,
                session=session,
                options=options,
                stretcher=warper,
                describe=describe,
                progress=lambda stage, part: progress(stage, (number + part) * share),
                read=read or decoded_span,
            )

        return [render_one(*numbered) for numbered in enumerate(suggestions)]

    def audition(
        self,
        reply: SuggestReply,
        suggestion: Suggestion,
        *,
        bars: int,
        with_clip: bool,
        stretcher: Stretcher,
        spread: Spread | None = None,
    ) -> Waveform:
        """A loop of ``bars`` bars to listen to (see :mod:`engine.rendering.auditions`).

        Raises:
            UnusableInput: a source cannot be read.
        """
        from engine.rendering.auditions import audition

        session = session_of(reply, self._clip_rate(reply), bars=bars)
        return audition(
            reply,
            suggestion,
            session,
            with_clip=with_clip,
            stretcher=stretcher,
            spread=spread or (lambda work, tracks: map(work, tracks)),
        )

    def planned_files(
        self, reply: SuggestReply, suggestions: Sequence[Suggestion], options: RenderOptions
    ) -> tuple[Path, ...]:
        """Every file that :meth:`render` would write."""
        session = self._session(reply, options)
        return tuple(
            path
            for suggestion in suggestions
            for path in planned_files(reply, suggestion, session, options)
        )

    def _ranker(self, name: str) -> Ranker:
        """The model, read again when somebody has put another checkpoint into the library."""
        name = DEFAULT_MODEL if name == "auto" else name
        folders = (self.library.folder / "models",)
        version = own_version(name, folders)
        with self._lock:
            kept = self._rankers.get(name)
            if kept is None or kept[0] != version:
                kept = self._rankers[name] = version, load_ranker(name, folders=folders)
            return kept[1]

    def _own_stretcher(self) -> Stretcher:
        from engine.audio.stretch import default_stretcher

        with self._lock:
            self._stretcher = self._stretcher or default_stretcher()
            return self._stretcher

    def _session(self, reply: SuggestReply, options: RenderOptions) -> Session:
        rate = options.sample_rate or self._clip_rate(reply)
        return session_of(reply, rate, bars=options.bars)

    @staticmethod
    def _clip_rate(reply: SuggestReply) -> int:
        """The clip's own rate where a session can have it."""
        from engine.audio.decode import probe

        rate = probe(reply.clip.request.path).sample_rate
        return rate if rate in _SESSION_RATES else _DEFAULT_RATE_HZ
