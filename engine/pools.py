"""The library as searchable pools, read once and again only when the library has changed.

``harmonic`` is searched in the stems stored under that role; ``percussion`` is another name for
``drums``. Stems of another metre than the session's stay in the pool but are never eligible.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import LibraryEmbeddings
from engine.grid import BeatGrid
from engine.library.rows import SongRow, StemRow
from engine.models.pool import RolePool
from engine.ranking import SearchPool
from engine.sounds import LibrarySounds
from engine.theory import Role

if TYPE_CHECKING:
    from engine.library.library import Library

__all__ = ["LibraryPools", "stored_role"]


def stored_role(role: Role) -> Role:
    """The role under which stems that answer ``role`` are stored."""
    return "drums" if role == "percussion" else role


class LibraryPools:
    """Pools by role and metre. Threads may share one."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._revision = -1
        self._songs: Mapping[str, SongRow] = {}
        self._stems: dict[str, StemRow] = {}
        self._grids: dict[str, BeatGrid] = {}
        self._pools: dict[tuple[Role, int], SearchPool] = {}

    def get(self, role: Role, beats_per_bar: int) -> SearchPool:
        """Stems that answer ``role``, laid out in bars of ``beats_per_bar``."""
        with self._lock:
            self._refresh()
            key = (role, beats_per_bar)
            if key not in self._pools:
                self._pools[key] = self._load(role, beats_per_bar)
            return self._pools[key]

    def song(self, song_id: str) -> SongRow:
        """A song of a pool loaded before."""
        with self._lock:
            return self._songs[song_id]

    def stem(self, stem_id: str) -> StemRow:
        """A stem of a pool loaded before."""
        with self._lock:
            return self._stems[stem_id]

    def grid(self, song_id: str) -> BeatGrid:
        """A song's beat map."""
        with self._lock:
            if song_id not in self._grids:
                self._grids[song_id] = self._library.grid(song_id)
            return self._grids[song_id]

    def tuning_cents(self, song_id: str) -> float:
        """How far a song of a pool loaded before is above A = 440 Hz."""
        return self.song(song_id).tuning_cents

    def _refresh(self) -> None:
        revision = self._library.revision()
        if revision != self._revision:
            self._songs = {song.id: song for song in self._library.songs()}
            self._stems.clear()
            self._grids.clear()
            self._pools.clear()
            self._revision = revision

    def _load(self, role: Role, beats_per_bar: int) -> SearchPool:
        from engine.library.pool import load_pool

        stored = load_pool(self._library, stored_role(role))
        self._stems.update({stem.id: stem for stem in stored.stems})
        songs = [self._songs.get(stem.song_id) for stem in stored.stems]
        pool = RolePool(
            role=role,
            beats_per_bar=beats_per_bar,
            stem_ids=tuple(stem.id for stem in stored.stems),
            offsets=stored.offsets,
            chroma=np.asarray(stored.chroma),  # a plain view: memmap slices are slow
            onsets=np.asarray(stored.onsets),
            bands=np.asarray(stored.bands),
            active=np.asarray(stored.active),
            sounds=LibrarySounds(self._library, self),
            embeddings=LibraryEmbeddings(
                self._library,
                stored,
                beats_per_bar=beats_per_bar,
                metres=[song.beats_per_bar if song else 0 for song in songs],
            ),
        )
        return SearchPool(
            pool=pool,
            tempo_bpm=_column([song.tempo.bpm if song else np.nan for song in songs]),
            usable=np.array(
                [song is not None and song.beats_per_bar == beats_per_bar for song in songs],
                dtype=np.bool_,
            ),
            song_ids=tuple(stem.song_id for stem in stored.stems),
        )


def _column(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)
