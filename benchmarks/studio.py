"""A library on a server: where its embeddings lie, and why ranking does not search them there.

    python -m benchmarks.studio [reading] [search] [--json FILE]

``reading`` keeps the embeddings of 200 stems of 300 beats as files, as bytes and as vectors, and
reads them all back. ``search`` compares the coarse stage of a search through 10 000 stems of five
four-bar windows: the matrix product of :mod:`engine.models.coarse` on one core, which tries a
four-bar clip from every bar in seven transpositions, and pgvector's inner product in SQL, which is
asked for less: the seven transpositions of a clip that begins on a window. Needs the developer's
tools, which bring a PostgreSQL server with pgvector; it is started on a free port.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import text

from benchmarks.figures import Figure, run_parts
from engine.embeddings.files import EmbeddingFiles, EmbeddingKeeper
from engine.embeddings.table import EmbeddingTable
from engine.library.library import Library
from engine.models.coarse import Windows
from engine.models.fit.checkpoint import load_fit
from engine.models.fit.coarse import coarse_scores
from engine.models.fit.embedding import Embedding
from engine.parallel.threads import one_blas_thread
from tests.servers import Postgres, postgres_programs, vector_programs

_STEMS: Final = 200
_BEATS: Final = 300
_POOL: Final = 10_000
_WINDOWS: Final = 5
_SEMITONES: Final = (-3, -2, -1, 0, 1, 2, 3)
_REPEATS: Final = 5
_SEED: Final = 3


@contextmanager
def library_on(programs: Path | None, folder: Path) -> Iterator[Library]:
    """A new library on a server of its own."""
    if programs is None:
        raise SystemExit("no PostgreSQL server here: python3 bootstrap.py test sets one up")
    with Postgres(programs) as server, Library.open(server.place(folder)) as library:
        yield library


def reading(folder: Path) -> list[Figure]:
    """Seconds to read every embedding of a pool."""
    model, rng = load_fit(), np.random.default_rng(_SEED)
    widths = 12 * model.sizes.pitch_values, model.sizes.rhythm_values
    made = {
        f"{number:024x}": Embedding(
            model.tag, *(rng.normal(size=(_BEATS, w)).astype(np.float16) for w in widths)
        )
        for number in range(_STEMS)
    }

    def measured(name: str, keeper: EmbeddingKeeper) -> list[Figure]:
        keeper.put(made.items())
        seconds = best(lambda: sum(1 for _ in keeper.several(list(made))))
        return [Figure(f"{_STEMS} embeddings read from {name}", seconds, "s")]

    figures = measured("files on this disk", EmbeddingFiles(folder, model.tag))
    for name, programs in (("bytes", postgres_programs()), ("vectors", vector_programs())):
        with library_on(programs, folder / name) as library:
            figures += measured(f"a table of {name}", EmbeddingTable(library.database, model))
    return figures


def search(folder: Path) -> list[Figure]:
    """Milliseconds of the first stage of one search."""
    rng = np.random.default_rng(_SEED)
    per_bar = 12 * load_fit().sizes.pitch_values
    count = _POOL * _WINDOWS
    rows = rng.normal(size=(count, 4 * per_bar)).astype(np.float16).astype(np.float32)
    first = np.arange(0, count + 1, _WINDOWS)
    stem = np.repeat(np.arange(_POOL), _WINDOWS)
    bars = np.full(_POOL, 4 * _WINDOWS)
    windows = Windows(np.ascontiguousarray(rows.T), np.zeros((count, 0)), first, stem, bars)
    query = rng.normal(size=(4, 4 * per_bar)).astype(np.float32)
    with one_blas_thread():
        coarse_scores(query, windows, _SEMITONES, beats_per_bar=4)  # lays the windows out
        ours = best(lambda: coarse_scores(query, windows, _SEMITONES, beats_per_bar=4))
    with library_on(vector_programs(), folder) as library:
        theirs = best(in_sql(library, query.reshape(4, 4, -1).sum(axis=1)))
    return [
        Figure("matrix product, every bar and transposition", 1e3 * ours, "ms"),
        Figure("pgvector, transpositions of one bar in four", 1e3 * theirs, "ms"),
        Figure("pgvector / matrix product", theirs / ours, "×"),
    ]


def in_sql(library: Library, bars: np.ndarray) -> Callable[[], None]:
    """One query for the hundred best stems by their best window and transposition."""
    with library.database.writing() as session:
        session.execute(text("CREATE TABLE windows (stem integer, v public.halfvec)"))
        session.execute(
            text(
                "INSERT INTO windows SELECT n / :windows, CAST(ARRAY(SELECT random() - 0.5 "
                "FROM generate_series(1, :size) WHERE n = n) AS public.halfvec) "
                "FROM generate_series(0, :last) n"
            ),
            {"windows": _WINDOWS, "size": bars.size, "last": _POOL * _WINDOWS - 1},
        )
    with library.database.writing() as session:
        session.execute(text("ANALYZE windows"))
    turned = [np.roll(bars.reshape(4, -1, 12), -shift, axis=2).ravel() for shift in _SEMITONES]
    asked = {f"q{number}": str(values.tolist()) for number, values in enumerate(turned)}
    products = [f"v OPERATOR(public.<#>) CAST(:{name} AS public.halfvec)" for name in asked]
    query = text(
        f"SELECT stem, min(least({', '.join(products)})) FROM windows "
        "GROUP BY stem ORDER BY 2 LIMIT 100"
    )

    def ask() -> None:
        with library.database.reading() as session:
            session.execute(query, asked).all()

    return ask


def best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of a few runs."""
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> int:
    """Run the parts that are asked for."""
    return run_parts({"reading": reading, "search": search}, __doc__.splitlines()[0])


if __name__ == "__main__":
    sys.exit(main())
