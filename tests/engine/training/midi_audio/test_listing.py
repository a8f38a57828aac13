from __future__ import annotations

import errno
import multiprocessing
import sys
from pathlib import Path

import pytest

from engine.errors import LibraryUnusable, UnwritableOutput
from engine.training.midi_audio.listing import (
    LISTING_NAME,
    ListedSong,
    groups_of,
    read_listing,
    update_listing,
    write_listing,
)

WRITERS = 3
SONGS = 40


def listed(writer: int, number: int) -> ListedSong:
    name = f"{writer} {number}"
    return ListedSong(name, f"{name}.mid", "made", name, "val", "r", "sung", "", "ab", True, "cd")


def put_in(library: Path, writer: int) -> None:
    for number in range(SONGS):
        update_listing(library, [listed(writer, number)])


def test_runs_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    library = tmp_path / "not made yet"
    spawn = multiprocessing.get_context("spawn")
    runs = [spawn.Process(target=put_in, args=(library, writer)) for writer in range(WRITERS)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        assert run.exitcode == 0
    expected = {listed(writer, number) for writer in range(WRITERS) for number in range(SONGS)}
    assert set(read_listing(library)) == expected


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_bytes(b"")
    with pytest.raises(UnwritableOutput, match="cannot be written"):
        update_listing(occupied, [listed(0, 0)])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks in another way")
def test_a_file_system_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    for number in range(2):
        with pytest.warns(UserWarning, match="lock"):
            update_listing(tmp_path, [listed(0, number)])
    assert set(read_listing(tmp_path)) == {listed(0, 0), listed(0, 1)}


HEAD = b"song_id,file,set_name,group,split,recipe,voice,soundfonts"
ROW = b"g1,a.mid,made,A,test,r,sung,"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it has no content"),
        (
            b"\n",
            "it has no column song_id, file, set_name, group, split, recipe, voice, soundfonts",
        ),
        (HEAD.replace(b",group,split", b"") + b"\n", "it has no column group, split"),
        (HEAD + b"\n" + ROW + b"\xff\n", "it is not UTF-8 from byte 86 on"),
        (HEAD + b"\n" + ROW + b"x" * 131073 + b"\n", "field larger than field limit"),
        (HEAD + b"\n" + ROW + b'"x\n', "unexpected end of data"),
        (HEAD + b"\ng1,a.mid,made,A,test\n", "a line ends before its recipe"),
        (HEAD + b"\n" + ROW.replace(b"test", b"Test") + b"\n", "'Test' is no split"),
    ],
    ids=["empty", "blank", "columns", "bytes", "long", "quote", "short", "split"],
)
def test_a_damaged_list_is_one_clear_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    """Taken for an empty one it would let what it keeps for tests be trained on."""
    (tmp_path / LISTING_NAME).write_bytes(content)
    for read in (read_listing, groups_of, update_listing):
        with pytest.raises(LibraryUnusable, match=why) as caught:
            read(tmp_path)
        assert str(tmp_path / LISTING_NAME) in caught.value.message
        assert "a copy" in caught.value.hint


def test_a_list_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(LibraryUnusable, match="cannot be read: Permission denied") as caught:
        read_listing(tmp_path)
    assert "may read" in caught.value.hint


def test_where_there_is_no_list_nothing_is_listed(tmp_path: Path) -> None:
    song = tmp_path / "song.stem.mp4"
    song.write_bytes(b"")
    assert read_listing(tmp_path) == read_listing(tmp_path / "gone") == read_listing(song) == ()
    write_listing(tmp_path, [])
    assert read_listing(tmp_path) == ()
