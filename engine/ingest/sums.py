"""Adds up several audio files that start together, as the parts of one stem do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.audio.decode import decode, probe
from engine.audio.resample import resample, to_channels
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput

__all__ = ["sum_files"]

#: Sums are made at the highest rate of their files, but not above this [Hz].
_HIGHEST_RATE: Final = 48_000


def sum_files(files: Sequence[Path]) -> Waveform:
    """The sum of files that start together; one of them at a time is held beside the sum.

    The rate is the highest of the files (at most 48 kHz), the length that of the longest; the
    sum is stereo as soon as one file is.

    Raises:
        UnusableInput: no files, or one that cannot be decoded.
    """
    if not files:
        raise UnusableInput("There are no files to sum.", hint="Name at least one audio file.")
    rate = min(_HIGHEST_RATE, max(probe(file).sample_rate for file in files))
    total = resample(decode(files[0]), rate)
    for file in files[1:]:
        total = _added(total, resample(decode(file), rate))
    return total


def _added(total: Waveform, part: Waveform) -> Waveform:
    """Their sum, as long as the longer one; both have one rate."""
    channels = max(total.channels, part.channels)
    total, part = to_channels(total, channels), to_channels(part, channels)
    longer, shorter = (total, part) if total.frames >= part.frames else (part, total)
    samples = longer.samples.copy()
    samples[:, : shorter.frames] += shorter.samples
    return Waveform(samples, total.sample_rate)
