"""song-masher: a sequence model that tries to write the mashup of two songs, and cannot.

Source: the student project "Machine Mashups" (D. Lee and others, 2020), kept as the documented
negative baseline. Two networks of one shape, one for magnitudes and one for phases: an LSTM
encodes each song's spectrogram, an attention block looks over each encoding, and an LSTM that
starts from both encoders' states writes the mashup's frame by frame.

Spectrograms are (batch, frames, bins): 8 kHz mono, the first 60 s, Hann windows of 512 samples
(64 ms) every 128 (16 ms), 257 bins, 3751 frames. Magnitudes are divided by 80, phases are unit
phasors. :class:`Defects` switches each published defect on or off; with all of them on a network
has the published 2 038 273 trainable parameters. Initial Q, K and V are not documented: normal
numbers of deviation 0.1 here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from engine.audio.resample import resample
from engine.audio.waveform import Waveform

__all__ = ["BINS", "SAMPLE_RATE", "Defects", "MasherConfig", "SongMasher", "mash", "spectrum"]

SAMPLE_RATE: Final = 8000
FFT_SAMPLES: Final = 512
HOP_SAMPLES: Final = 128
BINS: Final = FFT_SAMPLES // 2 + 1
LONGEST_S: Final = 60.0
#: Magnitudes are divided by this before the network …
INPUT_SCALE: Final = 80.0
#: … and multiplied by this after it.
PUBLISHED_OUTPUT_SCALE: Final = 60.0
_ATTENTION_DEVIATION: Final = 0.1
_NORM_EPS: Final = 1e-3

Part = Literal["magnitude", "phase"]


@dataclass(frozen=True)
class Defects:
    """What is wrong with the published code; True keeps it.

    Args:
        untrained_attention: query, key and value matrices are constants.
        reshaped_keys: keys are reshaped into (width, frames) instead of transposed, so that every
            score mixes frames and features.
        cosine_only: phasors are stored as float32, which keeps their real part.
        unequal_gain: what was divided by 80 is multiplied by 60.
        noise_targets: a mix with another number of frames is replaced by normal noise.
        restarted_optimiser: Adam forgets its moments after every epoch.
        tested_on_training: the reported test loss is the loss on the training set.
    """

    untrained_attention: bool = True
    reshaped_keys: bool = True
    cosine_only: bool = True
    unequal_gain: bool = True
    noise_targets: bool = True
    restarted_optimiser: bool = True
    tested_on_training: bool = True

    @classmethod
    def none(cls) -> Defects:
        """Everything mended."""
        return cls(*[False] * 7)


@dataclass(frozen=True)
class MasherConfig:
    """Which of the two networks, how wide, and with which defects."""

    part: Part = "magnitude"
    width: int = 256
    defects: Defects = field(default_factory=Defects)

    @property
    def features(self) -> int:
        """Numbers per frame: twice the bins where a phasor has its imaginary part too."""
        both = self.part == "phase" and not self.defects.cosine_only
        return 2 * BINS if both else BINS

    def planes(self, spectra: Tensor) -> Tensor:
        """(..., frames, features) network input of complex (..., frames, bins) spectra."""
        if self.part == "magnitude":
            return spectra.abs() / INPUT_SCALE
        phasors = torch.polar(torch.ones_like(spectra.abs()), spectra.angle())
        if self.defects.cosine_only:
            return phasors.real
        return torch.cat([phasors.real, phasors.imag], dim=-1)

    def complex_of(self, planes: Tensor) -> Tensor:
        """What a network's output stands for: magnitudes, or phasors, as complex numbers."""
        if self.part == "magnitude":
            unequal = self.defects.unequal_gain
            scaled = planes * (PUBLISHED_OUTPUT_SCALE if unequal else INPUT_SCALE)
            return torch.complex(scaled, torch.zeros_like(scaled))
        if self.defects.cosine_only:
            return torch.complex(planes, torch.zeros_like(planes))
        phasors = torch.complex(planes[..., :BINS], planes[..., BINS:])
        return phasors / phasors.abs().clamp_min(1e-9)


