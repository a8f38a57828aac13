"""Folders of multitrack songs as a MashupDB, analysed once.

A folder that is a library is read as it is. All others are added to one library beside the
checkpoint, as ``dawlink add --stems`` would, so a second run finds everything done. Where a library
was rendered from a MIDI corpus its list says which songs are variants of one composition.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.adding import AddOptions, AddOutcome, add_sources, plan_all
from engine.errors import DawlinkError, UnusableInput
from engine.library.library import Library
from engine.library.sqlite import DATABASE_NAME
from engine.mashup.database import MashupDB, MashupSong
from engine.training.midi_audio.listing import groups_of
from engine.training.requests import Tell

__all__ = ["LibrarySongs", "Material", "open_libraries", "open_material"]


@dataclass(frozen=True)
class LibrarySongs:
    """Songs of a library: those with these ids, or all of them when ``ids`` is None."""

    folder: Path
    ids: frozenset[str] | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """The songs, and one sentence about each source that could not be used."""

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
    songs = {song.id: song for library in libraries for song in _read(library)}
    if not songs:
        raise _nothing(data, errors)
    return Material(MashupDB(tuple(songs.values())), tuple(error.message for error in errors))


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
    with contextlib.closing(add_sources(plans, work, options)) as run:
        for number, outcome in enumerate(run, 1):
            tell(f"analysed {number} of {len(plans)}: {outcome.title}")
            outcomes.append(outcome)
    return outcomes


def _read(songs: LibrarySongs) -> Iterator[MashupSong]:
    with Library.open(songs.folder, create=False) as library:
        db = MashupDB.of_library(library, groups=groups_of(songs.folder))
    return (song for song in db.songs if songs.ids is None or song.id in songs.ids)


def _nothing(data: Sequence[Path], errors: Sequence[DawlinkError]) -> UnusableInput:
    why = f" {errors[0].message}" if errors else ""
    return UnusableInput(
        f"There is no multitrack song in {', '.join(map(str, data))}.{why}",
        hint="Give folders in which each song is a folder of files named by role: vocals, drums, "
        "bass, other.",
        code="no_songs",
    )
