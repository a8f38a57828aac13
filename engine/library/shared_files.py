"""The folder that a library on a server keeps its files in, and proof that it is the right one.

A network drive that is not mounted looks like an empty folder, and a mistyped path like another
library's. So the folder holds a small file with the library's own name, which the database knows
too; without it nothing is read or written there.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Final

from engine.errors import LibraryUnusable
from engine.files import write_whole
from engine.library.place import DATABASE_NAME

__all__ = ["claim_folder", "require_folder", "require_own"]

_MARK: Final = "dawlink-library.json"
_BLOBS: Final = ("audio", "features")


def require_folder(folder: Path) -> None:
    """Refuse a folder that is not there, before the server is asked.

    Raises:
        LibraryUnusable: it is missing, no folder, or a library of its own.
    """
    try:
        is_folder, has_database = folder.is_dir(), (folder / DATABASE_NAME).exists()
    except OSError as error:
        raise _unusable(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not is_folder:
        raise _unusable(f"The library's shared folder {folder} is not there.")
    if has_database:
        raise _unusable(f"{folder} is a library of its own, not the shared folder of one.")


def claim_folder(folder: Path) -> str:
    """The name of the new library whose files will lie in ``folder``.

    A folder that was claimed for a library that then was not made is taken over while it is empty.

    Raises:
        LibraryUnusable: it holds the files of another library.
        UnwritableOutput: it cannot be written.
    """
    found = _marked(folder)
    if any(any((folder / kind).glob("*/*")) for kind in _BLOBS):
        raise _unusable(f"{folder} holds the files of another library.")
    if found:
        return found
    made = uuid.uuid4().hex
    write_whole(folder / _MARK, json.dumps({"library": made}) + "\n")
    return made


def require_own(folder: Path, identity: str) -> None:
    """Refuse a folder that is not the library's.

    Raises:
        LibraryUnusable: it belongs to another library, or to none.
    """
    found = _marked(folder)
    if found == identity:
        return
    if found:
        raise _unusable(f"The shared folder {folder} belongs to another library.")
    raise _unusable(f"The shared folder {folder} is not the library's: {_MARK} is missing.")


def _marked(folder: Path) -> str:
    """The name in a folder's mark; empty when there is none."""
    try:
        return str(json.loads((folder / _MARK).read_text("utf-8"))["library"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(f"{folder / _MARK} cannot be read: {error}.") from error


def _unusable(message: str) -> LibraryUnusable:
    return LibraryUnusable(
        message,
        hint="Mount the shared drive, or set files= of the library's address right.",
        code="no_files_folder",
    )
