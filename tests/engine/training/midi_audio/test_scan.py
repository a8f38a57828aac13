from __future__ import annotations

import tarfile
from pathlib import Path

import mido
import pytest

from engine.errors import UnusableInput
from engine.training.midi_audio.index import corpus_notes, corpus_songs, is_midi_corpus
from tests.engine.training.midi_audio.midi import UNREADABLE, write_song


def test_a_folder_of_midi_files_needs_no_index(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "one.mid")
    write_song(tmp_path / "set" / "deeper" / "two.MID", melody="tune", transpose=1)
    (tmp_path / "set" / "broken.mid").write_bytes(b"MThd")
    assert is_midi_corpus(tmp_path / "set")
    corpus = corpus_songs(tmp_path / "set")
    assert corpus.notes == (
        "set: 1 file is left out, because such files are damaged or no MIDI: broken.mid.",
    )
    found = {song.source.name: song for song in corpus.songs}
    assert found["one.mid"].source.melody == (1, 0)
    assert found["deeper/two.MID"].source.melody is None
    assert {song.group for song in found.values()} == {"one", "two"}
    (tmp_path / "empty").mkdir()
    assert not is_midi_corpus(tmp_path / "empty")
    with pytest.raises(UnusableInput):
        corpus_songs(tmp_path / "empty")


def test_the_same_notes_under_another_name_are_one_composition(tmp_path: Path) -> None:
    """Or a song would be trained on and tested with."""
    folder = tmp_path / "set"
    for number in range(6):
        write_song(folder / f"song {number}.mid", transpose=number, melody="TUNE")
        write_song(folder / f"a copy of {number}.mid", transpose=number)
        write_song(folder / f"more {number}.mid", transpose=number, tempo_bpm=90)
    write_song(folder / "deeper" / "song 0.mid", transpose=7)  # another version by its name
    corpus = corpus_songs(folder)
    assert len(corpus.songs) == 7
    assert all(song.source.melody for song in corpus.songs)  # the copies that have one
    groups = [song.group for song in corpus.songs]
    assert sorted(groups) == sorted(["a copy of 0", *(f"a copy of {n}" for n in range(6))])
    assert corpus.notes == (
        "set: 12 files are left out, because such files hold the notes of another file: "
        "more 0.mid, more 1.mid, more 2.mid and others.",
    )
    splits = {song.group: song.split for song in corpus.songs}
    for number in range(6):
        (folder / f"a copy of {number}.mid").unlink()
    renamed = {song.source.name: song.split for song in corpus_songs(folder).songs}
    assert len(splits) == len(renamed) - 1 == 6


def test_a_name_that_every_folder_uses_names_no_composition(tmp_path: Path) -> None:
    for number in range(6):
        write_song(tmp_path / f"song {number}" / "midi.mid", transpose=number)
    songs = corpus_songs(tmp_path).songs
    assert [song.group for song in songs] == [f"song {number}/midi" for number in range(6)]


def test_names_are_those_of_people(tmp_path: Path) -> None:
    write_song(tmp_path / "a" / "Let It Be.mid")
    write_song(tmp_path / "b" / "let it be .mid", transpose=1)
    first, second = corpus_songs(tmp_path).songs
    assert (first.group, first.split) == (second.group, second.split)


@pytest.mark.parametrize("songs", [5, 6, 8])
def test_of_few_songs_two_validate(tmp_path: Path, songs: int) -> None:
    """Whatever the lot of their names says: nothing could be measured without."""
    for number in range(songs):
        write_song(tmp_path / f"tune {number}.mid", transpose=number)
    splits = [song.split for song in corpus_songs(tmp_path).songs]
    assert splits.count("val") == 2
    assert splits.count("train") >= 2


def test_an_archive_needs_no_index(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "one.mid")
    write_song(tmp_path / "set" / "two.mid", transpose=1)
    (tmp_path / "set" / "broken.mid").write_bytes(b"MThd")
    with tarfile.open(tmp_path / "my songs.tar", "w") as archive:
        archive.add(tmp_path / "set", "set")
    assert is_midi_corpus(tmp_path / "my songs.tar")
    corpus = corpus_songs(tmp_path / "my songs.tar", tmp_path / "cache")
    assert [song.source.name for song in corpus.songs] == ["set/one.mid", "set/two.mid"]
    assert corpus.notes[0].startswith("my songs.tar: 1 file is left out")
    assert len(corpus_notes(tmp_path / "my songs.tar", tmp_path / "cache").songs) == 2


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        ("are not in four-four throughout", {"numerator": 3}),
        ("have no drums", {"without": 9}),
        ("have nothing but drums", {"without": 0}),
    ],
)
def test_what_is_no_song_is_told(tmp_path: Path, why: str, changed: dict[str, int]) -> None:
    write_song(tmp_path / "one.mid")
    write_song(tmp_path / "two.mid", transpose=1)
    midi = mido.MidiFile(tmp_path / "two.mid")
    for message in midi.tracks[0]:
        if message.type == "time_signature":
            message.numerator = changed.get("numerator", 4)
    without = changed.get("without")
    if without is not None:  # the drums, or all the others
        drums = [any(getattr(m, "channel", 0) == 9 for m in track) for track in midi.tracks]
        midi.tracks = [
            track
            for number, track in enumerate(midi.tracks)
            if number == 0 or drums[number] == (without != 9)
        ]
    midi.save(tmp_path / "two.mid")
    corpus = corpus_songs(tmp_path)
    assert [song.source.name for song in corpus.songs] == ["one.mid"]
    assert corpus.notes == (
        f"{tmp_path.name}: 1 file is left out, because such files {why}: two.mid.",
    )
    (tmp_path / "one.mid").unlink()
    with pytest.raises(UnusableInput, match=why):
        corpus_songs(tmp_path)


def test_unreadable_files_are_left_out(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "one.mid")
    for number, content in enumerate(UNREADABLE.values()):
        (tmp_path / "set" / f"broken {number}.mid").write_bytes(content)
    corpus = corpus_songs(tmp_path / "set")
    assert [song.source.name for song in corpus.songs] == ["one.mid"]
    assert f"{len(UNREADABLE)} files are left out" in corpus.notes[0]
