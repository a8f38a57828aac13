"""MIDI files without an index: which of them are songs, and which are one composition.

Files of one name in several folders are variants of one composition, and so are files whose notes
are the same, whatever they are called; of the latter one is taken. The split of a composition is
drawn from its name: eight in ten train, one validates, one tests, but of few two validate.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import UnusableInput
from engine.training.midi_audio.keys import key_named
from engine.training.midi_audio.score import DRUM_CHANNEL, open_midi
from engine.training.midi_audio.songs import CorpusSong, CorpusSongs, MidiSource
from engine.training.midi_corpus import Split, left_out

if TYPE_CHECKING:
    import mido

__all__ = ["is_midi", "scanned"]

_MIDI_SUFFIXES: Final = (".mid", ".midi", ".kar")
#: What a sung part is called.
_SUNG: Final = re.compile(r"melod|vocal|voice|\bvox\b|sing|gesang|lead", re.IGNORECASE)
#: Compositions that validate at least, where so many are left to train on.
_FEWEST_VAL, _FEWEST_TRAIN = 2, 2
#: Files of one name that can be variants of one composition.
_MOST_VARIANTS: Final = 4
_SAME: Final = "hold the notes of another file"


def is_midi(path: Path) -> bool:
    """Whether the name is that of a MIDI file."""
    return path.suffix.lower() in _MIDI_SUFFIXES


def scanned(folder: Path, *, name: str = "") -> CorpusSongs:
    """Every MIDI file below a folder that is a song in four-four with a band.

    Args:
        folder: to look through.
        name: of the corpus; the folder's when empty.
    """
    corpus = name or folder.resolve().name
    found: list[_Found] = []
    unfit: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if is_midi(path)):
        inside = path.relative_to(folder).as_posix()
        try:
            found.append(_described(path, inside))
        except _Unfit as error:
            unfit.setdefault(str(error), []).append(inside)
    names = _named([song.source.path for song in found])
    compositions = _compositions(zip(names, (song.notes_sha for song in found), strict=True))
    splits = _drawn_splits(set(compositions))
    taken: dict[str, _Found] = {}
    for song in sorted(found, key=lambda song: song.source.melody is None):
        if taken.setdefault(song.notes_sha, song) is not song:
            unfit.setdefault(_SAME, []).append(song.source.name)
    songs = (
        CorpusSong(song.source, corpus, composition, splits[composition])
        for song, composition in zip(found, compositions, strict=True)
        if taken[song.notes_sha] is song
    )
    notes = [note for why, names in unfit.items() for note in left_out(corpus, why, names)]
    return CorpusSongs(tuple(songs), tuple(notes))


class _Unfit(Exception):
    """A file is no song; the message says what it does instead."""


@dataclass(frozen=True, eq=False)
class _Found:
    source: MidiSource
    notes_sha: str


def _described(path: Path, name: str) -> _Found:
    """A file as a song; the metre and the key are those of the first such messages."""
    try:
        midi = open_midi(path)
    except UnusableInput as error:
        raise _Unfit("are damaged or no MIDI") from error
    metres = {(m.numerator, m.denominator) for t in midi.tracks for m in t if _is(m, "time_sig")}
    keys = [str(m.key) for t in midi.tracks for m in t if _is(m, "key_sig")]
    channels: dict[tuple[int, int], str] = {
        (number, int(message.channel)): str(track.name)
        for number, track in enumerate(midi.tracks)
        for message in track
        if message.type == "note_on"
    }
    pitched = {where: title for where, title in channels.items() if where[1] != DRUM_CHANNEL}
    if not metres <= {(4, 4)}:
        raise _Unfit("are not in four-four throughout")
    if len(pitched) == len(channels):
        raise _Unfit("have no drums")
    if not pitched:
        raise _Unfit("have nothing but drums")
    sung = [where for where, title in pitched.items() if _SUNG.search(title)]
    melody = sung[0] if sung and len(pitched) > 1 else None
    source = MidiSource(path, name, melody, key_named(keys[0]) if keys else None)
    return _Found(source, _notes_sha(midi))


def _is(message: object, kind: str) -> bool:
    return str(getattr(message, "type", "")).startswith(kind)


def _notes_sha(midi: mido.MidiFile) -> str:
    """Names what is played: the beginning [beats], channel and pitch of every note."""
    notes: list[tuple[float, int, int]] = []
    for track in midi.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity > 0:
                beat = round(tick / midi.ticks_per_beat, 2)
                notes.append((beat, message.channel, message.note))
    return hashlib.sha256(repr(sorted(notes)).encode()).hexdigest()


def _compositions(songs: Iterable[tuple[str, str]]) -> list[str]:
    """The composition of each (name, notes): the first name that is linked to it by either."""
    pairs = list(songs)
    above: dict[str, str] = {name: name for name, _ in pairs}

    def first_of(name: str) -> str:
        while above[name] != name:
            name = above[name]
        return name

    by_notes: dict[str, str] = {}
    for name, notes in pairs:
        ends = sorted((first_of(name), first_of(by_notes.setdefault(notes, name))))
        above[ends[1]] = ends[0]
    return [first_of(name) for name, _ in pairs]


def _named(paths: Sequence[Path]) -> list[str]:
    """The names of compositions, however they are spelled.

    A name that many folders use, such as ``midi``, says nothing; there the folder is named too.
    """
    stems = [path.stem.strip().casefold() for path in paths]
    counts = Counter(stems)
    return [
        stem if counts[stem] <= _MOST_VARIANTS else f"{path.parent.name.casefold()}/{stem}"
        for path, stem in zip(paths, stems, strict=True)
    ]


def _drawn_splits(compositions: Set[str]) -> dict[str, Split]:
    """A split for every composition; of few, two validate whatever the lot says."""
    lots = {name: zlib.crc32(name.encode()) for name in compositions}
    splits: dict[str, Split] = {
        name: "test" if lot % 10 == 0 else "val" if lot % 10 == 1 else "train"
        for name, lot in lots.items()
    }
    trained = sorted((n for n in splits if splits[n] == "train"), key=lambda name: lots[name])
    missing = _FEWEST_VAL - list(splits.values()).count("val")
    spare = max(len(trained) - _FEWEST_TRAIN, 0)
    for name in trained[: min(max(missing, 0), spare)]:
        splits[name] = "val"
    return splits
