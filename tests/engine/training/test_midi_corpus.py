from __future__ import annotations

import csv
import os
import tarfile
from pathlib import Path

import mido
import numpy as np
import pytest

from engine.errors import UnusableInput
from engine.training.midi_corpus import load_corpus
from tests.engine.training.midi_audio.midi import UNREADABLE

COLUMNS = ("file", "set", "group", "split", "melody_part", "time_sig", "full_band", "dup_of")


def write_song(path: Path, *, transpose: int = 0) -> None:
    """Forty beats: a melody, a bass, a pad and a drum, one note of each per beat."""
    midi = mido.MidiFile(ticks_per_beat=96)
    for channel, program, pitch in ((0, 68, 72), (1, 33, 36), (2, 0, 60), (9, 0, 38)):
        track = mido.MidiTrack()
        track.append(mido.Message("program_change", channel=channel, program=program))
        for _ in range(40):
            note = pitch + (transpose if channel != 9 else 0)
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=80))
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=0, time=96))
        midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)


def write_corpus(folder: Path) -> None:
    rows = [
        ("pop909_arr/a.mid", "pop909_arr", "a", "train", "1:1:68:M", "4/4", "1", ""),
        ("pop909_arr/b.mid", "pop909_arr", "b", "val", "1:1:68:M", "4/4", "1", ""),
        ("pop909_arr/c.mid", "pop909_arr", "c", "test", "1:1:68:M", "3/4", "1", ""),
        ("pop909_arr/broken.mid", "pop909_arr", "d", "train", "1:1:68:M", "4/4", "1", ""),
        ("tegridy_karaoke/e.mid", "tegridy_karaoke", "e", "train", "1:1:68:M", "4/4", "1", ""),
    ]
    for number, row in enumerate(rows):
        write_song(folder / row[0], transpose=number)
    (folder / "pop909_arr" / "broken.mid").write_bytes(b"MThd\0\0\0\6nothing")
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([(file, *rest) for file, *rest in rows])


# Tracks count from 0 in a file without a conductor track, so the melody is track 0.
@pytest.fixture
def corpus_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    write_corpus(folder)
    index = folder / "index.csv"
    index.write_text(index.read_text(encoding="utf-8").replace("1:1:68", "0:1:68"), "utf-8")
    return folder


def test_notes_are_sorted_into_roles_by_beat(corpus_dir: Path, tmp_path: Path) -> None:
    corpus = load_corpus(corpus_dir, cache_dir=tmp_path / "cache")
    assert [song.file for song in corpus.songs] == [
        "pop909_arr/a.mid",
        "pop909_arr/b.mid",
        "tegridy_karaoke/e.mid",
    ]
    song = corpus.of("train")[0]
    pitches = {role: set(notes["pitch"].tolist()) for role, notes in song.notes.items()}
    assert pitches == {"vocals": {72}, "bass": {36}, "other": {60}, "drums": {38}}
    np.testing.assert_allclose(song.notes["vocals"]["start"], np.arange(40))
    assert song.harmonic.size == 80
    assert song.beats == 40


def test_only_shippable_sets_are_taken_unless_asked(corpus_dir: Path, tmp_path: Path) -> None:
    corpus = load_corpus(corpus_dir, cache_dir=tmp_path / "cache")
    assert [song.group for song in corpus.of("train")] == ["a"]
    assert [song.group for song in corpus.of("train", sets=["tegridy_karaoke"])] == ["e"]


def test_what_was_stored_is_what_was_read(corpus_dir: Path, tmp_path: Path) -> None:
    first = load_corpus(corpus_dir, cache_dir=tmp_path / "cache")
    for path in corpus_dir.rglob("*.mid"):  # nobody reads them again
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = load_corpus(corpus_dir, cache_dir=tmp_path / "cache")
    assert again.data_hash == first.data_hash
    for a, b in zip(first.songs, again.songs, strict=True):
        assert (a.file, a.group, a.split, a.beats) == (b.file, b.group, b.split, b.beats)
        for role in a.notes:
            np.testing.assert_array_equal(a.notes[role], b.notes[role])


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_file_is_left_out(corpus_dir: Path, tmp_path: Path, fault: str) -> None:
    (corpus_dir / "pop909_arr" / "broken.mid").write_bytes(UNREADABLE[fault])
    assert len(load_corpus(corpus_dir, cache_dir=tmp_path / "cache").songs) == 3


