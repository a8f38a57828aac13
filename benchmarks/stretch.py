"""Where the stretching engine puts attacks without correction, and how fast it is.

``python -m benchmarks.stretch`` prints, per slope and kind of attack, by how many frames attacks
come late when the engine follows the map uncorrected (the source of ``ATTACK_OFFSETS`` in
:mod:`engine.audio.warp`), the errors that are left with the correction, and the time taken beside
the bare library in offline mode on the same audio: ratios within one run, CPU seconds.
``--rate 96000`` and the like show why warps run at 44.1 or 48 kHz.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.audio.steering import new_engine, steer
from engine.audio.stretch import RubberBandInProcess, StretchJob
from engine.audio.warp import WarpMap
from engine.audio.waveform import Waveform

SLOPES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.03, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)
KINDS = ("click", "impulse", "kick", "snare", "hat", "pluck")
SECONDS = 6


def attack(kind: str, rate: int) -> NDArray[np.float64]:
    """80 ms of one kind of attack."""
    time_s = np.arange(int(0.08 * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(time_s.size)
    if kind == "click":
        return 0.8 * np.exp(-time_s / 0.003) * np.cos(2 * np.pi * 2000 * time_s)
    if kind == "impulse":
        return 0.9 * (np.arange(time_s.size) == 0)
    if kind == "kick":
        sweep = 50 * time_s + 0.08 * (1 - np.exp(-time_s / 0.01))
        return 0.9 * np.exp(-time_s / 0.05) * np.cos(2 * np.pi * sweep)
    if kind == "snare":
        return 0.5 * np.exp(-time_s / 0.03) * noise
    if kind == "hat":
        return 0.5 * np.exp(-time_s / 0.015) * np.diff(noise, prepend=0)
    partials = sum(np.sin(2 * np.pi * 220 * k * time_s) / k for k in range(1, 7))
    return (
        0.25
        * np.minimum(1, time_s / 0.003)
        * np.asarray(partials)
        * np.hanning(2 * time_s.size)[time_s.size :]
    )


def train(kind: str, rate: int) -> tuple[Waveform, NDArray[np.int64]]:
    """Attacks every quarter of a second or so, and the frames on which they begin."""
    sound = attack(kind, rate)
    frames_at = np.arange(rate // 4, (SECONDS - 1) * rate, rate // 4 + 37)
    samples = np.zeros(SECONDS * rate, dtype=np.float32)
    for at in frames_at:
        samples[at : at + sound.size] += sound.astype(np.float32)
    return Waveform(samples[np.newaxis], rate), frames_at


def onsets(
    samples: NDArray[np.float32], expected: NDArray[np.float64], rate: int
) -> NDArray[np.float64]:
    """Frames from expected to found: where a 1 ms energy reaches a quarter of its local peak."""
    found = []
    for at in expected:
        low = max(0, int(at - 0.03 * rate))
        part = samples[low : int(at + 0.05 * rate)].astype(np.float64) ** 2
        energy = np.convolve(part, np.ones(max(1, rate // 1000)))
        found.append(low + int(np.argmax(energy > energy.max() / 4)) - at)
    return np.array(found)


def late_frames(kind: str, slope: float, rate: int, *, corrected: bool) -> NDArray[np.float64]:
    """How late every attack of a train comes [frames]."""
    waveform, at = train(kind, rate)
    out = round(waveform.frames * slope)
    if corrected:
        job = StretchJob(((0, 0), (waveform.frames, out)), out)
        made = RubberBandInProcess().stretch(waveform, job).samples
    else:
        warp = WarpMap(np.array([0.0, waveform.frames]), np.array([0.0, out]))
        engine = new_engine(1, rate, slope, keep_formants=False)
        made = steer(engine, waveform.samples, warp, out)
    bias = np.median(onsets(waveform.samples[0], at.astype(np.float64), rate))
    return onsets(made[0], at * slope, rate) - bias


def bare_library(waveform: Waveform, slope: float) -> None:
    """The same engine in offline mode, with one ratio."""
    from pylibrb import Option, RubberBandStretcher

    options = Option.PROCESS_OFFLINE | Option.ENGINE_FINER | Option.CHANNELS_TOGETHER
    engine = RubberBandStretcher(waveform.sample_rate, waveform.channels, options, slope, 1.0)
    engine.set_max_process_size(1024)
    engine.study(waveform.samples, True)
    for first in range(0, waveform.frames, 1024):
        block = np.ascontiguousarray(waveform.samples[:, first : first + 1024])
        engine.process(block, first + 1024 >= waveform.frames)
        if engine.available() > 0:
            engine.retrieve_available()


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=44100, help="sample rate [Hz]")
    rate = parser.parse_args().rate
    print(f"{'slope':>6} {'late, uncorrected [frames]':<58} {'error left [ms]'}")
    for slope in SLOPES:
        raw = [late_frames(kind, slope, rate, corrected=False) for kind in KINDS]
        left = np.concatenate([late_frames(kind, slope, rate, corrected=True) for kind in KINDS])
        medians = " ".join(
            f"{kind} {np.median(late):.0f}" for kind, late in zip(KINDS, raw, strict=True)
        )
        ms = 1000 / rate
        print(f"{slope:6.2f} {medians:<58} {left.min() * ms:+.2f} to {left.max() * ms:+.2f}")
    music = Waveform(
        np.random.default_rng(1).standard_normal((2, 20 * rate)).astype(np.float32) * 0.1, rate
    )
    job = StretchJob(((0, 0), (music.frames, round(music.frames * 1.1))), round(music.frames * 1.1))
    bare = cpu_s(lambda: bare_library(music, 1.1))
    ours = cpu_s(lambda: RubberBandInProcess().stretch(music, job))
    print(f"20 s of stereo at slope 1.1: bare library {bare:.2f} s, in process {ours / bare:.2f} ×")


if __name__ == "__main__":
    main()
