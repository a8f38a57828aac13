"""What it costs to rank: candidates per second of each model, and of rendering each one first.

    python -m benchmarks.ranking_cost LIBRARY [--candidates 24]

One vocal window of eight bars asks, windows of harmonic stems of the other songs answer; every way
gets the same candidates, untransposed, one after the other in one run, on one thread. ``fit`` and
the rules have the stored features at hand. Models that listen are timed as rankers, at first sight
(audio is decoded, spectrograms are made) and again (what is kept of each stem and of the vocal is
at hand). Rendering first is what Huang et al. (AAAI 2021) did: each candidate is stretched to the
vocal's tempo by Rubber Band R3, its spectrogram is taken, and PreMixNet looks at vocal and
candidate. The last column is the time of that way over the time of each. Weights play no part in
the time, so a network without a checkpoint is timed untrained; ``published`` is PreMixNet at full
width.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from engine.audio.stretch import Stretcher, default_stretcher
from engine.errors import MissingDependency
from engine.evaluation.axes import WINDOW_BARS, originals_of
from engine.evaluation.corpus import EvaluationSong, Passage, load_songs
from engine.evaluation.gallery import Gallery
from engine.evaluation.windows import windows_of
from engine.library.library import Library
from engine.models.audio_source import Recording, Sound, session_audio
from engine.models.mix_nets.beat_mel import BeatMels, levelled, scaled
from engine.models.mix_nets.mel import MEL
from engine.models.mix_nets.network import MixNet, NetKind, NetSettings, for_listening, mashability
from engine.models.mix_nets.ranker import MixRanker
from engine.models.ranker import Ranker
from engine.models.registry import SHIPPED, load_ranker
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.embedding_store import EmbeddingStore
from engine.models.stem_jepa.ranker import JepaRanker
from engine.training.mix_nets.run import small_net

#: Runs of a way that has everything at hand; the median counts.
_REPEATS: Final = 15
_BY_FEATURES: Final = ("random", "chroma", "automashupper-tool", "automashupper", "fit")
_MIX_NETS: Final[tuple[NetKind, ...]] = ("premixnet", "postmixnet")


def question(songs: Sequence[EvaluationSong], count: int) -> tuple[Passage, Gallery, float]:
    """A vocal window, ``count`` windows of other songs, and the vocal's tempo [BPM]."""
    original = next(o for song in songs for o in originals_of(song))
    vocal = original.vocal
    assert vocal.sound is not None
    found = [
        window
        for song in songs
        if song.id != original.song.id
        and song.beats_per_bar == vocal.beats_per_bar
        and "harmonic" in song.stems
        for window in windows_of(song.stems["harmonic"], WINDOW_BARS)
    ]
    tempo_bpm = 60.0 * vocal.sound.beats / vocal.sound.duration_s
    return vocal, Gallery(tuple(found[:count])), tempo_bpm


def rendered_first(
    vocal: Passage, gallery: Gallery, tempo_bpm: float, net: MixNet, stretcher: Stretcher
) -> list[float]:
    """Scores of all candidates, each stretched, looked at and judged for itself."""
    assert vocal.sound is not None
    voice = levelled(BeatMels().of(vocal.sound))
    silent = np.full_like(voice, -80.0)
    found = []
    for passage in gallery.passages:
        assert passage.sound is not None
        audio = session_audio(passage.sound, tempo_bpm, MEL.sample_rate, stretcher)
        plane = levelled(BeatMels().of(_on_grid(audio, passage.sound.beats, tempo_bpm)))
        planes = scaled(np.stack([voice, plane, silent])[None])
        with torch.no_grad():
            found.append(float(mashability(net(torch.from_numpy(planes)))[0]))
    return found


def _on_grid(audio: np.ndarray, beats: int, tempo_bpm: float) -> Sound:
    def read(start_s: float, end_s: float, rate: int) -> np.ndarray:
        first, frames = round(start_s * rate), round((end_s - start_s) * rate)
        result = np.zeros(frames, dtype=np.float32)
        low, high = max(first, 0), min(first + frames, audio.size)
        if low < high:
            result[low - first : high - first] = audio[low:high]
        return result

    edges = np.arange(beats + 1) * 60.0 / tempo_bpm
    return Sound(Recording("rendered", read), np.stack([edges[:-1], edges[1:]], axis=1))


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Median time of ``work``."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def mix_ranker(name: NetKind, folder: Path) -> Ranker:
    """Trained where there is a checkpoint, else the small network as it begins."""
    try:
        return load_ranker(name, folders=(folder / "models",))
    except MissingDependency:
        return MixRanker(MixNet(small_net(name)))


def stem_jepa() -> Ranker:
    """The one that comes with dawlink, without the embeddings that other runs have kept."""
    return JepaRanker(load_stem_jepa(SHIPPED / "stem-jepa.safetensors"), EmbeddingStore(None))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--candidates", type=int, default=24)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with Library.open(given.library, create=False, read_only=True) as library:
        songs = load_songs(library, [song.id for song in library.songs()])
        vocal, gallery, tempo_bpm = question(songs, given.candidates)
        rows: list[tuple[str, float]] = []
        for name in _BY_FEATURES:
            ranker = load_ranker(name)
            gallery.scores(vocal, ranker)
            rows.append((name, seconds(lambda r=ranker: gallery.scores(vocal, r), _REPEATS)))  # type: ignore[misc]
        listeners = {kind: mix_ranker(kind, given.library) for kind in _MIX_NETS}
        for kind, ranker in {**listeners, "stem-jepa": stem_jepa()}.items():
            first = seconds(lambda r=ranker: gallery.scores(vocal, r))  # type: ignore[misc]
            rows.append((f"{kind}, at first sight", first))
            rows.append((f"{kind}, again", seconds(lambda r=ranker: gallery.scores(vocal, r), 3)))  # type: ignore[misc]
        stretcher = default_stretcher()
        nets = {
            "rendered, then premixnet": small_net("premixnet"),
            "rendered, then premixnet (published)": NetSettings("premixnet"),
        }
        for name, settings in nets.items():
            net = for_listening(MixNet(settings))
            taken = seconds(
                lambda n=net: rendered_first(vocal, gallery, tempo_bpm, n, stretcher)  # type: ignore[misc]
            )
            rows.append((name, taken))
    slow = dict(rows)["rendered, then premixnet"]
    print(f"{len(gallery)} candidates of {WINDOW_BARS} bars")
    print(f"{'model':40} {'ms a candidate':>15} {'candidates/s':>13} {'faster':>9}")
    for name, taken in rows:
        each = taken / len(gallery)
        print(f"{name:40} {1e3 * each:15.2f} {1 / each:13.1f} {slow / taken:8.1f}x")


if __name__ == "__main__":
    main()
