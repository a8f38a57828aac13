"""A corpus of MIDI songs as notes on the beat grid, sorted into the roles that dawlink knows.

The corpus is a folder, or an archive (tar) of one, with an ``index.csv`` of one row per file:
``file``, ``set``, ``group`` (the composition), ``split`` (train, val or test, by composition),
``melody_part`` (``track:channel:…``, channels from 1), ``time_sig``, ``full_band``. A row whose
melody part says anything else has no melody. Ticks are beats, so times are beats from the first
downbeat whatever the tempo. The melody part is the vocal, channel 10 the drums, General MIDI
programs 32 to 39 the bass, every other part ``other``. Read once, the notes of all songs lie in
one ``.npz``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.cached_files import DAMAGED_ARRAYS
from engine.errors import UnusableInput
from engine.files import atomic_path, sha256_of
from engine.training.midi_audio.score import open_midi
from engine.training.midi_index import (
    index_of,
    melody_of,
    read_index,
    short_sha,
    unpacked,
    user_cache,
)

__all__ = [
    "NOTE",
    "SHIPPABLE_SETS",
    "MidiCorpus",
    "MidiSong",
    "Split",
    "hash_of",
    "left_out",
    "left_out_unread",
    "load_corpus",
    "read_song",
    "read_songs",
]

Split = Literal["train", "val", "test"]

#: Sets whose licences let a model that was trained on them be shipped.
SHIPPABLE_SETS: Final = ("pop909_arr", "pop909_mma", "freedoom", "openmsx")

#: One note: first and last beat, MIDI pitch, velocity 1..127, part (counts within the song).
NOTE: Final = np.dtype(
    [
        ("start", np.float32),
        ("end", np.float32),
        ("pitch", "u1"),
        ("velocity", "u1"),
        ("part", "u1"),
    ]
)

#: Raised when the stored notes change their meaning.
_LAYOUT: Final = 1
_DRUM_CHANNEL: Final = 9
_BASS_PROGRAMS: Final = range(32, 40)
#: Longest file worth reading [beats]; longer ones are damaged or medleys.
_MOST_BEATS: Final = 2000.0
_FEWEST_NOTES: Final = 32
_ROLES: Final = ("vocals", "drums", "bass", "other")
#: Files between two words on how far the reading is.
_TOLD_EVERY: Final = 50
_NO_SONG: Final = f"are damaged, or have fewer than {_FEWEST_NOTES} sung or played notes"


@dataclass(frozen=True, eq=False)
class MidiSong:
    """One song: its notes by role.

    Args:
        file: path inside the corpus.
        set_name: the set it comes from.
        group: the composition; two songs of one group are never each other's wrong answer.
        split: train, val or test.
        beats: whole beats up to the last note's end.
        notes: (notes,) of :data:`NOTE` for vocals, drums, bass and other, sorted by start.
    """

    file: str
    set_name: str
    group: str
    split: Split
    beats: int
    notes: Mapping[str, NDArray[np.void]]

    @property
    def harmonic(self) -> NDArray[np.void]:
        """Bass and other together."""
        both = np.concatenate([self.notes["bass"], self.notes["other"]])
        return both[np.argsort(both["start"], kind="stable")]


@dataclass(frozen=True, eq=False)
class MidiCorpus:
    """Songs in the order of the index, and a sentence for every reason why files are none."""

    songs: tuple[MidiSong, ...]
    notes: tuple[str, ...] = ()

    @property
    def data_hash(self) -> str:
        """Hex SHA-256 of all songs: their names, compositions, splits and notes."""
        return hash_of(self.songs)

    @property
    def usable(self) -> tuple[MidiSong, ...]:
        """The songs of the sets that a shipped model may learn from; all where there is none."""
        sets = {song.set_name for song in self.songs}
        wanted = sets & set(SHIPPABLE_SETS) or sets
        return tuple(song for song in self.songs if song.set_name in wanted)

    def of(self, split: Split, *, sets: Sequence[str] = SHIPPABLE_SETS) -> tuple[MidiSong, ...]:
        """The songs of one split and some sets."""
        return tuple(s for s in self.songs if s.split == split and s.set_name in sets)


def hash_of(songs: Iterable[MidiSong]) -> str:
    """Hex SHA-256 of songs in their order: names, compositions, splits and notes."""
    digest = hashlib.sha256()
    for song in songs:
        said = (song.file, song.set_name, song.group, song.split, song.beats)
        digest.update(repr((said, [song.notes[role].size for role in _ROLES])).encode())
        for role in _ROLES:
            digest.update(song.notes[role].tobytes())
    return digest.hexdigest()


def load_corpus(
    data: Path, *, cache_dir: Path | None = None, tell: Callable[[str], None] = lambda _text: None
) -> MidiCorpus:
    """Read a corpus, or what an earlier call stored of it.

    Only four-four songs with a melody and a whole band are taken. Notes are read anew when the
    archive, or a file of the folder that the index names, has changed.

    Args:
        data: folder with ``index.csv`` (at its top or one level down), or a tar archive of one.
        cache_dir: where archives are unpacked and notes are stored; the user's cache by default.
        tell: told now and then how far it is.

    Raises:
        UnusableInput: there is no index, it lacks columns, or nothing in it can be used.
    """
    cache = cache_dir if cache_dir is not None else user_cache()
    folder = unpacked(data, cache)
    index = index_of(folder)
    rows = [row for row in read_index(index) if _is_wanted(row)]
    content = folder.name if data.is_file() else _state_of(index.parent, rows)
    stored = cache / f"notes-{_LAYOUT}-{short_sha(f'{sha256_of(index)} {content}')}.npz"
    songs = _restored(stored)
    if songs is None:
        songs = read_songs(index.parent, rows, tell)
        if not songs:
            raise UnusableInput(
                f"{index} names no usable song.",
                hint="It must list readable four-four songs with full_band 1 and a melody_part "
                "such as 1:4 (track 1, channel 4).",
                code="no_songs",
            )
        _store(stored, songs)
    return MidiCorpus(tuple(songs), left_out_unread(data.name, rows, songs))


def left_out(corpus: str, why: str, names: Sequence[str]) -> tuple[str, ...]:
    """A sentence about files that are no use; none where there are no such files.

    Args:
        corpus: its name.
        why: what such files do.
        names: of the files.
    """
    if not names:
        return ()
    files = "1 file is" if len(names) == 1 else f"{len(names)} files are"
    return (
        f"{corpus}: {files} left out, because such files {why}: {', '.join(names[:3])}"
        f"{' and others' if len(names) > 3 else ''}.",
    )


def left_out_unread(
    corpus: str, rows: Iterable[Mapping[str, str]], songs: Iterable[MidiSong]
) -> tuple[str, ...]:
    """The same about the rows that :func:`read_song` made no song of."""
    read = {song.file for song in songs}
    return left_out(corpus, _NO_SONG, [row["file"] for row in rows if row["file"] not in read])


def _state_of(folder: Path, rows: Iterable[Mapping[str, str]]) -> str:
    """Name, size and time of change [ns] of every listed file."""
    lines = []
    for row in rows:
        try:
            stat = (folder / row["file"]).stat()
        except (OSError, ValueError):
            lines.append(f"{row['file']}:missing")
        else:
            lines.append(f"{row['file']}:{stat.st_size}:{stat.st_mtime_ns}")
    return "\n".join(lines)


def _is_wanted(row: Mapping[str, str]) -> bool:
    is_whole = row["full_band"] == "1" and row["time_sig"] == "4/4"
    is_named = row["split"] in ("train", "val", "test") and not row.get("dup_of")
    return is_whole and is_named and melody_of(row["melody_part"]) is not None


def read_songs(
    folder: Path, rows: Sequence[Mapping[str, str]], tell: Callable[[str], None]
) -> list[MidiSong]:
    """The songs of all rows that :func:`read_song` makes one of.

    Args:
        folder: of the corpus.
        rows: of its index.
        tell: told now and then how far it is.
    """
    songs: list[MidiSong] = []
    for number, row in enumerate(rows):
        if number and number % _TOLD_EVERY == 0:
            tell(f"reading notes: {number} of {len(rows)} files")
        song = read_song(folder, row)
        if song is not None:
            songs.append(song)
    return songs


def read_song(folder: Path, row: Mapping[str, str]) -> MidiSong | None:
    """The song of one row of the index; None when it is damaged, or has no melody or too few notes.

    Args:
        folder: of the corpus.
        row: ``file``, ``set``, ``group``, ``split`` and ``melody_part``.
    """
    melody = melody_of(row["melody_part"])
    try:
        midi = open_midi(folder / row["file"])
    except UnusableInput:
        return None
    if melody is None:
        return None
    found: dict[str, list[tuple[float, float, int, int, int]]] = {role: [] for role in _ROLES}
    parts: dict[tuple[int, int], int] = {}
    for number, events in enumerate(midi.tracks):
        for on, off, where, program, pitch, velocity in _notes(events, midi.ticks_per_beat):
            role = _role(program, where, melody=(number, where) == melody)
            part = parts.setdefault((number, where), min(len(parts), 255))
            found[role].append((on, off, pitch, velocity, part))
    notes = {role: np.sort(np.array(rows, NOTE), order="start") for role, rows in found.items()}
    beats = max((float(rows["end"].max()) for rows in notes.values() if rows.size), default=0.0)
    few = min(notes["vocals"].size, notes["bass"].size + notes["other"].size) < _FEWEST_NOTES
    if few or beats > _MOST_BEATS:
        return None
    split: Split = (
        "train" if row["split"] == "train" else "val" if row["split"] == "val" else "test"
    )
    return MidiSong(row["file"], row["set"], row["group"], split, int(np.ceil(beats)), notes)


def _role(program: int, channel: int, *, melody: bool) -> str:
    if channel == _DRUM_CHANNEL:
        return "drums"
    if melody:
        return "vocals"
    return "bass" if program in _BASS_PROGRAMS else "other"


def _notes(
    events: Sequence[object], ticks_per_beat: int
) -> Iterator[tuple[float, float, int, int, int, int]]:
    """(start beat, end beat, channel, program, pitch, velocity) of every note of a track."""
    tick = 0
    programs = [0] * 16
    sounding: dict[tuple[int, int], tuple[int, int]] = {}
    for event in events:
        tick += int(getattr(event, "time", 0))
        kind = getattr(event, "type", "")
        if kind == "program_change":
            programs[int(getattr(event, "channel", 0))] = int(getattr(event, "program", 0))
        if kind not in ("note_on", "note_off"):
            continue
        channel, pitch = int(getattr(event, "channel", 0)), int(getattr(event, "note", 0))
        velocity = int(getattr(event, "velocity", 0))
        begun = sounding.pop((channel, pitch), None)
        if begun is not None and tick > begun[0]:
            start, end = begun[0] / ticks_per_beat, tick / ticks_per_beat
            yield start, end, channel, programs[channel], pitch, begun[1]
        if kind == "note_on" and velocity > 0:
            sounding[channel, pitch] = (tick, velocity)


def _store(path: Path, songs: Sequence[MidiSong]) -> None:
    rows = [song.notes[role] for song in songs for role in _ROLES]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            notes=np.concatenate(rows),
            counts=np.array([len(table) for table in rows]).reshape(len(songs), len(_ROLES)),
            beats=np.array([song.beats for song in songs]),
            text=np.array([[s.file, s.set_name, s.group, s.split] for s in songs]),
        )


def _restored(path: Path) -> list[MidiSong] | None:
    """What was stored; None when it is not there or damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            notes, counts = arrays["notes"], arrays["counts"]
            beats, text = arrays["beats"], arrays["text"]
    except DAMAGED_ARRAYS:
        return None
    ends = np.cumsum(counts.ravel()).reshape(counts.shape)
    songs = []
    for number, (file, set_name, group, split) in enumerate(text.tolist()):
        tables = {
            role: notes[ends[number, i] - counts[number, i] : ends[number, i]]
            for i, role in enumerate(_ROLES)
        }
        songs.append(MidiSong(file, set_name, group, split, int(beats[number]), tables))
    return songs
