"""A library of click tracks with known beats, and a clip whose beats are bent in a known way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW, KeyEstimate, SongAnalysis, StemAnalysis, TempoEstimate
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Key, Role

RATE = 44100
BARS = 16
TEMPI = (100.0, 118.0, 124.0, 130.0)
#: (seconds, beat) of the clip: two tempi, so that no single factor fits.
MARKERS = ((0.25, 0.0), (0.25 + 8 * 0.55, 8.0), (0.25 + 8 * 0.55 + 8 * 0.5, 16.0))


def clicks(times_s: NDArray[np.float64], duration_s: float, *, pitch_hz: float) -> Waveform:
    """A decaying tone at every time."""
    signal = np.zeros(round(duration_s * RATE) + RATE, dtype=np.float64)
    t = np.arange(2000) / RATE
    click = 0.5 * np.sin(2 * np.pi * pitch_hz * t) * np.exp(-t * 150)
    for time_s in times_s:
        at = round(float(time_s) * RATE)
        signal[at : at + click.size] += click
    return Waveform(signal[None, : round(duration_s * RATE)].astype(np.float32), RATE)


def make_library(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    beats = 4 * BARS
    roles: tuple[Role, ...] = ("harmonic", "drums")
    with Library.open(folder) as library:
        for number, bpm in enumerate(TEMPI):
            grid = BeatGrid(60 / bpm * np.arange(beats + 1))
            audio = {
                role: clicks(grid.beats_s[:-1], grid.beats_s[-1] + 1, pitch_hz=pitch)
                for role, pitch in zip(roles, (600.0 + number, 2000.0 + number), strict=True)
            }
            add_song(library, rng, f"Song {number} – ű", grid, audio)
    return folder


def add_song(
    library: Library,
    rng: np.random.Generator,
    title: str,
    grid: BeatGrid,
    audio: dict[Role, Waveform],
) -> str:
    beats = grid.intervals
    song = library.add_song(
        NewSong(
            title=title,
            kind="multitrack",
            stems=tuple(NewStem(role, waveform) for role, waveform in audio.items()),
            analysis=SongAnalysis(
                grid=grid,
                tempo=TempoEstimate(grid.tempo_bpm, 1.0, steady=True),
                key=KeyEstimate(Key(int(rng.integers(12)), "minor"), 1.0, "made"),
                tuning_cents=0.0,
                tracker="made",
                tracked_on="made",
                duration_s=float(grid.beats_s[-1]),
                windows=(),
                stems=tuple(
                    StemAnalysis(role, _rows(rng, beats), -20.0, -6.0, np.ones(beats, np.bool_))
                    for role in audio
                ),
            ),
        )
    )
    return song.id


def write_clip(path: Path) -> Path:
    """Sixteen beats along :data:`MARKERS`, a tone of its own on each."""
    seconds, beats = np.array(MARKERS).T
    times = np.interp(np.arange(16), beats, seconds)
    clip = clicks(times, float(seconds[-1]) + 0.5, pitch_hz=1000.0)
    soundfile.write(path, clip.samples.T, RATE, subtype="PCM_16")
    return path


def onsets_s(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Where the sound jumps up after quiet."""
    level = np.abs(np.concatenate([np.zeros(128, np.float32), samples]))
    short = np.convolve(level, np.ones(64) / 64, mode="same")
    loud = short > 0.25 * short.max()
    starts = np.flatnonzero(loud[1:] & ~loud[:-1])
    kept = [start for i, start in enumerate(starts) if i == 0 or start - starts[i - 1] > rate // 20]
    return (np.array(kept, dtype=np.float64) - 128) / rate


def _rows(rng: np.random.Generator, beats: int) -> NDArray[np.void]:
    rows = np.zeros(beats, dtype=BEAT_ROW)
    chroma = np.repeat(rng.random((beats // 4, 12)) ** 3, 4, axis=0) + 0.05
    rows["chroma"] = chroma / np.linalg.norm(chroma, axis=1, keepdims=True)
    rows["onsets"] = (rng.random((beats, 12, 3)) < 0.2) * 200
    rows["bands"] = rng.uniform(0.05, 0.2, (beats, 3))
    return rows
