"""A library's rows on a PostgreSQL server, for machines that share one.

Reading is one ``REPEATABLE READ`` snapshot. Writing begins with an advisory lock of the database
and schema, which makes it the only writer on every machine, as ``BEGIN IMMEDIATE`` does in SQLite;
it then sees whatever was committed before (``READ COMMITTED``). A machine that vanishes while it
holds the lock loses it after :data:`_VANISHED_S`. A comment on the table of versions says that the
database is a library, and which (see :mod:`engine.library.shared_files`).
"""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from engine.errors import (
    DawlinkError,
    EngineUnreachable,
    LibraryUnusable,
    MissingDependency,
    UnwritableOutput,
    UsageError,
)
from engine.library.backend import LOCK_TIMEOUT_S, WRITES
from engine.library.place import ServerPlace, redacted
from engine.library.shared_files import claim_folder

__all__ = ["PostgresBackend"]

_LOCK_CLASS: Final = 0x6461776C  # "dawl"; the other half of the lock's key is the schema
#: A server counts a silent writer as gone after this long [s].
_VANISHED_S: Final = 120
_CONNECT_TIMEOUT_S: Final = 10
_PROBE_TIMEOUT_S: Final = 3.0
_DEFAULT_PORT: Final = 5432
_COMMENT: Final = "dawlink library "
_VECTOR: Final = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
_IDENTITY: Final = text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')")


