"""Decoded pieces of files that several renders need, kept for a while.

A batch renders the same clip and the same stems at many tempi: each piece is then decoded and
resampled once. What is kept is bounded in bytes, the piece that was used longest ago goes first,
and a file that has changed is read again. One thread at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.waveform import Waveform

__all__ = ["DecodedSpans", "decoded_span"]

#: Eleven minutes of stereo at 48 kHz.
_MOST_BYTES: Final = 256 * 1024 * 1024
_Key = tuple[Path, int, int, float, float, int]


def decoded_span(path: Path, start_s: float, end_s: float, sample_rate: int) -> Waveform:
    """Seconds [start_s, end_s) of a file at a rate.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    return resample(decode(path, start_s=start_s, end_s=end_s), sample_rate)


class DecodedSpans:
    """The pieces that were read last.

    Args:
        most_bytes: of samples that are kept.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[_Key, Waveform] = OrderedDict()

    def __call__(self, path: Path, start_s: float, end_s: float, sample_rate: int) -> Waveform:
        """As :func:`decoded_span`; who gets the samples must not change them."""
        try:
            state = path.stat()
        except OSError:  # the decoder says what is wrong with it
            return decoded_span(path, start_s, end_s, sample_rate)
        key = (path, state.st_mtime_ns, state.st_size, start_s, end_s, sample_rate)
        if key not in self._kept:
            self._kept[key] = decoded_span(path, start_s, end_s, sample_rate)
        self._kept.move_to_end(key)
        found = self._kept[key]
        while sum(kept.samples.nbytes for kept in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)
        return found
