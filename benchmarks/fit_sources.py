"""Notes or sound: the fit model's towers trained on piano rolls, on rendered songs, and on both.

    python -m benchmarks.fit_sources --data CORPUS --train LIBRARY --val LIBRARY

The libraries hold songs of the corpus that were rendered and analysed, which ``corpus.csv`` beside
them splits (:func:`engine.training.midi_audio.corpus.render_corpus` makes them). Every kind is
trained for the same number of steps and judged on the validation songs, as notes and as sound;
lines with a minus are paired by window with the first kind, resampled by song. In ``both``, half of
the windows are of either kind; a batch holds one window of a composition, so ``--batch`` should not
exceed the number of rendered songs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.automashupper import automashupper
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import dense_weights
from engine.models.ranker import Ranker
from engine.training.fit.check import ANY_KEY, KEY_GIVEN, WindowPairs, bootstrap, midi_pairs, ranks
from engine.training.fit.data import FitBank
from engine.training.fit.library import (
    AnalysedSong,
    LibraryWindows,
    analysed_songs,
    song_pairs,
    useful,
)
from engine.training.fit.material import RollWindows, WindowSource, mixed
from engine.training.fit.steps import FitSettings, train_towers
from engine.training.material import LibrarySongs
from engine.training.midi_corpus import load_corpus

_KINDS: Final = ("rolls", "stems", "both")
_SEARCHES: Final = {"given": KEY_GIVEN, "any": ANY_KEY}


@dataclass(frozen=True)
class Alike:
    """A source that counts as one song, so that two of them give as many windows each."""

    source: WindowSource
    songs: int = 1

    @property
    def groups(self) -> tuple[str, ...]:
        """Its compositions."""
        return self.source.groups

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """Its windows."""
        return self.source.bank(windows, seed=seed)


def trained(source: WindowSource, settings: FitSettings) -> FitRanker:
    """Towers without curves, which do not change ranks."""
    begun = time.process_time()
    weights = dense_weights(train_towers(source, settings=settings).weights())
    print(f"  trained in {(time.process_time() - begun) / 60:.1f} minutes of processor time")
    return FitRanker(FitModel(weights, settings.sizes, FitCurves.plain(rules=settings.rules)))


def show(title: str, rankers: Mapping[str, Ranker], pairs: WindowPairs) -> None:
    """Mean ranks, and differences to the first ranker."""
    songs = len(set(pairs.query_groups))
    print(f"{title}: {len(pairs.queries)} queries of {songs} songs, {len(pairs.stems)} beds")
    for label, semitones in _SEARCHES.items():
        first: NDArray[np.float64] | None = None
        for name, ranker in rankers.items():
            values = ranks(ranker, pairs, semitones=semitones)
            mean = bootstrap(values, pairs.query_groups)
            line = f"  {name:14s} {label:6s} {mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
            if first is not None:
                apart = bootstrap(values - first, pairs.query_groups)
                line += f"  minus first {apart.mean:+.3f} [{apart.low:+.3f}, {apart.high:+.3f}]"
            first = values if first is None else first
            print(line, flush=True)


def _songs(library: Path, split: str) -> list[AnalysedSong]:
    songs, _ = useful(analysed_songs(LibrarySongs(library)))
    return [song for song in songs if song.split == split]


def main() -> None:
    """Read the arguments, train and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the MIDI corpus")
    parser.add_argument("--train", type=Path, required=True, help="library of its train songs")
    parser.add_argument("--val", type=Path, required=True, help="library of its val songs")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache-dir", type=Path, default=None)
    given = parser.parse_args()
    settings = FitSettings(
        steps=given.steps, schedule=given.steps, batch=given.batch, seed=given.seed
    )
    corpus = load_corpus(given.data, cache_dir=given.cache_dir)
    rolls = RollWindows(corpus.of("train"))
    stems = LibraryWindows(_songs(given.train, "train"))
    both = mixed([Alike(rolls), Alike(stems)])
    print(f"{rolls.songs} songs as notes, {stems.songs} as sound; {given.steps} steps", flush=True)
    sources = dict(zip(_KINDS, (rolls, stems, both), strict=True))
    rankers: dict[str, Ranker] = {
        kind: trained(source, settings) for kind, source in sources.items()
    }
    rankers["automashupper"] = automashupper()
    show("validation songs as sound", rankers, song_pairs(_songs(given.val, "val")))
    show("validation songs as notes", rankers, midi_pairs(corpus.of("val"), 2, seed=5))


if __name__ == "__main__":
    main()
