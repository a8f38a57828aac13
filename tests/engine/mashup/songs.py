"""Small songs with three roles, made by code, as a MashupDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.mashup.database import MASHUP_ROLES, MashupDB, MashupRole, MashupSong, MashupStem
from engine.theory import Key
from tests.sounds import drums

SAMPLE_RATE = 32000
BARS = 6
C_MAJOR = Key(0, "major")


def made_song(
    name: str,
    *,
    tempo_bpm: float = 120.0,
    key: Key | None = C_MAJOR,
    folder: Path | None = None,
    roles: tuple[MashupRole, ...] = MASHUP_ROLES,
    group: str = "",
    bars: int = BARS,
    seed: int = 0,
) -> MashupSong:
    """A song whose bars all sound; its files are written where a folder is given."""
    grid = BeatGrid.constant(tempo_bpm, end_s=bars * 240 / tempo_bpm)
    stems: dict[MashupRole, MashupStem] = {}
    for role in roles:
        path = (folder or Path("/nowhere")) / f"{name}-{role}.wav"
        if folder is not None:
            sound = _SOUNDS[role](grid, key or C_MAJOR, seed)
            soundfile.write(path, sound, SAMPLE_RATE, subtype="FLOAT")
        stems[role] = MashupStem(path, f"{name}-{role}", np.ones(grid.intervals, dtype=np.bool_))
    return MashupSong(name, group or name, tempo_bpm, key, 0.0, grid, stems)


def made_db(folder: Path | None = None) -> MashupDB:
    """Six songs; each has partners for every condition."""
    tempos = (108.0, 112.0, 116.0, 120.0, 124.0, 128.0)
    tonics = (0, 2, 3, 5, 1, 7)
    return MashupDB(
        tuple(
            made_song(f"g{i}", tempo_bpm=bpm, key=Key(tonic, "major"), folder=folder, seed=i)
            for i, (bpm, tonic) in enumerate(zip(tempos, tonics, strict=True))
        )
    )


def _drums(grid: BeatGrid, _key: Key, _seed: int) -> NDArray[np.float32]:
    made: Waveform = drums(grid.beats_s[:-1], float(grid.beats_s[-1]), SAMPLE_RATE)
    return made.samples[0]


def _chords(grid: BeatGrid, key: Key, seed: int) -> NDArray[np.float32]:
    """A plucked chord on every beat, one of three at random by bar."""
    rng = np.random.default_rng(seed)
    total = np.zeros(round(float(grid.beats_s[-1]) * SAMPLE_RATE), dtype=np.float32)
    for beat in range(grid.intervals):
        if beat % grid.beats_per_bar == 0:
            root = 48 + key.tonic + int(rng.choice([0, 5, 7]))
        start, end = (round(float(grid.beats_s[beat + i]) * SAMPLE_RATE) for i in (0, 1))
        t = np.arange(min(end, total.size) - start) / SAMPLE_RATE
        for interval in (0, 4, 7):
            hz = 440 * 2 ** ((root + interval - 69) / 12)
            total[start : start + t.size] += _buzz(hz * t) * np.exp(-t / 0.3).astype(np.float32)
    return 0.1 * total


def _voice(grid: BeatGrid, key: Key, seed: int) -> NDArray[np.float32]:
    """A long note on every second beat, with vibrato."""
    rng = np.random.default_rng(seed + 100)
    t = np.arange(round(float(grid.beats_s[-1]) * SAMPLE_RATE)) / SAMPLE_RATE
    degrees = rng.choice([0, 2, 4, 7, 9], grid.intervals // 2 + 1)
    note = degrees[np.minimum((t / float(np.diff(grid.beats_s[:2])[0]) / 2).astype(int), 10**6)]
    hz = 440 * 2 ** ((60 + key.tonic + note - 69) / 12) * (1 + 0.005 * np.sin(2 * np.pi * 5.5 * t))
    return 0.2 * _buzz(np.cumsum(hz) / SAMPLE_RATE)


def _buzz(cycles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Six harmonics."""
    made = sum(np.sin(2 * np.pi * n * cycles) / n for n in range(1, 7))
    return np.asarray(made, dtype=np.float32)


_SOUNDS = {"vocals": _voice, "harmonic": _chords, "drums": _drums}
