"""The tables of the library.

Column types are portable (no SQLite-only type or SQL): the same classes serve PostgreSQL.
Every change here comes with a migration in ``migrations/versions`` and a new
:data:`SCHEMA_VERSION`; a test compares the two. Arrays are little-endian: ``beats`` float64
seconds, ``active`` one bit per beat, most significant first (``numpy.packbits``).

A correction has no foreign key on purpose: what a person said about a song outlives the rows
that analysis made, and finds the song again by its content-derived id.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["SCHEMA_VERSION", "Base", "CorrectionEntry", "LibraryState", "Song", "Source", "Stem"]

#: The newest migration; a library that names another one unknown here is from a newer dawlink.
SCHEMA_VERSION: Final = "0001"

# A letter and twelve hex digits, in the order of their bytes whatever the server's language.
_ID = String(13).with_variant(String(13, collation="C"), "postgresql")
_SHA = String(64)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can alter it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {float: Double}  # noqa: RUF012 (SQLAlchemy reads a plain dict)


class LibraryState(Base):
    """One row: counts changes, so that another process notices them."""

    __tablename__ = "library_state"
    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int]


class Song(Base):
    """A piece of music on one beat grid. ``key_tonic`` is NULL when it carries no pitch."""

    __tablename__ = "song"
    __table_args__ = (
        CheckConstraint("duration_s > 0", name="duration"),
        CheckConstraint("tempo_bpm > 0", name="tempo"),
        CheckConstraint("beats_per_bar BETWEEN 1 AND 12", name="metre"),
        CheckConstraint("grid_confidence BETWEEN 0 AND 1", name="grid_confidence"),
        CheckConstraint("key_tonic BETWEEN 0 AND 11", name="key"),
        CheckConstraint("(key_tonic IS NULL) = (key_mode IS NULL)", name="key_whole"),
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    content_sha: Mapped[str] = mapped_column(_SHA)
    title: Mapped[str]
    artist: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    duration_s: Mapped[float]
    tempo_bpm: Mapped[float]
    tempo_confidence: Mapped[float]
    tempo_steady: Mapped[bool]
    tempo_hypotheses: Mapped[list[list[float]]] = mapped_column(JSON)  # [bpm, multiple, weight]
    beats_per_bar: Mapped[int]
    beat_count: Mapped[int]  # beat intervals: one less than beat times
    grid_confidence: Mapped[float]
    key_tonic: Mapped[int | None]
    key_mode: Mapped[str | None] = mapped_column(String(8))
    key_confidence: Mapped[float]
    key_method: Mapped[str]
    key_agreement: Mapped[bool]
    tuning_cents: Mapped[float]
    tracker: Mapped[str]
    tracked_on: Mapped[str]
    separator: Mapped[str]
    added_at: Mapped[str] = mapped_column(String(32))  # ISO 8601, UTC
    feature_version: Mapped[int]
    notes: Mapped[list[str]] = mapped_column(JSON)
    # Large and seldom wanted, so they come last and are read only when asked for.
    windows: Mapped[list[list[object]]] = mapped_column(JSON, deferred=True)
    beats: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Stem(Base):
    """One role of a song: its audio, its levels and its beat-grid features."""

    __tablename__ = "stem"
    __table_args__ = (
        UniqueConstraint("song_id", "role"),
        CheckConstraint("gain_db >= 0", name="gain"),
        CheckConstraint("sample_rate > 0", name="rate"),
        CheckConstraint("channels > 0", name="channels"),
        CheckConstraint("frames > 0", name="frames"),
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    song_id: Mapped[str] = mapped_column(ForeignKey("song.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(16), index=True)
    audio_sha: Mapped[str] = mapped_column(_SHA, index=True)
    gain_db: Mapped[float]
    sample_rate: Mapped[int]
    channels: Mapped[int]
    frames: Mapped[int]
    loudness_lufs: Mapped[float]
    true_peak_db: Mapped[float]
    features_sha: Mapped[str] = mapped_column(_SHA, index=True)
    beat_count: Mapped[int]
    active: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class Source(Base):
    """A file that a song was made from. One file may have made several songs."""

    __tablename__ = "source"
    __table_args__ = (UniqueConstraint("song_id", "file_sha", "path"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    song_id: Mapped[str] = mapped_column(ForeignKey("song.id", ondelete="CASCADE"))
    file_sha: Mapped[str] = mapped_column(_SHA, index=True)
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str | None] = mapped_column(String(16))


class CorrectionEntry(Base):
    """What a person said about a song, in the order it was said."""

    __tablename__ = "correction"
    id: Mapped[int] = mapped_column(primary_key=True)
    song_id: Mapped[str] = mapped_column(_ID, index=True)
    field: Mapped[str] = mapped_column(String(16))
    value: Mapped[float | str | None] = mapped_column(JSON(none_as_null=True))
    made_at: Mapped[str] = mapped_column(String(32))
