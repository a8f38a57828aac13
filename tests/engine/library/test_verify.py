from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import LibraryUnusable
from engine.library.library import Library
from engine.library.rows import Problem, SongRow
from tests.engine.library.conftest import sqlite_only
from tests.engine.library.songs import beat_rows, song, tone


@pytest.fixture
def row(library: Library) -> SongRow:
    library.add_song(song(1, title="Other"))
    return library.add_song(song(2, title="Evening"))


def tamper(library: Library, statement: str) -> None:
    """Change the database behind the library's back, past every constraint."""
    connection = sqlite3.connect(library.folder / "library.sqlite")
    connection.execute("PRAGMA ignore_check_constraints=ON")
    with connection:
        connection.execute(statement)
    connection.close()


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    assert problems[0].hint
    return problems[0]


def test_a_whole_library_has_no_problems(library: Library, row: SongRow) -> None:
    assert library.verify(older_than_s=0) == []


def test_damaged_audio_is_named_with_its_song(library: Library, row: SongRow) -> None:
    path = library.audio_path(library.stems(row.id, ["drums"])[0].id)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    problem = only(library.verify())
    assert (problem.kind, problem.song_id, problem.title) == ("damaged", row.id, "Evening")
    assert problem.path == path
    assert "Evening" in problem.message
    assert "drums" in problem.message
    assert not problem.harmless


def test_missing_features_are_named_with_their_song(library: Library, row: SongRow) -> None:
    stem = library.stems(row.id, ["bass"])[0]
    path = next(library.folder.glob(f"features/*/{stem.features_sha}.npy"))
    path.unlink()
    problem = only(library.verify())
    assert (problem.kind, problem.title, problem.path) == ("missing", "Evening", path)


def test_every_song_that_needs_a_lost_file_is_named(library: Library) -> None:
    shared = song(1, roles=("drums",), title="as song")
    library.add_song(shared)
    library.add_song(replace(shared, kind="loop", title="as loop"))
    library.audio_path(library.stems()[0].id).unlink()
    assert {p.title for p in library.verify() if p.kind == "missing"} == {"as song", "as loop"}


@sqlite_only
def test_whole_files_of_another_stem_do_not_fit_the_row(library: Library, row: SongRow) -> None:
    longer = library.store_features(beat_rows(0, 99))
    tamper(library, f"UPDATE stem SET features_sha='{longer}' WHERE song_id='{row.id}'")
    found = [p for p in library.verify() if p.kind == "damaged"]
    assert len(found) == 3
    assert all("does not fit its row" in problem.message for problem in found)
    tamper(library, f"UPDATE stem SET frames=7 WHERE song_id='{row.id}' AND role='drums'")
    assert any(p.kind == "damaged" and "audio" in p.message for p in library.verify())


@sqlite_only
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("tempo_bpm = 0", "0.0 BPM"),
        ("tempo_bpm = 1e9", "BPM"),
        ("tempo_bpm = 'fast'", "str"),
        ("tempo_confidence = 7", "confidence"),
        ("duration_s = -1", "length"),
        ("duration_s = 9e999", "length"),
        ("beats_per_bar = 99", "beats per bar"),
        ("beat_count = 5", "its map has"),
        ("beats = x'0000000000000000'", "beat"),
        ("beats = x'00'", "buffer"),
        ("key_tonic = 12", "tonic"),
        ("key_mode = 'dorian'", "mode"),
        ("kind = 'opera'", "opera"),
        ("windows = 'no json'", "Expecting"),
        ("tempo_hypotheses = '[[1]]'", "missing"),
    ],
)
def test_impossible_song_values_are_named(
    library: Library, row: SongRow, change: str, fault: str
) -> None:
    tamper(library, f"UPDATE song SET {change} WHERE id = '{row.id}'")
    problems = [p for p in library.verify() if p.kind == "impossible"]
    assert problems
    assert {(p.song_id, p.title) for p in problems} == {(row.id, "Evening")}
    assert re.search(fault, problems[0].message)


@sqlite_only
def test_reading_impossible_values_points_to_verify(library: Library, row: SongRow) -> None:
    tamper(library, f"UPDATE song SET key_tonic = 12, beats = x'00' WHERE id = '{row.id}'")
    for read in (library.songs, lambda: library.song(row.id), lambda: library.grid(row.id)):
        with pytest.raises(LibraryUnusable) as caught:
            read()
        assert "verify" in caught.value.hint


@sqlite_only
@pytest.mark.parametrize(
    "change",
    ["sample_rate = 0", "frames = -4", "gain_db = -1", "active = x'00ff00'", "role = 'kazoo'"],
)
def test_impossible_stem_values_are_named(library: Library, row: SongRow, change: str) -> None:
    tamper(library, f"UPDATE stem SET {change} WHERE song_id = '{row.id}' AND role = 'drums'")
    assert any(p.kind == "impossible" and p.song_id == row.id for p in library.verify())


@sqlite_only
def test_a_song_without_stems_and_a_stem_without_song_are_named(
    library: Library, row: SongRow
) -> None:
    tamper(library, f"DELETE FROM stem WHERE song_id = '{row.id}'")
    assert [p.kind for p in library.verify()] == ["impossible"]
    tamper(library, "DELETE FROM song WHERE title = 'Other'")
    assert "database" in {p.kind for p in library.verify()}


def test_a_page_of_rubbish_in_the_database_is_reported(folder: Path) -> None:
    with Library.open(folder) as library:
        for seed in range(6):
            library.add_song(song(seed))
    path = folder / "library.sqlite"
    data = bytearray(path.read_bytes())
    start = len(data) * 2 // 3 // 4096 * 4096
    data[start : start + 4096] = b"\xaa" * 4096
    path.write_bytes(data)
    with Library.open(folder) as library:
        problems = library.verify()
    assert problems
    assert problems[0].kind == "database"


def test_leftovers_are_harmless_reported_when_old_and_swept(library: Library, row: SongRow) -> None:
    orphan = library.store_audio(tone(77))
    rows = library.store_features(beat_rows(77, 4))
    part = library.folder / "audio" / "ab" / ".part-xyz.flac"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half a")
    assert library.verify() == []
    assert library.sweep().files == 0
    for path in library.folder.rglob("*"):
        if path.suffix in (".flac", ".npy"):
            os.utime(path, (0, 0))
    problems = library.verify()
    assert sorted(p.kind for p in problems) == ["leftover", "orphan", "orphan"]
    assert all(problem.harmless for problem in problems)
    swept = library.sweep()
    assert swept.files == 3
    assert swept.size_bytes > 0
    assert not list(library.folder.rglob(f"{orphan.sha}*"))
    assert not list(library.folder.rglob(f"{rows}*"))
    assert library.verify(older_than_s=0) == []
    assert len(library.stems()) == 6


def test_audio_stored_again_is_young_again(library: Library) -> None:
    stored = library.store_audio(tone(5))
    (path,) = library.folder.rglob("*.flac")
    os.utime(path, (0, 0))
    assert library.store_audio(tone(5)) == stored
    assert library.sweep().files == 0
    assert path.is_file()
