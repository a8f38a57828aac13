"""A spectrogram with a logarithmic frequency axis and one value per pixel.

Power spectra of Hann windows (4096 samples, 93 ms at 44.1 kHz) are gathered into bands of equal
width in octaves; a band that is narrower than a bin takes its share of that bin. Where a column
lasts longer than half a window, several windows are averaged. Levels are decibels below the
loudest cell. Axis order is (bands, columns), the lowest band first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dawlink.pictures.envelopes import AudioReader

__all__ = ["FLOOR_DB", "Spectrogram", "measure_spectrogram"]

#: Nothing below the lowest string of a five-string bass (B0) [Hz].
LOWEST_HZ: Final = 30.0
#: Or half the sample rate where that is less [Hz].
HIGHEST_HZ: Final = 16000.0
#: Quieter is drawn as silence [dB below the loudest cell].
FLOOR_DB: Final = -70.0
_WINDOW: Final = 4096
#: Windows averaged in one column at most; more change nothing that the eye sees.
_MOST_WINDOWS: Final = 4
#: Columns transformed at once: 64 × 4 windows are 4 MB.
_BLOCK_COLUMNS: Final = 64


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """``level_db`` (bands, columns) in [FLOOR_DB, 0]; ``edges_hz`` (bands + 1,) are its bands."""

    level_db: NDArray[np.float32]
    edges_hz: NDArray[np.float64]


def measure_spectrogram(audio: AudioReader, columns: int, *, bands: int = 160) -> Spectrogram:
    """The spectrogram of ``audio``'s mean over channels; all at the floor when it is silent."""
    rate = audio.sample_rate
    edges_hz = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, rate / 2), bands + 1)
    power = np.zeros((bands, columns), dtype=np.float64)
    for first in range(0, columns, _BLOCK_COLUMNS):
        last = min(first + _BLOCK_COLUMNS, columns)
        power[:, first:last] = _column_powers(audio, columns, range(first, last), edges_hz)
    loudest = float(power.max())
    if loudest <= 0:
        return Spectrogram(np.full(power.shape, FLOOR_DB, dtype=np.float32), edges_hz)
    floor = loudest * 10 ** (FLOOR_DB / 10)
    level_db = 10 * np.log10(np.maximum(power, floor) / loudest)
    return Spectrogram(level_db.astype(np.float32), edges_hz)


def _column_powers(
    audio: AudioReader, columns: int, wanted: range, edges_hz: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(bands, wanted columns) mean power."""
    length = audio.frames / columns
    windows = int(np.clip(np.ceil(2 * length / _WINDOW), 1, _MOST_WINDOWS))
    share = (np.arange(windows) + 0.5) / windows
    centres = (np.asarray(wanted)[:, np.newaxis] + share).ravel() * length
    starts = centres.round().astype(np.int64) - _WINDOW // 2
    span = int(starts[-1] - starts[0]) + _WINDOW
    heard = audio.piece(int(starts[0]), span).mean(axis=0)
    frames = sliding_window_view(heard, _WINDOW)[starts - starts[0]]
    spectra = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)))
    mean = spectra.reshape(len(wanted), windows, -1).mean(axis=1)
    return _into_bands(mean, edges_hz * _WINDOW / audio.sample_rate)


def _into_bands(power: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(bands, columns) sums of ``power`` (columns, bins) between ``edges`` in bins.

    Bin ``k`` is taken as evenly spread over [k - 1/2, k + 1/2).
    """
    total = np.concatenate([np.zeros((power.shape[0], 1)), np.cumsum(power, axis=1)], axis=1)
    position = np.clip(edges + 0.5, 0, power.shape[1])
    whole = np.minimum(position.astype(np.int64), power.shape[1] - 1)
    reached = total[:, whole] + (position - whole) * power[:, whole]
    return np.asarray(np.diff(reached, axis=1).T)
