"""Embeddings of single stems as rows of a library's server, one for each bar.

Thousands of small files are slow to open over a network; one query brings them all. Where the
server has pgvector the columns are of its type ``halfvec``, which holds the same half-precision
numbers, so that other programs can search bars by likeness in SQL; elsewhere they are bytes. Both
give the same numbers back, bit for bit. Like the files in their place these tables are derived:
they may be dropped at any time and are no part of the schema.

A row holds the beats of one bar end to end. Ranking reads them once and compares by matrix products
(:mod:`engine.models.coarse`): it tries every start and every transposition, which the server's
operators would compute one by one (``benchmarks/studio.py``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from engine.library.database import Database
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.embedding import Embedding

__all__ = ["EmbeddingTable"]

#: Keys that one query asks for: some tens of megabytes at most.
_TOGETHER: Final = 500
#: Beats of one row. Bars of any metre lie in rows of four beats: a row is a unit of storage.
_ROW_BEATS: Final = 4
#: A ``halfvec`` as it is sent: number of values, an unused number, then big-endian halves.
_VECTOR_HEAD: Final = 4
#: Where the extension's type is; nothing where there is none, or one of an older pgvector.
_VECTOR_SCHEMA: Final = text(
    "SELECT quote_ident(n.nspname) FROM pg_extension e "
    "JOIN pg_namespace n ON n.oid = e.extnamespace "
    "JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = 'halfvec' WHERE e.extname = 'vector'"
)


class EmbeddingTable:
    """An :class:`~engine.embeddings.files.EmbeddingKeeper` in a PostgreSQL database."""

    def __init__(self, database: Database, model: FitModel) -> None:
        self._database = database
        self._tag = model.tag
        self._widths = (12 * model.sizes.pitch_values, model.sizes.rhythm_values)
        with database.reading() as session:
            schema = session.scalar(_VECTOR_SCHEMA)
        self._vectors = f"{schema}.halfvec" if schema else ""
        self._table = "embedding_vectors" if schema else "embedding_bytes"

    def known(self, keys: Sequence[str]) -> set[str]:
        """See :class:`~engine.embeddings.files.EmbeddingKeeper`."""
        query = f"SELECT DISTINCT key FROM {self._table} WHERE model = :model AND key = ANY(:keys)"
        return {str(row[0]) for row in self._rows(query, list(keys))}

    def several(self, keys: Sequence[str]) -> Iterator[tuple[str, Embedding]]:
        """See :class:`~engine.embeddings.files.EmbeddingKeeper`."""
        columns = ("pitch", "rhythm")
        sent = [f"{self._vectors}_send({name})" if self._vectors else name for name in columns]
        query = (
            f"SELECT key, number, beats, {', '.join(sent)} FROM {self._table} "
            "WHERE model = :model AND key = ANY(:keys) ORDER BY key, number"
        )
        for first in range(0, len(keys), _TOGETHER):
            rows = self._rows(query, list(keys[first : first + _TOGETHER]))
            for key, of_key in itertools.groupby(rows, key=lambda row: str(row[0])):
                found = self._joined(list(of_key))
                if found is not None:
                    yield key, found

    def put(self, embeddings: Iterable[tuple[str, Embedding]]) -> None:
        """See :class:`~engine.embeddings.files.EmbeddingKeeper`."""
        kept = [(key, made) for key, made in embeddings if _is_finite(made)]
        vector = f"CAST(CAST(:{{0}} AS double precision[]) AS {self._vectors})"
        cast = vector if self._vectors else ":{0}"
        insert = text(
            f"INSERT INTO {self._table} (model, key, number, beats, pitch, rhythm) VALUES "
            f"(:model, :key, :number, :beats, {cast.format('pitch')}, {cast.format('rhythm')})"
        )
        remove = text(f"DELETE FROM {self._table} WHERE model = :model AND key = ANY(:keys)")
        if not kept:
            return
        with self._database.writing() as session:
            connection = session.connection()
            self._make(connection)
            connection.execute(remove, {"model": self._tag, "keys": [key for key, _ in kept]})
            rows = [row for key, made in kept for row in self._stored(key, made)]
            connection.execute(insert, rows)

    def where(self, _key: str, /) -> Path | None:
        """See :class:`~engine.embeddings.files.EmbeddingKeeper`; rows lie in no file."""
        return None

    def sweep(self, wanted: AbstractSet[str], older_than_s: float) -> int:
        """See :class:`~engine.embeddings.files.EmbeddingKeeper`."""
        old = text(
            f"DELETE FROM {self._table} WHERE (model <> :model OR NOT key = ANY(:keys)) "
            "AND made_at <= now() - make_interval(secs => :age) RETURNING key"
        )
        with self._database.writing() as session:
            connection = session.connection()
            self._make(connection)
            given = {"model": self._tag, "keys": sorted(wanted), "age": older_than_s}
            return len(set(connection.scalars(old, given)))

    def _make(self, connection: Connection) -> None:
        """The table, when it is not there."""
        if connection.scalar(text("SELECT to_regclass(:name)"), {"name": self._table}) is None:
            kind = self._vectors or "bytea"
            connection.execute(
                text(
                    f"CREATE TABLE {self._table} (model text, key text, number integer, "
                    f"beats integer NOT NULL, pitch {kind}, rhythm {kind} NOT NULL, "
                    "made_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (model, key, number))"
                )
            )

    def _rows(self, query: str, keys: list[str]) -> Sequence[Sequence[object]]:
        with self._database.reading() as session:
            try:
                found = session.execute(text(query), {"model": self._tag, "keys": keys})
                return [tuple(row) for row in found]
            except ProgrammingError as error:
                if getattr(error.orig, "sqlstate", "") == "42P01":  # no such table yet
                    return []
                raise

    def _stored(self, key: str, made: Embedding) -> Iterator[dict[str, object]]:
        beats = len(made.rhythm)
        for number, first in enumerate(range(0, beats, _ROW_BEATS)):
            rows = slice(first, first + _ROW_BEATS)
            yield {
                "model": self._tag,
                "key": key,
                "number": number,
                "beats": min(_ROW_BEATS, beats - first),
                "pitch": self._written(made.pitch[rows]) if made.pitch.size else None,
                "rhythm": self._written(made.rhythm[rows]),
            }

    def _written(self, values: NDArray[np.float16]) -> object:
        flat = values.astype("<f2").ravel()
        return flat.tolist() if self._vectors else flat.tobytes()

    def _joined(self, rows: Sequence[Sequence[object]]) -> Embedding | None:
        """The embedding of one key; None when rows are missing or do not fit."""
        numbers, beats = [row[1] for row in rows], [int(str(row[2])) for row in rows]
        if numbers != list(range(len(rows))):
            return None
        pitch_width = 0 if rows[0][3] is None else self._widths[0]
        try:
            pitch = self._read([row[3] for row in rows], beats, pitch_width)
            rhythm = self._read([row[4] for row in rows], beats, self._widths[1])
        except (TypeError, ValueError):
            return None
        return Embedding(self._tag, pitch, rhythm)

    def _read(
        self, parts: Sequence[object], beats: Sequence[int], width: int
    ) -> NDArray[np.float16]:
        """(beats, width) of the values of consecutive rows."""
        if width == 0:
            return np.zeros((sum(beats), 0), np.float16)
        head, kind = (_VECTOR_HEAD, ">f2") if self._vectors else (0, "<f2")
        values = b"".join(bytes(part)[head:] for part in parts if isinstance(part, bytes))
        return np.frombuffer(values, kind).astype(np.float16).reshape(sum(beats), width)


def _is_finite(made: Embedding) -> bool:
    """What holds an infinity is not kept: vectors cannot hold one."""
    return bool(np.isfinite(made.pitch).all() and np.isfinite(made.rhythm).all())
