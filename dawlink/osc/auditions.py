"""Auditions as files in a cache, made now or ahead.

A loop is named after everything that it sounds like, so it is made once; the least recently heard
ones are removed when the cache grows over its bound. The cache lies in ``<library>/cache``, or in
the temporary folder where that cannot be written, and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from dawlink.osc.clients import Answered
from dawlink.osc.service import EngineService
from dawlink.osc.stopping import Stop

if TYPE_CHECKING:
    from engine.suggestions import Suggestion

__all__ = ["AuditionCache", "Loop"]

#: Size of the cache [bytes]: about sixty loops of 16 bars.
_LARGEST: Final = 512 << 20
_VERSION: Final = 1
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
            (stem.placement, stem.source_start_s, stem.source_end_s, stem.tuning_cents)
            for stem in self.suggestion.stems
        ]
        if self.with_clip:
            told += [clip.sha256, clip.request, clip.warp, reply.options.transpose]
        return hashlib.sha256(repr(told).encode(errors="surrogateescape")).hexdigest()[:24]


class AuditionCache:
    """Makes loops, or finds them made."""

    def __init__(self, service: EngineService) -> None:
        self._service = service
        self._elsewhere: Path | None = None

    def find(self, loop: Loop) -> Path | None:
        """The file if it is there."""
        for folder in self._folders():
            path = folder / f"{loop.name}.wav"
            with contextlib.suppress(OSError):
                os.utime(path)  # heard just now
                return path
        return None

    def make(self, loop: Loop, stop: Stop, threads: Executor | None) -> Path:
        """The file, made if need be; stems are made at once where there are ``threads``.

        Raises:
            Stopped: ``stop`` said so.
            DawlinkError: a source cannot be read, nothing can be written.
        """
        from engine.audio.encode import write_audio
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
        for folder in self._folders():
            path = folder / f"{loop.name}.wav"
            try:
                write_audio(path, waveform, file_format="wav", bit_depth="24")
            except UnwritableOutput as error:
                if error.code == "exists":  # another daemon made it meanwhile
                    return path
                if folder == self._elsewhere:
                    raise
                continue
            self._prune(folder)
            return path
        raise AssertionError("the temporary folder is always tried")

    def _folders(self) -> tuple[Path, Path]:
        if self._elsewhere is None:
            self._elsewhere = Path(tempfile.gettempdir()) / f"dawlink-auditions-{os.getpid()}"
        return self._service.engine().library.cache / "cache" / "auditions", self._elsewhere

    @staticmethod
    def _prune(folder: Path) -> None:
        with contextlib.suppress(OSError):
            files = [(path.stat(), path) for path in folder.glob("*.wav")]
            total = sum(status.st_size for status, _ in files)
            for status, path in sorted(files, key=lambda entry: entry[0].st_mtime_ns):
                if total <= _LARGEST:
                    break
                path.unlink(missing_ok=True)
                total -= status.st_size


def _spread(
    threads: Executor,
) -> Callable[[Callable[[Piece], Made], Sequence[Piece]], Iterable[Made]]:
    """The first piece in this thread, the others in ``threads``."""

    def spread(work: Callable[[Piece], Made], pieces: Sequence[Piece]) -> Iterable[Made]:
        others = [threads.submit(work, piece) for piece in pieces[1:]]
        return [work(pieces[0]), *(other.result() for other in others)]

    return spread
