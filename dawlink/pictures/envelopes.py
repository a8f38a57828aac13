"""Audio of any length as one value per pixel column: lowest, highest and RMS sample.

The audio is read in blocks of whole columns, so memory does not grow with its length. Of several
channels the lowest and the highest over all of them count; the RMS is over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.decode import decode, probe
from engine.audio.waveform import Waveform

__all__ = ["AudioReader", "Envelope", "file_reader", "measure_envelope", "sum_of"]

#: Frames read at once: 6 s at 44.1 kHz, 2 MB of stereo.
_BLOCK_FRAMES: Final = 1 << 18


@dataclass(frozen=True, eq=False)
class AudioReader:
    """Audio that can be read in pieces.

    Args:
        frames: samples per channel.
        sample_rate: Hz.
        read: (first frame, number of frames) → that piece, shorter where the audio ends.
    """

    frames: int
    sample_rate: int
    read: Callable[[int, int], Waveform]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    def piece(self, first: int, frames: int) -> NDArray[np.float32]:
        """(channels, ``frames``) from ``first``; silence outside of the audio."""
        start, end = max(first, 0), min(first + frames, self.frames)
        if end <= start:
            return np.zeros((1, frames), dtype=np.float32)
        found = self.read(start, end - start).samples
        if found.shape[1] == frames:
            return found
        whole = np.zeros((found.shape[0], frames), dtype=np.float32)
        whole[:, start - first : start - first + found.shape[1]] = found
        return whole


@dataclass(frozen=True, eq=False)
class Envelope:
    """The outline of a waveform: each (columns,) linear, full scale 1, over ``duration_s``."""

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    rms: NDArray[np.float32]
    duration_s: float

    @property
    def peak(self) -> float:
        """Largest magnitude."""
        return float(max(-self.lowest.min(), self.highest.max(), 0.0))

    @property
    def centres_s(self) -> NDArray[np.float64]:
        """(columns,) seconds in the middle of every column."""
        columns = self.lowest.size
        return (np.arange(columns, dtype=np.float64) + 0.5) * (self.duration_s / columns)


def file_reader(path: Path) -> AudioReader:
    """The audio of a file.

    Raises:
        UnusableInput: it is missing or cannot be read (also while reading it).
    """
    info = probe(path)
    rate = info.sample_rate

    def read(first: int, frames: int) -> Waveform:
        return decode(path, start_s=first / rate, end_s=(first + frames) / rate)

    return AudioReader(round(info.duration_s * rate), rate, read)


def sum_of(readers: tuple[AudioReader, ...]) -> AudioReader:
    """All of them at once, in mono; the sample rate is the first one's."""
    rate = readers[0].sample_rate

    def read(first: int, frames: int) -> Waveform:
        total = np.zeros(frames, dtype=np.float32)
        for reader in readers:
            total += reader.piece(first, frames).mean(axis=0)
        return Waveform(total[np.newaxis], rate)

    return AudioReader(max(reader.frames for reader in readers), rate, read)


def measure_envelope(audio: AudioReader, columns: int) -> Envelope:
    """The outline of ``audio`` in at most ``columns`` columns (one per frame when it is short)."""
    columns = max(1, min(columns, audio.frames))
    edges = np.linspace(0, audio.frames, columns + 1).round().astype(np.int64)
    lowest, highest, power = (np.zeros(columns, dtype=np.float32) for _ in range(3))
    for first, last in _blocks(edges) if audio.frames else ():
        start, end = int(edges[first]), int(edges[last])
        samples = audio.piece(start, end - start)
        offsets = edges[first:last] - start
        lowest[first:last] = np.minimum.reduceat(samples.min(axis=0), offsets)
        highest[first:last] = np.maximum.reduceat(samples.max(axis=0), offsets)
        squares = np.add.reduceat(np.square(samples).mean(axis=0), offsets)
        power[first:last] = squares / np.diff(edges[first : last + 1])
    return Envelope(lowest, highest, np.sqrt(power), audio.duration_s)


def _blocks(edges: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Columns [first, last) that are read together."""
    first, columns = 0, edges.size - 1
    while first < columns:
        limit = edges[first] + _BLOCK_FRAMES
        last = max(int(np.searchsorted(edges, limit, side="right")) - 1, first + 1)
        yield first, min(last, columns)
        first = last
