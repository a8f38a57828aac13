"""What the whole-system tests play with: libraries with known beats, clips, a daemon, a measure.

Built once per run of the tests. The measure looks at sound only: where the attacks of an inserted
file are heard in the set, against the set's grid.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.analysis.attacks import attack_function
from engine.analysis.song import analyse_song
from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Key, Role
from tests.dawlink.batch.songs import make_clip, make_library
from tests.dawlink.osc.daemon import Running, start
from tests.fake_live.clips import Clip
from tests.fake_live.song import LiveSet
from tests.recordings import recordings_dir

#: Attacks weaker than this say nothing about where the beat is [dB, summed over three bands].
CLEAR_DB = 40.0
#: How far around a beat its attack is looked for [s].
REACH_S = 0.03
#: How much of each real song is taken [s].
EXCERPT_S = 24.0


Markers = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Studio:
    """A library, and a vocal whose beat 0 is at second 0; ``vocal_bpm`` after the last marker."""

    library: Path
    vocal: Path
    vocal_bpm: float
    bars: int
    markers: Markers = ((0.0, 0.0),)


@cache
def synthesised() -> Studio:
    """Two songs made by code, and four bars of singing at 110 BPM."""
    folder = _folder("synthesised")
    make_library(folder / "library")
    make_clip(folder / "Vocal take.wav")
    return Studio(folder / "library", folder / "Vocal take.wav", 110.0, 4)


@cache
def recorded() -> Studio:
    """Real multitracks with stated tempi, 24 s of each, and eight bars of a real voice."""
    folder, real = _folder("recorded"), recordings_dir() / "real_stems"
    with Library.open(folder / "library") as library:
        for song in (
            _real_song(real / "lmms_capdan_reggaetry", "Reggaetry", 180.0, 0.0),
            _real_song(real / "mdn_multitrack", "Multitrack", 149.98, 0.004),
        ):
            library.add_song(song)
    voice = next((real / "eif_4_potassium").glob("vocals_lead__*"))
    bar_s = 4 * 60 / 90.0
    sung = decode(voice, start_s=80 * bar_s, end_s=88 * bar_s)
    soundfile.write(folder / "Voice 90.wav", sung.samples.T, sung.sample_rate, subtype="PCM_16")
    return Studio(folder / "library", folder / "Voice 90.wav", 90.0, 8)


@cache
def drifting() -> Studio:
    """The same songs, and the same voice sung to a tempo that drifts by 4 % to either side."""
    steady = recorded()
    sung, markers = drifted(decode(steady.vocal), steady.vocal_bpm, 4 * steady.bars)
    path = _folder("drifting") / "Voice adrift.wav"
    soundfile.write(path, sung.samples.T, sung.sample_rate, subtype="PCM_16")
    (sec_a, beat_a), (sec_b, beat_b) = markers[-2:]
    bpm = 60 * (beat_b - beat_a) / (sec_b - sec_a)
    return Studio(steady.library, path, bpm, steady.bars, markers)


def drifted(
    waveform: Waveform, bpm: float, beats: int, *, depth: float = 0.04, period_s: float = 7.3
) -> tuple[Waveform, Markers]:
    """A steady recording as an unsteady tape plays it, and (seconds, beat) of every beat.

    Args:
        waveform: beat 0 at second 0.
        bpm: of the recording.
        beats: how many of them to keep.
        depth: greatest deviation of the tempo, as a share of it.
        period_s: of the deviation.
    """
    rate = waveform.sample_rate
    seconds = np.arange(round(1.1 * beats * 60 / bpm * rate)) / rate
    turn = 2 * np.pi / period_s
    beat = bpm / 60 * (seconds + depth / turn * (1 - np.cos(turn * seconds)))
    kept = beat <= beats
    source = beat[kept] * 60 / bpm * rate
    at = np.arange(waveform.samples.shape[1])
    played = [np.interp(source, at, channel) for channel in waveform.samples]
    times = np.interp(np.arange(beats), beat, seconds)
    markers = tuple((float(sec), float(number)) for number, sec in enumerate(times))
    return Waveform(np.array(played, dtype=np.float32), rate), markers


@contextmanager
def daemon(studio: Studio, folder: Path, *options: str) -> Iterator[Running]:
    """The engine on the studio's library; everything else of it lies in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    running = start(studio.library, folder, *options)
    try:
        yield running
    finally:
        running.stop()
        if running.process.stdout is not None:
            running.process.stdout.close()


