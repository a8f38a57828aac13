"""Several real processes on one library: writers side by side, killed, and out of disk."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.library.library import Library
from engine.library.place import LibraryPlace, files_of
from tests.engine.library.conftest import sqlite_only
from tests.engine.library.songs import ROLES, song

CHECKOUT = Path(__file__).parents[3]
SONGS = 400  # more than a writer gets through before it is killed

ADD = """
import sys
from engine.library.library import Library
from engine.library.place import parse_place
from tests.engine.library.conftest import sqlite_only
from tests.engine.library.songs import song
place, first, last, frames = parse_place(sys.argv[1]), *map(int, sys.argv[2:])
with Library.open(place) as library:
    print("ready", flush=True)
    for seed in range(first, last):
        row = library.add_song(song(seed, frames=frames))
        print(row.id, flush=True)
"""

ADD_WITH_LITTLE_DISK = (
    """
import resource, sys
limit = int(sys.argv.pop())
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from engine.errors import UnwritableOutput
try:
"""
    + "\n".join("    " + line for line in ADD.splitlines())
    + """
except UnwritableOutput as error:
    print("refused", error.exit_code, error.message, flush=True)
"""
)


def start(script: str, address: str, *numbers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, address, *map(str, numbers)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> list[str]:
    out, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return out.split()


def damage(library: Library) -> list[str]:
    return [p.message for p in library.verify(older_than_s=0) if not p.harmless]


def test_two_writers_at_once_neither_lose_nor_double(address: str, place: LibraryPlace) -> None:
    writers = [start(ADD, address, first, 12, 800) for first in (0, 3, 6)]
    ids = [printed(writer)[1:] for writer in writers]
    with Library.open(place) as library:
        rows = library.songs()
        assert [len(found) for found in ids] == [12, 9, 6]
        assert {row.id for row in rows} == set(ids[0])
        assert len(rows) == 12
        assert len(library.stems()) == 12 * len(ROLES)
        assert all(len(library.sources(row.id)) == 1 for row in rows)
        assert library.verify(older_than_s=0) == []
        assert library.revision() == 24  # 12 songs, 12 sources


@sqlite_only
def test_a_reader_sees_another_process_write(address: str, place: LibraryPlace) -> None:
    with Library.open(place) as library:
        before = library.revision()
        writer = start(ADD, address, 0, 5, 800)
        counts = []
        while writer.poll() is None:
            counts.append(len(library.songs()))
            assert len(library.stems()) % len(ROLES) == 0
            time.sleep(0.01)
        printed(writer)
        assert counts == sorted(counts)
        assert len(library.songs()) == 5
        assert library.revision() > before


def test_one_process_removes_what_another_adds(address: str, place: LibraryPlace) -> None:
    with Library.open(place) as library:
        writer = start(ADD, address, 0, 30, 800)
        while writer.poll() is None:
            for row in library.songs():
                library.remove(row.id)
            library.sweep()
        printed(writer)
        for row in library.songs():
            library.remove(row.id)
        assert library.verify(older_than_s=0) == []
        assert not [p for p in files_of(place).rglob("*") if p.suffix in (".flac", ".npy")]


def test_writers_killed_at_any_moment_leave_a_whole_library(
    address: str, place: LibraryPlace
) -> None:
    moments = random.Random(7)
    promised: set[str] = set()
    for _ in range(3):
        writers = [start(ADD, address, 0, SONGS, 60_000) for _ in range(4)]
        assert writers[0].stdout is not None
        assert writers[0].stdout.readline() == "ready\n"
        promised.add(writers[0].stdout.readline().strip())
        for writer in writers:
            time.sleep(moments.uniform(0.0, 0.25))
            writer.kill()
        for writer in writers:
            lines = writer.communicate()[0].split("\n")
            promised |= {line for line in lines[:-1] if line.startswith("g")}
        with Library.open(place) as library:
            assert damage(library) == []
            assert promised <= {row.id for row in library.songs()}
    with Library.open(place) as library:
        library.sweep(older_than_s=0)
        assert library.verify(older_than_s=0) == []
        reached = len(library.songs())
        assert reached > 0
        more = library.add_song(song(SONGS, frames=60_000))
        assert more in library.songs()
        assert len(library.songs()) == reached + 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limits")
@pytest.mark.parametrize("limit", [0, 3_000, 20_000, 60_000, 200_000])
def test_a_full_disk_loses_nothing(folder: Path, limit: int) -> None:
    with Library.open(folder) as library:
        kept = library.add_song(song(1000))
    words = printed(start(ADD_WITH_LITTLE_DISK, str(folder), 0, 60, 8_000, limit))
    assert words[words.index("refused") + 1] == "7"
    done = {word for word in words if word.startswith("g") and len(word) == 13}
    with Library.open(folder) as library:
        assert done | {kept.id} == {row.id for row in library.songs()}
        assert not list(folder.rglob(".part-*"))
        library.sweep(older_than_s=0)
        assert library.verify(older_than_s=0) == []
        assert library.add_song(song(0)) in library.songs()
