"""``corpus.csv`` beside a library: where the songs come from that were rendered into it.

Songs of one ``group`` are variants of one composition; ``split`` is what the group may be used for.
A song whose MIDI file was edited since, or has left its corpus, stays in the list as not current;
its split is then ``test``, so that nothing is trained on it. It says nothing of its composition.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, cast

from filelock import FileLock

from engine.errors import LibraryUnusable, UnwritableOutput
from engine.files import write_whole
from engine.training.midi_corpus import Split

__all__ = [
    "LISTING_NAME",
    "ListedSong",
    "groups_of",
    "read_listing",
    "update_listing",
    "write_listing",
]

LISTING_NAME: Final = "corpus.csv"
_LOCK_NAME: Final = ".corpus.lock"


@dataclass(frozen=True)
class ListedSong:
    """A rendered song.

    Args:
        song_id: in the library.
        file: inside the corpus.
        set_name: of the corpus.
        group: the composition.
        split: train, val or test.
        recipe: names the settings that it was rendered with.
        voice: what plays the vocal.
        soundfonts: by role.
        midi_sha: hex SHA-256 of the MIDI file that it was rendered from; empty when unknown.
        is_current: False when the corpus no longer has that file as it was.
        corpus: hex, names the corpus among those that are rendered into the library; empty when
            unknown.
    """

    song_id: str
    file: str
    set_name: str
    group: str
    split: Split
    recipe: str
    voice: str
    soundfonts: str
    midi_sha: str = ""
    is_current: bool = True
    corpus: str = ""

    @property
    def own_split(self) -> Split:
        """What this very song may be used for, whatever others of its composition are."""
        return self.split if self.is_current else "test"


_COLUMNS: Final = tuple(field.name for field in fields(ListedSong))
#: Older lists have no others.
_NEEDED: Final = _COLUMNS[: _COLUMNS.index("midi_sha")]


def read_listing(library: Path) -> tuple[ListedSong, ...]:
    """The songs of a library that were rendered; none where there is no list.

    Raises:
        LibraryUnusable: the list is damaged, lacks columns or cannot be read.
    """
    path = library / LISTING_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise LibraryUnusable(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Make it a file that you may read: it says which songs are kept for tests.",
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, f"it is not UTF-8 from byte {error.start} on") from error
    try:
        return tuple(map(_song, _rows(text)))
    except (csv.Error, ValueError) as error:
        raise _damaged(path, str(error)) from error


def write_listing(library: Path, songs: Iterable[ListedSong]) -> None:
    """Put the list of a library in place, whole."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(song) for song in sorted(songs, key=lambda song: song.file))
    write_whole(library / LISTING_NAME, lines.getvalue())


def update_listing(
    library: Path,
    new: Iterable[ListedSong] = (),
    *,
    change: Callable[[ListedSong], ListedSong] = lambda song: song,
) -> None:
    """Change the songs that are in the list now, then put in others, each in place of its old self.

    A lock is held from reading to writing, so no run loses what another one puts in.

    Raises:
        LibraryUnusable: the list is damaged.
        UnwritableOutput: the disk refuses.
    """
    with _locked(library):
        before = read_listing(library)
        after = {song.song_id: change(song) for song in before}
        after.update((song.song_id, song) for song in new)
        if tuple(after.values()) != before:
            write_listing(library, after.values())


@contextlib.contextmanager
def _locked(library: Path) -> Iterator[None]:
    """One process at a time; on a file system without locks FileLock makes a lock of the file."""
    lock = FileLock(library / _LOCK_NAME)
    try:
        library.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise UnwritableOutput(
            f"{library} cannot be written: {error.strerror or error}.",
            hint="Choose another folder, or make this one writable.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def groups_of(library: Path) -> Mapping[str, str]:
    """Composition by song id; empty for a library that nothing was rendered into."""
    return {song.song_id: song.group for song in read_listing(library)}


def _rows(text: str) -> Iterator[Mapping[str, str | None]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"it has no {'column ' + ', '.join(missing) if text else 'content'}")
    return reader


def _damaged(path: Path, why: str) -> LibraryUnusable:
    return LibraryUnusable(
        f"{path} is damaged: {why}.",
        hint="Put a copy of it back. Where every song of the library was rendered, delete the "
        "whole library instead; it is rendered again.",
    )


def _cells(song: ListedSong) -> list[str]:
    values = (getattr(song, column) for column in _COLUMNS)
    return [str(int(value)) if isinstance(value, bool) else str(value) for value in values]


def _song(row: Mapping[str, str | None]) -> ListedSong:
    """A row; older lists have no word of the MIDI file's content and corpus."""

    def said(column: str) -> str:
        value = row[column]
        if value is None:
            raise ValueError(f"a line ends before its {column}")
        return value

    if said("split") not in ("train", "val", "test"):
        raise ValueError(f"{said('split')!r} is no split")
    return ListedSong(
        song_id=said("song_id"),
        file=said("file"),
        set_name=said("set_name"),
        group=said("group"),
        split=cast("Split", said("split")),
        recipe=said("recipe"),
        voice=said("voice"),
        soundfonts=said("soundfonts"),
        midi_sha=row.get("midi_sha") or "",
        is_current=row.get("is_current") != "0",
        corpus=row.get("corpus") or "",
    )
