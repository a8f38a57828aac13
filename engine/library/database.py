"""Opening the library's database: sessions for reading and writing, migrations, errors in words.

Which database it is stands behind :class:`~engine.library.backend.Backend`; the tables are the same
on each. A write transaction is the only writer from its beginning to its end, in every process and
on every machine: deleting files relies on that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, select, table
from sqlalchemy import column as sql_column
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from engine.errors import LibraryUnusable, UnwritableOutput
from engine.library.backend import WRITES, Backend
from engine.library.schema import SCHEMA_VERSION

__all__ = ["Database"]

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_VERSION_TABLE: Final = table("alembic_version", sql_column("version_num"))


class Database:
    """One library's database. Safe to share between threads; not across a fork."""

    def __init__(self, backend: Backend, *, read_only: bool = False) -> None:
        self._backend = backend
        self._read_only = read_only
        self._engine = backend.connect()
        self._read = sessionmaker(self._engine, expire_on_commit=False)
        self._write = sessionmaker(
            self._engine.execution_options(**{WRITES: True}), expire_on_commit=False
        )

    @classmethod
    def open(cls, backend: Backend, *, create: bool = True, read_only: bool = False) -> Database:
        """Open a database, made or migrated to today's schema if need be.

        Args:
            backend: where and what it is.
            create: make the tables in an empty one; otherwise that is an error.
            read_only: never write.

        Raises:
            LibraryUnusable: damaged, locked, not a library, made by a newer dawlink, or read-only
                and not of today's schema.
            UnwritableOutput: it has to be made or migrated, and cannot be written.
            EngineUnreachable: its server does not answer.
            MissingDependency: its driver is not installed.
        """
        database = cls(backend, read_only=read_only)
        try:
            with database._translated():
                database._prepare(create=create)
        except BaseException:
            database.close()
            raise
        return database

    @property
    def backend(self) -> Backend:
        """Which database it is."""
        return self._backend

    def close(self) -> None:
        """Let go of the files or connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the library throughout.

        Raises:
            LibraryUnusable: the database is damaged, or a row holds values that no record accepts.
            EngineUnreachable: its server does not answer.
        """
        try:
            with self._translated(), self._read() as session:
                yield session
        except ValueError as error:
            raise LibraryUnusable(
                f"The library {self._backend.name} holds values that cannot be: {error}.",
                hint="`dawlink verify` names the song; remove that song and add it again.",
                code="library_damaged",
            ) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is the only writer; commits when the block succeeds, else undoes it all.

        Raises:
            UnwritableOutput: opened read-only, disk full or read-only.
            LibraryUnusable: another process kept the lock, or the database is damaged.
            EngineUnreachable: its server does not answer.
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
                f"The library {self._backend.name} was opened for reading only.",
                hint="Open it for writing to change it.",
            )

    def identity(self) -> str:
        """What tells this library from others."""
        with self.reading() as session:
            return self._backend.identity(session.connection()) or ""

    def integrity_problems(self) -> list[str]:
        """What the database's own checks say."""
        with self._translated(), self._engine.begin() as connection:
            return self._backend.problems(connection)

    def _prepare(self, *, create: bool) -> None:
        with self._engine.begin() as connection:
            current = self._version(connection)
        if current == SCHEMA_VERSION:
            return
        if current is None and not create:
            raise LibraryUnusable(
                f"There is no library in {self._backend.name}.",
                hint="`dawlink add` makes one; choose another with --library.",
                code="no_library",
            )
        if self._read_only:
            raise LibraryUnusable(
                f"The library {self._backend.name} was made by another version of dawlink and is "
                "open read-only.",
                hint="`dawlink add` brings it up to date.",
                code="library_old",
            )
        self._backend.ready_to_change(self._engine)
        with self._engine.execution_options(**{WRITES: True}).begin() as connection:
            if self._version(connection) != SCHEMA_VERSION:  # another process may have been first
                self._migrate(connection)

    def _version(self, connection: Connection) -> str | None:
        """The schema's version; None in a new database."""
        tables = set(inspect(connection).get_table_names())
        if "alembic_version" in tables:
            if self._backend.identity(connection) is None:
                raise self._backend.not_a_library()
            return connection.scalar(select(_VERSION_TABLE.c.version_num))
        if tables:
            raise self._backend.not_a_library()
        return None

    def _migrate(self, connection: Connection) -> None:
        """Run every migration that is still to be run, inside the caller's transaction."""
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
                f"The library {self._backend.name} was made by a newer dawlink.",
                hint="Update dawlink, or choose another library with --library.",
                code="library_newer",
            ) from error
        self._backend.claim(connection)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            known = self._backend.in_words(error)
            if known is not None:
                raise known from error
            raise
