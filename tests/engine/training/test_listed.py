from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import LibraryUnusable
from engine.training.listed import listed_words
from engine.training.midi_audio.listing import LISTING_NAME, ListedSong, write_listing
from engine.training.midi_corpus import Split


def row(song_id: str, group: str, split: Split, *, is_current: bool = True) -> ListedSong:
    return ListedSong(
        song_id, f"{song_id}.mid", "set", group, split, "r", "sung", "", "ab", is_current
    )


def test_the_strictest_word_holds_for_a_song_and_its_composition(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "has no list"]
    write_listing(folders[0], [row("1", "A", "val"), row("2", "B", "train"), row("3", "C", "test")])
    write_listing(folders[1], [row("4", "A", "test"), row("2", "D", "val"), row("5", "E", "train")])
    for data in (folders, folders[::-1]):
        words = listed_words(data)
        assert words.of_group == {"A": "test", "B": "val", "C": "test", "D": "val", "E": "train"}
        assert words.of_song["2"] == "val"
        assert words.of("1", "A") == "test"
        assert words.of("2", "unlisted") == words.of("unlisted", "B") == "val"
        assert words.of("unlisted", "unlisted") is None
        assert words.groups("val", "test") == {"A", "B", "C", "D"}
        assert words.groups("train") == {"E"}


def test_a_rendering_that_is_not_current_is_no_word_on_its_composition(tmp_path: Path) -> None:
    rows = [
        row("old", "A", "test", is_current=False),
        row("new", "A", "train"),
        row("left", "B", "test", is_current=False),
        row("odd", "C", "train", is_current=False),
    ]
    write_listing(tmp_path, rows)
    words = listed_words([tmp_path])
    assert words.of_group == {"A": "train"}
    assert words.of("new", "A") == "train"
    assert words.of("variant of left", "B") is None
    for name, group in (("old", "A"), ("left", "B"), ("odd", "C")):
        assert words.of(name, group) == "test"


def test_a_damaged_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / LISTING_NAME).write_bytes(b"")
    with pytest.raises(LibraryUnusable):
        listed_words([tmp_path])
