"""What only a library on a server can meet: other users, other machines, a drive not mounted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from engine.errors import DawlinkError, LibraryUnusable, UnwritableOutput
from engine.library.library import Library
from engine.library.place import ServerPlace, parse_place
from engine.library.schema import Base
from tests.engine.library.songs import song
from tests.ports import free_port
from tests.servers import PASSWORD, USER, Postgres

HELD = "SELECT pg_advisory_lock(1684109164, hashtext(current_schema()))"


@pytest.fixture
def schema(postgres: Postgres) -> str:
    return postgres.new_schema()


@pytest.fixture
def place(postgres: Postgres, schema: str, tmp_path: Path) -> ServerPlace:
    return server_place(postgres.address(tmp_path, schema))


def server_place(address: str) -> ServerPlace:
    found = parse_place(address)
    assert isinstance(found, ServerPlace)
    return found


def refusal(place: ServerPlace, **options: bool | float) -> DawlinkError:
    """The error of opening; whatever it is, it holds no password and says what to do."""
    with pytest.raises(DawlinkError) as caught:
        Library.open(place, **options).close()  # type: ignore[arg-type]
    error = caught.value
    assert error.hint
    assert PASSWORD not in f"{error.message} {error.hint} {error!r}"
    return error


def test_the_migrations_make_what_the_schema_says(place: ServerPlace) -> None:
    Library.open(place).close()
    engine = create_engine(place.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        checks = set(connection.exec_driver_sql(
            "SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace"
        ).scalars())  # fmt: skip
        order = connection.exec_driver_sql(
            "SELECT collation_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND column_name IN ('id', 'song_id') "
            "AND table_name IN ('song', 'stem', 'source', 'correction') "
            "AND character_maximum_length = 13"
        ).scalars()
        assert set(order) == {"C"}
    engine.dispose()
    for table in Base.metadata.tables.values():
        assert {str(constraint.name) for constraint in table.constraints} <= checks


def test_a_library_is_not_made_unasked(postgres: Postgres, place: ServerPlace, schema: str) -> None:
    assert refusal(place, create=False).code == "no_library"
    assert refusal(place, read_only=True).code == "no_library"
    assert postgres.execute("SELECT relname FROM pg_class WHERE relnamespace = "
                            f"'{schema}'::regnamespace") == []  # fmt: skip
    assert not list(place.files.iterdir())


def test_a_database_of_another_program_is_left_alone(
    postgres: Postgres, place: ServerPlace, schema: str
) -> None:
    postgres.execute("CREATE TABLE recipe (name TEXT)", schema=schema)
    assert refusal(place).code == "not_a_library"
    postgres.execute("CREATE TABLE alembic_version (version_num TEXT)", schema=schema)
    assert refusal(place).code == "not_a_library"


def test_a_library_of_a_newer_dawlink_is_left_alone(
    postgres: Postgres, place: ServerPlace, schema: str
) -> None:
    Library.open(place).close()
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", schema=schema)
    error = refusal(place)
    assert (error.code, error.exit_code) == ("library_newer", 6)
    assert refusal(place, read_only=True).exit_code == 6


def test_a_server_that_does_not_answer_is_told_from_one_that_refuses(
    postgres: Postgres, place: ServerPlace, tmp_path: Path
) -> None:
    def changed(old: str, new: str) -> ServerPlace:
        return server_place(postgres.address(tmp_path).replace(old, new))

    silent = refusal(changed(f":{postgres.port}/", f":{free_port()}/"))
    assert (silent.code, silent.exit_code) == ("library_unreachable", 5)
    for old, new in (("s3cret", "wrong"), ("/postgres?", "/nothing?"), (USER, "bob")):
        refused = refusal(changed(old, new))
        assert (refused.code, refused.exit_code) == ("library_refused", 6), (old, new)
        assert "password" in refused.hint
    unknown = refusal(changed("&options=", "&colour=blue&options="))
    assert (unknown.code, unknown.exit_code) == ("bad_library", 2)


def test_a_locked_library_can_be_read_and_says_that_it_is_locked(
    postgres: Postgres, place: ServerPlace, schema: str
) -> None:
    import psycopg

    with Library.open(place, lock_timeout_s=0.1) as library:
        library.add_song(song(0))
        with psycopg.connect(postgres.url()) as other:
            other.execute(f"SET search_path = {schema}".encode())
            other.execute(HELD.encode())
            assert len(library.songs()) == 1
            with pytest.raises(LibraryUnusable) as caught:
                library.add_song(song(1))
        assert caught.value.code == "library_locked"
        library.add_song(song(1))
        assert len(library.songs()) == 2


def test_libraries_of_one_server_do_not_lock_each_other(
    postgres: Postgres, place: ServerPlace, tmp_path: Path
) -> None:
    other = postgres.place(tmp_path / "other")
    with Library.open(place) as one, Library.open(other, lock_timeout_s=0.1) as two:
        with one._database.writing() as session:
            waits = session.connection().exec_driver_sql("SHOW idle_in_transaction_session_timeout")
            assert waits.scalar() == "2min"
            two.add_song(song(1))
        assert (len(one.songs()), len(two.songs())) == (0, 1)


def test_a_user_who_may_only_read_can_only_read(
    postgres: Postgres, place: ServerPlace, schema: str
) -> None:
    with Library.open(place) as library:
        library.add_song(song(0))
    reader = f"reader_{schema}"
    postgres.execute(
        f"CREATE USER {reader} PASSWORD 'looks-only'",
        f"GRANT USAGE ON SCHEMA {schema} TO {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}",
    )
    own = replace(
        place, url=place.url.replace(f"{USER}:s3cret%2Fof%40ana@", f"{reader}:looks-only@")
    )
    with Library.open(own) as library:
        assert len(library.songs()) == 1
        with pytest.raises(UnwritableOutput, match="permission denied"):
            library.add_song(song(1))
        assert library.verify() == []


def test_a_restarted_server_is_found_again(postgres: Postgres, place: ServerPlace) -> None:
    with Library.open(place) as library:
        library.add_song(song(0))
        postgres.stop()
        with pytest.raises(DawlinkError) as caught:
            library.songs()
        assert (caught.value.code, caught.value.exit_code) == ("library_unreachable", 5)
        postgres.start()
        assert len(library.songs()) == 1
        library.add_song(song(1))


@pytest.mark.parametrize("state", ["missing", "empty", "a file", "foreign", "sqlite"])
def test_a_folder_that_is_not_the_librarys_is_refused(
    postgres: Postgres, place: ServerPlace, tmp_path: Path, state: str
) -> None:
    with Library.open(place) as library:
        library.add_song(song(0))
    wrong = tmp_path / "wrong"
    if state == "a file":
        wrong.write_text("")
    elif state == "empty":  # as a drive that is not mounted
        wrong.mkdir()
    elif state == "sqlite":
        Library.open(wrong).close()
    elif state == "foreign":
        wrong = postgres.place(tmp_path / "other").files
        Library.open(postgres.place(tmp_path / "other")).close()
    before = sorted(wrong.rglob("*")) if wrong.is_dir() else []
    for options in ({}, {"create": False}, {"read_only": True}):
        error = refusal(replace(place, files=wrong), **options)
        assert (error.code, error.exit_code) == ("no_files_folder", 6)
        assert str(wrong) in error.message
    assert (sorted(wrong.rglob("*")) if wrong.is_dir() else []) == before


def test_a_new_database_does_not_take_over_the_files_of_a_library(
    postgres: Postgres, place: ServerPlace, tmp_path: Path
) -> None:
    with Library.open(place) as library:
        library.add_song(song(0))
    new = server_place(postgres.address(tmp_path))
    assert new.files == place.files
    assert refusal(new).code == "no_files_folder"
    with Library.open(place) as library:
        assert library.verify(older_than_s=0) == []


def test_a_folder_that_was_claimed_and_never_used_is_taken(place: ServerPlace) -> None:
    (place.files / "dawlink-library.json").write_text(json.dumps({"library": "a1b2"}))
    with Library.open(place) as library:
        assert library.add_song(song(0)) in library.songs()
        assert library.cache.name == "a1b2"


def test_rows_that_refer_to_nothing_are_found(
    postgres: Postgres, place: ServerPlace, schema: str
) -> None:
    with Library.open(place) as library:
        row = library.add_song(song(0))
        postgres.execute(
            "SET session_replication_role = replica",  # no foreign keys, for this connection
            f"DELETE FROM song WHERE id = '{row.id}'",
            schema=schema,
        )
        problems = library.verify()
    assert [p.kind for p in problems] == ["database"] * 4  # three stems and a source
    assert all("song that is not there" in p.message for p in problems)
    assert "backup" in problems[0].hint


def test_two_machines_share_rows_and_files_and_not_their_caches(
    place: ServerPlace, tmp_path: Path
) -> None:
    from engine.library.pool import load_pool

    elsewhere = tmp_path / "mounted elsewhere"
    elsewhere.symlink_to(place.files)
    other = replace(place, files=elsewhere, cache=tmp_path / "other cache")
    with Library.open(place) as here, Library.open(other) as there:
        row = here.add_song(song(0))
        assert there.songs() == (row,)
        assert there.audio_path(there.stems()[0]).is_file()
        assert there.audio_path(there.stems()[0]).is_relative_to(elsewhere)
        for library in (here, there):
            load_pool(library, "bass")
            assert list((library.cache / "index").glob("bass-*"))
        there.remove(row.id)
        assert here.songs() == ()
        assert not list(place.files.rglob("*.flac"))
    assert {path.name for path in place.files.iterdir()} <= {
        "audio", "features", "dawlink-library.json"
    }  # fmt: skip
