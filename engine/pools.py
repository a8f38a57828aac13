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

from engine.errors import UsageError
from engine.grid import BeatGrid
from engine.library.rows import SongRow, StemRow
from engine.models.pool import RolePool
from engine.ranking import SearchPool
from engine.sounds import LibrarySounds
from engine.theory import Role

if TYPE_CHECKING:
    from engine.library.library import Library

__all__ = ["LibraryChanged", "LibraryPools", "LibraryState", "stored_role"]


def stored_role(role: Role) -> Role:
    """The role under which stems that answer ``role`` are stored."""
    return "drums" if role == "percussion" else role


class LibraryChanged(Exception):
    """Another process changed a song while a question about it was answered."""


class LibraryPools:
    """Pools by role and metre. Threads may share one."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._revision = -1
        self._state: LibraryState | None = None

    def now(self) -> LibraryState:
        """The library as it is now; the same answer as long as nothing changes."""
        with self._lock:
            revision = self._library.revision()
            if self._state is None or revision != self._revision:
                self._state = LibraryState(self._library)
                self._revision = revision
            return self._state

    def get(self, role: Role, beats_per_bar: int) -> SearchPool:
        """Stems that answer ``role`` now, laid out in bars of ``beats_per_bar``."""
        return self.now().get(role, beats_per_bar)


class LibraryState:
    """Songs, stems, beat maps and pools of one moment; one question asks one of these.

    What is first asked for later is read later: where a song that matters has changed until then,
    :meth:`grid` says so, and the question is to be asked again of a newer state.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._songs: Mapping[str, SongRow] = {song.id: song for song in library.songs()}
        self._stems: dict[str, StemRow] = {}
        self._grids: dict[str, BeatGrid] = {}
        self._pools: dict[tuple[Role, int], SearchPool] = {}

    def get(self, role: Role, beats_per_bar: int) -> SearchPool:
        """Stems that answer ``role``, laid out in bars of ``beats_per_bar``."""
        with self._lock:
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
        """The beat map of a song of a pool loaded before.

        Raises:
            LibraryChanged: the song is another one by now, or gone.
        """
        with self._lock:
            if song_id not in self._grids:
                self._grids[song_id] = self._grid_of(song_id)
            return self._grids[song_id]

    def tuning_cents(self, song_id: str) -> float:
        """How far a song of a pool loaded before is above A = 440 Hz."""
        return self.song(song_id).tuning_cents

    def _grid_of(self, song_id: str) -> BeatGrid:
        try:
            grid = self._library.grid(song_id)
            song = self._library.song(song_id)
            stems = self._library.stems(song_id)
        except UsageError as error:  # there is no such song any more
            raise LibraryChanged(song_id) from error
        same = all(self._stems.get(stem.id, stem) == stem for stem in stems)
        if song != self._songs[song_id] or not same:
            raise LibraryChanged(song_id)
        return grid

    def _load(self, role: Role, beats_per_bar: int) -> SearchPool:
        from engine.embeddings.stems import LibraryEmbeddings
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
