"""Libraries on both databases: a test that asks for ``library`` or ``place`` runs on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.library.library import Library
from engine.library.place import LibraryPlace, parse_place
from tests.servers import Postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
#: For what can be done to a file only.
sqlite_only = pytest.mark.parametrize("address", [SQLITE], indirect=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a library in one folder."""
    return tmp_path / "library"


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def address(request: pytest.FixtureRequest, folder: Path) -> str:
    """What ``--library`` is given: a folder, or the URL of an empty database."""
    if request.param == SQLITE:
        return str(folder)
    server: Postgres = request.getfixturevalue("postgres")
    return server.address(folder)


@pytest.fixture
def place(address: str) -> LibraryPlace:
    return parse_place(address)


@pytest.fixture
def library(place: LibraryPlace) -> Iterator[Library]:
    with Library.open(place) as opened:
        yield opened
