"""The library: every change to it, on top of everything that can be asked of it.

A change is one transaction. Files are put in place before the row that names them and taken away
after it is gone, so whatever is killed, every row has its files. Whoever is about to name a file
or to take one away holds the write lock while looking, so no process removes what another needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from engine.analysis.records import SongAnalysis
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.library import mapping
from engine.library.backend import LOCK_TIMEOUT_S
from engine.library.database import Database
from engine.library.folder import prepare_folder
from engine.library.place import LibraryPlace, ServerPlace
from engine.library.reading import LibraryReader, song_of
from engine.library.rows import (
    Correction,
    NewSong,
    NewStem,
    Problem,
    SongRow,
    SourceFile,
    StoredAudio,
    Swept,
    content_of_stems,
    song_id_for,
)
from engine.library.schema import CorrectionEntry, LibraryState, Song, Source, Stem
from engine.library.sqlite import SqliteBackend
from engine.library.sweeping import SWEEP_AGE_S, collect, sweep
from engine.library.verify import find_problems
from engine.theory import Role

__all__ = ["AddedSong", "Library"]


@dataclass(frozen=True)
class _StemFiles:
    """Where the two files of a stem ended up."""

    audio: StoredAudio
    features_sha: str


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class AddedSong:
    """A song that is in the library, and whether it was not before."""

    row: SongRow
    is_new: bool


class Library(LibraryReader):
    """A store of analysed music. Use it as a context manager; threads may share one."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        *,
        cache: Path | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        super().__init__(folder, database, cache=cache)
        self._now = now

    @classmethod
    def open(
        cls,
        place: LibraryPlace,
        *,
        create: bool = True,
        read_only: bool = False,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        now: Callable[[], datetime] = _utc_now,
    ) -> Self:
        """Open a library; bring it to today's schema if an older dawlink made it.

        Args:
            place: its folder, or the server and the folder that machines share.
            create: make it when there is none; otherwise that is an error.
            read_only: never write, not even to make or migrate it (works on a read-only disk).
            lock_timeout_s: how long a change waits for another process to finish its own.
            now: the clock.

        Raises:
            LibraryUnusable: not there, not a library, damaged, locked, or made by a newer dawlink.
            UnwritableOutput: it has to be made or migrated, and the disk refuses.
            EngineUnreachable: its server does not answer.
            MissingDependency: the driver for its server is not installed.
        """
        create = create and not read_only
        if isinstance(place, ServerPlace):
            return cls._open_server(place, create, read_only, lock_timeout_s, now)
        prepare_folder(place, create=create)
        backend = SqliteBackend(place, read_only=read_only, lock_timeout_s=lock_timeout_s)
        return cls(place, Database.open(backend, read_only=read_only), now=now)

    @classmethod
    def _open_server(
        cls,
        place: ServerPlace,
        create: bool,
        read_only: bool,
        lock_timeout_s: float,
        now: Callable[[], datetime],
    ) -> Self:
        from engine.library.postgres import PostgresBackend
        from engine.library.shared_files import require_folder, require_own

        require_folder(place.files)
        backend = PostgresBackend(place, lock_timeout_s=lock_timeout_s)
        database = Database.open(backend, create=create, read_only=read_only)
        try:
            identity = database.identity()
            require_own(place.files, identity)
        except BaseException:
            database.close()
            raise
        return cls(place.files, database, cache=place.cache / identity, now=now)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. Memory-mapped arrays stay valid."""
        self._database.close()

    def store_audio(self, waveform: Waveform) -> StoredAudio:
        """Put audio in place ahead of :meth:`add_song`; the same samples are stored once.

        Raises:
            UnusableInput: no samples, not finite, or more than FLAC can hold.
            UnwritableOutput: disk full, or the folder cannot be written.
        """
        self._database.require_writable()
        return self._blobs.store_audio(waveform)

    def store_features(self, rows: NDArray[np.generic]) -> str:
        """Put an array in place; returns the SHA-256 that names it.

        Raises:
            ValueError: the array is empty or holds Python objects.
            UnwritableOutput: disk full, or the folder cannot be written.
        """
        self._database.require_writable()
        return self._blobs.store_features(rows)

    def add_song(self, new: NewSong) -> SongRow:
        """The row of :meth:`add_or_find`."""
        return self.add_or_find(new).row

    def add_or_find(self, new: NewSong) -> AddedSong:
        """Add a song with all its stems, or nothing of it; says which it was.

        The same content again adds nothing: its row is returned as it is, and only the files
        that it came from this time are noted.

        Raises:
            ValueError: the analysis holds what cannot be (see the records).
            UnusableInput: a stem's audio cannot be stored, or was stored and is gone.
            UnwritableOutput: disk full, or the library cannot be written.
            LibraryUnusable: another process kept the lock, or the database is damaged.
        """
        mapping.check_analysis(new.analysis)
        self._database.require_writable()
        if new.content_sha:
            known = self._add_known(new, song_id_for(new.kind, new.content_sha))
            if known is not None:
                return AddedSong(known, is_new=False)
        files = self._store(new)
        content_sha = new.content_sha or content_of_stems(
            (role, stored.audio.sha) for role, stored in files.items()
        )
        song_id = song_id_for(new.kind, content_sha)
        with self._database.writing() as session:
            song = session.get(Song, song_id)
            is_new = song is None
            if song is None:
                if not self._all_there(files):
                    files = self._store(new)
                song = mapping.new_song(
                    new, song_id, content_sha=content_sha, added_at=self._stamp()
                )
                session.add(song)
                session.flush()
                session.add_all(_stem_rows(song_id, new.analysis, files))
                _changed(session)
            _note_sources(session, song_id, new.sources)
            return AddedSong(mapping.song_row(song), is_new=is_new)

    def add_sources(self, song_id: str, sources: Iterable[SourceFile]) -> None:
        """Note more files that a song can be made from, so that they are skipped from now on.

        Raises:
            UsageError: no such id.
            UnwritableOutput, LibraryUnusable: see :meth:`add_song`.
        """
        with self._database.writing() as session:
            song_of(session, song_id)
            _note_sources(session, song_id, sources)

    def replace_analysis(
        self, song_id: str, analysis: SongAnalysis, *, corrections: Sequence[Correction] = ()
    ) -> SongRow:
        """Put a new analysis of the same stems in the place of the old one.

        Args:
            song_id: the song.
            analysis: of the same roles.
            corrections: what a person said that led to it; noted in the same transaction.

        Raises:
            UsageError: no such id.
            ValueError: the roles differ from the song's, or the analysis holds what cannot be.
            UnwritableOutput, LibraryUnusable: see :meth:`add_song`.
        """
        mapping.check_analysis(analysis)
        found = {stem.role: stem for stem in analysis.stems}
        old = {stem.features_sha for stem in self.stems(song_id)}
        with self._database.writing() as session:
            song = song_of(session, song_id)
            rows = session.scalars(select(Stem).where(Stem.song_id == song_id)).all()
            if sorted(found) != sorted(row.role for row in rows):
                raise ValueError(
                    f"song {song_id} has {sorted(row.role for row in rows)}, "
                    f"the analysis is of {sorted(found)}"
                )
            mapping.apply_analysis(song, analysis)
            session.add_all(self._entry(song_id, correction) for correction in corrections)
            by_role: dict[str, Stem] = {row.role: row for row in rows}
            for role, stem in found.items():
                sha = self._blobs.store_features(stem.features)
                mapping.apply_stem_analysis(by_role[role], stem, sha)
            _changed(session)
            row = mapping.song_row(song)
        collect(self._database, self._blobs, features=old)
        return row

    def correct(self, song_id: str, correction: Correction) -> Correction:
        """Note what a person says about a song; it is kept even if the song is removed.

        Raises:
            UsageError: no such id.
            UnwritableOutput, LibraryUnusable: see :meth:`add_song`.
        """
        entry = self._entry(song_id, correction)
        with self._database.writing() as session:
            song_of(session, song_id)
            session.add(entry)
            _changed(session)
        return replace(correction, made_at=entry.made_at)

    def _entry(self, song_id: str, correction: Correction) -> CorrectionEntry:
        return CorrectionEntry(
            song_id=song_id,
            field=correction.field,
            value=correction.value,
            made_at=self._stamp(),
        )

    def remove(self, song_id: str) -> SongRow:
        """Take a song out, with every file that no other song needs; returns what it was.

        Raises:
            UsageError: no such id.
            UnwritableOutput, LibraryUnusable: see :meth:`add_song`.
        """
        with self._database.writing() as session:
            row = mapping.song_row(song_of(session, song_id))
            stems = session.scalars(select(Stem).where(Stem.song_id == song_id)).all()
            audio = {stem.audio_sha for stem in stems}
            features = {stem.features_sha for stem in stems}
            session.execute(delete(Song).where(Song.id == song_id))
            _changed(session)
        collect(self._database, self._blobs, audio=audio, features=features)
        return row

    def verify(self, *, older_than_s: float = SWEEP_AGE_S) -> list[Problem]:
        """Check every row and every byte of every file; reads the whole library.

        Args:
            older_than_s: files without a row that are younger may belong to a writer at work and
                are no problem.

        Returns:
            what is wrong, in the order of the songs; an empty list when nothing is.
        """
        return find_problems(self._database, self._blobs, older_than_s=older_than_s)

    def sweep(self, *, older_than_s: float = SWEEP_AGE_S) -> Swept:
        """Remove what killed runs left: unfinished files, and files that no row names.

        Args:
            older_than_s: younger files may belong to a writer at work and stay.

        Raises:
            UnwritableOutput, LibraryUnusable: see :meth:`add_song`.
        """
        return sweep(self._database, self._blobs, older_than_s=older_than_s)

    def _add_known(self, new: NewSong, song_id: str) -> SongRow | None:
        """The song if it is in already, with its new sources noted."""
        with self._database.reading() as session:
            if session.get(Song, song_id) is None:
                return None
        with self._database.writing() as session:
            song = session.get(Song, song_id)
            if song is None:  # removed in between
                return None
            _note_sources(session, song_id, new.sources)
            return mapping.song_row(song)

    def _store(self, new: NewSong) -> Mapping[Role, _StemFiles]:
        features = {stem.role: stem.features for stem in new.analysis.stems}
        return {
            stem.role: _StemFiles(
                self._stored(stem), self._blobs.store_features(features[stem.role])
            )
            for stem in new.stems
        }

    def _stored(self, stem: NewStem) -> StoredAudio:
        if isinstance(stem.audio, Waveform):
            return self._blobs.store_audio(stem.audio)
        if not self._blobs.path("audio", stem.audio.sha).is_file():
            raise UnusableInput(
                f"The stored audio of the {stem.role} is no longer in the library.",
                hint="Add the song again.",
            )
        return stem.audio

    def _all_there(self, files: Mapping[Role, _StemFiles]) -> bool:
        return all(
            self._blobs.path("audio", stem.audio.sha).is_file()
            and self._blobs.path("features", stem.features_sha).is_file()
            for stem in files.values()
        )

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="milliseconds")


def _changed(session: Session) -> None:
    session.execute(update(LibraryState).values(revision=LibraryState.revision + 1))


def _stem_rows(
    song_id: str, analysis: SongAnalysis, files: Mapping[Role, _StemFiles]
) -> list[Stem]:
    return [
        mapping.new_stem(
            song_id,
            stem,
            audio=files[stem.role].audio,
            features_sha=files[stem.role].features_sha,
        )
        for stem in analysis.stems
    ]


def _note_sources(session: Session, song_id: str, sources: Iterable[SourceFile]) -> None:
    """Add the source rows that are not there yet."""
    rows = [mapping.new_source(song_id, source) for source in sources]
    query = select(Source.file_sha, Source.path).where(Source.song_id == song_id)
    known = {(sha, path) for sha, path in session.execute(query)}
    for row in rows:
        if (row.file_sha, row.path) not in known:
            known.add((row.file_sha, row.path))
            session.add(row)
            _changed(session)
