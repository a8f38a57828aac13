"""The fit model behind a transcription front end, against the constant-Q features that it reads.

    python -m benchmarks.fit_transcription --library LIBRARY [--split val] [--train CORPUS]

The front end is the network of basic-pitch (Bittner et al. 2022, "A lightweight instrument-agnostic
model for polyphonic note transcription and multipitch estimation", ICASSP): posteriors of 88 notes,
86 times a second. They idle near 0.1, so ``log10(p / 0.1)``, clipped, is averaged over quarters of
the beats and folded into the chroma of beats and half beats that the towers look at; onsets and
levels stay as they are. Windows, beds and searches are those of ``benchmarks/fit.py``; differences
are paired by window, their intervals resample songs. With ``--train`` the towers are trained anew
on piano rolls, once as usual and once seen through the same squashing.

It needs two packages more than dawlink: ``pip install onnxruntime`` and, because it only lends its
network, ``pip install --no-deps basic-pitch``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import LOGFREQ_BINS, LOGFREQ_FLOOR_DB, LOGFREQ_FRAMES
from engine.audio.resample import resample
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.models.automashupper import automashupper
from engine.models.fit.checkpoint import SHIPPED_FIT, FitModel, load_fit
from engine.models.fit.curves import FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import dense_weights
from engine.models.ranker import Ranker
from engine.theory import Role
from engine.training.fit.check import ANY_KEY, KEY_GIVEN, WindowPairs, bootstrap, ranks
from engine.training.fit.data import FitBank, Prepared, bank_of, prepared
from engine.training.fit.library import AnalysedSong, analysed_songs, song_pairs
from engine.training.fit.material import RollWindows, WindowSource
from engine.training.fit.steps import FitSettings, train_towers
from engine.training.fit.windows import draw_window
from engine.training.material import LibrarySongs
from engine.training.midi_corpus import MidiSong, load_corpus

#: The network: rate [Hz], samples that it takes at a time, samples between its frames, and frames
#: at both ends that do not see enough around them.
_RATE_HZ, _WINDOW, _HOP, _EDGE = 22050, 43844, 256, 15
_LOWEST_NOTE, _LOWEST_BIN = 21, 24
_NOTES: Final = "StatefulPartitionedCall:1"
#: Posteriors idle here; tenfold is certain.
_IDLE: Final = 0.1
#: Compression of the chroma that the towers fold from stored semitones.
_COMPRESSION: Final = 100.0
_CHROMA: Final = slice(12, 72)
#: Rolls fade to nothing over so many decibels, drawn anew for each stem.
_FADE_DB: Final = (10.0, 25.0)
_PITCHED: Final[tuple[Role, ...]] = ("vocals", "harmonic", "other", "bass")
#: Who asks for what.
_QUERIES: Final[tuple[tuple[Role, Role], ...]] = (("vocals", "harmonic"), ("other", "bass"))
_SEARCHES: Final = {"given": KEY_GIVEN, "any": ANY_KEY}

Rows = NDArray[np.void]
Values = NDArray[np.float32]
#: One ranker for constant-Q features, one for transcriptions.
Both = tuple[Ranker, Ranker]


class Transcriber:
    """Note posteriors of a sound."""

    def __init__(self) -> None:
        onnxruntime = importlib.import_module("onnxruntime")
        found = importlib.util.find_spec("basic_pitch")
        if found is None or not found.submodule_search_locations:
            raise SystemExit("pip install onnxruntime, and pip install --no-deps basic-pitch")
        network = Path(found.submodule_search_locations[0]) / "saved_models/icassp_2022/nmp.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(network), options, providers=["CPUExecutionProvider"]
        )
        self._input: str = session.get_inputs()[0].name
        self._run: Callable[[list[str], dict[str, Values]], list[Values]] = session.run

    def __call__(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float64], Values]:
        """(frames,) seconds and (frames, 88) posteriors of mono samples at 22 050 Hz."""
        step = (_WINDOW // _HOP - 2 * _EDGE) * _HOP
        lead = _EDGE * _HOP
        count = -(-(samples.size + _HOP) // step)
        padded = np.zeros((count - 1) * step + _WINDOW, np.float32)
        padded[lead : lead + samples.size] = samples[: padded.size - lead]
        inside = slice(_EDGE, _EDGE + step // _HOP)
        parts = []
        for number in range(count):
            window = padded[number * step :][:_WINDOW].reshape(1, _WINDOW, 1)
            parts.append(self._run([_NOTES], {self._input: window})[0][0, inside])
        values = np.concatenate(parts)
        return np.arange(len(values)) * _HOP / _RATE_HZ, values


def squashed(posteriors: Values) -> Values:
    """0 at idle and below, 1 at ten times that."""
    return np.clip(np.log10(np.maximum(posteriors, 1e-4) / _IDLE), 0, 1).astype(np.float32)


def on_the_grid(times_s: NDArray[np.float64], values: Values, grid: BeatGrid) -> Values:
    """(beats, 4, 96) means over the quarters of the beats, by semitones from C1."""
    beats = grid.intervals
    edges = np.interp(
        np.arange(beats * LOGFREQ_FRAMES + 1) / LOGFREQ_FRAMES,
        np.arange(grid.beats_s.size),
        grid.beats_s,
    )
    ends = np.searchsorted(times_s, edges)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    low, high = ends[:-1], np.maximum(ends[1:], ends[:-1] + 1).clip(max=len(values))
    means = (total[high] - total[np.minimum(low, high - 1)]) / np.maximum(high - low, 1)[:, None]
    table = np.zeros((beats * LOGFREQ_FRAMES, LOGFREQ_BINS), np.float32)
    notes = means[:, _LOWEST_BIN - _LOWEST_NOTE :][:, :LOGFREQ_BINS]
    table[:, : notes.shape[1]] = notes
    return table.reshape(beats, LOGFREQ_FRAMES, LOGFREQ_BINS)


def seen_through(rows: Rows, values: Values) -> Rows:
    """Rows whose pitch content is ``values`` (beats, 4, 96) in [0, 1] instead of their own."""
    power = np.expm1(np.log1p(_COMPRESSION) * values) / _COMPRESSION
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    new = np.array(rows)
    new["logfreq"] = np.rint(255 * np.clip(1 - decibels / LOGFREQ_FLOOR_DB, 0, 1))
    folded = values[:, :, _CHROMA].mean(axis=1).reshape(len(rows), -1, 12).sum(axis=1)
    norm = np.linalg.norm(folded, axis=1, keepdims=True)
    new["chroma"] = np.where(norm > 0, folded / np.maximum(norm, 1e-6), 0)
    return new


def transcribed(
    songs: Sequence[AnalysedSong], folder: Path, network: Transcriber
) -> tuple[list[AnalysedSong], float, float]:
    """The songs as the network hears them, minutes of audio, and seconds of processor time."""
    found, minutes, spent_s = [], 0.0, 0.0
    with Library.open(folder, create=False, read_only=True) as library:
        for song in songs:
            grid = library.grid(song.id)
            stems = dict(song.stems)
            for stem in library.stems(song.id, roles=[r for r in _PITCHED if r in stems]):
                mono = resample(library.waveform(stem), _RATE_HZ).mono()
                peak = float(np.abs(mono).max(initial=0.0))
                begun = time.process_time()
                times_s, posteriors = network(mono / peak if peak else mono)
                spent_s += time.process_time() - begun
                minutes += mono.size / _RATE_HZ / 60
                values = on_the_grid(times_s, squashed(posteriors), grid)
                old = stems[stem.role]
                stems[stem.role] = replace(old, features=seen_through(old.features, values))
            found.append(replace(song, stems=stems))
    return found, minutes, spent_s


@dataclass(frozen=True)
class SquashedRolls:
    """A :class:`~engine.training.fit.material.WindowSource` of rolls seen through the squashing."""

    listed: tuple[MidiSong, ...]

    @property
    def songs(self) -> int:
        """How many there are."""
        return len(self.listed)

    @property
    def groups(self) -> tuple[str, ...]:
        """Their compositions."""
        return tuple(sorted({song.group for song in self.listed}))

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """Windows of songs drawn at random."""
        rng = np.random.default_rng(seed)
        names = {group: i for i, group in enumerate(self.groups)}
        parts: list[Prepared] = []
        chosen: list[int] = []
        while len(parts) < windows:
            number = int(rng.integers(self.songs))
            foreign = self.listed[int(rng.integers(self.songs))]
            found = draw_window(self.listed[number], rng, foreign=foreign)
            if found is not None:
                voice, stem = (faded(rows, rng) for rows in found[:2])
                parts.append(prepared((voice, stem, found[2])))
                chosen.append(number)
        groups = np.array([names[self.listed[number].group] for number in chosen])
        return bank_of(parts, np.array(chosen), groups)


def faded(rows: Rows, rng: np.random.Generator) -> Rows:
    """A roll as the network would hear it: what is far below the loudest note is not there."""
    decibels = LOGFREQ_FLOOR_DB * (1 - rows["logfreq"].astype(np.float32) / 255)
    loudest = float(decibels.max(initial=LOGFREQ_FLOOR_DB))
    values = np.clip(1 + (decibels - loudest) / rng.uniform(*_FADE_DB), 0, 1).astype(np.float32)
    sounding = rows["bands"].max(axis=1) > 0
    return seen_through(rows, values * sounding[:, None, None])


def show(title: str, rankers: Mapping[str, Both], plain: WindowPairs, notes: WindowPairs) -> None:
    """Mean ranks of each on constant-Q and on transcriptions, and what the latter change."""
    songs = len(set(plain.query_groups))
    print(f"{title}: {len(plain.queries)} queries of {songs} songs, {len(plain.stems)} beds")
    for label, semitones in _SEARCHES.items():
        for name, (usual, transcribing) in rankers.items():
            before = ranks(usual, plain, semitones=semitones)
            after = ranks(transcribing, notes, semitones=semitones)
            parts = [
                f"{part.mean:+.3f} [{part.low:+.3f}, {part.high:+.3f}]"
                for part in (bootstrap(v, plain.query_groups) for v in (before, after))
            ]
            apart = bootstrap(after - before, plain.query_groups)
            parts.append(f"{apart.mean:+.3f} [{apart.low:+.3f}, {apart.high:+.3f}]")
            columns = zip(("constant-Q", "transcription", "difference"), parts, strict=True)
            print(f"  {name:14s} {label:6s}", *(f"{what} {said}" for what, said in columns))


def trained(source: WindowSource, settings: FitSettings) -> FitRanker:
    """Towers without curves, which do not change ranks."""
    weights = dense_weights(train_towers(source, settings=settings).weights())
    return FitRanker(FitModel(weights, settings.sizes, FitCurves.plain(rules=settings.rules)))


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--split", choices=("val", "test"), help="of a rendered library; else all")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_FIT)
    parser.add_argument("--train", type=Path, metavar="CORPUS", help="train towers on both kinds")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache-dir", type=Path, default=None)
    given = parser.parse_args()
    songs = [s for s in analysed_songs(LibrarySongs(given.library)) if s.beats_per_bar == 4]
    songs = [s for s in songs if given.split in (None, s.split)]
    shipped = load_fit(given.checkpoint)
    rankers: dict[str, Both] = {"fit": (FitRanker(shipped), FitRanker(shipped))}
    if given.train is not None:
        train = load_corpus(given.train, cache_dir=given.cache_dir).of("train")
        sources: tuple[WindowSource, ...] = (RollWindows(train), SquashedRolls(train))
        settings = FitSettings(steps=given.steps, schedule=given.steps, seed=given.seed)
        usual, squashing = (trained(source, settings) for source in sources)
        rankers["trained here"] = (usual, squashing)
    rankers["automashupper"] = (automashupper(), automashupper())
    network = Transcriber()
    heard, minutes, spent_s = transcribed(songs, given.library, network)
    print(f"{spent_s / minutes:.2f} s of one core for a minute of one stem ({minutes:.0f} minutes)")
    for query, bed in _QUERIES:
        plain, notes = (song_pairs(which, query, bed) for which in (songs, heard))
        if len(set(plain.query_groups)) > 1:
            show(f"{query} over {bed}", rankers, plain, notes)


if __name__ == "__main__":
    main()
