"""Two songs in, out comes how much of each is heard in their mashup, moment by moment.

song-masher's authors wished for "a mask of weights of song 1 and song 2" after their network,
which writes spectrograms, had given noise. This is that network: it never invents a sound, it only
turns two songs up and down, per 10 ms and per band of ``engine.mashup.ducking``. A stack of
dilated convolutions (after Yu & Koltun 2016) over both songs' band levels sees 0.65 s to each side
and gives two weights in [0, 1] per band and frame, trained so that the weighted sum of both
spectra has the magnitudes of a known mix.

Signals are 16 kHz mono; spectra are complex (batch, bins, frames), 512 samples every 160, scaled
so that a full-scale sine reads 1; masks are (batch, 2, bands, frames), song 1 first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.mashup.ducking import BAND_EDGES_HZ, FRAME_S, band_of_bins

__all__ = ["SAMPLE_RATE", "MaskConfig", "MaskNetwork", "apply_masks", "mask_loss", "spectra"]

SAMPLE_RATE: Final = 16_000
FFT_SAMPLES: Final = 512
HOP_SAMPLES: Final = round(SAMPLE_RATE * FRAME_S)
BANDS: Final = len(BAND_EDGES_HZ) + 1
#: Magnitudes are compared as log(1 + 100 x): linear under -40 dB, where nothing is heard in a mix.
_COMPRESSION: Final = 100.0
#: Band levels run over about [-80, 0] dB; this brings them to about [-2, 2].
_LEVEL_FLOOR: Final = 1e-8
_LEVEL_CENTRE: Final = -4.0
_LEVEL_SPREAD: Final = 2.0
#: Long songs go through the network in pieces of so many frames, 60 s: 60 MB at a time.
_PIECE_FRAMES: Final = 6000
#: Before training both songs are heard at 0.88.
_FIRST_BIAS: Final = 2.0


@dataclass(frozen=True)
class MaskConfig:
    """Sizes: channels of the convolutions, and their dilations in frames."""

    width: int = 48
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)

    @property
    def context_frames(self) -> int:
        """How far to each side a frame's weights depend on others."""
        return 2 + sum(self.dilations)

    def __post_init__(self) -> None:
        if self.width < 1 or not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"no network has {self.width} channels, dilations {self.dilations}")


class MaskNetwork(nn.Module):
    """The network; also a ``MaskSource`` for ducking.

    Args:
        config: sizes.
        seed: of the initial weights; the global generator is left as it was.
    """

    bands: Tensor

    def __init__(self, config: MaskConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bands", _band_matrix(), persistent=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv1d(2 * BANDS, config.width, 5, padding=2)
            self.layers = nn.ModuleList(
                nn.Conv1d(config.width, config.width, 3, padding=step, dilation=step)
                for step in config.dilations
            )
            self.last = nn.Conv1d(config.width, 2 * BANDS, 1)
            nn.init.constant_(self.last.bias, _FIRST_BIAS)  # type: ignore[arg-type]  # never None: the layer has a bias

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(batch, 2, bands, frames) masks of complex (batch, bins, frames) spectra."""
        levels = torch.cat([self._levels(first), self._levels(second)], dim=1)
        hidden = torch.relu(self.first(levels))
        for layer in self.layers:
            hidden = hidden + torch.relu(layer(hidden))
        weights = torch.sigmoid(self.last(hidden))
        return weights.reshape(weights.shape[0], 2, BANDS, -1)

    @torch.no_grad()
    def masks(self, first: Waveform, second: Waveform) -> NDArray[np.float32]:
        """(2, bands, frames) weights of two songs that begin together; the longer one counts.

        It was trained on mono; of several channels their mean power is heard, not their sum, in
        which what is wide is softer and what is in opposite phase is gone.
        """
        songs = [
            torch.from_numpy(resample(song, SAMPLE_RATE).samples.copy()) for song in (first, second)
        ]
        length = max(song.shape[-1] for song in songs)
        padded = [functional.pad(song, (0, length - song.shape[-1])) for song in songs]
        frames = length // HOP_SAMPLES + 1
        with _one_thread():
            pieces = [
                self._piece(padded, start, min(start + _PIECE_FRAMES, frames))
                for start in range(0, frames, _PIECE_FRAMES)
            ]
        return np.concatenate(pieces, axis=-1)

    def _piece(self, songs: Sequence[Tensor], start: int, end: int) -> NDArray[np.float32]:
        """(2, bands, end - start) weights of these frames of (channels, samples) songs, no others.

        What is cut out begins and ends beyond everything that the frames depend on: the
        network's context, and the window of the outermost frame.
        """
        margin = self.config.context_frames + FFT_SAMPLES // HOP_SAMPLES + 1
        first = max(start - margin, 0)
        cut = slice(first * HOP_SAMPLES, (end + margin) * HOP_SAMPLES)
        device = self.last.weight.device
        weights = self(*(_heard(spectra(song[:, cut].to(device))) for song in songs))[0]
        kept = weights[..., start - first : end - first]
        return np.asarray(kept.cpu().numpy(), dtype=np.float32)

    def _levels(self, spectrum: Tensor) -> Tensor:
        """(batch, bands, frames) normalised log10 powers."""
        powers = self.bands @ spectrum.abs().square()
        return (torch.log10(powers + _LEVEL_FLOOR) - _LEVEL_CENTRE) / _LEVEL_SPREAD


def spectra(samples: Tensor) -> Tensor:
    """(batch, bins, frames) complex spectra of (batch, samples) at 16 kHz."""
    window = torch.hann_window(FFT_SAMPLES, device=samples.device)
    found = torch.stft(
        samples,
        FFT_SAMPLES,
        hop_length=HOP_SAMPLES,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return found * (2.0 / float(window.sum()))


def apply_masks(first: Tensor, second: Tensor, *, masks: Tensor) -> Tensor:
    """(batch, bins, frames) the two spectra, each weighted by its mask, together."""
    member = _band_matrix().to(masks.device)
    weights = torch.einsum("bf,nsbt->nsft", member, masks)
    return weights[:, 0] * first + weights[:, 1] * second


def mask_loss(written: Tensor, mix: Tensor) -> Tensor:
    """Mean squared difference of compressed magnitudes of two spectra; phases do not count."""
    heard, wanted = (torch.log1p(_COMPRESSION * part.abs()) for part in (written, mix))
    return functional.mse_loss(heard, wanted)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits, and so would renders."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _heard(channels: Tensor) -> Tensor:
    """(1, bins, frames) one spectrum with the mean power of (channels, bins, frames)."""
    if channels.shape[0] == 1:
        return channels
    return channels.abs().square().mean(dim=0, keepdim=True).sqrt()


def _band_matrix() -> Tensor:
    """(bands, bins) ones where a bin lies in a band."""
    bands = band_of_bins(np.fft.rfftfreq(FFT_SAMPLES, 1 / SAMPLE_RATE).astype(np.float64))
    return torch.from_numpy((np.arange(BANDS)[:, np.newaxis] == bands).astype(np.float32))
