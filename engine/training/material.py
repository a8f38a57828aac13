"""Folders of multitrack songs as a MashupDB, analysed once.

A folder that is a library is read as it is. All others are added to one library beside the
checkpoint, as ``dawlink add --stems`` would, so a second run finds everything done. Where a library
was rendered from a MIDI corpus its list says which songs are variants of one composition, which are
trained on, and which are kept for tests and take no part.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DawlinkError, UnusableInput
from engine.ingest.adding import AddOptions, AddOutcome, add_sources, plan_all
from engine.library.library import Library
from engine.library.place import DATABASE_NAME
from engine.mashup.database import MashupDB
from engine.training.listed import listed_words
from engine.training.midi_audio.listing import groups_of
from engine.training.midi_corpus import Split
from engine.training.own_library import removed_if_empty
from engine.training.requests import Tell

__all__ = [
    "LibrarySongs",
    "Material",
    "SplitSongs",
    "open_libraries",
    "open_material",
    "split_songs",
]


@dataclass(frozen=True)
class LibrarySongs:
    """Songs of a library: those with these ids, or all of them when ``ids`` is None."""

    folder: Path
    ids: frozenset[str] | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """The songs, and a sentence about each source, or kind of song, that could not be used.

    Songs of one title are one composition, but for those whose list says otherwise.
    """

    db: MashupDB
    notes: tuple[str, ...]


def open_material(data: Sequence[Path], work: Path, *, jobs: int = 1, tell: Tell) -> Material:
    """The songs of all folders; a song that lies in several counts once.

    Args:
        data: libraries and folders of multitrack songs.
        work: the library that folders are added to.
        jobs: songs analysed at once.
        tell: told what is being done.

    Raises:
        UnusableInput: not one song could be used.
        LibraryUnusable: a library is damaged or made by a newer dawlink.
    """
    libraries, errors = open_libraries(data, work, jobs=jobs, tell=tell)
    parts = [_read(library) for library in libraries]
    songs = {song.id: song for part in parts for song in part.songs}
    reasons = {name: why for part in parts for name, why in part.left_out.items()}
    left_out = {name: why for name, why in reasons.items() if name not in songs}
    notes = (*(error.message for error in errors), *_counted(left_out.values()))
    if not songs:
        raise _nothing(data, notes)
    return Material(MashupDB(tuple(songs.values()), left_out), notes)


@dataclass(frozen=True, eq=False)
class SplitSongs:
    """The two sides.

    Args:
        train: songs to train on.
        held_out: songs to measure with.
        notes: what a person should know.
        tests: compositions that are listed for tests, whether a song of them can be used or not.
        validating: compositions that are listed to validate with, likewise.
    """

    train: MashupDB
    held_out: MashupDB
    notes: tuple[str, ...] = ()
    tests: frozenset[str] = frozenset()
    validating: frozenset[str] = frozenset()


def split_songs(db: MashupDB, data: Sequence[Path], *, share: float, seed: int) -> SplitSongs:
    """Compositions as the lists of their libraries say, those without a word there by lot.

    Of several words on one composition the strictest holds, also where the song that it was said
    of is not in ``db`` (:mod:`engine.training.listed`). Songs for tests take no part. Where songs
    are listed to train on and none to validate on, the lot falls on those too. Both parts are in
    the order of ``db``.

    Args:
        db: all songs.
        data: the folders that they were read from; a library may have a list.
        share: of the compositions under the lot, that is held out.
        seed: of the lot.

    Raises:
        UnusableInput: the lists leave nothing to train on.
        LibraryUnusable: a list is damaged or cannot be read.
    """
    words = listed_words(data)
    said = [words.of(song.id, song.group) for song in db.songs]
    pairs = list(zip(db.songs, said, strict=True))
    held_out = {song.id for song, split in pairs if split == "val"}
    drawn = (None,) if held_out else (None, "train")
    lot = MashupDB(tuple(song for song, split in pairs if split in drawn))
    held_out.update(song.id for song in lot.split(share, seed)[1].songs)
    usable = [song for song, split in pairs if split != "test"]
    train = tuple(song for song in usable if song.id not in held_out)
    if not train:
        raise _nothing_to_train_on(data, said)
    tests = said.count("test")
    left_out = f"{tests} {'song is' if tests == 1 else 'songs are'} listed for tests and left out"
    return SplitSongs(
        MashupDB(train),
        MashupDB(tuple(song for song in usable if song.id in held_out)),
        (left_out,) if tests else (),
        words.groups("test"),
        words.groups("val"),
    )


def open_libraries(
    data: Sequence[Path], work: Path, *, jobs: int = 1, tell: Tell
) -> tuple[list[LibrarySongs], list[DawlinkError]]:
    """Libraries with the songs of all folders, and why some songs could not be analysed.

    Args:
        data: libraries and folders of multitrack songs.
        work: the library that folders are added to.
        jobs: songs analysed at once.
        tell: told what is being done.

    Raises:
        LibraryUnusable: a library is damaged or made by a newer dawlink.
    """
    found = [LibrarySongs(path) for path in data if (path / DATABASE_NAME).is_file()]
    folders = [path for path in data if LibrarySongs(path) not in found]
    outcomes = _added(folders, work, jobs, tell) if folders else []
    ids = frozenset(outcome.song_id for outcome in outcomes if outcome.song_id)
    if ids:
        found.append(LibrarySongs(work, ids))
    return found, [outcome.error for outcome in outcomes if outcome.error is not None]


def _added(folders: Sequence[Path], work: Path, jobs: int, tell: Tell) -> list[AddOutcome]:
    options = AddOptions(stems=True, jobs=jobs)
    plans, outcomes = plan_all(folders, options)
    with removed_if_empty(work), contextlib.closing(add_sources(plans, work, options)) as run:
        for number, outcome in enumerate(run, 1):
            tell(f"analysed {number} of {len(plans)}: {outcome.title}")
            outcomes.append(outcome)
    return outcomes


def _read(songs: LibrarySongs) -> MashupDB:
    with Library.open(songs.folder, create=False) as library:
        titles = {row.id: row.title.casefold() for row in library.songs()}
        db = MashupDB.of_library(library, groups={**titles, **groups_of(songs.folder)})
    if songs.ids is None:
        return db
    return MashupDB(
        tuple(song for song in db.songs if song.id in songs.ids),
        {name: why for name, why in db.left_out.items() if name in songs.ids},
    )


def _counted(reasons: Iterable[str]) -> Iterator[str]:
    """A sentence about each reason for which songs take no part."""
    for why, count in Counter(reasons).items():
        yield f"{count} {'song' if count == 1 else 'songs'} left out: {why}"


def _nothing(data: Sequence[Path], notes: Sequence[str]) -> UnusableInput:
    why = f" {notes[0].removesuffix('.')}." if notes else ""
    return UnusableInput(
        f"There is no multitrack song in {', '.join(map(str, data))}.{why}",
        hint="Give folders in which each song is a folder of files named by role: vocals, drums, "
        "bass, other.",
        code="no_songs",
    )


def _nothing_to_train_on(data: Sequence[Path], said: Sequence[Split | None]) -> UnusableInput:
    tests = said.count("test")
    kept = "tests" if tests == len(said) else "validation or tests" if tests else "validation"
    return UnusableInput(
        f"Every song of {', '.join(map(str, data))} is listed for {kept}.",
        hint="Give --data that has songs to train on too: the MIDI corpus itself, or a folder of "
        "multitrack songs.",
        code="nothing_to_train_on",
    )
