"""Which songs a MIDI corpus has, and what is known of each before it is read.

A corpus with an ``index.csv`` (see :mod:`engine.training.midi_corpus`) says it itself. In any other
folder of MIDI files, also one whose ``index.csv`` is about something else, each file is a song of
its own composition; the vocal is the track whose name says so, the metre and the key are those of
the first such messages, and the split is drawn from the file's name: eight in ten train, one
validates, one tests.
"""

from __future__ import annotations

import contextlib
import csv
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import UnusableInput, UsageError
from engine.ingest.plan import is_audio
from engine.theory import Key
from engine.training.midi_audio.score import DRUM_CHANNEL, open_midi
from engine.training.midi_audio.songs import MidiSource
from engine.training.midi_corpus import (
    INDEX_COLUMNS,
    MidiCorpus,
    Split,
    find_index,
    load_corpus,
    melody_of,
    open_index,
    read_index,
    read_song,
)

__all__ = ["CorpusSong", "corpus_notes", "corpus_songs", "is_midi_corpus"]

_MIDI_SUFFIXES: Final = (".mid", ".midi", ".kar")
#: What a sung part is called.
_SUNG: Final = re.compile(r"melod|vocal|voice|\bvox\b|sing|gesang|lead", re.IGNORECASE)


@dataclass(frozen=True)
class CorpusSong:
    """A song in four-four with a band.

    Args:
        source: the file.
        set_name: part of the corpus that it belongs to.
        group: the composition.
        split: what it may be used for.
    """

    source: MidiSource
    set_name: str
    group: str
    split: Split


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
    return any(map(_is_midi, files)) and not any(map(is_audio, files))


def corpus_songs(data: Path, cache_dir: Path | None = None) -> tuple[CorpusSong, ...]:
    """The songs of a corpus that can be rendered: four-four, a band, and most often a melody.

    Raises:
        UnusableInput: there is none, the archive is damaged, or ``index.csv`` lacks columns.
    """
    if _is_indexed(data):
        songs = tuple(_indexed(open_index(data, cache_dir)))
    else:
        songs = tuple(_scanned(data))
    if not songs:
        raise UnusableInput(
            f"{data} holds no MIDI song in four-four with drums and other instruments.",
            hint="Give a folder of MIDI files of whole songs.",
            code="no_songs",
        )
    return songs


def corpus_notes(data: Path, cache_dir: Path | None = None) -> MidiCorpus:
    """The notes of those songs of a corpus that have a melody.

    Raises:
        UnusableInput: there is none, the archive is damaged, or ``index.csv`` lacks columns.
    """
    if _is_indexed(data):
        return load_corpus(data, cache_dir=cache_dir)
    found = [song for song in corpus_songs(data) if song.source.melody is not None]
    rows = [_row_of(song) for song in found]
    songs = [read_song(data, row) for row in rows]
    return MidiCorpus(tuple(song for song in songs if song is not None))


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
    """Whether an archive or a folder says which songs it has, completely or not.

    An ``index.csv`` that shares one column or none with one of MIDI songs is about something else.
    """
    if not data.is_dir():
        return True
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
    key = _key(row.get("key_sig", ""))
    source = MidiSource(folder / row["file"], row["file"], melody, key)
    return CorpusSong(source, row["set"], row["group"], split)


def _key(text: str) -> Key | None:
    with contextlib.suppress(UsageError):
        return Key.parse(text)
    return None


def _is_midi(path: Path) -> bool:
    return path.suffix.lower() in _MIDI_SUFFIXES


def _scanned(folder: Path) -> Iterator[CorpusSong]:
    for path in sorted(found for found in folder.rglob("*") if _is_midi(found)):
        source = _described(path, path.relative_to(folder).as_posix())
        if source is not None:
            lot = zlib.crc32(path.stem.encode()) % 10
            split: Split = "test" if lot == 0 else "val" if lot == 1 else "train"
            yield CorpusSong(source, folder.name, path.stem, split)


def _described(path: Path, name: str) -> MidiSource | None:
    """A file without an index; None when it is damaged, not in four-four, or has no band."""
    try:
        midi = open_midi(path)
    except UnusableInput:
        return None
    metres = {(m.numerator, m.denominator) for t in midi.tracks for m in t if _is(m, "time_sig")}
    keys = [str(m.key) for t in midi.tracks for m in t if _is(m, "key_sig")]
    channels: dict[tuple[int, int], str] = {
        (number, int(message.channel)): str(track.name)
        for number, track in enumerate(midi.tracks)
        for message in track
        if message.type == "note_on"
    }
    has_drums = any(channel == DRUM_CHANNEL for _, channel in channels)
    pitched = {where: title for where, title in channels.items() if where[1] != DRUM_CHANNEL}
    if not metres <= {(4, 4)} or not has_drums or len(pitched) < 1:
        return None
    sung = [where for where, title in pitched.items() if _SUNG.search(title)]
    melody = sung[0] if sung and len(pitched) > 1 else None
    return MidiSource(path, name, melody, _key(keys[0]) if keys else None)


def _is(message: object, kind: str) -> bool:
    return str(getattr(message, "type", "")).startswith(kind)
