"""Short music with a known tempo, made by code, and files of it in many formats."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 44100
TEMPO_BPM = 120.0


def music(
    seconds: float = 6.0,
    *,
    tempo_bpm: float = TEMPO_BPM,
    rate: int = RATE,
    channels: int = 2,
    seed: int = 0,
    tone_hz: float = 220.0,
) -> NDArray[np.int16]:
    """(frames, channels): noise bursts on the beats, the first of a bar louder, over a chord."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    since_beat_s = time_s % (60.0 / tempo_bpm)
    strong = (time_s // (60.0 / tempo_bpm)) % 4 == 0
    bursts = rng.standard_normal(time_s.size) * np.exp(-since_beat_s * 50) * (0.3 + 0.3 * strong)
    chord = sum(np.sin(2 * np.pi * tone_hz * ratio * time_s) for ratio in (1, 1.26, 1.498))
    sound = np.clip(bursts + 0.06 * chord, -0.9, 0.9)
    levels = 1 - 0.1 * np.arange(channels)
    return np.asarray(np.round(sound[:, None] * levels * 32767), dtype=np.int16)


def drum_part(seconds: float = 6.0, *, tempo_bpm: float = TEMPO_BPM) -> NDArray[np.int16]:
    """Only the bursts."""
    return music(seconds, tempo_bpm=tempo_bpm, tone_hz=0.0)


def write(path: Path, samples: NDArray[np.generic], rate: int = RATE, **kind: str) -> Path:
    """A file that soundfile can write; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **kind)
    return path


def write_aac(path: Path, *tracks: NDArray[np.int16], titles: tuple[str, ...] = ()) -> Path:
    """An MP4 file with one AAC stream a track, as DJ software writes ``.stem.mp4``."""
    with av.open(str(path), "w", format="mp4") as container:
        streams = []
        for number, _ in enumerate(tracks):
            stream = container.add_stream("aac", rate=RATE, layout="stereo", bit_rate=192000)
            if titles:
                stream.metadata["title"] = titles[number]
            streams.append(stream)
        for stream, samples in zip(streams, tracks, strict=True):
            for start in range(0, len(samples), 1024):
                block = samples[start : start + 1024].astype(np.float32).T / 32768
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(block), format="fltp", layout="stereo"
                )
                frame.sample_rate, frame.pts = RATE, start
                frame.time_base = Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path
