"""Small songs with known content, for the library's tests and the processes that they start."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.analysis.records import (
    BEAT_ROW,
    KeyEstimate,
    SongAnalysis,
    StemAnalysis,
    TempoEstimate,
    TempoHypothesis,
    Window,
)
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.rows import NewSong, NewStem, SongKind, SourceFile
from engine.theory import Key, Role

RATE = 8000
A_MINOR = Key(9, "minor")
ROLES: tuple[Role, ...] = ("bass", "drums", "vocals")


def tone(seed: int, *, frames: int = RATE, channels: int = 2, peak: float = 0.5) -> Waveform:
    """Noise that differs by seed, with exactly that peak."""
    samples = np.random.default_rng(seed).uniform(-1, 1, (channels, frames))
    samples *= peak / np.abs(samples).max()
    return Waveform(samples.astype(np.float32), RATE)


def beat_rows(seed: int, beats: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros(beats, BEAT_ROW)
    rows["logfreq"] = rng.integers(0, 256, rows["logfreq"].shape)
    rows["chroma"] = rng.random(rows["chroma"].shape)
    rows["onsets"] = rng.integers(0, 256, rows["onsets"].shape)
    rows["bands"] = rng.random(rows["bands"].shape)
    return rows


def analysis(
    seed: int = 0,
    *,
    roles: tuple[Role, ...] = ROLES,
    tempo_bpm: float = 120.0,
    bars: int = 2,
    key: Key | None = A_MINOR,
) -> SongAnalysis:
    grid = BeatGrid.constant(tempo_bpm, end_s=bars * 240 / tempo_bpm, confidence=0.9)
    beats = grid.intervals
    active = np.arange(beats) % 3 != 0
    return SongAnalysis(
        grid=grid,
        tempo=TempoEstimate(
            tempo_bpm,
            0.8,
            (TempoHypothesis(tempo_bpm, 1.0, 0.8), TempoHypothesis(tempo_bpm / 2, 0.5, 0.2)),
            steady=True,
        ),
        key=KeyEstimate(key, 0.7, "chroma", agreement=True),
        tuning_cents=-3.5,
        tracker="click",
        tracked_on="drums",
        duration_s=1.0,
        windows=(Window(0, 2, {"drums": 1.0, "bass": 0.5}),),
        stems=tuple(
            StemAnalysis(role, beat_rows(seed * 10 + i, beats), -14.0 - i, -1.0, active)
            for i, role in enumerate(roles)
        ),
        notes=("made up",),
    )


def song(
    seed: int = 0,
    *,
    title: str = "",
    kind: SongKind = "multitrack",
    roles: tuple[Role, ...] = ROLES,
    sources: tuple[SourceFile, ...] = (),
    frames: int = RATE,
) -> NewSong:
    return NewSong(
        title=title or f"song {seed}",
        kind=kind,
        stems=tuple(
            NewStem(role, tone(seed * 10 + i, frames=frames)) for i, role in enumerate(roles)
        ),
        analysis=analysis(seed, roles=roles),
        sources=sources or (source(seed),),
    )


def source(seed: int, name: str = "") -> SourceFile:
    return SourceFile(
        Path(name or f"/music/{seed}.wav"), f"{seed:064x}", 5_000_000_000, 1_700_000_000 * 10**9
    )
