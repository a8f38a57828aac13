"""A library's rows in an SQLite file: locking, pragmas, integrity checks and error codes.

Journal mode WAL lets several processes read while one writes; a write transaction takes the write
lock when it begins (``BEGIN IMMEDIATE``), so two writers queue instead of failing half-way;
``synchronous=FULL`` keeps a committed song through a power cut. WAL needs memory that processes
share, so one file serves one machine.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from engine.errors import DawlinkError, LibraryUnusable, UnwritableOutput
from engine.library.backend import LOCK_TIMEOUT_S, WRITES
from engine.library.place import DATABASE_NAME

__all__ = ["SqliteBackend"]


_APPLICATION_ID: Final = 0x6461776C  # "dawl" in the file's header: this database is a library
_RETRY_S: Final = 0.02


class SqliteBackend:
    """A :class:`~engine.library.backend.Backend` over the database file in ``folder``."""

    shared = False
    damage_hint = (
        f"Put a backup of {DATABASE_NAME} in its place, or add your music to a new library."
    )

    def __init__(
        self, folder: Path, *, read_only: bool = False, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        self._path = folder / DATABASE_NAME
        self._read_only = read_only
        self._lock_timeout_s = lock_timeout_s

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._path.parent)

    def connect(self) -> Engine:
        """See :class:`~engine.library.backend.Backend`."""
        url = URL.create("sqlite", database=str(self._path))
        if self._read_only:
            sharing = {} if _can_share(self._path) else {"immutable": "1"}
            query = {"mode": "ro", "uri": "true"} | sharing
            url = URL.create("sqlite", database=self._path.resolve().as_uri(), query=query)
        engine = create_engine(url, connect_args={"timeout": self._lock_timeout_s})

        @event.listens_for(engine, "connect")
        def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None  # transactions begin below, not inside the driver
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA synchronous=FULL")

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get(WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def ready_to_change(self, engine: Engine) -> None:
        """Switch the journal; SQLite does not wait for others here, so this does."""
        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            connection = engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise DBAPIError("PRAGMA journal_mode=WAL", None, error) from error
            finally:
                connection.close()
            time.sleep(_RETRY_S)

    def identity(self, connection: Connection) -> str | None:
        """By the application id in the file's header; the folder tells libraries apart."""
        found = connection.exec_driver_sql("PRAGMA application_id").scalar()
        return self.name if found == _APPLICATION_ID else None

    def describe(self, connection: Connection) -> str:
        """See :class:`~engine.library.backend.Backend`."""
        return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar()}"

    def claim(self, connection: Connection) -> None:
        """See :class:`~engine.library.backend.Backend`."""
        connection.execute(text(f"PRAGMA application_id={_APPLICATION_ID}"))

    def not_a_library(self) -> LibraryUnusable:
        """See :class:`~engine.library.backend.Backend`."""
        return LibraryUnusable(
            f"{self._path} is a database of another program, not a library.",
            hint="Choose another folder with --library.",
            code="not_a_library",
        )

    def problems(self, connection: Connection) -> list[str]:
        """Pages, indexes, foreign keys."""
        found = []
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if line != "ok":
                found.append(str(line))
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
            found.append(f"row {row[1]} of {row[0]} refers to a {row[2]} that is not there")
        return found

    def in_words(self, error: DBAPIError) -> DawlinkError | None:
        """By SQLite's primary code."""
        if not isinstance(error.orig, sqlite3.OperationalError | sqlite3.DatabaseError):
            return None
        return _in_words(self._path, error.orig, read_only=self._read_only)


def _can_share(path: Path) -> bool:
    """Whether the files by which SQLite's processes agree are there or can be made.

    On a read-only disk they cannot, and need not: nobody writes there. A log that was left
    behind holds songs, so it is never passed over.
    """
    return os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists()


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _in_words(path: Path, error: sqlite3.Error, *, read_only: bool) -> DawlinkError | None:
    """What an SQLite error means for a person; None when it is a bug of ours."""
    folder, code = path.parent, _primary_code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryUnusable(
            f"The library {folder} is locked by another process.",
            hint="Wait for the other dawlink to finish, or end it, and try again.",
            code="library_locked",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LibraryUnusable(
            f"The library's database {path} is damaged: {error}.",
            hint="Put a backup of that file in its place, or add your music to a new library.",
            code="library_damaged",
        )
    if code == sqlite3.SQLITE_FULL:
        return UnwritableOutput(
            f"The disk is full; the library {folder} was not changed.",
            hint="Free some space and run the same command again.",
            code="disk_full",
        )
    refused = code == sqlite3.SQLITE_CANTOPEN and not read_only and not os.access(folder, os.W_OK)
    if refused or code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return UnwritableOutput(
            f"The library {folder} cannot be written: {error}.",
            hint="Make the folder writable, look at the disk, or choose another with --library.",
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return LibraryUnusable(
            f"The library's database {path} cannot be opened: {error}.",
            hint="Check that the folder exists and is readable, or choose another with --library.",
        )
    return None
