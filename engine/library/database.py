"""Opening the library's database, and saying in words what SQLite says in codes.

The only module that knows which database it is: URL, locking, pragmas, integrity checks and
error codes. Journal mode WAL lets several processes read while one writes; a write transaction
takes the write lock when it begins (``BEGIN IMMEDIATE``), so two writers queue instead of
failing half-way; ``synchronous=FULL`` keeps a committed song through a power cut. Deleting files
relies on that single writer: a server's database would take an advisory lock in its place.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select, table, text
from sqlalchemy import column as sql_column
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from engine.errors import DawlinkError, LibraryUnusable, UnwritableOutput
from engine.library.schema import SCHEMA_VERSION

__all__ = ["DATABASE_NAME", "Database"]

DATABASE_NAME: Final = "library.sqlite"
LOCK_TIMEOUT_S: Final = 60.0  # a writer holds the lock for milliseconds; a minute is a hang

_APPLICATION_ID: Final = 0x6461776C  # "dawl" in the file's header: this database is a library
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_VERSION_TABLE: Final = table("alembic_version", sql_column("version_num"))
_RETRY_S: Final = 0.02


class Database:
    """One library's database. Safe to share between threads; not across a fork."""

    def __init__(self, folder: Path, *, read_only: bool, lock_timeout_s: float) -> None:
        self._path = folder / DATABASE_NAME
        self._read_only = read_only
        self._engine = _engine(self._path, read_only, lock_timeout_s)
        self._read = sessionmaker(self._engine, expire_on_commit=False)
        self._write = sessionmaker(
            self._engine.execution_options(dawlink_writes=True), expire_on_commit=False
        )

    @classmethod
    def open(
        cls, folder: Path, *, read_only: bool = False, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> Database:
        """Open the database in ``folder``, made or migrated to today's schema if need be.

        Raises:
            LibraryUnusable: damaged, locked, not a library, made by a newer dawlink, or read-only
                and not of today's schema.
            UnwritableOutput: it has to be made or migrated, and cannot be written.
        """
        database = cls(folder, read_only=read_only, lock_timeout_s=lock_timeout_s)
        try:
            with database._translated():
                database._prepare(lock_timeout_s)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of the files."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the library throughout.

        Raises:
            LibraryUnusable: the file is damaged, or a row holds values that no record accepts.
        """
        try:
            with self._translated(), self._read() as session:
                yield session
        except ValueError as error:
            raise LibraryUnusable(
                f"The library {self._path.parent} holds values that cannot be: {error}.",
                hint="`dawlink verify` names the song; remove that song and add it again.",
                code="library_damaged",
            ) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is the only writer; commits when the block succeeds, else undoes it all.

        Raises:
            UnwritableOutput: opened read-only, disk full or read-only.
            LibraryUnusable: another process kept the lock, or the file is damaged.
        """
        self.require_writable()
        with self._translated(), self._write.begin() as session:
            session.connection()
            yield session

    def require_writable(self) -> None:
        """Refuse before anything is done.

        Raises:
            UnwritableOutput: opened read-only.
        """
        if self._read_only:
            raise UnwritableOutput(
                f"The library {self._path.parent} was opened for reading only.",
                hint="Open it for writing to change it.",
            )

    def integrity_problems(self) -> list[str]:
        """What the database's own checks say: pages, indexes, foreign keys."""
        found = []
        with self._translated(), self._engine.begin() as connection:
            for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
                if line != "ok":
                    found.append(str(line))
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check"):
                found.append(f"row {row[1]} of {row[0]} refers to a {row[2]} that is not there")
        return found

    def _prepare(self, lock_timeout_s: float) -> None:
        with self._engine.begin() as connection:
            current = self._version(connection)
        if current == SCHEMA_VERSION:
            return
        if self._read_only:
            raise LibraryUnusable(
                f"The library {self._path.parent} is of another dawlink and open for reading only.",
                hint="`dawlink add` brings it up to date.",
                code="library_old",
            )
        _use_wal(self._engine, lock_timeout_s)
        with self._engine.execution_options(dawlink_writes=True).begin() as connection:
            if self._version(connection) != SCHEMA_VERSION:  # another process may have been first
                _migrate(connection, self._path)

    def _version(self, connection: Connection) -> str | None:
        """The schema's version; None in a new database."""
        tables = set(inspect(connection).get_table_names())
        if "alembic_version" in tables:
            _check_owner(connection, self._path)
            return connection.scalar(select(_VERSION_TABLE.c.version_num))
        if tables:
            raise _not_a_library(self._path)
        return None

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.OperationalError | sqlite3.DatabaseError):
                known = _in_words(self._path, error.orig, read_only=self._read_only)
                if known is not None:
                    raise known from error
            raise


def _engine(path: Path, read_only: bool, lock_timeout_s: float) -> Engine:
    url = URL.create("sqlite", database=str(path))
    if read_only:
        query = {"mode": "ro", "uri": "true"} | ({} if _can_share(path) else {"immutable": "1"})
        url = URL.create("sqlite", database=path.resolve().as_uri(), query=query)
    engine = create_engine(url, connect_args={"timeout": lock_timeout_s})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not inside the driver
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("dawlink_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _can_share(path: Path) -> bool:
    """Whether the files by which SQLite's processes agree are there or can be made.

    On a read-only disk they cannot, and need not: nobody writes there. A log that was left
    behind holds songs, so it is never passed over.
    """
    return os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists()


def _use_wal(engine: Engine, lock_timeout_s: float) -> None:
    """Switch the journal; SQLite does not wait for others here, so this does."""
    deadline = time.monotonic() + lock_timeout_s
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


def _migrate(connection: Connection, path: Path) -> None:
    """Run every migration that the database has not seen, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LibraryUnusable(
            f"The library {path.parent} was made by a newer dawlink.",
            hint="Update dawlink, or choose another library with --library.",
            code="library_newer",
        ) from error
    connection.execute(text(f"PRAGMA application_id={_APPLICATION_ID}"))


def _check_owner(connection: Connection, path: Path) -> None:
    if connection.exec_driver_sql("PRAGMA application_id").scalar() != _APPLICATION_ID:
        raise _not_a_library(path)


def _not_a_library(path: Path) -> LibraryUnusable:
    return LibraryUnusable(
        f"{path} is a database of another program, not a library.",
        hint="Choose another folder with --library.",
        code="not_a_library",
    )


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
            hint="See that the folder is there and may be read, or choose another with --library.",
        )
    return None
