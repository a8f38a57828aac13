from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.errors import UnusableInput
from engine.library.library import Library
from engine.mashup.database import MashupDB
from engine.training.material import SplitSongs, open_material, split_songs
from tests.engine.library.songs import song
from tests.engine.mashup.songs import made_song
from tests.engine.training.heard import (
    heard_song,
    list_songs,
    outdate,
    write_library,
    write_splits,
)
from tests.engine.training.scores import made_up_song

OWN = ("o0", "o1", "o2", "o3", "o4")
RENDERED = ("r0", "r1", "r2", "r3", "r4", "r5")


def database(*names: str) -> MashupDB:
    return MashupDB(tuple(made_song(name) for name in names))


def ids(db: MashupDB) -> list[str]:
    return [song.id for song in db.songs]


def parted(db: MashupDB, folder: Path, splits: Mapping[str, str]) -> SplitSongs:
    list_songs(folder, splits)
    return split_songs(db, [folder, folder / "own"], share=0.2, seed=3)


def test_without_a_list_the_lot_decides(tmp_path: Path) -> None:
    db = database(*OWN, *RENDERED)
    got = split_songs(db, [tmp_path], share=0.2, seed=3)
    train, held_out = db.split(0.2, 3)
    assert (ids(got.train), ids(got.held_out)) == (ids(train), ids(held_out))
    assert not got.notes


def test_a_list_of_train_and_val_decides_in_the_order_of_the_songs(tmp_path: Path) -> None:
    db = database("r5", "r0", "r3", "r1", "r4", "r2")
    said = {name: "val" if name in ("r3", "r4") else "train" for name in RENDERED}
    got = parted(db, tmp_path, said)
    assert ids(got.train) == ["r5", "r0", "r1", "r2"]
    assert ids(got.held_out) == ["r3", "r4"]
    assert not got.notes


def test_songs_without_a_word_are_split_by_lot(tmp_path: Path) -> None:
    db = database(*RENDERED[:3], *OWN, *RENDERED[3:])
    said = dict(zip(RENDERED, ("train", "val", "train", "test", "train", "train"), strict=True))
    got = parted(db, tmp_path, said)
    by_lot = ids(database(*OWN).split(0.2, 3)[1])
    assert len(by_lot) == 1
    assert set(ids(got.held_out)) == {"r1", *by_lot}
    assert set(ids(got.train)) == {"r0", "r2", "r4", "r5", *OWN} - set(by_lot)
    assert got.notes == ("1 song is listed for tests and left out",)


def test_without_songs_to_validate_the_lot_falls_on_train_songs_alone(tmp_path: Path) -> None:
    db = database(*RENDERED)
    said = dict.fromkeys(RENDERED, "train") | {"r1": "test", "r4": "test"}
    got = parted(db, tmp_path, said)
    train, held_out = database("r0", "r2", "r3", "r5").split(0.2, 3)
    assert (ids(got.train), ids(got.held_out)) == (ids(train), ids(held_out))
    assert got.notes == ("2 songs are listed for tests and left out",)


def test_of_two_words_the_stricter_holds(tmp_path: Path) -> None:
    list_songs(tmp_path / "a", {"r0": "test", "r1": "train", "r2": "train"})
    list_songs(tmp_path / "b", {"r0": "train", "r1": "val", "r2": "train"})
    folders = [tmp_path / "a", tmp_path / "b"]
    for data in (folders, folders[::-1]):
        got = split_songs(database("r0", "r1", "r2"), data, share=0.2, seed=0)
        assert (ids(got.train), ids(got.held_out)) == (["r2"], ["r1"])


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (("test", "test"), "for tests"),
        (("val", "val"), "for validation"),
        (("val", "test"), "for validation or tests"),
    ],
)
def test_nothing_to_train_on_is_said(tmp_path: Path, splits: tuple[str, str], said: str) -> None:
    with pytest.raises(UnusableInput, match=f"{said}\\.") as caught:
        parted(database("r0", "r1"), tmp_path, dict(zip(("r0", "r1"), splits, strict=True)))
    assert "--data" in caught.value.hint


