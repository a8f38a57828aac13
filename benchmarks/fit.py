"""The fit model against the rules: where the true bed ranks among the beds of other songs.

    python benchmarks/fit.py --data CORPUS --split val
    python benchmarks/fit.py --library LIBRARY

The first line measures windows of MIDI songs that training never saw, under random sounds, as they
were written and turned into vamps; the second, windows of the vocals and harmonic stems of an
analysed library. Normalised ranks, 0 is best and 0.5 is chance, with 95 % intervals by song; lines
with a minus are paired differences to AutoMashUpper (below 0 the fit model is better). See
:mod:`engine.training.fit_check`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.library.library import Library
from engine.library.rows import StemRow
from engine.models.automashupper import automashupper
from engine.models.baselines import MeanChroma
from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import SHIPPED_FIT, load_fit
from engine.models.ranker import Ranker
from engine.theory import Role
from engine.training.fit_check import WindowPairs, compared, midi_pairs
from engine.training.fit_data import WINDOW_BEATS
from engine.training.midi_corpus import SHIPPABLE_SETS, load_corpus

#: A window counts when its query sounds in this share of its beats, and its bed in that.
_SINGING, _PLAYING = 0.3, 0.5
#: What asks for what; ``other`` over bass is no singing, but more songs have both.
_QUERIES: Final[tuple[tuple[Role, Role], ...]] = (("vocals", "harmonic"), ("other", "bass"))


Table = NDArray[np.void]


def library_pairs(folder: Path, query: Role, bed: Role) -> WindowPairs:
    """Windows of eight bars, every four; beds without a query compete too."""
    queries: list[Table] = []
    own: list[tuple[str, Table]] = []
    other: list[tuple[str, Table]] = []
    with Library.open(folder, create=False, read_only=True) as library:
        titles = {song.id: song.title for song in library.songs() if song.beats_per_bar == 4}
        by_role = {(stem.song_id, stem.role): stem for stem in library.stems()}
        for song_id, title in titles.items():
            if (song_id, bed) not in by_role:
                continue
            played = _windows(library, by_role[song_id, bed])
            sung = _windows(library, by_role[song_id, query]) if (song_id, query) in by_role else []
            for number, (rows, playing) in enumerate(played):
                if playing < _PLAYING:
                    continue
                if number < len(sung) and sung[number][1] >= _SINGING:
                    queries.append(sung[number][0])
                    own.append((title, rows))
                else:
                    other.append((title, rows))
    beds = own + other
    return WindowPairs(queries, [rows for _, rows in beds], tuple(title for title, _ in beds), bed)


def _windows(library: Library, stem: StemRow) -> list[tuple[Table, float]]:
    """Feature rows of each window, and the share of its beats that sound."""
    rows = np.array(library.features(stem))
    active = library.active([stem.role])[stem.id]
    rows[~active] = np.zeros((), rows.dtype)
    firsts = range(0, rows.size - WINDOW_BEATS + 1, WINDOW_BEATS // 2)
    spans = [slice(first, first + WINDOW_BEATS) for first in firsts]
    return [(rows[beats], float(active[beats].mean())) for beats in spans]


def show(title: str, rankers: dict[str, Ranker], pairs: WindowPairs) -> None:
    """One table."""
    songs = len(set(pairs.query_groups))
    print(f"{title}: {len(pairs.queries)} queries of {songs} songs, {len(pairs.stems)} beds")
    if songs < 2:
        return
    for name, value in compared(rankers, pairs, reference="automashupper").items():
        print(f"  {name:32s} {value.mean:+.3f} [{value.low:+.3f}, {value.high:+.3f}]")


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_FIT)
    parser.add_argument("--data", type=Path, help="a MIDI corpus")
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--library", type=Path, help="a library of analysed multitracks")
    given = parser.parse_args()
    rankers: dict[str, Ranker] = {
        "chroma": MeanChroma(),
        "automashupper": automashupper(),
        "fit": FitRanker(load_fit(given.checkpoint)),
    }
    if given.data is not None:
        corpus = load_corpus(given.data, cache_dir=given.cache_dir)
        songs = corpus.of(given.split, sets=SHIPPABLE_SETS)
        show(f"MIDI {given.split}, as written", rankers, midi_pairs(songs, 2, seed=5))
        vamps = midi_pairs(songs, 2, seed=6, plain=False)
        show(f"MIDI {given.split}, a quarter vamps, a third thinned", rankers, vamps)
        karaoke = corpus.of(given.split, sets=("tegridy_karaoke", "tegridy_children"))
        show(f"MIDI {given.split}, karaoke sets", rankers, midi_pairs(karaoke, 6, seed=5))
    if given.library is not None:
        for query, bed in _QUERIES:
            pairs = library_pairs(given.library, query, bed)
            show(f"library, {query} over {bed}", rankers, pairs)


if __name__ == "__main__":
    main()
