"""Renders and what became of them, in SQLite: what was running when the engine died is known.

One row per render, one per reported insertion. Several engines may share the file; each knows its
own rows by its process id. States: running, done, failed, cancelled, interrupted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import platformdirs

__all__ = ["JobRow", "JobTable", "job_table_path"]

_LOGGER: Final = logging.getLogger(__name__)
#: Rows that are kept; older ones are removed when the engine starts.
_MOST_ROWS: Final = 5000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    client TEXT NOT NULL,
    req INTEGER NOT NULL,
    kind TEXT NOT NULL,
    folder TEXT NOT NULL,
    asked TEXT NOT NULL,
    state TEXT NOT NULL,
    result TEXT NOT NULL DEFAULT '',
    begun_at TEXT NOT NULL,
    ended_at TEXT
)
"""


@dataclass(frozen=True)
class JobRow:
    """One job as recorded."""

    id: int
    pid: int
    client: str
    req: int
    kind: str
    folder: str
    state: str
    result: str


def job_table_path() -> Path:
    """Where the table lies."""
    return platformdirs.user_state_path("dawlink", False) / "jobs.sqlite"


class JobTable:
    """The table. Threads share one; where the disk refuses, it lives in memory."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        try:
            where = path or job_table_path()
            where.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._connect(str(where))
        except (OSError, sqlite3.Error) as error:
            _LOGGER.warning("Jobs are not recorded on disk: %s", error)
            self._db = self._connect(":memory:")

    def recover(self, living: Collection[int]) -> list[Path]:
        """Mark what dead engines left running, before this one has begun anything.

        Args:
            living: process ids of the engines that run beside this one.

        Returns:
            The folders that the dead were writing into.
        """
        dead: list[tuple[int, int, str]] = []
        with self._changing() as db:
            rows = db.execute("SELECT id, pid, folder FROM jobs WHERE state = 'running'").fetchall()
            dead = [row for row in rows if row[1] not in living]
            for job_id, _, _ in dead:
                self._set(db, job_id, "interrupted", "The engine was killed.")
            db.execute(
                "DELETE FROM jobs WHERE state != 'running' AND id <= "
                "(SELECT max(id) FROM jobs) - ?",
                (_MOST_ROWS,),
            )
        return sorted({Path(folder) for _, _, folder in dead if folder})

    def begin(
        self, *, client: str, req: int, kind: str, folder: Path | None, asked: dict[str, object]
    ) -> int:
        """A job begins; its id."""
        with self._changing() as db:
            cursor = db.execute(
                "INSERT INTO jobs (pid, client, req, kind, folder, asked, state, begun_at) "
                "VALUES (?, ?, ?, ?, ?, ?, 'running', ?)",
                (self._pid, client, req, kind, str(folder or ""), json.dumps(asked), _now()),
            )
            return int(cursor.lastrowid or 0)

    def end(self, job_id: int, state: str, result: str = "") -> None:
        """A job ended. What was put in place after all is done, interrupted or not."""
        with self._changing() as db:
            self._set(db, job_id, state, result)

    def interrupt(self) -> None:
        """The engine goes away: what it is working on is interrupted."""
        with self._changing() as db:
            db.execute(
                "UPDATE jobs SET state = 'interrupted', result = 'The engine was stopped.', "
                "ended_at = ? WHERE state = 'running' AND pid = ?",
                (_now(), self._pid),
            )

    def rows(self) -> list[JobRow]:
        """Every job, the oldest first."""
        with self._lock:
            found = self._db.execute(
                "SELECT id, pid, client, req, kind, folder, state, result FROM jobs ORDER BY id"
            ).fetchall()
        return [JobRow(*row) for row in found]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @staticmethod
    def _connect(where: str) -> sqlite3.Connection:
        db = sqlite3.connect(where, timeout=5.0, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_SCHEMA)
        db.commit()
        return db

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; a table that cannot be written never stops the work itself."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                _LOGGER.warning("A job cannot be recorded: %s", error)

    @staticmethod
    def _set(db: sqlite3.Connection, job_id: int, state: str, result: str) -> None:
        db.execute(
            "UPDATE jobs SET state = ?, result = ?, ended_at = ? WHERE id = ? "
            "AND (state = 'running' OR (state = 'interrupted' AND ? = 'done'))",
            (state, result, _now(), job_id, state),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
