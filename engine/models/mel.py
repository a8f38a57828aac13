"""Mel spectrograms for the networks that look at spectra.

Huang et al. (AAAI 2021) give 128 mel bins and nothing else; the rest is chosen here and recorded
in every checkpoint. 32 kHz and 10 kHz as the highest frequency: audio that was transposed by up to
five semitones each way at 32 kHz is whole up to there, so the edge of the band does not tell how
it was processed. 2048 samples = 64 ms separate semitones from about 260 Hz on and leave no mel
filter empty; 640 samples = 20 ms is half of what a listener hears as being off the beat.

A spectrogram is (frames, mels) in time order, low to high, in decibels below full scale, moved and
scaled to about [-1.3, 1.3]: ``(dB + 40) / 30``, floor -80 dB. A full-scale sine is 0 dB at most.
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

__all__ = ["MEL", "MelSettings", "log_mel"]

#: Centre and half-width of the decibel range, so that the networks see numbers around zero.
_CENTRE_DB: Final = -40.0
_SCALE_DB: Final = 30.0
#: Power of -80 dB: quieter is silence.
_FLOOR_POWER: Final = 1e-8


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

    sample_rate: int = 32000
    fft_samples: int = 2048
    hop_samples: int = 640
    mels: int = 128
    lowest_hz: float = 30.0
    highest_hz: float = 10000.0

    def frames_in(self, seconds: float) -> int:
        """Frames that so many seconds take."""
        return round(seconds * self.sample_rate / self.hop_samples)


#: What the mix networks are trained on.
MEL: Final = MelSettings()


def log_mel(samples: NDArray[np.float32], settings: MelSettings = MEL) -> NDArray[np.float32]:
    """(1 + samples // hop, mels) scaled log-mel spectrogram of a mono waveform.

    Args:
        samples: (samples,) at ``settings.sample_rate``, at least half a window long.
        settings: see :class:`MelSettings`.
    """
    import torch

    if samples.ndim != 1 or samples.size <= settings.fft_samples // 2:
        raise ValueError(f"a spectrogram needs mono audio of a window or more, got {samples.shape}")
    with torch.no_grad():
        decibels = _transform(settings)(torch.from_numpy(np.ascontiguousarray(samples)))
    spectrum: NDArray[np.float32] = decibels.numpy().T
    return ((spectrum - _CENTRE_DB) / _SCALE_DB).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _transform(settings: MelSettings) -> nn.Module:
    from torch import nn

    module = transforms()
    mel = module.MelSpectrogram(
        sample_rate=settings.sample_rate,
        n_fft=settings.fft_samples,
        hop_length=settings.hop_samples,
        f_min=settings.lowest_hz,
        f_max=settings.highest_hz,
        n_mels=settings.mels,
        window_fn=_unit_hann,
    )
    decibels = module.AmplitudeToDB("power")
    decibels.amin = _FLOOR_POWER
    return nn.Sequential(mel, decibels)


def _unit_hann(samples: int) -> Tensor:
    """A Hann window under which a full-scale sine has power 1 in its bin."""
    import torch

    window = torch.hann_window(samples)
    return 2 * window / window.sum()
