"""Taking away files that no row names.

A writer puts its files in place before it takes the write lock to name them. So under that lock
nobody can be naming a file, and a file without a row is either the rest of a killed run or the
work of a writer that is not there yet. Age tells them apart, and a writer that finds its file gone
puts it back before it commits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.errors import LibraryUnusable, UnwritableOutput
from engine.library.blobs import BlobKind, BlobStore
from engine.library.database import Database
from engine.library.rows import Swept
from engine.library.schema import Stem

__all__ = ["SWEEP_AGE_S", "collect", "is_old", "named", "sweep"]

#: A writer names its files seconds after it stored the first; an hour is certainly a dead one.
SWEEP_AGE_S: Final = 3600.0


def named(session: Session, kind: BlobKind) -> set[str]:
    """The blobs that some row names."""
    column = Stem.audio_sha if kind == "audio" else Stem.features_sha
    return set(session.scalars(select(column).distinct()))


def is_old(path: Path, older_than_s: float) -> bool:
    """Whether the file was last written or touched that long ago; False once it is gone."""
    try:
        return time.time() - path.stat().st_mtime >= older_than_s
    except OSError:
        return False


def collect(
    database: Database,
    blobs: BlobStore,
    *,
    audio: AbstractSet[str] = frozenset(),
    features: AbstractSet[str] = frozenset(),
) -> None:
    """Remove those of the given blobs that no row names any more; what cannot go now is swept."""
    with contextlib.suppress(LibraryUnusable, UnwritableOutput), database.writing() as session:
        _drop(session, blobs, "audio", audio)
        _drop(session, blobs, "features", features)


def sweep(database: Database, blobs: BlobStore, *, older_than_s: float) -> Swept:
    """Remove old unfinished files and old files that no row names."""
    removed = [_unlink(path) for path in blobs.unfinished() if is_old(path, older_than_s)]
    kinds: tuple[BlobKind, ...] = ("audio", "features")
    with database.writing() as session:
        for kind in kinds:
            wanted = named(session, kind)
            removed += [
                _unlink(path)
                for sha, path in blobs.names(kind)
                if sha not in wanted and is_old(path, older_than_s)
            ]
    sizes = [size for size in removed if size is not None]
    return Swept(files=len(sizes), size_bytes=sum(sizes))


def _drop(session: Session, blobs: BlobStore, kind: BlobKind, shas: AbstractSet[str]) -> None:
    column = Stem.audio_sha if kind == "audio" else Stem.features_sha
    still = set(session.scalars(select(column).where(column.in_(shas))))
    for sha in shas - still:
        _unlink(blobs.path(kind, sha))


def _unlink(path: Path) -> int | None:
    """Remove a file; its size, or None when it stays (gone already, or open on Windows)."""
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        path.unlink()
        return size
    return None
