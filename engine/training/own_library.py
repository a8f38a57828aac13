"""The library beside a checkpoint, to which a training adds the songs of folders.

It is there for the next run to find them, so one that came to hold no song is of no use to anybody.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.errors import DawlinkError
from engine.library.library import Library
from engine.library.place import DATABASE_NAME

__all__ = ["removed_if_empty"]


@contextlib.contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a library that the block made and put no song into, however the block ends."""
    is_new = not folder.exists()
    try:
        yield
    finally:
        if is_new and not _holds_songs(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _holds_songs(folder: Path) -> bool:
    """Whether songs are there, or may be there because the library cannot be read."""
    if not (folder / DATABASE_NAME).is_file():
        return False
    try:
        with Library.open(folder, create=False) as library:
            return bool(library.songs())
    except DawlinkError:
        return True
