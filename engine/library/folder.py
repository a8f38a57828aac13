"""Whether a folder is, or may become, a library."""

from __future__ import annotations

from pathlib import Path

from engine.errors import LibraryUnusable, UnwritableOutput
from engine.library.place import DATABASE_NAME

__all__ = ["prepare_folder"]

_BLOB_FOLDERS = ("audio", "features")


def prepare_folder(folder: Path, *, create: bool) -> None:
    """Check the folder, and make it when it is not there and ``create`` is set.

    Raises:
        LibraryUnusable: no library there, or something else is, or its database went missing.
        UnwritableOutput: the folder cannot be made.
    """
    try:
        exists, is_folder = folder.exists(), folder.is_dir()
        size = _database_size(folder)
        others = _other_names(folder) if is_folder and not size else set()
    except OSError as error:
        raise LibraryUnusable(
            f"The library {folder} cannot be read: {error.strerror or error}.",
            hint="Check that you may read it, or choose another with --library.",
        ) from error
    if exists and not is_folder:
        raise _no_library(folder, f"{folder} is a file; a library is a folder.")
    if size:
        return
    if others & set(_BLOB_FOLDERS):
        raise LibraryUnusable(
            f"The library {folder} has lost its database {DATABASE_NAME}.",
            hint="Put a backup of that file back, or add your music to a new library.",
            code="library_damaged",
        )
    if not create:
        raise _no_library(folder, f"There is no library in {folder}.")
    if others and not _database_size(folder):  # not even one that just came into being
        raise _no_library(folder, f"{folder} is not a library and holds other files.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableOutput(
            f"The library {folder} cannot be made: {error.strerror or error}.",
            hint="Choose another folder with --library.",
        ) from error


def _database_size(folder: Path) -> int:
    """Bytes of the database; 0 where SQLite would begin a new one (it ignores a single byte)."""
    path = folder / DATABASE_NAME
    size = path.stat().st_size if path.exists() else 0
    return size if size > 1 else 0


def _other_names(folder: Path) -> set[str]:
    """What lies there beside the database's own files and hidden ones; blobs only if any."""
    names = set()
    for entry in folder.iterdir():
        if entry.name.startswith((".", DATABASE_NAME)):
            continue
        if entry.name in (*_BLOB_FOLDERS, "index") and not any(entry.glob("*/*")):
            continue
        names.add(entry.name)
    return names


def _no_library(folder: Path, message: str) -> LibraryUnusable:
    return LibraryUnusable(
        message,
        hint=f"Choose another with --library (now {folder}); `dawlink add` makes one in a new or "
        "empty folder.",
        code="no_library",
    )
