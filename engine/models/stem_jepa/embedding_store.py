"""Embeddings by content, in memory and in one file on disk.

A key is everything that the embedding depends on: the network, the audio, how it is read, the role
that is asked for. The file is an SQLite database, so several processes may share it; whoever
deletes it loses time only. A file that cannot be used is said once, and memory serves alone.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["EmbeddingStore"]

_log = logging.getLogger(__name__)

#: Another process may hold the file this long [s].
_WAIT_S: Final = 10.0
#: Written together: a transaction waits for the disk.
_WRITTEN_TOGETHER: Final = 64
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
)


class EmbeddingStore:
    """Vectors by key. Threads may share one.

    Args:
        path: the file; None keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._unwritten: dict[bytes, bytes] = {}

    def get(
        self, key: tuple[object, ...], make: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The vector of ``key``, made when it is not known yet."""
        digest = hashlib.sha256(repr(key).encode()).digest()
        found = self._known.get(digest)
        if found is None:
            found = self._read(digest)
        if found is None:
            found = make()
            self._write(digest, found)
        self._known[digest] = found
        return found

    def flush(self) -> None:
        """Put on disk what is not there yet."""
        with self._lock:
            if self._path is None or not self._unwritten:
                return
            rows = list(self._unwritten.items())
            self._unwritten.clear()
            try:
                with closing(self._connect(self._path)) as database, database:
                    database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)

    def _read(self, digest: bytes) -> NDArray[np.float32] | None:
        with self._lock:
            if self._path is None or not self._path.is_file():
                return None
            try:
                with closing(self._connect(self._path)) as database:
                    row = database.execute(
                        "SELECT value FROM embeddings WHERE key = ?", (digest,)
                    ).fetchone()
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
                return None
        return None if row is None else np.frombuffer(row[0], dtype=np.float32)

    def _write(self, digest: bytes, vector: NDArray[np.float32]) -> None:
        with self._lock:
            self._unwritten[digest] = vector.astype(np.float32).tobytes()
            full = len(self._unwritten) >= _WRITTEN_TOGETHER
        if full:
            self.flush()

    def _connect(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_WAIT_S)
        database.execute(_TABLE)
        return database

    def _give_up(self, error: Exception) -> None:
        _log.warning("%s cannot keep embeddings (%s); they are made anew.", self._path, error)
        self._path = None
        self._unwritten.clear()
