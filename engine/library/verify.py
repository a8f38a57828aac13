"""Looking at every row and every byte, and naming what is damaged or missing.

Rows are checked for values that cannot be, files against the hashes that name them (audio is
decoded for that), and both against each other. The database's own checks come first: when they
fail, rows cannot be trusted and the rest is reported as far as it can be read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.analysis.records import BEAT_ROW, FEATURE_VERSION
from engine.errors import LibraryUnusable
from engine.library import mapping
from engine.library.blobs import BlobKind, BlobStore
from engine.library.database import Database
from engine.library.rows import Problem, SongKind, SongRow, StemRow, stem_id_for
from engine.library.schema import Song, Stem
from engine.library.sweeping import is_old, named
from engine.theory import ROLES

__all__ = ["find_problems"]

_KINDS: Final[tuple[BlobKind, ...]] = ("audio", "features")
_MAX_TEMPO_BPM: Final = 1000.0  # nobody plays or programs faster; beyond is a unit mix-up
_READD: Final = "Remove the song and add it again."
_SWEEP: Final = "Nothing is lost; the next `dawlink add` removes it."


@dataclass(frozen=True)
class _Blob:
    """A file that a stem's row names."""

    kind: BlobKind
    sha: str
    song_id: str
    title: str
    stem: StemRow
    feature_version: int


def find_problems(database: Database, blobs: BlobStore, *, older_than_s: float) -> list[Problem]:
    """Everything that is wrong with a library (see ``Library.verify``)."""
    problems: list[Problem] = []
    try:
        hint = database.backend.damage_hint
        problems += (_database_problem(line, hint) for line in database.integrity_problems())
        wanted: list[_Blob] = []
        with database.reading() as session:
            for song_id in session.scalars(select(Song.id).order_by(Song.added_at)).all():
                problems += _row_problems(session, song_id, wanted)
        problems += _file_problems(database, blobs, wanted)
        problems += _rests(database, blobs, older_than_s)
    except LibraryUnusable as error:
        problems.append(Problem("database", error.message, error.hint))
    return problems


def _database_problem(line: str, hint: str) -> Problem:
    return Problem("database", f"The database is damaged: {line}.", hint)


def _row_problems(session: Session, song_id: str, wanted: list[_Blob]) -> Iterator[Problem]:
    """Impossible values of one song; fills ``wanted`` with the files of its stems."""
    title = ""
    try:
        song = session.get_one(Song, song_id)
        title = song.title
        row = mapping.song_row(song)
        faults = list(_song_faults(song, row))
    except (ValueError, TypeError) as error:
        message = f"{title!r} ({song_id}) has impossible values: {error}."
        yield Problem("impossible", message, _READD, None, song_id, title)
        return
    stems = session.scalars(select(Stem).where(Stem.song_id == song_id).order_by(Stem.role)).all()
    if not stems:
        faults.append("it has no stems")
    for stem in stems:
        stem_row = mapping.stem_row(stem)
        faults += (f"{stem.role}: {fault}" for fault in _stem_faults(stem, stem_row, row))
        for kind, sha in (("audio", stem.audio_sha), ("features", stem.features_sha)):
            wanted.append(
                _Blob(
                    "audio" if kind == "audio" else "features",
                    sha,
                    song_id,
                    row.title,
                    stem_row,
                    row.feature_version,
                )
            )
    for fault in faults:
        message = f"{row.title!r} ({song_id}) has impossible values: {fault}."
        yield Problem("impossible", message, _READD, None, song_id, row.title)


def _song_faults(song: Song, row: SongRow) -> Iterator[str]:
    grid = mapping.grid_of(song)
    mapping.windows_of(song.windows)
    if grid.intervals != row.beats:
        yield f"{row.beats} beats, its map has {grid.intervals}"
    if row.kind not in get_args(SongKind):
        yield f"kind {row.kind!r}"
    if not 0 < row.tempo.bpm <= _MAX_TEMPO_BPM:
        yield f"a tempo of {row.tempo.bpm} BPM"
    if not 0 < row.duration_s < math.inf:
        yield f"a length of {row.duration_s} s"
    for name, share in (("tempo", row.tempo.confidence), ("key", row.key.confidence)):
        if not 0 <= share <= 1:
            yield f"a {name} confidence of {share}"


