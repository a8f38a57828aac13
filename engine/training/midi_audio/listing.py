"""``corpus.csv`` beside a library: where the songs come from that were rendered into it.

Songs of one ``group`` are variants of one composition; ``split`` is what the group may be used for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, cast

from engine.errors import LibraryUnusable
from engine.files import write_whole
from engine.training.midi_corpus import Split

__all__ = ["LISTING_NAME", "ListedSong", "groups_of", "read_listing", "write_listing"]

LISTING_NAME: Final = "corpus.csv"


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
    """

    song_id: str
    file: str
    set_name: str
    group: str
    split: Split
    recipe: str
    voice: str
    soundfonts: str


_COLUMNS: Final = tuple(field.name for field in fields(ListedSong))


def read_listing(library: Path) -> tuple[ListedSong, ...]:
    """The songs of a library that were rendered; none where there is no list.

    Raises:
        LibraryUnusable: the list is damaged.
    """
    path = library / LISTING_NAME
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return ()
    try:
        return tuple(_song(row) for row in rows)
    except (KeyError, ValueError, TypeError) as error:
        raise LibraryUnusable(
            f"{path} is damaged: {error}.",
            hint="Delete it; the songs are then rendered again.",
        ) from error


def write_listing(library: Path, songs: Iterable[ListedSong]) -> None:
    """Put the list of a library in place, whole."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(astuple(song) for song in sorted(songs, key=lambda song: song.file))
    write_whole(library / LISTING_NAME, lines.getvalue())


def groups_of(library: Path) -> Mapping[str, str]:
    """Composition by song id; empty for a library that nothing was rendered into."""
    return {song.song_id: song.group for song in read_listing(library)}


def _song(row: Mapping[str, str]) -> ListedSong:
    if row["split"] not in ("train", "val", "test"):
        raise ValueError(f"{row['split']!r} is no split")
    return ListedSong(
        song_id=row["song_id"],
        file=row["file"],
        set_name=row["set_name"],
        group=row["group"],
        split=cast("Split", row["split"]),
        recipe=row["recipe"],
        voice=row["voice"],
        soundfonts=row["soundfonts"],
    )
