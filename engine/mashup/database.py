"""The songs that mashups are generated from: Huang et al.'s MashupDB, made from a library.

A song is a vocal seed when it has vocals, of originals when it has harmony and drums too; harmony
and drums of a song without a voice serve under other voices. Songs of one ``group`` (the variants
of one composition) always fall on the same side of a split and are never put under each other. A
window is so many whole bars from a bar line; it is usable for a role when that stem sounds in at
least half of its beats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.grid import BeatGrid
from engine.library.rows import SongRow, StemRow
from engine.theory import Key, Role

if TYPE_CHECKING:
    from engine.library.reading import LibraryReader

__all__ = ["MASHUP_ROLES", "MashupDB", "MashupRole", "MashupSong", "MashupStem"]

MashupRole = Literal["vocals", "harmonic", "drums"]
#: The three fixed roles, in the order of every array.
MASHUP_ROLES: Final[tuple[MashupRole, ...]] = ("vocals", "harmonic", "drums")
#: Share of a window's beats in which a stem must sound.
LEAST_ACTIVITY: Final = 0.5


@dataclass(frozen=True, eq=False)
class MashupStem:
    """Audio of one role.

    Args:
        path: the file.
        sha: names its content.
        active: (beats,) bool, beats of the song's grid in which it sounds.
    """

    path: Path
    sha: str
    active: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MashupSong:
    """A song with two or three of the roles, on its own beat grid.

    Args:
        id: of the library.
        group: of the composition.
        tempo_bpm: of its grid.
        key: None when it has none.
        tuning_cents: deviation from A = 440 Hz.
        grid: the beat map.
        stems: by role.
    """

    id: str
    group: str
    tempo_bpm: float
    key: Key | None
    tuning_cents: float
    grid: BeatGrid
    stems: Mapping[MashupRole, MashupStem]

    @cached_property
    def map_sha(self) -> str:
        """Hex SHA-256 that names where and how its stems are read.

        Of the beats, the metre, the tempo and the tuning.
        """
        digest = hashlib.sha256(self.grid.beats_s.tobytes())
        numbers = (self.grid.beats_per_bar, float(self.tempo_bpm), float(self.tuning_cents))
        digest.update(repr(numbers).encode())
        return digest.hexdigest()

    def start_bars(self, roles: tuple[MashupRole, ...], bars: int) -> NDArray[np.int64]:
        """First bars of every window of ``bars`` bars in which all ``roles`` sound."""
        count = self.grid.bars - bars + 1
        if count < 1 or not set(roles) <= self.stems.keys():
            return np.zeros(0, dtype=np.int64)
        usable = np.ones(count, dtype=np.bool_)
        for role in roles:
            usable &= self._activity(self.stems[role], bars)[:count] >= LEAST_ACTIVITY
        return np.flatnonzero(usable).astype(np.int64)

    def _activity(self, stem: MashupStem, bars: int) -> NDArray[np.float64]:
        beats = bars * self.grid.beats_per_bar
        total = np.concatenate([[0], np.cumsum(stem.active)])
        share: NDArray[np.float64] = (total[beats:] - total[:-beats]) / beats
        return share[:: self.grid.beats_per_bar]


@dataclass(frozen=True, eq=False)
class MashupDB:
    """All songs, and why some of a library's are not among them (reason by song id)."""

    songs: tuple[MashupSong, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[str, MashupSong]:
        """The songs by id."""
        return {song.id: song for song in self.songs}

    @cached_property
    def data_sha(self) -> str:
        """Hex SHA-256 that names this music and all that is known about it.

        Of ids, groups and contents, of beats, metres, tempos, tunings and keys, and of where the
        stems sound.
        """
        digest = hashlib.sha256()
        for song in sorted(self.songs, key=lambda song: song.id):
            said = [song.id, song.group, song.map_sha, str(song.key)]
            for role, stem in sorted(song.stems.items()):
                active = hashlib.sha256(stem.active.tobytes()).hexdigest()
                said.append(f"{role}={stem.sha}:{active}")
            digest.update(" ".join([*said, "\n"]).encode())
        return digest.hexdigest()

    def split(self, share: float, seed: int) -> tuple[MashupDB, MashupDB]:
        """Two parts without a common group; the second has about ``share`` of the groups.

        Both have at least one group when there are two or more.
        """
        groups = np.array(sorted({song.group for song in self.songs}))
        np.random.default_rng(seed).shuffle(groups)
        count = min(max(round(share * groups.size), 1), max(groups.size - 1, 0))
        held_out = set(groups[:count].tolist())
        parts: tuple[list[MashupSong], list[MashupSong]] = ([], [])
        for song in self.songs:
            parts[song.group in held_out].append(song)
        return MashupDB(tuple(parts[0])), MashupDB(tuple(parts[1]))

    @classmethod
    def of_library(
        cls, library: LibraryReader, *, groups: Mapping[str, str] | None = None
    ) -> MashupDB:
        """Every song of a library that has a harmony or drums.

        Args:
            library: where they lie.
            groups: composition by song id; a song that is not named is its own.
        """
        active = library.active(MASHUP_ROLES)
        stems: dict[str, dict[Role, StemRow]] = {}
        for stem in library.stems(roles=MASHUP_ROLES):
            stems.setdefault(stem.song_id, {})[stem.role] = stem
        songs: list[MashupSong] = []
        left_out: dict[str, str] = {}
        for row in library.songs():
            found = stems.get(row.id, {})
            if not {"harmonic", "drums"} & found.keys():
                left_out[row.id] = "neither harmony nor drums"
                continue
            group = (groups or {}).get(row.id, row.id)
            songs.append(_song_of(row, group, found, active, library))
        return cls(tuple(songs), left_out)


def _song_of(
    row: SongRow,
    group: str,
    stems: Mapping[Role, StemRow],
    active: Mapping[str, NDArray[np.bool_]],
    library: LibraryReader,
) -> MashupSong:
    found = {
        role: MashupStem(
            library.audio_path(stems[role]), stems[role].audio.sha, active[stems[role].id]
        )
        for role in MASHUP_ROLES
        if role in stems
    }
    return MashupSong(
        id=row.id,
        group=group,
        tempo_bpm=row.tempo.bpm,
        key=row.key.key,
        tuning_cents=row.tuning_cents,
        grid=library.grid(row.id),
        stems=found,
    )
