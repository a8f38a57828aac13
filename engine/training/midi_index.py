"""Where a MIDI corpus lies, unpacked, and the table of its files.

What the columns of ``index.csv`` mean says :mod:`engine.training.midi_corpus`.
"""

from __future__ import annotations

import csv
import hashlib
import tarfile
from pathlib import Path
from typing import Final

from engine.errors import UnusableInput

__all__ = [
    "INDEX_COLUMNS",
    "find_index",
    "index_of",
    "melody_of",
    "open_index",
    "read_index",
    "short_sha",
    "unpacked",
    "user_cache",
]

#: Columns that every index has; ``dup_of``, ``key_sig`` and ``n_ts`` may be there too.
INDEX_COLUMNS: Final = ("file", "set", "group", "split", "melody_part", "time_sig", "full_band")
_CHANNELS: Final = range(1, 17)


def short_sha(text: str) -> str:
    """Sixteen hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_index(data: Path, cache_dir: Path | None = None) -> Path:
    """The ``index.csv`` of a corpus; an archive is unpacked first.

    Raises:
        UnusableInput: there is none, or the archive is damaged.
    """
    return index_of(unpacked(data, cache_dir))


def user_cache() -> Path:
    """Where archives are unpacked and notes are stored by default."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("dawlink")) / "midi"


def unpacked(data: Path, cache_dir: Path | None = None) -> Path:
    """A folder: ``data`` itself, or the archive unpacked under the cache.

    Raises:
        UnusableInput: it is neither a folder nor an archive, or the archive is damaged.
    """
    cache = cache_dir if cache_dir is not None else user_cache()
    if data.is_dir():
        return data
    if not data.is_file():
        raise UnusableInput(f"{data} is neither a folder nor an archive.", code="no_corpus")
    stat = data.stat()
    name = f"{data.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    folder = cache / f"corpus-{short_sha(name)}"
    done = folder / ".unpacked"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(data) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UnusableInput(f"{data} cannot be unpacked: {error}.", code="no_corpus") from error
        done.touch()
    return folder


def find_index(folder: Path) -> Path | None:
    """``index.csv`` of a folder, at its top or one level down."""
    found = sorted([*folder.glob("index.csv"), *folder.glob("*/index.csv")])
    return found[0] if found else None


def index_of(folder: Path) -> Path:
    """``index.csv`` of a folder.

    Raises:
        UnusableInput: there is none.
    """
    found = find_index(folder)
    if found is None:
        raise UnusableInput(
            f"{folder} has no index.csv.",
            hint="Give the folder or archive of a MIDI corpus with its index.",
            code="no_corpus",
        )
    return found


def read_index(index: Path) -> list[dict[str, str]]:
    """The rows of an index; what a short row lacks is empty.

    Raises:
        UnusableInput: it cannot be read, or lacks some of :data:`INDEX_COLUMNS`.
    """
    try:
        with index.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            missing = [name for name in INDEX_COLUMNS if name not in (reader.fieldnames or ())]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnusableInput(
            f"{index} cannot be read: {error}.",
            hint="Save it as a table of comma-separated values in UTF-8.",
            code="no_corpus",
        ) from error
    if missing:
        count = len(INDEX_COLUMNS)
        raise UnusableInput(
            f"{index} is no index of MIDI songs: it has {count - len(missing)} of {count} columns.",
            hint=f"Add {', '.join(missing)}, or move it away to have every MIDI file of the folder "
            "counted as a song of its own.",
            code="no_corpus",
        )
    return rows


def melody_of(text: str) -> tuple[int, int] | None:
    """Track and channel [0, 15] of a ``melody_part``; None where it does not say both."""
    try:
        track, channel = (int(part) for part in text.split(":")[:2])
    except ValueError:
        return None
    return (track, channel - 1) if track >= 0 and channel in _CHANNELS else None
