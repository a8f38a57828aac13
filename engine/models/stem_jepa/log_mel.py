"""The log-mel "image" that Stem-JEPA looks at.

Source: Riou, Lattner, Hadjeres, Anslow & Peeters (ISMIR 2024), section 4.1, and the configuration
of the authors' repository. 16 kHz mono; short-time Fourier transform of 400 samples (25 ms,
periodic Hann) every 160 samples (10 ms), centred with reflected edges; power; 80 triangular
filters on Slaney's mel scale from 50 to 8000 Hz, each of unit area (what nnAudio and librosa do
by default); natural logarithm of the power plus the float32 epsilon; minus the mean, over the
standard deviation of the training corpus.

The small network looks through other filters (:mod:`engine.models.stem_jepa.semitone_bands`) at the
same frames' centres.

Axis order is (batch, mel bands, frames). ``n * 160`` samples become ``n`` frames: the frame that
is centred on the end is dropped, so that 8 s are 800 columns and not 801.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.models.stem_jepa.semitone_bands import SEMITONE_FFT_SAMPLES, semitone_filters

__all__ = [
    "HOP_SAMPLES",
    "MEL_BANDS",
    "SAMPLE_RATE",
    "Bands",
    "LogMel",
    "MelStatistics",
    "mel_filters",
]

#: How the 80 bands lie: as published, or a semitone apart.
Bands = Literal["mel", "semitones"]

SAMPLE_RATE: Final = 16_000
#: 25 ms at 16 kHz.
FFT_SAMPLES: Final = 400
#: 10 ms at 16 kHz.
HOP_SAMPLES: Final = 160
MEL_BANDS: Final = 80
LOWEST_HZ: Final = 50.0
HIGHEST_HZ: Final = 8000.0
#: Keeps the logarithm of silence finite: -15.94.
EPSILON: Final = float(np.finfo(np.float32).eps)

#: Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, 15 mel there, then 27 steps per 6.4.
_LINEAR_HZ: Final = 200.0 / 3.0
_KNEE_HZ: Final = 1000.0
_KNEE_MEL: Final = _KNEE_HZ / _LINEAR_HZ
_LOG_STEP: Final = float(np.log(6.4) / 27.0)


@dataclass(frozen=True)
class MelStatistics:
    """Mean and standard deviation of the log-mel values of a corpus [natural log of power]."""

    mean: float = -9.453
    std: float = 3.569

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and self.std > 0):
            raise ValueError(f"mean {self.mean} and deviation {self.std} cannot normalise anything")


class LogMel(nn.Module):
    """Waveforms to normalised log-mel images; has no trainable parameters.

    Args:
        statistics: of the training corpus; ``MelStatistics()`` is the published pair.
        bands: the filters, and with them the length of a frame.
        beyond: semitone bands more at either end, from which a training transposes.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, statistics: MelStatistics, *, bands: Bands = "mel", beyond: int = 0) -> None:
        super().__init__()
        self.statistics = statistics
        in_mel = bands == "mel"
        self.fft_samples = FFT_SAMPLES if in_mel else SEMITONE_FFT_SAMPLES
        filters = mel_filters() if in_mel else semitone_filters(beyond=beyond)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        window = torch.hann_window(self.fft_samples, periodic=True)
        self.register_buffer("window", window, persistent=False)

    def raw(self, samples: Tensor) -> Tensor:
        """(batch, 80, frames) log-mel values before normalisation, of (batch, samples) audio."""
        with torch.autocast(samples.device.type, enabled=False):  # powers need all of float32
            spectra = torch.stft(
                samples,
                self.fft_samples,
                hop_length=HOP_SAMPLES,
                window=self.window,
                center=True,
                pad_mode="reflect",
                return_complex=True,
            )
            power = spectra.abs().square()[..., : samples.shape[-1] // HOP_SAMPLES]
            return torch.log(self.filters @ power + EPSILON)

    def forward(self, samples: Tensor) -> Tensor:
        """(batch, 80, samples // 160) of (batch, samples) at 16 kHz, more than half a frame."""
        return (self.raw(samples) - self.statistics.mean) / self.statistics.std

    @torch.no_grad()
    def at(self, samples: Tensor, centres: Tensor) -> Tensor:
        """(80, columns) of (samples,) audio, each centred on a sample [0, samples - 1].

        What the frames of audio look like that was stretched without a trace: a stretcher moves
        frames in time and keeps what they sound like.
        """
        half = self.fft_samples // 2
        padded = functional.pad(samples[None], (half, half), mode="reflect")[0]
        frames = padded.unfold(0, self.fft_samples, 1)[centres] * self.window
        power = torch.fft.rfft(frames).abs().square()
        logarithms = torch.log(self.filters @ power.T + EPSILON)
        return (logarithms - self.statistics.mean) / self.statistics.std

    @torch.no_grad()
    def measure(self, samples: Tensor) -> MelStatistics:
        """The statistics of (batch, samples) audio, to be stored with a newly trained network."""
        values = self.raw(samples).double()
        return MelStatistics(float(values.mean()), float(values.std()))


def mel_filters() -> NDArray[np.float32]:
    """(80, 201) triangular filters of unit area in hertz."""
    edges_mel = np.linspace(_to_mel(LOWEST_HZ), _to_mel(HIGHEST_HZ), MEL_BANDS + 2)
    edges_hz = np.where(
        edges_mel < _KNEE_MEL,
        edges_mel * _LINEAR_HZ,
        _KNEE_HZ * np.exp(_LOG_STEP * (edges_mel - _KNEE_MEL)),
    )
    bins_hz = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE / FFT_SAMPLES
    distance = edges_hz[:, np.newaxis] - bins_hz
    width = np.diff(edges_hz)[:, np.newaxis]
    rising, falling = -distance[:-2] / width[:-1], distance[2:] / width[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return (triangles * area[:, np.newaxis]).astype(np.float32)


def _to_mel(frequency_hz: float) -> float:
    if frequency_hz < _KNEE_HZ:
        return frequency_hz / _LINEAR_HZ
    return float(_KNEE_MEL + np.log(frequency_hz / _KNEE_HZ) / _LOG_STEP)
