"""All stems of one role as a few long arrays: what retrieval runs its matrix products over.

Thousands of small feature files are slow to open, so the fields that ranking needs are laid end
to end, stem after stem, in a folder under ``<library>/index``, and memory-mapped. The folder's
name holds a digest of exactly what went into it, so it is right or it is not used; after a change
the arrays are made anew, with unchanged stems taken from the folder before, and appear in one
rename. ``index`` may be deleted at any time.

Row ``offsets[i] + b`` of every array is beat ``b`` of ``stems[i]``; the fields are those of
:data:`~engine.analysis.records.BEAT_ROW`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from numpy.typing import NDArray

from engine.analysis.records import FEATURE_VERSION, STEPS_PER_BEAT
from engine.errors import UnwritableOutput
from engine.files import write_whole
from engine.library.blobs import PART_PREFIX
from engine.library.reading import LibraryReader
from engine.library.rows import StemRow
from engine.library.sweeping import SWEEP_AGE_S, is_old
from engine.theory import Role

__all__ = ["StemPool", "load_pool"]

_LAYOUT: Final = 1  # raised when the arrays below change
_DIGEST_DIGITS: Final = 16
_KEYS_FILE: Final = "keys.json"  # the key of every stem, in order


@dataclass(frozen=True, eq=False)
class StemPool:
    """The stems of one role and their beats, end to end.

    Args:
        stems: ordered by song id.
        offsets: (stems + 1,) int64, where each stem's rows begin; the last is their number.
        chroma: (beats, 12) float16.
        onsets: (beats, 12 steps, 3 bands) uint8.
        bands: (beats, 3) float16.
        active: (beats,) bool, beats in which the stem sounds.
        revision: the library's when the stems were read.
    """

    stems: tuple[StemRow, ...]
    offsets: NDArray[np.int64]
    chroma: NDArray[np.float16]
    onsets: NDArray[np.uint8]
    bands: NDArray[np.float16]
    active: NDArray[np.bool_]
    revision: int

    def rows(self, index: int) -> slice:
        """Where the beats of ``stems[index]`` lie in every array."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))


@dataclass(frozen=True, eq=False)
class _Contents:
    """What a pool is made of, read from one state of the library."""

    stems: tuple[StemRow, ...]
    active: Mapping[str, NDArray[np.bool_]]
    revision: int

    @property
    def offsets(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(stem.beats for stem in self.stems)], dtype=np.int64)

    def keys(self) -> list[str]:
        """One per stem, which names its rows: equal keys, equal rows."""
        return [_digest(s.features_sha, self.active[s.id].tobytes().hex()) for s in self.stems]


@dataclass(frozen=True, eq=False)
class _Arrays:
    """The arrays of a pool, or of one stem in it; named like their files."""

    chroma: NDArray[np.float16]
    onsets: NDArray[np.uint8]
    bands: NDArray[np.float16]
    active: NDArray[np.bool_]

    @classmethod
    def mapped(cls, folder: Path) -> _Arrays:
        """The arrays of a folder, read-only.

        Raises:
            OSError: the folder is not there.
            ValueError: a file is damaged.
        """
        paths = [folder / f"{field.name}.npy" for field in fields(cls)]
        return cls(*(np.load(path, mmap_mode="r", allow_pickle=False) for path in paths))

    @classmethod
    def joined(cls, parts: Sequence[_Arrays]) -> _Arrays:
        """One after the other."""
        return cls(
            np.concatenate([part.chroma for part in parts]),
            np.concatenate([part.onsets for part in parts]),
            np.concatenate([part.bands for part in parts]),
            np.concatenate([part.active for part in parts]),
        )

    def cut(self, rows: slice) -> _Arrays:
        """The same rows of each."""
        return _Arrays(self.chroma[rows], self.onsets[rows], self.bands[rows], self.active[rows])

    @property
    def lengths(self) -> set[int]:
        """One number, unless a file is damaged."""
        return {len(self.chroma), len(self.onsets), len(self.bands), len(self.active)}


#: Dtypes and shapes of a pool without stems.
_NO_BEATS: Final = _Arrays(
    np.zeros((0, 12), np.float16),
    np.zeros((0, STEPS_PER_BEAT, 3), np.uint8),
    np.zeros((0, 3), np.float16),
    np.zeros(0, np.bool_),
)


