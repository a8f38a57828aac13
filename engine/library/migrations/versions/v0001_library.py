"""The first schema: state, songs, stems, sources, corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(13).with_variant(sa.String(13, collation="C"), "postgresql")
_SHA = sa.String(64)


def upgrade() -> None:
    state = op.create_table(
        "library_state",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library_state"),
    )
    op.bulk_insert(state, [{"id": 1, "revision": 0}])
    _create_song()
    _create_stem()
    _create_source()
    op.create_table(
        "correction",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("song_id", _ID, nullable=False),
        sa.Column("field", sa.String(16), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_correction"),
    )
    op.create_index("ix_correction_song_id", "correction", ["song_id"])


def _create_song() -> None:
    op.create_table(
        "song",
        sa.Column("id", _ID, nullable=False),
        sa.Column("content_sha", _SHA, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("artist", sa.String, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("duration_s", sa.Double, nullable=False),
        sa.Column("tempo_bpm", sa.Double, nullable=False),
        sa.Column("tempo_confidence", sa.Double, nullable=False),
        sa.Column("tempo_steady", sa.Boolean, nullable=False),
        sa.Column("tempo_hypotheses", sa.JSON, nullable=False),
        sa.Column("beats_per_bar", sa.Integer, nullable=False),
        sa.Column("beat_count", sa.Integer, nullable=False),
        sa.Column("grid_confidence", sa.Double, nullable=False),
        sa.Column("key_tonic", sa.Integer, nullable=True),
        sa.Column("key_mode", sa.String(8), nullable=True),
        sa.Column("key_confidence", sa.Double, nullable=False),
        sa.Column("key_method", sa.String, nullable=False),
        sa.Column("key_agreement", sa.Boolean, nullable=False),
        sa.Column("tuning_cents", sa.Double, nullable=False),
        sa.Column("tracker", sa.String, nullable=False),
        sa.Column("tracked_on", sa.String, nullable=False),
        sa.Column("separator", sa.String, nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("feature_version", sa.Integer, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("windows", sa.JSON, nullable=False),
        sa.Column("beats", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_song"),
        sa.CheckConstraint("duration_s > 0", name=op.f("ck_song_duration")),
        sa.CheckConstraint("tempo_bpm > 0", name=op.f("ck_song_tempo")),
        sa.CheckConstraint("beats_per_bar BETWEEN 1 AND 12", name=op.f("ck_song_metre")),
        sa.CheckConstraint("grid_confidence BETWEEN 0 AND 1", name=op.f("ck_song_grid_confidence")),
        sa.CheckConstraint("key_tonic BETWEEN 0 AND 11", name=op.f("ck_song_key")),
        sa.CheckConstraint(
            "(key_tonic IS NULL) = (key_mode IS NULL)", name=op.f("ck_song_key_whole")
        ),
    )


def _create_stem() -> None:
    op.create_table(
        "stem",
        sa.Column("id", _ID, nullable=False),
        sa.Column("song_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("audio_sha", _SHA, nullable=False),
        sa.Column("gain_db", sa.Double, nullable=False),
        sa.Column("sample_rate", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("loudness_lufs", sa.Double, nullable=False),
        sa.Column("true_peak_db", sa.Double, nullable=False),
        sa.Column("features_sha", _SHA, nullable=False),
        sa.Column("beat_count", sa.Integer, nullable=False),
        sa.Column("active", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stem"),
        sa.ForeignKeyConstraint(
            ["song_id"], ["song.id"], name="fk_stem_song_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("song_id", "role", name="uq_stem_song_id"),
        sa.CheckConstraint("gain_db >= 0", name=op.f("ck_stem_gain")),
        sa.CheckConstraint("sample_rate > 0", name=op.f("ck_stem_rate")),
        sa.CheckConstraint("channels > 0", name=op.f("ck_stem_channels")),
        sa.CheckConstraint("frames > 0", name=op.f("ck_stem_frames")),
    )
    for column in ("role", "audio_sha", "features_sha"):
        op.create_index(f"ix_stem_{column}", "stem", [column])


def _create_source() -> None:
    op.create_table(
        "source",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("song_id", _ID, nullable=False),
        sa.Column("file_sha", _SHA, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("role", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_source"),
        sa.ForeignKeyConstraint(
            ["song_id"], ["song.id"], name="fk_source_song_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("song_id", "file_sha", "path", name="uq_source_song_id"),
    )
    op.create_index("ix_source_file_sha", "source", ["file_sha"])