def _stem_faults(stem: Stem, row: StemRow, song: SongRow) -> Iterator[str]:
    if stem.role not in ROLES:
        yield "no such role"
    elif stem.id != stem_id_for(stem.song_id, row.role):
        yield f"its id {stem.id} belongs to another stem"
    audio = row.audio
    if audio.sample_rate <= 0 or audio.frames <= 0 or audio.channels <= 0:
        yield f"{audio.frames} frames, {audio.channels} channels, {audio.sample_rate} Hz"
    if not 0 <= audio.gain_db < math.inf:
        yield f"a storage gain of {audio.gain_db} dB"
    if row.beats != song.beats:
        yield f"{row.beats} feature rows for {song.beats} beats"
    try:
        mapping.active_of(stem.active, row.beats)
    except (ValueError, TypeError) as error:
        yield str(error)


def _file_problems(database: Database, blobs: BlobStore, wanted: list[_Blob]) -> list[Problem]:
    """Missing and damaged files, checked on every core, reported in the order of the songs."""
    distinct = list({(blob.kind, blob.sha): blob for blob in wanted}.values())
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        states = pool.map(lambda blob: _state(blobs, blob), distinct)
        bad = {(b.kind, b.sha): s for b, s in zip(distinct, states, strict=True) if s}
    if not bad:
        return []
    with database.reading() as session:  # a song may have been removed meanwhile
        still = {kind: named(session, kind) for kind in _KINDS}
    return [
        _file_problem(blob, bad[blob.kind, blob.sha], blobs.path(blob.kind, blob.sha))
        for blob in wanted
        if (blob.kind, blob.sha) in bad and blob.sha in still[blob.kind]
    ]


def _state(blobs: BlobStore, blob: _Blob) -> str:
    """What is wrong with a file; empty when it is whole."""
    if not blobs.path(blob.kind, blob.sha).is_file():
        return "missing"
    try:
        if not blobs.is_whole(blob.kind, blob.sha):
            return "damaged"
        if blob.kind == "features":
            rows = blobs.features(blob.sha)
            today = blob.feature_version == FEATURE_VERSION
            fits = rows.shape == (blob.stem.beats,) and (not today or rows.dtype == BEAT_ROW)
        else:
            fits = blobs.audio_frames(blob.sha) == blob.stem.audio.frames
    except (OSError, LibraryUnusable) as error:
        return f"damaged: {error}"
    return "" if fits else "damaged: it does not fit its row"


def _file_problem(blob: _Blob, state: str, path: Path) -> Problem:
    noun = "audio is" if blob.kind == "audio" else "features are"
    message = f"{blob.title!r} ({blob.song_id}), {blob.stem.role}: its {noun} {state}: {path}."
    return Problem(
        "missing" if state == "missing" else "damaged",
        message,
        _READD,
        path,
        blob.song_id,
        blob.title,
    )


def _rests(database: Database, blobs: BlobStore, older_than_s: float) -> list[Problem]:
    """What killed runs left behind."""
    found = [
        Problem("leftover", f"{path} was never finished.", _SWEEP, path)
        for path in blobs.unfinished()
        if is_old(path, older_than_s)
    ]
    for kind in _KINDS:
        there = list(blobs.names(kind))  # before the rows: what is named in between is no orphan
        with database.reading() as session:
            wanted = named(session, kind)
        found += [
            Problem("orphan", f"{path} belongs to no song.", _SWEEP, path)
            for sha, path in there
            if sha not in wanted and is_old(path, older_than_s)
        ]
    return found