def load_pool(library: LibraryReader, role: Role) -> StemPool:
    """The pool of a role, from its index folder, which is made when it is not up to date.

    Where the index cannot be written (a read-only or full disk) the arrays are made in memory.

    Raises:
        LibraryUnusable: a feature file is missing or damaged.
    """
    contents = _contents(library, role)
    keys = contents.keys()
    name = f"{role}-{_digest(f'layout {_LAYOUT}', f'features {FEATURE_VERSION}', *keys)}"
    folder = library.cache / "index" / name
    arrays = _existing(folder, contents)
    if arrays is None and contents.stems:
        with contextlib.suppress(OSError, UnwritableOutput):
            _build(library, folder, contents, keys)
            arrays = _existing(folder, contents)
        _drop_others(folder.parent, role, keep=folder)
    if arrays is None:
        arrays = _Arrays.joined([_NO_BEATS, *_parts(library, contents, keys, known={})])
    return StemPool(
        stems=contents.stems,
        offsets=contents.offsets,
        revision=contents.revision,
        chroma=arrays.chroma,
        onsets=arrays.onsets,
        bands=arrays.bands,
        active=arrays.active,
    )


def _contents(library: LibraryReader, role: Role) -> _Contents:
    """Stems and active beats of the same revision."""
    while True:
        revision = library.revision()
        contents = _Contents(library.stems(roles=[role]), library.active([role]), revision)
        if library.revision() == revision:
            return contents


def _existing(folder: Path, contents: _Contents) -> _Arrays | None:
    """The arrays in ``folder``; None when they are not there or do not fit."""
    try:
        arrays = _Arrays.mapped(folder)
    except (OSError, ValueError, EOFError):
        return None
    return arrays if arrays.lengths == {int(contents.offsets[-1])} else None


def _build(library: LibraryReader, folder: Path, contents: _Contents, keys: list[str]) -> None:
    """Make the folder, in one rename."""
    index = folder.parent
    index.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=index))
    try:
        known = _known(index, f"{folder.name.split('-')[0]}-*")
        beats = int(contents.offsets[-1])
        _write(unfinished, beats, _parts(library, contents, keys, known=known))
        listed = {"keys": keys, "offsets": contents.offsets.tolist()}
        write_whole(unfinished / _KEYS_FILE, json.dumps(listed))
        if folder.exists():  # it did not fit, so it is damaged
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(folder: Path, beats: int, parts: Iterable[_Arrays]) -> None:
    """Stream the parts into one file per array.

    Not through a writable map: on a full disk that ends the process, a write only fails.
    """
    with contextlib.ExitStack() as stack:
        streams = []
        for field in fields(_NO_BEATS):
            empty: NDArray[np.generic] = getattr(_NO_BEATS, field.name)
            stream = stack.enter_context((folder / f"{field.name}.npy").open("wb"))
            header = header_data_from_array_1_0(empty)
            write_array_header_1_0(stream, header | {"shape": (beats, *empty.shape[1:])})
            streams.append(stream)
        for part in parts:
            for field, stream in zip(fields(part), streams, strict=True):
                stream.write(getattr(part, field.name).tobytes())
        for stream in streams:
            stream.flush()
            os.fsync(stream.fileno())


def _parts(
    library: LibraryReader,
    contents: _Contents,
    keys: list[str],
    *,
    known: Mapping[str, _Arrays],
) -> Iterator[_Arrays]:
    """The rows of every stem in turn, from ``known`` or else from its feature file."""
    for stem, key in zip(contents.stems, keys, strict=True):
        part = known.get(key)
        if part is None:
            rows = library.features(stem)
            active = contents.active[stem.id]
            part = _Arrays(rows["chroma"], rows["onsets"], rows["bands"], active)
        yield part


def _known(index: Path, pattern: str) -> dict[str, _Arrays]:
    """The rows of every stem in the folders before, by key."""
    known: dict[str, _Arrays] = {}
    for folder in _folders(index, pattern):
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError):
            listed = json.loads((folder / _KEYS_FILE).read_text(encoding="utf-8"))
            arrays = _Arrays.mapped(folder)
            offsets = listed["offsets"]
            for key, start, end in zip(listed["keys"], offsets, offsets[1:], strict=False):
                known[key] = arrays.cut(slice(start, end))
    return known


def _drop_others(index: Path, role: Role, *, keep: Path) -> None:
    """Remove the role's older folders and what killed builds left; mapped arrays stay valid."""
    for folder in _folders(index, f"{role}-*"):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in _folders(index, f"{PART_PREFIX}*"):
        if is_old(folder, SWEEP_AGE_S):
            shutil.rmtree(folder, ignore_errors=True)


def _folders(index: Path, pattern: str) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from list(index.glob(pattern))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGEST_DIGITS]
