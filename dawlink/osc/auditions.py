"""Auditions as files in a cache, made now or ahead.

A loop is named after everything that it sounds like, so it is made once; the least recently heard
ones are removed when the cache grows over its bound. The cache lies in ``<library>/cache`` and may
be deleted at any time. Where that cannot be written, loops go into a folder of this process among
the temporary files, which is gone when it ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from dawlink.osc.clients import Answered
from dawlink.osc.service import EngineService
from dawlink.osc.stopping import Stop
from engine.cached_files import CachedFiles
from engine.parallel.processes import is_alive

if TYPE_CHECKING:
    from engine.audio.waveform import Waveform
    from engine.suggestions import Suggestion

__all__ = ["AuditionCache", "Loop"]

#: Size of the cache [bytes]: about sixty loops of 16 bars.
_LARGEST: Final = 512 << 20
_VERSION: Final = 1
#: Temporary folders begin with this and the process's number.
_TEMPORARY: Final = "dawlink-auditions-"
Piece = TypeVar("Piece")
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop that is wanted."""

    answered: Answered
    suggestion: Suggestion
    bars: int
    with_clip: bool

    @property
    def name(self) -> str:
        """What the file is called: a digest of everything that it sounds like."""
        reply = self.answered.reply
        clip = reply.clip
        told: list[object] = [_VERSION, reply.session.tempo_bpm, reply.session.beats_per_bar]
        told += [self.bars, self.with_clip, clip.request.path.suffix]
        told += [
            (stem.placement, stem.placement.warp(stem.grid), stem.off_cents)
            for stem in self.suggestion.stems
        ]
        if self.with_clip:
            told += [clip.sha256, clip.request, clip.warp, reply.options.transpose]
        return hashlib.sha256(repr(told).encode(errors="surrogateescape")).hexdigest()[:24]


class AuditionCache:
    """Makes loops, or finds them made."""

    def __init__(self, service: EngineService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._elsewhere: CachedFiles | None = None

    def find(self, loop: Loop) -> Path | None:
        """The file if it is there."""
        places = [self._library()] + ([self._elsewhere] if self._elsewhere else [])
        return next((path for place in places if (path := place.find(f"{loop.name}.wav"))), None)

    def make(self, loop: Loop, stop: Stop, threads: Executor | None) -> Path:
        """The file, made if need be; stems are made at once where there are ``threads``.

        Raises:
            Stopped: ``stop`` said so.
            DawlinkError: a source cannot be read, nothing can be written.
        """
        from engine.errors import UnwritableOutput

        found = self.find(loop)
        if found is not None:
            return found
        stretcher = self._service.stretcher(lambda _share: stop.check(), draft=True)
        waveform = self._service.engine().audition(
            loop.answered.reply,
            loop.suggestion,
            bars=loop.bars,
            with_clip=loop.with_clip,
            stretcher=stretcher,
            spread=None if threads is None else _spread(threads),
        )
        stop.check()
        try:
            return self._written(self._library(), loop, waveform)
        except UnwritableOutput:
            return self._written(self._temporary(), loop, waveform)

    def sweep(self) -> None:
        """Remove the temporary folders of daemons that were killed."""
        for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
            pid = folder.name.removeprefix(_TEMPORARY).split("-")[0]
            if pid.isdecimal() and (int(pid) == os.getpid() or not is_alive(int(pid))):
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove this daemon's temporary folder."""
        if self._elsewhere is not None:
            shutil.rmtree(self._elsewhere.folder, ignore_errors=True)

    def _library(self) -> CachedFiles:
        folder = self._service.engine().library.cache / "cache" / "auditions"
        return CachedFiles(folder, most_bytes=_LARGEST)

    def _temporary(self) -> CachedFiles:
        with self._lock:
            if self._elsewhere is None:
                folder = tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.getpid()}-")
                self._elsewhere = CachedFiles(Path(folder), most_bytes=_LARGEST)
            return self._elsewhere

    @staticmethod
    def _written(place: CachedFiles, loop: Loop, waveform: Waveform) -> Path:
        from engine.audio.encode import write_audio
        from engine.errors import UnwritableOutput

        path = place.folder / f"{loop.name}.wav"
        try:
            write_audio(path, waveform, file_format="wav", bit_depth="24")
        except UnwritableOutput as error:
            if error.code == "exists":  # another daemon made it meanwhile
                return path
            raise
        place.tidy()
        return path


def _spread(
    threads: Executor,
) -> Callable[[Callable[[Piece], Made], Sequence[Piece]], Iterable[Made]]:
    """The first piece in this thread, the others in ``threads``."""

    def spread(work: Callable[[Piece], Made], pieces: Sequence[Piece]) -> Iterable[Made]:
        others = [threads.submit(work, piece) for piece in pieces[1:]]
        return [work(pieces[0]), *(other.result() for other in others)]

    return spread
