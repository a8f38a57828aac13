"""Do rendered stems lie on the grid? ``python -m benchmarks.alignment SONGS… [--json FILE]``.

Every multitrack song is added to a library of its own, and its clip, drums and mix are rendered at
a tempo 10 % above its own. Reported per song: whether all files share one frame count, and how far
the drums' onsets lie from the nearest sixteenth of the session's grid (median and 95th percentile;
half of a sixteenth is the worst there can be). Onsets come from librosa (spectral flux, 5.8 ms,
interpolated between frames), which knows nothing of dawlink's own beat finding, and whose own
constant lag is taken out by measuring it on a click track. Swing and played feel are in
the figures too: the same distances in the *source*, against its beat map, are printed beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.audio.decode import decode
from engine.clips.clip import ClipRequest
from engine.delivery.records import RenderOptions
from engine.engine import Engine
from engine.grid import BeatGrid
from engine.ingest.adding import AddOptions, add_sources, plan_all
from engine.suggestions import SuggestOptions

FASTER = 1.1
BARS = 64
_HOP, _RATE = 128, 22050


@dataclass(frozen=True)
class Row:
    """One song's result; distances in milliseconds."""

    song: str
    tempo_bpm: float
    rendered_bpm: float
    onsets: int
    source_median_ms: float
    source_p95_ms: float
    median_ms: float
    p95_ms: float
    same_frames: bool


def main() -> int:
    """Render every song and print the distances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", nargs="+", type=Path, help="folders of multitrack songs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    plans, _ = plan_all(arguments.songs, AddOptions())
    with tempfile.TemporaryDirectory(prefix="dawlink-alignment-") as folder:
        for number, plan in enumerate(plans):
            row = measure([plan], Path(folder) / str(number))
            if row is not None:
                rows.append(row)
    columns = list(Row.__annotations__)
    table = Table(*columns)
    for row in rows:
        table.add_row(
            *(f"{v:.2f}" if isinstance(v, float) else str(v) for v in asdict(row).values())
        )
    Console(width=150).print(table)
    if arguments.json:
        text = json.dumps([asdict(row) for row in rows], indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0


def measure(plans: list, folder: Path) -> Row | None:
    """Add one song, render its drums and its own first 64 bars; None without drums."""
    outcome = next(iter(add_sources(plans, folder / "library", AddOptions())))
    with Engine.open(folder / "library") as engine:
        stems = {stem.role: stem for stem in engine.library.stems(outcome.song_id)}
        if "drums" not in stems or not outcome.song_id:
            return None
        song, grid = engine.library.song(outcome.song_id), engine.library.grid(outcome.song_id)
        target = FASTER * song.tempo.bpm
        clip = folder / "clip.wav"
        voice = engine.library.waveform(stems.get("vocals") or stems["harmonic"])
        soundfile.write(clip, voice.samples.T, voice.sample_rate)
        reply = engine.suggest(
            ClipRequest(
                clip,
                tempo_bpm=song.tempo.bpm,
                downbeat_s=max(float(grid.beats_s[0]), 0.0),
                bars=min(BARS, grid.bars),
            ),
            SuggestOptions(
                tempo_bpm=target, roles=("percussion",), include_own=True, max_semitones=0
            ),
        )
        rendered = engine.render(
            reply,
            reply.suggestions[:1],
            RenderOptions(out=folder / "out"),
            describe=lambda *_: {},
        )[0]
        placement = reply.suggestions[0].stems[0].placement
        drums = decode(engine.library.audio_path(stems["drums"]))
    files = [rendered.stems[0].path, rendered.clip.path, rendered.mix.path]
    frames = {soundfile.info(path).frames for path in files}
    heard, rate = soundfile.read(files[0], always_2d=True)
    steady = BeatGrid.constant(target, end_s=len(heard) / rate)
    after = distances_ms(heard.T, rate, steady, 0.0, len(heard) / rate)
    low, high = placement.source_span_s(grid)
    before = distances_ms(drums.samples, drums.sample_rate, grid, low, high)
    return Row(
        song=song.title,
        tempo_bpm=song.tempo.bpm,
        rendered_bpm=target,
        onsets=after.size,
        source_median_ms=float(np.median(before)),
        source_p95_ms=float(np.quantile(before, 0.95)),
        median_ms=float(np.median(after)),
        p95_ms=float(np.quantile(after, 0.95)),
        same_frames=frames == {rendered.session.frames},
    )


def distances_ms(
    samples: NDArray[np.floating], rate: int, grid: BeatGrid, low_s: float, high_s: float
) -> NDArray[np.float64]:
    """Distance of every onset in [low_s, high_s) to the nearest sixteenth of ``grid``."""
    onsets = onsets_s(samples.mean(axis=0), rate) - LAG_S
    onsets = onsets[(onsets >= low_s) & (onsets < high_s)]
    sixteenths = 4 * grid.beat_at(onsets)
    nearest = np.rint(sixteenths) / 4
    return np.abs(onsets - grid.time_at(nearest)) * 1000


def onsets_s(mono: NDArray[np.floating], rate: int) -> NDArray[np.float64]:
    """Onsets by librosa's spectral flux, placed between frames by a parabola."""
    import librosa

    signal = librosa.resample(mono.astype(np.float32), orig_sr=rate, target_sr=_RATE)
    strength = librosa.onset.onset_strength(y=signal, sr=_RATE, hop_length=_HOP, n_fft=512)
    frames = librosa.onset.onset_detect(
        onset_envelope=strength, sr=_RATE, hop_length=_HOP, units="frames", delta=0.2
    )
    frames = frames[(frames > 0) & (frames < strength.size - 1)]
    left, middle, right = strength[frames - 1], strength[frames], strength[frames + 1]
    bend = left - 2 * middle + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0)
    return (frames + np.clip(shift, -0.5, 0.5)) * _HOP / _RATE


def _lag_s() -> float:
    """How late the onset detector is on clicks at known times."""
    times = 0.37 + 0.31 * np.arange(60)
    track = np.zeros(int(22 * _RATE), dtype=np.float32)
    rng = np.random.default_rng(0)
    for time_s in times:
        start = round(time_s * _RATE)
        burst = rng.standard_normal(800) * np.exp(-np.arange(800) / 120)
        track[start : start + 800] += burst.astype(np.float32)
    found = onsets_s(track, _RATE)
    nearest = found[np.abs(found[:, None] - times[None, :]).argmin(axis=0)]
    return float(np.median(nearest - times))


LAG_S = _lag_s()

if __name__ == "__main__":
    sys.exit(main())
