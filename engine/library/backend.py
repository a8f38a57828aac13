"""The seam between the library and the database that holds its rows.

Everything that differs from one database to another stands behind it: how to connect, what a
transaction for reading and one for writing begin with, whose database it is, what its own checks
find, and its errors in words. :class:`~engine.library.database.Database` does the rest.
"""

from __future__ import annotations

from typing import Final, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from engine.errors import DawlinkError, LibraryUnusable

__all__ = ["LOCK_TIMEOUT_S", "WRITES", "Backend"]

LOCK_TIMEOUT_S: Final = 60.0  # a writer holds the lock for milliseconds; a minute is a hang
#: The option of a connection that is about to write; its transaction is the only writer.
WRITES: Final = "dawlink_writes"


class Backend(Protocol):
    """One library's database: SQLite in a file, or PostgreSQL on a server."""

    @property
    def name(self) -> str:
        """What errors call the library; holds no password."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other machines use it too."""
        ...

    @property
    def damage_hint(self) -> str:
        """What mends a damaged database."""
        ...

    def connect(self) -> Engine:
        """An engine, not connected yet.

        A transaction that reads sees one state throughout. One of a connection with the option
        :data:`WRITES` is the only one of its kind from its beginning to its end.

        Raises:
            MissingDependency: the database's driver is not installed.
        """
        ...

    def ready_to_change(self, engine: Engine) -> None:
        """What has to be done outside a transaction before the schema is made or changed."""
        ...

    def identity(self, connection: Connection) -> str | None:
        """What tells this library from others; None when the database is another program's."""
        ...

    def describe(self, connection: Connection) -> str:
        """Product and version, for people."""
        ...

    def claim(self, connection: Connection) -> None:
        """Note that the database is a library; part of the transaction that made it."""
        ...

    def not_a_library(self) -> LibraryUnusable:
        """The error for another program's database."""
        ...

    def problems(self, connection: Connection) -> list[str]:
        """What the database's own checks find."""
        ...

    def in_words(self, error: DBAPIError) -> DawlinkError | None:
        """What an error means for a person; None when it is a bug of ours."""
        ...
