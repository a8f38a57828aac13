"""Everything that can be asked of a library.

Every method sees one committed state and may run while another process writes. What comes back
are frozen records and arrays, never live database objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, undefer

from engine.analysis.records import BEAT_ROW, SongAnalysis, StemAnalysis, Window
from engine.audio.waveform import Waveform
from engine.errors import LibraryUnusable
from engine.grid import BeatGrid
from engine.library import mapping
from engine.library.blobs import BlobStore
from engine.library.database import Database
from engine.library.lookup import IdKind, resolve_id, unknown_id
from engine.library.rows import Correction, SongRow, SourceFile, StemRow
from engine.library.schema import CorrectionEntry, LibraryState, Song, Source, Stem
from engine.theory import Role

__all__ = ["LibraryReader", "song_of", "stem_of"]


class LibraryReader:
    """The reading half of :class:`~engine.library.library.Library`."""

    def __init__(self, folder: Path, database: Database, *, cache: Path | None = None) -> None:
        self._folder = folder
        self._cache = cache or folder
        self._database = database
        self._blobs = BlobStore(folder)

    @property
    def folder(self) -> Path:
        """Where the library's files lie; machines that share a library share it."""
        return self._folder

    @property
    def cache(self) -> Path:
        """Where this machine keeps what can be made again."""
        return self._cache

    @property
    def database(self) -> Database:
        """The database, for tables of what can be made again."""
        return self._database

    def describe_database(self) -> str:
        """The database's product and version, for people."""
        with self._database.reading() as session:
            return self._database.backend.describe(session.connection())

    def revision(self) -> int:
        """Counts changes by any process: equal numbers mean that nothing changed in between."""
        with self._database.reading() as session:
            return session.scalars(select(LibraryState.revision)).one()

    def songs(self) -> tuple[SongRow, ...]:
        """Every song, in the order in which they were added."""
        with self._database.reading() as session:
            found = session.scalars(select(Song).order_by(Song.added_at, Song.id))
            return tuple(mapping.song_row(song) for song in found)

    def song_ids(self) -> tuple[str, ...]:
        """Ids of every song, sorted; much cheaper than their rows."""
        with self._database.reading() as session:
            return tuple(session.scalars(select(Song.id).order_by(Song.id)))

    def song(self, song_id: str) -> SongRow:
        """One song.

        Raises:
            UsageError: no such id.
        """
        with self._database.reading() as session:
            return mapping.song_row(song_of(session, song_id))

    def stems(
        self, song_id: str | None = None, roles: Iterable[Role] | None = None
    ) -> tuple[StemRow, ...]:
        """Stems ordered by song id and role: all, or those of one song, or of some roles."""
        query = select(Stem).where(*_matching(song_id, roles)).order_by(Stem.song_id, Stem.role)
        with self._database.reading() as session:
            return tuple(mapping.stem_row(stem) for stem in session.scalars(query))

    def stem(self, stem_id: str) -> StemRow:
        """One stem.

        Raises:
            UsageError: no such id.
        """
        with self._database.reading() as session:
            return mapping.stem_row(stem_of(session, stem_id))

    def grid(self, song_id: str) -> BeatGrid:
        """The beat map of a song.

        Raises:
            UsageError: no such id.
        """
        with self._database.reading() as session:
            return mapping.grid_of(song_of(session, song_id))

    def windows(self, song_id: str) -> tuple[Window, ...]:
        """The bar-aligned windows that structure analysis offered.

        Raises:
            UsageError: no such id.
        """
        with self._database.reading() as session:
            return mapping.windows_of(song_of(session, song_id).windows)

    def features(self, stem: str | StemRow) -> NDArray[np.void]:
        """(beats,) of :data:`~engine.analysis.records.BEAT_ROW`, memory-mapped and read-only.

        Args:
            stem: its id, or its row (which saves asking the database).

        Raises:
            UsageError: no such id.
            LibraryUnusable: the file is missing or damaged.
        """
        row = self.stem(stem) if isinstance(stem, str) else stem
        features = self._blobs.features(row.features_sha)
        if features.dtype != BEAT_ROW or features.shape != (row.beats,):
            raise LibraryUnusable(
                f"The features of stem {row.id} are {features.dtype} {features.shape}, "
                f"expected {row.beats} beat rows of this dawlink.",
                hint=f"Remove the song ({row.song_id}) and add it again.",
                code="library_damaged",
            )
        return features

    def active(
        self, roles: Iterable[Role] | None = None, *, song_id: str | None = None
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Which beats sound, (beats,) bool by stem id: of all stems, of some roles, of one song."""
        query = select(Stem.id, Stem.active, Stem.beat_count).where(*_matching(song_id, roles))
        with self._database.reading() as session:
            return {
                stem_id: mapping.active_of(packed, beats)
                for stem_id, packed, beats in session.execute(query)
            }

    def analysis(self, song_id: str) -> SongAnalysis:
        """Everything that analysis found, as it was added.

        Raises:
            UsageError: no such id.
            LibraryUnusable: a feature file is missing or damaged.
        """
        query = select(Stem).where(Stem.song_id == song_id).options(undefer(Stem.active))
        with self._database.reading() as session:
            song = song_of(session, song_id)
            row, grid, windows = mapping.song_row(song), mapping.grid_of(song), song.windows
            stems = session.scalars(query.order_by(Stem.role)).all()
        return SongAnalysis(
            grid=grid,
            tempo=row.tempo,
            key=row.key,
            tuning_cents=row.tuning_cents,
            tracker=row.tracker,
            tracked_on=row.tracked_on,
            duration_s=row.duration_s,
            windows=mapping.windows_of(windows),
            stems=tuple(self._stem_analysis(stem) for stem in stems),
            notes=row.notes,
        )

    def audio_path(self, stem: str | StemRow) -> Path:
        """The FLAC file of a stem, which may be scaled down by its ``audio.gain_db``.

        Raises:
            UsageError: no such id.
        """
        row = self.stem(stem) if isinstance(stem, str) else stem
        return self._blobs.path("audio", row.audio.sha)

    def waveform(self, stem: str | StemRow, *, start_frame: int = 0, frames: int = -1) -> Waveform:
        """The samples of a stem at their true level; ``frames`` -1 reads to the end.

        Raises:
            UsageError: no such id.
            LibraryUnusable: the file is missing or damaged.
        """
        row = self.stem(stem) if isinstance(stem, str) else stem
        return self._blobs.waveform(row.audio, start_frame, frames)

    def find_source(self, file_sha: str) -> tuple[str, ...]:
        """Ids of the songs that were made from a file with these bytes (hex SHA-256)."""
        query = select(Source.song_id).where(Source.file_sha == file_sha).distinct()
        with self._database.reading() as session:
            return tuple(session.scalars(query.order_by(Source.song_id)))

    def sources(self, song_id: str) -> tuple[SourceFile, ...]:
        """The files that a song was made from, in the order in which they were given."""
        query = select(Source).where(Source.song_id == song_id).order_by(Source.id)
        with self._database.reading() as session:
            return tuple(mapping.source_of(source) for source in session.scalars(query))

    def corrections(self, song_id: str) -> tuple[Correction, ...]:
        """What a person said about a song, oldest first; also of a song that was removed."""
        query = select(CorrectionEntry).where(CorrectionEntry.song_id == song_id)
        with self._database.reading() as session:
            found = session.scalars(query.order_by(CorrectionEntry.id))
            return tuple(mapping.correction_of(entry) for entry in found)

    def resolve(self, text: str, *, kind: IdKind | None = None) -> str:
        """The full id that ``text`` means: an id, or the beginning of exactly one.

        Args:
            text: what a person typed.
            kind: ``"song"`` or ``"stem"``; None takes both.

        Raises:
            UsageError: none or several begin so; the hint names those that come close.
        """
        with self._database.reading() as session:
            return resolve_id(session, text, kind)

    def _stem_analysis(self, stem: Stem) -> StemAnalysis:
        row = mapping.stem_row(stem)
        return StemAnalysis(
            role=row.role,
            features=self.features(row),
            loudness_lufs=row.loudness_lufs,
            true_peak_db=row.true_peak_db,
            active=mapping.active_of(stem.active, stem.beat_count),
        )


def song_of(session: Session, song_id: str) -> Song:
    """The row of a song.

    Raises:
        UsageError: no such id.
    """
    song = session.get(Song, song_id)
    if song is None:
        raise unknown_id(session, song_id, "song")
    return song


def stem_of(session: Session, stem_id: str) -> Stem:
    """The row of a stem.

    Raises:
        UsageError: no such id.
    """
    stem = session.get(Stem, stem_id)
    if stem is None:
        raise unknown_id(session, stem_id, "stem")
    return stem


def _matching(song_id: str | None, roles: Iterable[Role] | None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if song_id is not None:
        wanted.append(Stem.song_id == song_id)
    if roles is not None:
        wanted.append(Stem.role.in_(list(roles)))
    return wanted
