from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import engine.library
from engine.errors import DawlinkError, LibraryUnusable, UnwritableOutput
from engine.library.library import Library
from engine.library.schema import SCHEMA_VERSION, Base
from tests.engine.library.songs import song

MIGRATIONS = Path(engine.library.__file__).parent / "migrations"


@pytest.fixture
def address(folder: Path) -> str:
    """Here everything is about the file."""
    return str(folder)


def database(folder: Path) -> Path:
    return folder / "library.sqlite"


def execute(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(database(folder))
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def refusal(folder: Path, **options: bool | float) -> DawlinkError:
    with pytest.raises(DawlinkError) as caught:
        Library.open(folder, **options).close()  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value


def test_the_migrations_make_what_the_schema_says(library: Library, folder: Path) -> None:
    made = create_engine(f"sqlite:///{database(folder)}")
    with made.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    made.dispose()
    with_checks = sqlite3.connect(database(folder))
    (song_sql,) = with_checks.execute("SELECT sql FROM sqlite_master WHERE name='song'").fetchone()
    with_checks.close()
    for constraint in Base.metadata.tables["song"].constraints:
        assert str(constraint.name) in song_sql


def test_the_schema_version_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == SCHEMA_VERSION


def test_a_new_library_is_in_wal_mode_and_says_whose_it_is(library: Library, folder: Path) -> None:
    connection = sqlite3.connect(database(folder))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x6461776C,)
    connection.close()


def test_a_library_of_a_newer_dawlink_is_left_alone(folder: Path) -> None:
    Library.open(folder).close()
    execute(folder, "UPDATE alembic_version SET version_num = '9999'")
    error = refusal(folder)
    assert (error.code, error.exit_code) == ("library_newer", 6)
    assert refusal(folder, read_only=True).exit_code == 6


def test_a_database_of_another_program_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    execute(folder, "CREATE TABLE recipe (name TEXT)")
    before = database(folder).read_bytes()
    assert refusal(folder).code == "not_a_library"
    execute(folder, "CREATE TABLE alembic_version (version_num TEXT)")
    assert refusal(folder).code == "not_a_library"
    assert database(folder).read_bytes()[:16] == before[:16]


@pytest.mark.parametrize("left", [0, 1, 100, 5000, 20000])
def test_a_truncated_database_is_damaged(folder: Path, left: int) -> None:
    with Library.open(folder) as library:
        for seed in range(3):
            library.add_song(song(seed))
    whole = database(folder).read_bytes()
    assert len(whole) > 20000
    database(folder).write_bytes(whole[:left])
    assert refusal(folder).code == "library_damaged"
    assert database(folder).read_bytes() == whole[:left]


def test_a_file_that_is_no_database_is_damaged(folder: Path) -> None:
    folder.mkdir()
    database(folder).write_text("this is a shopping list, and a long one at that\n" * 100)
    assert refusal(folder).code == "library_damaged"


def test_a_lost_database_is_not_replaced_by_an_empty_one(folder: Path) -> None:
    with Library.open(folder) as library:
        library.add_song(song())
    database(folder).unlink()
    assert refusal(folder).code == "library_damaged"
    assert not database(folder).exists()


def test_a_folder_of_something_else_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert refusal(tmp_path).code == "no_library"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.jpg"]


def test_a_missing_library_is_not_made_unasked(folder: Path) -> None:
    assert refusal(folder, create=False).code == "no_library"
    assert refusal(folder, read_only=True).code == "no_library"
    assert not folder.exists()


def test_a_file_is_no_library_and_nothing_can_be_made_under_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file").code == "no_library"
    error = refusal(tmp_path / "file" / "library")
    assert isinstance(error, UnwritableOutput)


def test_an_empty_or_hidden_files_only_folder_becomes_a_library(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    with Library.open(tmp_path) as library:
        assert library.songs() == ()


def test_names_that_are_special_in_urls_and_beyond_ascii_work(tmp_path: Path) -> None:
    odd = tmp_path / "04 絆 ű ?mode=memory#100% & more"
    with Library.open(odd) as library:
        added = library.add_song(song(title="絆ふぉーえばー – ű"))
    with Library.open(odd, read_only=True) as library:
        assert library.songs() == (added,)
    assert database(odd).exists()


def test_a_locked_library_can_be_read_and_says_that_it_is_locked(folder: Path) -> None:
    with Library.open(folder, lock_timeout_s=0.1) as library:
        library.add_song(song(0))
        other = sqlite3.connect(database(folder), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert len(library.songs()) == 1
        with pytest.raises(LibraryUnusable) as caught:
            library.add_song(song(1))
        other.execute("ROLLBACK")
        other.close()
        assert caught.value.code == "library_locked"
        library.add_song(song(1))
        assert len(library.songs()) == 2


def test_a_read_only_library_refuses_changes(folder: Path) -> None:
    with Library.open(folder) as library:
        library.add_song(song(0))
    with Library.open(folder, read_only=True) as library:
        assert len(library.songs()) == 1
        with pytest.raises(UnwritableOutput):
            library.remove(library.songs()[0].id)
        with pytest.raises(UnwritableOutput):
            library.add_song(song(1))
        assert len(library.songs()) == 1
        assert library.verify(older_than_s=0) == []


def test_a_failed_change_is_undone(folder: Path) -> None:
    with Library.open(folder) as library:
        kept = library.add_song(song(0))
        execute(
            folder, "CREATE TRIGGER no BEFORE DELETE ON stem BEGIN SELECT RAISE(ABORT,'x'); END"
        )
        with pytest.raises(Exception, match="x"):
            library.remove(kept.id)
        assert library.songs() == (kept,)
        assert library.verify() == []


def test_the_light_modules_stay_light() -> None:
    heavy = "torch librosa madmom scipy demucs soundfile alembic"
    script = (
        "import sys, engine.library.library, engine.library.pool\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