def test_compositions_of_several_libraries_have_one_split(tmp_path: Path) -> None:
    """Whatever one of the lists says, none is trained on and held out."""
    folders = [tmp_path / "a", tmp_path / "b"]
    said = (
        [("X", "val"), ("a", "train"), ("b", "train"), ("T", "test")],
        [("X", "train"), ("c", "train"), ("d", "train"), ("T", "train")],
    )
    for first, (folder, words) in enumerate(zip(folders, said, strict=True)):
        songs = [heard_song(made_up_song(10 * first + number)) for number in range(4)]
        write_splits(folder, write_library(folder, songs), words)
    material = open_material(folders, tmp_path / "work", tell=lambda _text: None)
    got = split_songs(material.db, folders, share=0.2, seed=0)
    assert sorted(song.group for song in got.train.songs) == ["a", "b", "c", "d"]
    assert [song.group for song in got.held_out.songs] == ["X", "X"]
    assert got.tests == {"T"}
    assert got.notes == ("2 songs are listed for tests and left out",)


def test_an_edited_song_is_trained_on_in_its_new_rendering_alone(tmp_path: Path) -> None:
    songs = [heard_song(made_up_song(number)) for number in range(5)]
    rows = write_library(tmp_path, songs)
    said = [("A", "train"), ("A", "train"), ("B", "train"), ("C", "val"), ("gone", "train")]
    write_splits(tmp_path, rows, said)
    outdate(tmp_path, rows[0].id, rows[4].id)
    material = open_material([tmp_path], tmp_path / "work", tell=lambda _text: None)
    got = split_songs(material.db, [tmp_path], share=0.2, seed=0)
    assert set(ids(got.train)) == {rows[1].id, rows[2].id}
    assert ids(got.held_out) == [rows[3].id]
    assert not got.tests


def test_a_word_on_a_song_that_cannot_be_used_holds_for_its_composition(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    mute = [heard_song(made_up_song(number), roles=("vocals",)) for number in range(2)]
    write_splits(folders[0], write_library(folders[0], mute), [("T", "test"), ("V", "val")])
    songs = [heard_song(made_up_song(10 + number)) for number in range(4)]
    said = [(name, "train") for name in ("T", "V", "c", "d")]
    write_splits(folders[1], write_library(folders[1], songs), said)
    material = open_material(folders, tmp_path / "work", tell=lambda _text: None)
    got = split_songs(material.db, folders, share=0.2, seed=0)
    assert sorted(song.group for song in got.train.songs) == ["c", "d"]
    assert [song.group for song in got.held_out.songs] == ["V"]
    assert (got.tests, got.validating) == ({"T"}, {"V"})
    assert got.notes == ("1 song is listed for tests and left out",)


def test_songs_of_one_title_are_one_composition(tmp_path: Path) -> None:
    """The same song in another encoding has another hash."""
    titles = [f"song {number}" for number in range(6)]
    folders = [tmp_path / "flac", tmp_path / "ogg"]
    for first, folder in enumerate(folders):
        write_library(
            folder,
            [
                heard_song(
                    made_up_song(10 * first + number), title=title.upper() if first else title
                )
                for number, title in enumerate(titles)
            ],
        )
    material = open_material(folders, tmp_path / "work", tell=lambda _text: None)
    for seed in range(4):
        got = split_songs(material.db, folders, share=0.3, seed=seed)
        train, held_out = (
            {song.group for song in part.songs} for part in (got.train, got.held_out)
        )
        assert train | held_out == set(titles)
        assert train.isdisjoint(held_out)
        assert len(got.train.songs) == 2 * len(train)


def test_songs_that_are_of_no_use_are_counted_by_their_reason(tmp_path: Path) -> None:
    folders = [tmp_path / "some", tmp_path / "voices"]
    with Library.open(folders[0]) as opened:
        opened.add_song(song(0, roles=("drums", "vocals")))
        opened.add_song(song(1, roles=("vocals",)))
    with Library.open(folders[1]) as opened:
        for seed in (1, 2, 3):  # the first lies in both
            opened.add_song(song(seed, roles=("vocals",)))
    material = open_material(folders, tmp_path / "work", tell=lambda _text: None)
    assert len(material.db.songs) == 1
    assert material.notes == ("3 songs left out: neither harmony nor drums",)
    assert len(material.db.left_out) == 3
    one = open_material(folders[:1], tmp_path / "work", tell=lambda _text: None)
    assert one.notes == ("1 song left out: neither harmony nor drums",)
    with pytest.raises(UnusableInput, match="3 songs left out: neither"):
        open_material(folders[1:], tmp_path / "work", tell=lambda _text: None)
