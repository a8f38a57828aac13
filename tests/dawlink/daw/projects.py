"""Small projects with audio made by code, for the tests of every writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from dawlink.daw.project import AudioClip, AudioFile, AudioTrack, Project
from engine.mashup.placement import WarpPoint
from engine.theory import Key, Role

__all__ = ["BEATS", "FORMATS", "RATE", "clicks", "drifting_project", "steady_project"]

FORMATS = ("als", "alc", "dawproject", "rpp", "ardour")
RATE = 44100
TEMPO = 128.0
BEATS = 8


def clicks(path: Path, times_s: list[float], *, channels: int, seconds: float) -> AudioFile:
    """A file with a short burst at each time."""
    rng = np.random.default_rng(len(times_s))
    frames = round(seconds * RATE)
    samples = np.zeros((frames, channels), dtype=np.float32)
    burst = (rng.standard_normal((400, channels)) * np.exp(-np.arange(400) / 80)[:, None]).astype(
        np.float32
    )
    for time_s in times_s:
        first = round(time_s * RATE)
        part = samples[first : first + 400]
        part += 0.2 * burst[: part.shape[0]]
    sf.write(path, samples, RATE, subtype="PCM_24")
    return AudioFile(path, path.name, frames, RATE, channels)


def steady_project(folder: Path) -> Project:
    """Three tracks that run at the project's own tempo; one is mono."""
    seconds = round(BEATS * 60 / TEMPO * RATE) / RATE
    times = [beat * 60 / TEMPO for beat in range(BEATS)]
    warp = (WarpPoint(0.0, 0.0), WarpPoint(seconds, seconds * TEMPO / 60))
    parts: list[tuple[str, Role, int]] = [
        ('Väx & "x" <1>', "vocals", 1),
        ("Bed harmonic", "harmonic", 2),
        ("Kit drums", "drums", 2),
    ]
    tracks = []
    for number, (name, role, channels) in enumerate(parts):
        audio = clicks(
            folder / f"{number} {role}.wav", times[number:], channels=channels, seconds=seconds
        )
        clip = AudioClip(name, audio, 0.0, float(BEATS), warp)
        tracks.append(AudioTrack(name, role, (clip,)))
    return Project("01 Try 128bpm Am", TEMPO, 4, 2, tuple(tracks), Key(9, "minor"))


def drifting_beats(beats: int) -> list[float]:
    """Times of beats around 100 BPM whose tempo drifts by 4 % either way."""
    steps = 0.6 * (1 + 0.04 * np.sin(np.arange(beats) / 5))
    return [1.5, *(1.5 + np.cumsum(steps)).tolist()]


def drifting_project(folder: Path) -> Project:
    """One transposed track of two passes over a source that drifts."""
    times = drifting_beats(BEATS)
    audio = clicks(folder / "source.wav", times, channels=2, seconds=times[-1] + 1)
    warp = tuple(WarpPoint(time, float(beat)) for beat, time in enumerate(times))
    clips = tuple(
        AudioClip("Drift", audio, start, BEATS, warp, semitones=-2.85, gain_db=8.0, fade_s=0.002)
        for start in (0.0, float(BEATS))
    )
    track = AudioTrack("Drift", "harmonic", clips)
    return Project("02 Drift 128bpm", TEMPO, 4, 4, (track,))