def test_changed_and_new_files_are_read(corpus_dir: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = load_corpus(corpus_dir, cache_dir=cache)
    write_song(corpus_dir / "pop909_arr" / "a.mid", transpose=5)
    os.utime(corpus_dir / "pop909_arr" / "a.mid", ns=(0, 0))
    write_song(corpus_dir / "pop909_arr" / "broken.mid")
    again = load_corpus(corpus_dir, cache_dir=cache)
    assert [song.group for song in again.songs] == ["a", "b", "d", "e"]
    assert set(again.songs[0].notes["vocals"]["pitch"].tolist()) == {77}
    assert again.data_hash != first.data_hash
    assert load_corpus(corpus_dir, cache_dir=cache).data_hash == again.data_hash
    (corpus_dir / "pop909_arr" / "a.mid").unlink()
    assert len(load_corpus(corpus_dir, cache_dir=cache).songs) == 3


def test_a_packed_again_archive_is_read_again(corpus_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "corpus.tar"
    cache = tmp_path / "cache"
    counts = []
    for _ in range(2):
        with tarfile.open(archive, "w") as tar:
            tar.add(corpus_dir, "corpus")
        counts.append(len(load_corpus(archive, cache_dir=cache).songs))
        write_song(corpus_dir / "pop909_arr" / "broken.mid")
    assert counts == [3, 4]


@pytest.mark.parametrize("kept", [0, 4, 400, 0.5, 0.99])
def test_damaged_notes_are_read_again(corpus_dir: Path, tmp_path: Path, kept: float) -> None:
    cache = tmp_path / "cache"
    load_corpus(corpus_dir, cache_dir=cache)
    (stored,) = cache.glob("notes-*.npz")
    whole = stored.read_bytes()
    stored.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    assert len(load_corpus(corpus_dir, cache_dir=cache).songs) == 3
    assert len(stored.read_bytes()) == len(whole)


def test_a_row_without_a_melody_part_is_left_out(corpus_dir: Path, tmp_path: Path) -> None:
    index = corpus_dir / "index.csv"
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace("0:1:68:M", "3", 1), encoding="utf-8")
    songs = load_corpus(corpus_dir, cache_dir=tmp_path / "cache").songs
    assert [song.group for song in songs] == ["b", "e"]
    index.write_text(text.replace("0:1:68:M", "3"), encoding="utf-8")
    with pytest.raises(UnusableInput, match="no usable song") as caught:
        load_corpus(corpus_dir, cache_dir=tmp_path / "cache")
    assert "melody_part" in caught.value.hint


def test_archives_are_unpacked_once(corpus_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "corpus.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(corpus_dir, "corpus")
    cache = tmp_path / "cache"
    assert len(load_corpus(archive, cache_dir=cache).songs) == 3
    unpacked = sorted(cache.glob("corpus-*/.unpacked"))
    assert len(unpacked) == 1
    before = unpacked[0].stat().st_mtime_ns
    assert len(load_corpus(archive, cache_dir=cache).songs) == 3
    assert unpacked[0].stat().st_mtime_ns == before


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"no index\.csv"):
        load_corpus(tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UnusableInput, match="neither a folder nor an archive"):
        load_corpus(tmp_path / "nothing", cache_dir=tmp_path / "cache")
    (tmp_path / "index.csv").write_text("file,role\na.mid,bass\n", encoding="utf-8")
    with pytest.raises(UnusableInput, match="1 of 7 columns") as caught:
        load_corpus(tmp_path, cache_dir=tmp_path / "cache")
    assert "set, group, split, melody_part, time_sig, full_band" in caught.value.hint
    cut = tmp_path / "cut.tar.xz"
    cut.write_bytes(b"\xfd7zXZ\0 but no more")
    with pytest.raises(UnusableInput, match="cannot be unpacked"):
        load_corpus(cut, cache_dir=tmp_path / "cache")
