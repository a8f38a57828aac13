from __future__ import annotations

import errno
import multiprocessing
import sys
from pathlib import Path

import pytest

from engine.errors import UnwritableOutput
from engine.training.midi_audio.listing import ListedSong, read_listing, update_listing

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