class PostgresBackend:
    """A :class:`~engine.library.backend.Backend` over a server's database."""

    shared = True
    damage_hint = "Restore a backup of the database on its server."

    def __init__(self, place: ServerPlace, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._place = place
        self._url = make_url(place.url)
        self._lock_timeout_s = lock_timeout_s

    @property
    def name(self) -> str:
        """Server and database."""
        return self._place.name

    def connect(self) -> Engine:
        """See :class:`~engine.library.backend.Backend`."""
        defaults = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "dawlink"}
        given = {key: value for key, value in defaults.items() if key not in self._url.query}
        try:
            engine = create_engine(self._url, connect_args=given, pool_pre_ping=True)
        except ImportError as error:
            raise MissingDependency(
                f"A library on a server needs the package psycopg, which cannot be used ({error}).",
                hint=f'Run: {sys.executable} -m pip install "psycopg[binary]>=3.1"',
                code="no_psycopg",
            ) from error

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            if connection.get_execution_options().get(WRITES, False):
                self._become_the_writer(connection)
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")

        return engine

    def ready_to_change(self, engine: Engine) -> None:
        """Nothing: every change of a schema is part of a transaction."""

    def identity(self, connection: Connection) -> str | None:
        """From the comment on the table of versions."""
        found = str(connection.scalar(_IDENTITY) or "")
        return found.removeprefix(_COMMENT) if found.startswith(_COMMENT) else None

    def describe(self, connection: Connection) -> str:
        """Product and version, and that of pgvector."""
        version = connection.exec_driver_sql("SHOW server_version").scalar()
        vectors = connection.scalar(_VECTOR)
        return f"PostgreSQL {version}, " + (f"pgvector {vectors}" if vectors else "no pgvector")

    def claim(self, connection: Connection) -> None:
        """Name the library after its folder; add the type for vectors where the server has it."""
        if self.identity(connection) is None:
            name = claim_folder(self._place.files)  # hexadecimal digits
            connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{_COMMENT}{name}'"))
        with contextlib.suppress(DBAPIError), connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"))

    def not_a_library(self) -> LibraryUnusable:
        """See :class:`~engine.library.backend.Backend`."""
        return LibraryUnusable(
            f"{self.name} is a database of another program, not a library.",
            hint="Make an empty database for the library: createdb NAME.",
            code="not_a_library",
        )

    def problems(self, connection: Connection) -> list[str]:
        """Damaged pages, unfinished indexes and constraints, rows that refer to nothing."""
        found = []
        damaged = connection.exec_driver_sql(
            "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
        ).scalar()
        if damaged:
            found.append(f"the server counted {damaged} damaged pages")
        for (name,) in connection.exec_driver_sql(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
        ):
            found.append(f"the index {name} is not valid")
        for name, of in connection.exec_driver_sql(
            "SELECT conname, conrelid::regclass::text FROM pg_constraint "
            "WHERE NOT convalidated AND connamespace = current_schema()::regnamespace"
        ):
            found.append(f"rows of {of} were never checked against {name}")
        for table in ("stem", "source"):
            for (row,) in connection.exec_driver_sql(
                f"SELECT id FROM {table} WHERE song_id NOT IN (SELECT id FROM song) ORDER BY id"
            ):
                found.append(f"row {row} of {table} refers to a song that is not there")
        return found

    def in_words(self, error: DBAPIError) -> DawlinkError | None:
        """By SQLSTATE; without one the connection itself failed."""
        state = getattr(error.orig, "sqlstate", None)
        said = _first_line(error, self._url)
        if state is None:
            return self._connection_error(error, said)
        if state in ("55P03", "40P01", "57014"):
            return LibraryUnusable(
                f"The library {self.name} is locked by another process.",
                hint="Wait for the other dawlink to finish, or end it, and try again.",
                code="library_locked",
            )
        if state in ("XX001", "XX002"):
            return LibraryUnusable(
                f"The library's database {self.name} is damaged: {said}.",
                hint=self.damage_hint,
                code="library_damaged",
            )
        if state == "53100":
            return UnwritableOutput(
                f"The disk of the server is full; the library {self.name} was not changed.",
                hint="Free some space there and run the same command again.",
                code="disk_full",
            )
        if state in ("42501", "25006"):
            return UnwritableOutput(
                f"The library {self.name} cannot be written: {said}.",
                hint="Give the database's user the right to, or choose another with --library.",
            )
        if state.startswith(("08", "57P")) or state == "53300":
            return self._unreachable(said)
        return None

    def _become_the_writer(self, connection: Connection) -> None:
        wait_ms = max(round(self._lock_timeout_s * 1000), 1)
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")
        connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = '{_VANISHED_S}s'"
        )
        connection.exec_driver_sql(
            f"SELECT pg_advisory_xact_lock({_LOCK_CLASS}, hashtext(current_schema()))"
        )

    def _connection_error(self, error: DBAPIError, said: str) -> DawlinkError | None:
        kind = type(error.orig).__name__
        if kind == "ProgrammingError":  # a parameter that PostgreSQL's client does not know
            return UsageError(
                f"The library's address is not understood: {said}.",
                hint="Write postgresql://HOST/DATABASE?files=/SHARED/FOLDER.",
                code="bad_library",
            )
        if kind not in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
            return None
        if not _answers(self._url):
            return self._unreachable(said)
        return LibraryUnusable(
            f"The server of the library {self.name} refuses: {said}.",
            hint="Check that database, user and password are right; a password may stand in "
            "PGPASSWORD or in the user's .pgpass file.",
            code="library_refused",
        )

    def _unreachable(self, said: str) -> EngineUnreachable:
        return EngineUnreachable(
            f"The server of the library {self.name} does not answer: {said}.",
            hint="Start PostgreSQL there, look at the network, or choose another with --library.",
            code="library_unreachable",
        )


def _first_line(error: DBAPIError, url: URL) -> str:
    """What the driver says, without any password."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    said = redacted(lines[0].strip()).rstrip(".")
    return said.replace(url.password, "***") if url.password else said


def _answers(url: URL) -> bool:
    """Whether anything listens where the server should be."""
    host, port = url.host or str(url.query.get("host", "")), url.port or _DEFAULT_PORT
    if not host or host.startswith("/"):
        folders = [host] if host else ["/var/run/postgresql", "/tmp"]
        return any(Path(folder, f".s.PGSQL.{port}").exists() for folder in folders)
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False
