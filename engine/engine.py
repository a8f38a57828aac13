"""One object that owns library, models and caches; the command line and the daemon are its doors.

Everything is made on first use, so opening an engine costs next to nothing, and an engine that
lives on answers from warm pools. Threads may share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from engine.clips import ClipAnalysis, ClipRequest
from engine.delivery import (
    Progress,
    RenderedSuggestion,
    RenderOptions,
    planned_files,
    render_suggestion,
    session_of,
)
from engine.models.ranker import Ranker
from engine.models.registry import DEFAULT_MODEL, load_ranker
from engine.pools import LibraryPools
from engine.suggestions import Suggestion, SuggestOptions, SuggestReply, suggest

if TYPE_CHECKING:
    from engine.audio.stretch import Stretcher
    from engine.library.library import Library

__all__ = ["Engine"]

#: Rates that a render takes over from the clip; others become CD rate [Hz].
_SESSION_RATES = (44100, 48000, 88200, 96000)
_DEFAULT_RATE_HZ = 44100


class Engine:
    """Answers requests against one library. Use it as a context manager."""

    def __init__(self, library: Library, *, stretcher: Stretcher | None = None) -> None:
        self.library = library
        self._pools = LibraryPools(library)
        self._stretcher = stretcher
        self._rankers: dict[str, Ranker] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> Self:
        """An engine on the library in ``folder``.

        Raises:
            LibraryUnusable: no library there, or one that cannot be read.
        """
        from engine.library.library import Library

        return cls(Library.open(folder, create=create))

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
        """Beats, key and features of a clip (cached).

        Raises:
            UnusableInput: see :func:`engine.clip_analysis.analyse_clip`.
        """
        from engine.clip_analysis import analyse_clip

        return analyse_clip(request, self.library, session_tempo_bpm=session_tempo_bpm)

    def suggest(
        self, request: ClipRequest, options: SuggestOptions, *, model: str = "auto"
    ) -> SuggestReply:
        """Ranked accompaniments for a clip.

        Raises:
            UnusableInput: the clip cannot be used, or the library has nothing to offer.
            MissingDependency: the model has no checkpoint.
        """
        ranker = self._ranker(model)
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
    ) -> list[RenderedSuggestion]:
        """Write suggestions as files.

        Args:
            reply: the answer that they belong to.
            suggestions: which of them.
            options: how and where.
            describe: makes the description that lies beside the files.
            progress: told the stage and the share of all the work done.

        Raises:
            UnwritableOutput: nothing of the suggestion at hand is left behind.
        """
        from engine.audio.stretch import default_stretcher

        session = session_of(reply, self._rate(reply, options))
        with self._lock:
            self._stretcher = self._stretcher or default_stretcher()
        stretcher = self._stretcher
        share = 1 / max(len(suggestions), 1)

        def render_one(number: int, suggestion: Suggestion) -> RenderedSuggestion:
            return render_suggestion(
                reply,
                suggestion,
                session=session,
                options=options,
                stretcher=stretcher,
                describe=lambda result: describe(result, suggestion),
                progress=lambda stage, part: progress(stage, (number + part) * share),
            )

        return [render_one(*numbered) for numbered in enumerate(suggestions)]

    def planned_files(
        self, reply: SuggestReply, suggestions: Sequence[Suggestion], options: RenderOptions
    ) -> tuple[Path, ...]:
        """Every file that :meth:`render` would write."""
        session = session_of(reply, self._rate(reply, options))
        return tuple(
            path
            for suggestion in suggestions
            for path in planned_files(reply, suggestion, session, options)
        )

    def _ranker(self, name: str) -> Ranker:
        name = DEFAULT_MODEL if name == "auto" else name
        with self._lock:
            if name not in self._rankers:
                self._rankers[name] = load_ranker(name)
            return self._rankers[name]

    @staticmethod
    def _rate(reply: SuggestReply, options: RenderOptions) -> int:
        """The asked rate, else the clip's own where a session can have it."""
        if options.sample_rate is not None:
            return options.sample_rate
        from engine.audio.decode import probe

        rate = probe(reply.clip.request.path).sample_rate
        return rate if rate in _SESSION_RATES else _DEFAULT_RATE_HZ
