"""A folder of files that may be lost at any time: the least recently used make room for others."""

from __future__ import annotations

import contextlib
import os
import time
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Final

__all__ = ["DAMAGED_ARRAYS", "CachedFiles"]

#: What reading a cut or changed ``.npz`` may raise; one bit can tell of a version, a compression or
#: a password that nobody chose.
DAMAGED_ARRAYS: Final = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)

#: What is still unfinished after this long was being written by a process that is gone [s].
_UNFINISHED_S: Final = 3600.0
_UNFINISHED: Final = ".part-"


class CachedFiles:
    """Processes and threads may share a folder.

    Args:
        folder: made by whoever writes into it.
        most_bytes: what the files may take together after :meth:`tidy`.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder = folder
        self._most_bytes = most_bytes

    def find(self, name: str) -> Path | None:
        """The file of that name, used just now; None where there is none."""
        path = self.folder / name
        with contextlib.suppress(OSError):  # of a folder that may only be read
            os.utime(path)
        return path if path.is_file() else None

    def tidy(self) -> None:
        """Take away what killed processes left unfinished, and the least recently used files."""
        with contextlib.suppress(OSError):
            found = [(path, path.stat()) for path in self.folder.glob("*") if path.is_file()]
            stale = time.time() - _UNFINISHED_S
            total = sum(status.st_size for _, status in found)
            for path, status in sorted(found, key=lambda entry: entry[1].st_mtime_ns):
                unfinished = path.name.startswith(_UNFINISHED)
                if status.st_mtime < stale if unfinished else total > self._most_bytes:
                    path.unlink(missing_ok=True)
                    total -= status.st_size
