"""Which songs a MIDI corpus has, and what is known of each before it is read.

A corpus with an ``index.csv`` (see :mod:`engine.training.midi_corpus`) says it itself. In any other
folder of MIDI files, also one whose ``index.csv`` is about something else, each file may be a song
(:mod:`engine.training.midi_audio.scan`); the vocal is the track whose name says so.
"""

from __future__ import annotations

import contextlib
import csv
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engine.errors import UnusableInput
from engine.ingest.plan import is_audio
from engine.training.midi_audio.keys import key_named
from engine.training.midi_audio.scan import is_midi, scanned
from engine.training.midi_audio.songs import CorpusSong, CorpusSongs, MidiSource
from engine.training.midi_corpus import (
    MidiCorpus,
    Split,
    left_out,
    left_out_unread,
    load_corpus,
    read_songs,
)
from engine.training.midi_index import (
    INDEX_COLUMNS,
    find_index,
    melody_of,
    open_index,
    read_index,
    unpacked,
)

__all__ = ["corpus_notes", "corpus_songs", "is_midi_corpus"]

_NO_MELODY = "have no part that is called melody, vocal, voice or lead"


def is_midi_corpus(path: Path) -> bool:
    """Whether a path is a corpus of MIDI: an index of one, an archive, or MIDI without audio."""
    if path.is_file():
        return tarfile.is_tarfile(path)
    if not path.is_dir():
        return False
    index = find_index(path)
    if index is not None and {"file", "melody_part"} <= _columns(index):
        return True
    files = [found for found in path.rglob("*") if found.is_file()]
    return any(map(is_midi, files)) and not any(map(is_audio, files))


def corpus_songs(data: Path, cache_dir: Path | None = None) -> CorpusSongs:
    """What can be rendered of a corpus: four-four, a band, and most often a melody.

    Raises:
        UnusableInput: there is none, the archive is damaged, or ``index.csv`` lacks columns.
    """
    folder = unpacked(data, cache_dir)
    if _is_indexed(folder):
        found = CorpusSongs(tuple(_indexed(open_index(folder))))
    else:
        found = scanned(folder, name=data.resolve().name)
    if not found.songs:
        why = f" {found.notes[0]}" if found.notes else ""
        raise UnusableInput(
            f"{data} holds no MIDI song in four-four with drums and other instruments.{why}",
            hint="Give a folder of MIDI files of whole songs.",
            code="no_songs",
        )
    return found


def corpus_notes(
    data: Path, cache_dir: Path | None = None, *, tell: Callable[[str], None] = lambda _text: None
) -> MidiCorpus:
    """The notes of those songs of a corpus that have a melody.

    Raises:
        UnusableInput: there is none, the archive is damaged, or ``index.csv`` lacks columns.
    """
    folder = unpacked(data, cache_dir)
    if _is_indexed(folder):
        return load_corpus(data, cache_dir=cache_dir, tell=tell)
    corpus = corpus_songs(data, cache_dir)
    rows = [_row_of(song) for song in corpus.songs if song.source.melody is not None]
    songs = tuple(read_songs(folder, rows, tell))
    name = data.resolve().name
    silent = [song.source.name for song in corpus.songs if song.source.melody is None]
    notes = left_out(name, _NO_MELODY, silent) + left_out_unread(name, rows, songs)
    return MidiCorpus(songs, corpus.notes + notes)


def _row_of(song: CorpusSong) -> dict[str, str]:
    """What an index would say of a song with a melody."""
    track, channel = song.source.melody or (0, 0)
    return {
        "file": song.source.name,
        "set": song.set_name,
        "group": song.group,
        "split": song.split,
        "melody_part": f"{track}:{channel + 1}",
    }


def _is_indexed(data: Path) -> bool:
    """Whether a folder says which songs it has, completely or not.

    An ``index.csv`` that shares one column or none with one of MIDI songs is about something else.
    """
    index = find_index(data)
    return index is not None and len(_columns(index) & set(INDEX_COLUMNS)) > 1


def _columns(index: Path) -> set[str]:
    """The names in the first line of a table; none where it cannot be read."""
    columns: list[str] = []
    with (
        contextlib.suppress(OSError, csv.Error),
        index.open(newline="", encoding="utf-8-sig", errors="replace") as stream,
    ):
        columns = next(csv.reader(stream), [])
    return set(columns)


def _indexed(index: Path) -> Iterator[CorpusSong]:
    for row in read_index(index):
        song = _song_of(index.parent, row)
        if song is not None:
            yield song


def _song_of(folder: Path, row: Mapping[str, str]) -> CorpusSong | None:
    melody = melody_of(row["melody_part"])
    if melody is None or row["full_band"] != "1":
        return None
    if row["time_sig"] != "4/4" or row.get("dup_of"):
        return None
    if row.get("n_ts", "1") != "1":  # the metre changes on the way
        return None
    splits: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
    split = splits.get(row["split"])
    if split is None:
        return None
    key = key_named(row.get("key_sig", ""))
    source = MidiSource(folder / row["file"], row["file"], melody, key)
    return CorpusSong(source, row["set"], row["group"], split)
