"""The spectrum that the mix networks are given, and the mel filters over it.

Huang et al. (AAAI 2021) give 128 mel bins and nothing else; the rest is chosen here and recorded
in every checkpoint. Harmony decides: up to 5 kHz a bin is 15 Hz wide at middle C and 16 Hz at E4,
where semitones lie 20 Hz apart and are told apart from there on (up to 10 kHz a bin would be 21 Hz
wide there). 2048 samples at 16 kHz = 128 ms resolve as much. 16 kHz: audio that is read up to
eight semitones lower is whole up to 5 kHz, so the edge of the band does not tell how it was
transposed. 320 samples = 20 ms is half of what a listener hears as being off the beat.

Arrays are (frames, bins) in time order, low to high. A full-scale sine has power 1 in its bin.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.models.torchaudio_compat import transforms

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["MEL", "MelSettings", "mel_filters", "power_spectrum"]


@dataclass(frozen=True)
class MelSettings:
    """How a waveform becomes a spectrogram.

    Args:
        sample_rate: Hz.
        fft_samples: length of a window.
        hop_samples: from frame to frame.
        mels: bins.
        lowest_hz: lower edge of the lowest bin.
        highest_hz: upper edge of the highest bin.
    """

    sample_rate: int = 16000
    fft_samples: int = 2048
    hop_samples: int = 320
    mels: int = 128
    lowest_hz: float = 40.0
    highest_hz: float = 5000.0


#: What the mix networks are trained on.
MEL: Final = MelSettings()


def power_spectrum(
    samples: NDArray[np.float32], settings: MelSettings = MEL
) -> NDArray[np.float32]:
    """(1 + (samples - fft) // hop, fft / 2 + 1) power of a mono waveform.

    Args:
        samples: (samples,) at ``settings.sample_rate``, a window or more.
        settings: see :class:`MelSettings`.
    """
    import torch

    if samples.ndim != 1 or samples.size < settings.fft_samples:
        raise ValueError(f"a spectrum needs mono audio of a window or more, got {samples.shape}")
    with torch.no_grad():
        power = _transform(settings)(torch.from_numpy(np.ascontiguousarray(samples)))
    spectrum: NDArray[np.float32] = power.numpy().T
    return spectrum


@functools.lru_cache(maxsize=512)
def mel_filters(semitones: float = 0.0, settings: MelSettings = MEL) -> NDArray[np.float32]:
    """(fft / 2 + 1, mels) triangular filters of height 1 on the mel scale (O'Shaughnessy 1987).

    Args:
        semitones: the spectrum counts as transposed by so much: its bins are read at frequencies
            ``2 ** (semitones / 12)`` times as high.
        settings: see :class:`MelSettings`.
    """
    bins = np.arange(settings.fft_samples // 2 + 1) * settings.sample_rate / settings.fft_samples
    place = bins * 2.0 ** (semitones / 12.0)
    edges = np.linspace(_mel(settings.lowest_hz), _mel(settings.highest_hz), settings.mels + 2)
    hz = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    up = (place[:, None] - hz[:-2]) / (hz[1:-1] - hz[:-2])
    down = (hz[2:] - place[:, None]) / (hz[2:] - hz[1:-1])
    filters: NDArray[np.float32] = np.maximum(np.minimum(up, down), 0.0).astype(np.float32)
    return filters


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


@functools.lru_cache(maxsize=4)
def _transform(settings: MelSettings) -> nn.Module:
    spectrogram: nn.Module = transforms().Spectrogram(
        n_fft=settings.fft_samples,
        hop_length=settings.hop_samples,
        center=False,
        power=2.0,
        window_fn=_unit_hann,
    )
    return spectrogram


def _unit_hann(samples: int) -> Tensor:
    """A Hann window under which a full-scale sine has power 1 in its bin."""
    import torch

    window = torch.hann_window(samples)
    return 2 * window / window.sum()
