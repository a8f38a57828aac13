"""Which song of the library a clip was cut from, told by its sound.

The voice of every song (or its only stem, where it has no voice) is kept as a fingerprint under
``<library>/index/fingerprints``; a file that is not there is made again from the stored audio, so
the folder may be deleted. See :mod:`engine.analysis.fingerprint` for the method.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.fingerprint import best_match, fingerprint
from engine.audio.waveform import Waveform
from engine.clips import ClipSource
from engine.errors import DawlinkError
from engine.files import atomic_path
from engine.library.library import Library
from engine.library.rows import StemRow
from engine.theory import Role

__all__ = ["recognise", "remember_voice"]


def remember_voice(library: Library, song_id: str, stems: Mapping[Role, Waveform]) -> None:
    """Keep the fingerprint of a song that was just added. Losing it costs time, not answers."""
    role = _telling_role(tuple(stems))
    if role is not None:
        _keep(_path(library, song_id), fingerprint(stems[role]))


def recognise(library: Library, waveform: Waveform) -> ClipSource | None:
    """The song that ``waveform`` is cut from, and where; None when it is none of the library's."""
    query = fingerprint(waveform)
    if not query.any():
        return None
    found = best_match(query, _references(library))
    if found is None:
        return None
    song_id, match = found
    return ClipSource(song_id, match.offset_s, exact=False)


def _references(library: Library) -> Mapping[str, NDArray[np.uint32]]:
    by_song: dict[str, dict[Role, StemRow]] = {}
    for stem in library.stems():
        by_song.setdefault(stem.song_id, {})[stem.role] = stem
    references: dict[str, NDArray[np.uint32]] = {}
    for song_id, stems in by_song.items():
        role = _telling_role(tuple(stems))
        if role is not None:
            references[song_id] = _reference(library, song_id, stems[role])
    return references


def _reference(library: Library, song_id: str, stem: StemRow) -> NDArray[np.uint32]:
    path = _path(library, song_id)
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept: NDArray[np.uint32] = np.load(path, mmap_mode="r", allow_pickle=False)
        if kept.dtype == np.uint32 and kept.ndim == 1:
            return kept
    made = fingerprint(library.waveform(stem))
    _keep(path, made)
    return made


def _telling_role(roles: tuple[Role, ...]) -> Role | None:
    """The stem that clips are cut from: the voice, or the only real stem there is."""
    if "vocals" in roles:
        return "vocals"
    real = [role for role in roles if role != "harmonic"]
    return real[0] if len(real) == 1 else None


def _path(library: Library, song_id: str) -> Path:
    return library.folder / "index" / "fingerprints" / f"{song_id}.npy"


def _keep(path: Path, values: NDArray[np.uint32]) -> None:
    with contextlib.suppress(DawlinkError), atomic_path(path) as temporary:
        np.save(temporary, values, allow_pickle=False)
