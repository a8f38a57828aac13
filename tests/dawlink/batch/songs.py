"""A small library with known beats and keys, and clips to render over it; no beat network runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import soundfile

from dawlink.demo import DEMO_SONGS, DEMO_VOCAL, DemoSong, synthesise
from engine.analysis.song import analyse_song
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Role

#: Songs of four bars, a few semitones and at most 15 % of tempo away from the clip.
SONGS = tuple(
    replace(song, bars=4, intro=False)
    for song in DEMO_SONGS
    if song.title in ("Harbour Lights", "Loose Change")
)
CLIP = replace(DEMO_VOCAL, bars=4, intro=False)


def make_library(folder: Path) -> None:
    with Library.open(folder) as library:
        for song in SONGS:
            library.add_song(_new_song(song))


def make_clip(path: Path) -> None:
    """Four bars of singing at 110 BPM in A minor, from second 0."""
    vocals = synthesise(CLIP)["vocals"]
    soundfile.write(path, vocals.samples.mean(axis=0), vocals.sample_rate, subtype="PCM_16")


def _new_song(song: DemoSong) -> NewSong:
    stems: dict[Role, Waveform] = {k: v for k, v in synthesise(song).items() if k != "vocals"}
    grid = BeatGrid.constant(song.tempo_bpm, end_s=song.duration_s, confidence=1.0)
    analysis = analyse_song(stems, grid=grid, key=song.key)
    harmonic = Waveform(stems["bass"].samples + stems["other"].samples, stems["bass"].sample_rate)
    stored = {**stems, "harmonic": harmonic}
    return NewSong(
        title=song.title,
        kind="multitrack",
        stems=tuple(NewStem(stem.role, stored[stem.role]) for stem in analysis.stems),
        analysis=analysis,
    )
