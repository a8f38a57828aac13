"""The fit model against the rules: where the true bed ranks among the beds of other songs.

    python -m benchmarks.fit --data CORPUS --split val
    python -m benchmarks.fit --library LIBRARY
    python -m benchmarks.fit --data CORPUS --split test --reliability PICTURE.png

The first line measures windows of MIDI songs that training never saw, under random sounds, as they
were written and turned into vamps; the second, windows of the vocals and harmonic stems of an
analysed library. Normalised ranks, 0 is best and 0.5 is chance, with 95 % intervals by song; lines
with a minus are paired differences to AutoMashUpper (below 0 the fit model is better). Where two
arrangements of a composition contradict each other (:mod:`engine.training.arrangements`), a second
table leaves the wrong one out. See :mod:`engine.training.fit.check`. The third asks for clips of 4
to 32 bars of whole songs in a library of all of them and shows how often pairs of a given score
belong together (:mod:`engine.training.fit.calibration`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from engine.models.automashupper import automashupper
from engine.models.baselines import MeanChroma
from engine.models.fit.checkpoint import SHIPPED_FIT, FitModel, load_fit
from engine.models.fit.curves import CURVE_BARS, GROUP, JUDGED, probability
from engine.models.fit.ranker import FitRanker
from engine.models.ranker import Ranker
from engine.theory import Role
from engine.training.arrangements import contradicting
from engine.training.fit.calibration import (
    Reliability,
    drawn_songs,
    evidence,
    reliability,
)
from engine.training.fit.check import WindowPairs, compared, midi_pairs
from engine.training.fit.judge_calibration import judged_log_odds
from engine.training.fit.library import analysed_songs, song_pairs
from engine.training.fit.questions import ValidationSongs
from engine.training.material import LibrarySongs
from engine.training.midi_corpus import SHIPPABLE_SETS, MidiSong, load_corpus

#: What asks for what; ``other`` over bass is no singing, but more songs have both.
_QUERIES: Final[tuple[tuple[Role, Role], ...]] = (("vocals", "harmonic"), ("other", "bass"))


#: Seeds of the drawings of the songs' sounds for reliability.
_DRAWINGS: Final = (11,)


def show(title: str, rankers: dict[str, Ranker], pairs: WindowPairs) -> None:
    """One table."""
    songs = len(set(pairs.query_groups))
    print(f"{title}: {len(pairs.queries)} queries of {songs} songs, {len(pairs.stems)} beds")
    if songs < 2:
        return
    for name, value in compared(rankers, pairs, reference="automashupper").items():
        print(f"  {name:32s} {value.mean:+.3f} [{value.low:+.3f}, {value.high:+.3f}]")


def show_reliability(model: FitModel, songs: Sequence[MidiSong], picture: Path) -> None:
    """Calibration errors and ranks by length of clip as text, their curves as a picture."""
    drawn = [ValidationSongs(model, drawn_songs(songs, seed=seed)) for seed in _DRAWINGS]
    curves: dict[tuple[str, int], Reliability] = {}
    print("calibration error (expected), score of the middle foreign stem; rank by the towers")
    for bars in CURVE_BARS:
        odds = [judged_log_odds(model, d, bars=bars, seed=s) for s, d in enumerate(drawn)]
        seen = [evidence(model, d, bars=bars, seed=s) for s, d in enumerate(drawn)]
        for name in JUDGED:
            own, foreign = (
                np.concatenate(part) for part in zip(*(found[name] for found in odds), strict=True)
            )
            if not own.size or not foreign.size:
                continue
            curves[name, bars] = reliability(own, foreign)
            middle = float(probability(np.median(foreign)))
            line = f"  {bars:2d} bars, {name:8s}: {curves[name, bars].error:.3f} {middle:.2f}"
            if name != GROUP:
                line += f"; {np.nanmean(np.concatenate([s[name].ranks for s in seen])):.4f}"
            print(f"{line} ({own.size} clips)", flush=True)
    _draw(curves, picture)


def _draw(curves: dict[tuple[str, int], Reliability], picture: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(JUDGED), figsize=(15, 3.6), sharey=True)
    for axis, kind in zip(axes, JUDGED, strict=True):
        axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for bars in [bars for bars in CURVE_BARS if (kind, bars) in curves]:
            curve = curves[kind, bars]
            label = f"{bars} bars, error {curve.error:.3f}"
            axis.plot(curve.predicted, curve.found, marker="o", markersize=3, label=label)
        title = "harmonic and drums" if kind == GROUP else f"{kind} alone"
        axis.set(title=title, xlabel="score", xlim=(0, 1), ylim=(0, 1))
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("share that belongs together (even odds)")
    figure.tight_layout()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_FIT)
    parser.add_argument("--data", type=Path, help="a MIDI corpus")
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--library", type=Path, help="a library of analysed multitracks")
    parser.add_argument("--reliability", type=Path, help="picture of the scores' calibration")
    given = parser.parse_args()
    model = load_fit(given.checkpoint)
    rankers: dict[str, Ranker] = {
        "chroma": MeanChroma(),
        "automashupper": automashupper(),
        "fit": FitRanker(model),
    }
    if given.data is not None:
        corpus = load_corpus(given.data, cache_dir=given.cache_dir)
        songs = corpus.of(given.split, sets=SHIPPABLE_SETS)
        if given.reliability is not None:
            show_reliability(model, songs, given.reliability)
            return
        show(f"MIDI {given.split}, as written", rankers, midi_pairs(songs, 2, seed=5))
        wrong = {song.file for song in contradicting(songs)}
        if wrong:
            fair = [song for song in songs if song.file not in wrong]
            title = f"MIDI {given.split}, as written, without {', '.join(sorted(wrong))}"
            show(title, rankers, midi_pairs(fair, 2, seed=5))
        vamps = midi_pairs(songs, 2, seed=6, plain=False)
        show(f"MIDI {given.split}, a quarter vamps, a third thinned", rankers, vamps)
        karaoke = corpus.of(given.split, sets=("tegridy_karaoke", "tegridy_children"))
        show(f"MIDI {given.split}, karaoke sets", rankers, midi_pairs(karaoke, 6, seed=5))
    if given.library is not None:
        heard = [s for s in analysed_songs(LibrarySongs(given.library)) if s.beats_per_bar == 4]
        for query, bed in _QUERIES:
            pairs = song_pairs(heard, query, bed)
            show(f"library, {query} over {bed}", rankers, pairs)


if __name__ == "__main__":
    main()
