"""How fast the fit model answers: ``python -m benchmarks.fit_speed [--windows 10000 100000]``.

First, placing alone: stems of random features and embeddings in memory, twenty four-bar windows
each, under a clip of eight bars in seven transpositions, by the fit model and by the rules. *First*
makes the windows of the coarse search, *warm* has them.

With ``--library`` whole questions too: a synthetic library is made whose harmonic stems have so
many windows, and a vocal is asked for. There *first* is a process that has opened nothing yet but
finds the clip analysed and the embeddings stored; *embedding* is what storing them costs for one
stem. Wall time; the best run says most on a machine that has other work.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed import Figure, synthetic_library, timed
from dawlink.demo import write_demo_vocal
from engine.analysis.records import BEAT_ROW
from engine.clips.clip import ClipRequest
from engine.embeddings.stems import embed_song
from engine.engine import Engine
from engine.library.library import Library
from engine.models.automashupper import automashupper
from engine.models.fit.checkpoint import FitModel, load_fit
from engine.models.fit.embedding import Embedding
from engine.models.fit.ranker import FitRanker
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Search
from engine.suggestions import SuggestOptions

#: Four-bar windows of one stem of the synthetic library.
_WINDOWS_PER_STEM: Final = 20
_WARM_RUNS: Final = 40
_T = TypeVar("_T", bound=np.generic)
_MODELS: Final = ("fit", "automashupper")


class _Stored:
    """An embedding that was made before."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    def of(self, model: FitModel) -> Embedding:
        """The embedding, whatever the model."""
        del model
        return self._embedding


def placing(windows: int) -> list[Figure]:
    """The best place of every stem of a pool in memory."""
    rng = np.random.default_rng(3)
    stems, beats = windows // _WINDOWS_PER_STEM, 16 * _WINDOWS_PER_STEM
    model = load_fit()
    some = rng.standard_normal((64 * beats, 12 * model.sizes.pitch_values)).astype(np.float16)
    chroma = rng.random((64 * beats, 12)).astype(np.float16)
    onsets = rng.integers(0, 256, (64 * beats, 12, 3)).astype(np.uint8)
    repeats = -(-stems // 64)

    def tiled(values: NDArray[_T]) -> NDArray[_T]:
        return np.concatenate([values] * repeats)[: stems * beats]

    rhythm = np.zeros((stems * beats, model.sizes.rhythm_values), np.float16)
    pool = RolePool(
        role="harmonic",
        beats_per_bar=4,
        stem_ids=tuple(f"s{i:06d}" for i in range(stems)),
        offsets=np.arange(stems + 1, dtype=np.int64) * beats,
        chroma=tiled(chroma),
        onsets=tiled(onsets),
        bands=np.full((stems * beats, 3), 0.1, np.float16),
        active=np.ones(stems * beats, np.bool_),
        embeddings=_Stored(Embedding(model.tag, tiled(some), rhythm)),
    )
    rows = np.zeros(32, BEAT_ROW)
    rows["chroma"], rows["onsets"] = chroma[:32], onsets[:32]
    clip = ClipFeatures(rows, np.ones(32, np.bool_), 4)
    search = Search(tuple(range(-3, 4)))
    found = []
    for ranker in (FitRanker(model), automashupper()):
        ask = partial(ranker.place, clip, pool, search)
        first = timed(ask)
        times = [timed(ask) for _ in range(_WARM_RUNS // 2)]
        label = f"{windows:,} windows, placing by {ranker.name}"
        found += [
            Figure(f"{label}: first", 1000 * first, "ms"),
            Figure(f"{label}: warm, median", 1000 * float(np.median(times)), "ms"),
            Figure(f"{label}: warm, best", 1000 * min(times), "ms"),
        ]
    return found


def figures(folder: Path, windows: int) -> list[Figure]:
    """One library, every model."""
    vocal = write_demo_vocal(folder)
    path = folder / f"library-{windows}"
    synthetic_library(path, songs=windows // _WINDOWS_PER_STEM)
    with Library.open(path) as library:
        songs = [song.id for song in library.songs()]
        one = timed(lambda: embed_song(library, songs[0])) / len(library.stems(songs[0]))
        for song_id in songs[1:]:
            embed_song(library, song_id)
    found = [Figure(f"{windows:,} windows: embedding one stem", 1000 * one, "ms")]
    for model in _MODELS:
        ask = partial(_ask, ClipRequest(vocal), model)
        with Engine.open(path) as engine:  # builds the index and analyses the clip
            ask(engine)
        with Engine.open(path) as engine:
            first = timed(partial(ask, engine))
            times = [timed(partial(ask, engine)) for _ in range(_WARM_RUNS)]
        label = f"{windows:,} windows, {model}"
        found += [
            Figure(f"{label}: first", 1000 * first, "ms"),
            Figure(f"{label}: warm, median", 1000 * float(np.median(times)), "ms"),
            Figure(f"{label}: warm, p99", 1000 * float(np.quantile(times, 0.99)), "ms"),
        ]
    return found


def _ask(request: ClipRequest, model: str, engine: Engine) -> None:
    engine.suggest(request, SuggestOptions(), model=model)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--library", action="store_true", help="also whole questions to a library")
    given = parser.parse_args()
    for windows in given.windows:
        for figure in placing(windows):
            print(f"{figure.what:48s} {figure.value:8.1f} {figure.unit}", flush=True)
        if not given.library:
            continue
        with tempfile.TemporaryDirectory(prefix="dawlink-fit-speed-") as folder:
            for figure in figures(Path(folder), windows):
                print(f"{figure.what:48s} {figure.value:8.1f} {figure.unit}", flush=True)


if __name__ == "__main__":
    main()