def project(folder: Path) -> Path:
    """A saved set's path, in a project folder."""
    root = folder / "Song Project"
    root.mkdir()
    (root / "Song.als").write_bytes(b"")
    return root / "Song.als"


def select_vocal(
    live: LiveSet, studio: Studio, *, arranged_at: float | None = None, from_beat: float = 0.0
) -> Clip:
    """The vocal as a warped clip on a track of its own, selected; it plays from a beat on."""
    track = live.song.create_audio_track(-1)
    path = str(studio.vocal)
    if arranged_at is None:
        clip = live.drop_in_slot(track, 2, path)
    else:
        clip = live.drop_in_arrangement(track, arranged_at, path)
    live.warp(clip, *studio.markers, bpm=studio.vocal_bpm)
    clip.looping = False
    clip.start_marker = from_beat
    live.select(clip)
    return clip


def off_grid_ms(live: LiveSet, clip: Clip, grid_start: float) -> NDArray[np.float64]:
    """How far the clear attacks of an inserted clip are from the beats of the set [ms].

    Args:
        live: the set; the beats are its quarter notes.
        clip: the inserted clip.
        grid_start: a bar line, in the beats that :meth:`Clip.beat_in_set` counts.
    """
    sound = decode(Path(clip.file_path))
    mono = resample(sound, 44100).samples.mean(axis=0)
    beat_s = 60 / live.song.tempo
    beats = np.arange(round(sound.duration_s / beat_s))
    # Where in the file each beat of the grid is heard, by the clip's own map.
    heard = np.array([clip.beat_in_set(0.0), clip.beat_in_set(sound.duration_s)])
    expected_s = (grid_start + beats - heard[0]) / (heard[1] - heard[0]) * sound.duration_s
    inside = expected_s[(expected_s > REACH_S) & (expected_s < sound.duration_s - REACH_S)]
    picks = attack_function(mono).near(inside, reach_s=REACH_S, spread_s=0.02)
    clear = picks.strength > CLEAR_DB
    return np.asarray((picks.times_s - inside)[clear] * 1000)


def _folder(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"dawlink-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _real_song(folder: Path, title: str, bpm: float, first_beat_s: float) -> NewSong:
    """One song from the beginning of a multitrack, on its stated grid."""
    roles: dict[str, Role] = {"drums": "drums", "bass": "bass", "other": "other"}
    stems: dict[Role, Waveform] = {}
    for path in sorted(folder.glob("*__*")):
        role = roles[path.name.split("_")[0]]
        stem = decode(path, start_s=first_beat_s, end_s=first_beat_s + EXCERPT_S)
        stems[role] = _sum(stems[role], stem) if role in stems else stem
    grid = BeatGrid.constant(bpm, end_s=EXCERPT_S, confidence=1.0)
    analysis = analyse_song(stems, grid=grid, key=Key(9, "minor"))
    stored = {**stems, "harmonic": _sum(stems["bass"], stems["other"])}
    return NewSong(
        title=title,
        kind="multitrack",
        stems=tuple(NewStem(stem.role, stored[stem.role]) for stem in analysis.stems),
        analysis=analysis,
    )


def _sum(one: Waveform, other: Waveform) -> Waveform:
    frames = max(one.samples.shape[1], other.samples.shape[1])
    total = np.zeros((2, frames), dtype=np.float32)
    for part in (one, other):
        total[:, : part.samples.shape[1]] += part.samples / 2
    return Waveform(total, one.sample_rate)