class _Attention(nn.Module):
    """Post-norm block of one head; both norms are one layer, as published."""

    query: Tensor
    key: Tensor
    value: Tensor

    def __init__(self, config: MasherConfig) -> None:
        super().__init__()
        self.reshaped = config.defects.reshaped_keys
        for name in ("query", "key", "value"):
            matrix = torch.empty(config.width, config.width).normal_(std=_ATTENTION_DEVIATION)
            if config.defects.untrained_attention:
                self.register_buffer(name, matrix)
            else:
                self.register_parameter(name, nn.Parameter(matrix))
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.forward_layers = nn.Sequential(
            nn.Linear(config.width, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.width),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(batch, frames, width) to the same shape, no value below 0."""
        keys = frames @ self.key
        batch, count, width = keys.shape
        across = keys.reshape(batch, width, count) if self.reshaped else keys.transpose(1, 2)
        weights = torch.softmax(frames @ self.query @ across / math.sqrt(width), dim=-1)
        attended: Tensor = self.norm(frames + weights @ (frames @ self.value))
        changed: Tensor = self.norm(attended + self.forward_layers(attended))
        return torch.relu(changed)


class SongMasher(nn.Module):
    """One of the two networks.

    Args:
        config: which one.
        seed: of the initial weights; the global generator is left as it was.
    """

    def __init__(self, config: MasherConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = _lstm(config.features, config.width)
            self.attention = _Attention(config)
            self.decoder = _lstm(2 * config.width + 2 * config.features, config.width)
            self.output = nn.Linear(config.width, config.features)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(batch, frames, features) of the mashup, from two songs of that shape."""
        encoded_first, (hidden, _) = self.encoder(first)
        encoded_second, (cell, _) = self.encoder(second)  # published: its h begins as the cell
        heard = [self.attention(encoded) for encoded in (encoded_first, encoded_second)]
        decoded, _ = self.decoder(torch.cat([*heard, first, second], dim=-1), (hidden, cell))
        written: Tensor = self.output(decoded)
        return written


def spectrum(waveform: Waveform) -> Tensor:
    """(frames, 257) complex spectrum of at most the first 60 s."""
    mono = Waveform(waveform.mono()[np.newaxis], waveform.sample_rate)
    samples = resample(mono, SAMPLE_RATE).samples[0][: round(LONGEST_S * SAMPLE_RATE)]
    window = torch.hann_window(FFT_SAMPLES)
    spectra = torch.stft(
        torch.from_numpy(samples.copy()),
        FFT_SAMPLES,
        hop_length=HOP_SAMPLES,
        window=window,
        return_complex=True,
    )
    return spectra.T


@torch.no_grad()
def mash(first: Waveform, second: Waveform, *, networks: tuple[SongMasher, SongMasher]) -> Waveform:
    """What the magnitude network and the phase network together write, 8 kHz mono.

    Args:
        first: one song, 32 ms or more.
        second: the other song; the longer one is cut.
        networks: magnitude, phase.
    """
    spectra = [spectrum(song) for song in (first, second)]
    frames = min(part.shape[0] for part in spectra)
    written = torch.ones(frames, BINS, dtype=torch.complex64)
    for network in networks:
        one, two = (network.config.planes(part[:frames])[None] for part in spectra)
        written = written * network.config.complex_of(network(one, two)[0])
    samples = torch.istft(
        written.T, FFT_SAMPLES, hop_length=HOP_SAMPLES, window=torch.hann_window(FFT_SAMPLES)
    )
    return Waveform(samples.numpy()[np.newaxis].astype(np.float32), SAMPLE_RATE)


def _lstm(features: int, width: int) -> nn.LSTM:
    """An LSTM as Keras builds it: one bias, forget gates open, orthogonal recurrence."""
    lstm = nn.LSTM(features, width, batch_first=True)
    with torch.no_grad():
        for name, weights in lstm.named_parameters():
            if name == "weight_ih_l0":
                nn.init.xavier_uniform_(weights)
            elif name == "weight_hh_l0":
                nn.init.orthogonal_(weights)
            else:
                nn.init.zeros_(weights)
            if name == "bias_ih_l0":
                weights[width : 2 * width] = 1.0
            elif name == "bias_hh_l0":
                weights.requires_grad_(False)
    return lstm
