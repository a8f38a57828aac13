from __future__ import annotations

from pathlib import Path

import pytest

from engine.library.library import Library
from engine.training.own_library import removed_if_empty
from tests.engine.library.songs import song


def test_a_library_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    with removed_if_empty(folder), Library.open(folder):
        assert folder.is_dir()
    assert not folder.exists()

    def interrupted() -> None:
        with removed_if_empty(folder), Library.open(folder):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not folder.exists()
    with removed_if_empty(folder):
        pass  # none was made


def test_songs_and_what_was_there_before_stay(tmp_path: Path) -> None:
    with removed_if_empty(tmp_path / "songs"), Library.open(tmp_path / "songs") as library:
        row = library.add_song(song(1))
    with Library.open(tmp_path / "songs", create=False) as library:
        assert [found.id for found in library.songs()] == [row.id]
    Library.open(tmp_path / "mine").close()
    with removed_if_empty(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()
    with removed_if_empty(tmp_path / "damaged"):
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "library.sqlite").write_text("no database", "utf-8")
    assert (tmp_path / "damaged").is_dir()
