"""Splits a mix into vocals, drums, bass and other.

A :class:`Separator` gives four stems of the input's length, rate and channels that add up to the
input. Two exist: Demucs (:mod:`engine.analysis.demucs_separation`), the real one, and
:class:`FallbackSeparator`, plain signal processing for machines without Demucs's weights. The
fallback is enough to try things out, not to judge suggestions by, and says so.

The fallback masks a short-time spectrum: harmonic against percussive by median filtering
(Fitzgerald 2010, "Harmonic/Percussive Separation Using Median Filtering"), the low end of the
harmonic part as bass, and its centre in the voice's range as vocals (after Avendano & Jot 2002,
similarity of the channels). Masks add up to 1, so the stems add up to the mix.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import UsageError
from engine.theory import STORED_ROLES, Role

__all__ = ["DEFAULT_MODEL", "Device", "FallbackSeparator", "Separator", "choose_separator"]

Device = Literal["auto", "cpu", "cuda", "mps"]

_log = logging.getLogger(__name__)

_FALLBACK_NAME: Final = "hpss-center"
#: What ``auto`` stands for when its weights are there.
DEFAULT_MODEL: Final = "htdemucs"

#: 4096 points = 93 ms at 44.1 kHz: long enough to tell a bass note from a kick.
_FFT_S: Final = 0.093
_HOPS_PER_FRAME: Final = 4
#: Median lengths: 17 frames = 0.4 s along time, 17 bins = 180 Hz along frequency (Fitzgerald 2010).
_MEDIAN: Final = 17
#: Spectra are handled in blocks of this many frames (12 s), so that an hour needs no more memory.
_BLOCK_FRAMES: Final = 512
#: Bass: all of the harmonic part below the first, nothing above the second.
_BASS_HZ: Final = (160.0, 240.0)
#: Vocals: between these, with a fade of a third octave on both sides.
_VOICE_HZ: Final = (150.0, 8000.0)
#: A mono file has no sides; voice and accompaniment then share the voice's range.
_MONO_CENTRE: Final = 0.5
_TINY: Final = 1e-12


class Separator(Protocol):
    """Splits a mix into the four stored roles."""

    @property
    def name(self) -> str:
        """What made the stems; kept with the song."""
        ...

    @property
    def is_fallback(self) -> bool:
        """Whether something better is missing."""
        ...

    def separate(self, waveform: Waveform) -> Mapping[Role, Waveform]:
        """Vocals, drums, bass and other, each with the input's rate, channels and length.

        Raises:
            MissingDependency: the model is not there or damaged.
            UsageError: the input is neither mono nor stereo.
        """
        ...


class FallbackSeparator:
    """Harmonic/percussive masks, centre extraction and a low-pass; needs no model."""

    name: Final = _FALLBACK_NAME
    is_fallback: Final = True

    def separate(self, waveform: Waveform) -> Mapping[Role, Waveform]:
        """See :meth:`Separator.separate`."""
        require_mono_or_stereo(waveform)
        window = _window(waveform.sample_rate)
        hop = window.size // _HOPS_PER_FRAME
        padded = _padded(waveform.samples, window.size)
        bins = np.arange(window.size // 2 + 1, dtype=np.float64)
        frequencies = bins * (waveform.sample_rate / window.size)
        sums = {role: np.zeros_like(padded) for role in STORED_ROLES}
        for first, spectra in _blocks(padded, window):
            for role, mask in _masks(spectra, frequencies).items():
                _overlap_add(sums[role], spectra.core * mask, window, first * hop)
        inside = slice(window.size, window.size + waveform.frames)
        return {
            role: Waveform(np.ascontiguousarray(made[:, inside]), waveform.sample_rate)
            for role, made in sums.items()
        }


def choose_separator(
    name: str = "auto",
    *,
    models: Path | None = None,
    device: Device = "auto",
    jobs: int = 0,
) -> Separator:
    """The separator called ``name``.

    Args:
        name: ``auto`` (Demucs if its weights are on this machine, else the fallback, with one
            warning), ``hpss-center``, or a Demucs model such as ``htdemucs``.
        models: folder with Demucs models; None is the Hugging Face cache.
        device: where Demucs runs.
        jobs: threads that Demucs uses for segments, 0 for its own choice.

    Raises:
        UsageError: no separator has this name.
    """
    from engine.analysis import demucs_separation as demucs

    if name == _FALLBACK_NAME:
        return FallbackSeparator()
    if name == "auto":
        if not demucs.has_weights(DEFAULT_MODEL, models=models):
            _warn_of_fallback()
            return FallbackSeparator()
        name = DEFAULT_MODEL
    if models is None and name not in demucs.MODEL_NAMES:
        raise UsageError(
            f"{name!r} is not a separator.",
            hint=f"Use auto, {_FALLBACK_NAME} or a Demucs model: {', '.join(demucs.MODEL_NAMES)}.",
            code="bad_separator",
        )
    return demucs.DemucsSeparator(name, models=models, device=device, jobs=jobs)


def require_mono_or_stereo(waveform: Waveform) -> None:
    """Raise UsageError for more than two channels."""
    if waveform.channels not in (1, 2):
        raise UsageError(
            f"Separation takes mono or stereo, and this audio has {waveform.channels} channels.",
            hint="Mix it down to stereo first.",
        )


@functools.cache
def _warn_of_fallback() -> None:
    _log.warning(
        "The Demucs model %r is not on this machine; songs are separated by %s, which is much "
        "worse. Run `dawlink doctor` to see how to get it.",
        DEFAULT_MODEL,
        _FALLBACK_NAME,
    )


class _Block:
    """Spectra of some frames with those around them that the medians need.

    ``around`` is (channels, bins, frames) complex64, ``core`` the part that belongs to the block.
    """

    def __init__(self, around: NDArray[np.complex64], before: int, frames: int) -> None:
        self.around = around
        self.inner = slice(before, before + frames)

    @property
    def core(self) -> NDArray[np.complex64]:
        return self.around[:, :, self.inner]


def _window(sample_rate: int) -> NDArray[np.float32]:
    """Square root of a Hann window, scaled so that analysis and synthesis overlap to 1."""
    size = 1 << round(np.log2(_FFT_S * sample_rate))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    window: NDArray[np.float32] = np.sqrt(hann * 2 / _HOPS_PER_FRAME).astype(np.float32)
    return window


def _padded(samples: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A frame of silence before, and at least one after, to whole hops."""
    hop = size // _HOPS_PER_FRAME
    after = size + (-samples.shape[1]) % hop
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return np.pad(finite, ((0, 0), (size, after)))


def _blocks(
    padded: NDArray[np.float32], window: NDArray[np.float32]
) -> Iterator[tuple[int, _Block]]:
    """(first frame, block) until the end."""
    from scipy import fft

    hop = window.size // _HOPS_PER_FRAME
    framed = np.lib.stride_tricks.sliding_window_view(padded, window.size, axis=1)[:, ::hop]
    reach = _MEDIAN // 2
    for first in range(0, framed.shape[1], _BLOCK_FRAMES):
        last = min(framed.shape[1], first + _BLOCK_FRAMES)
        start = max(0, first - reach)
        spectra = fft.rfft(framed[:, start : min(framed.shape[1], last + reach)] * window, axis=2)
        yield first, _Block(spectra.transpose(0, 2, 1), first - start, last - first)


def _masks(block: _Block, frequencies_hz: NDArray[np.float64]) -> dict[Role, NDArray[np.float32]]:
    """(bins, frames) per role, in 0..1, adding up to 1."""
    magnitude = np.sqrt(np.mean(np.abs(block.around) ** 2, axis=0, dtype=np.float32))
    steady = _median_along_rows(magnitude)[:, block.inner] ** 2
    broad = _median_along_rows(magnitude[:, block.inner].T).T ** 2
    harmonic = (steady + _TINY / 2) / (steady + broad + _TINY)
    low, voice = _shapes(frequencies_hz)
    bass = harmonic * low
    vocals = (harmonic - bass) * voice * _centre(block.core)
    return {
        "drums": 1 - harmonic,
        "bass": bass,
        "vocals": vocals,
        "other": harmonic - bass - vocals,
    }


def _centre(spectra: NDArray[np.complex64]) -> NDArray[np.float32] | np.float32:
    """(bins, frames) how much of the power is alike in both channels, 0..1."""
    if spectra.shape[0] == 1:
        return np.float32(_MONO_CENTRE)
    mid = np.abs(spectra[0] + spectra[1]) ** 2
    side = np.abs(spectra[0] - spectra[1]) ** 2
    likeness: NDArray[np.float32] = np.maximum(mid - side, 0) / (mid + side + np.float32(_TINY))
    return likeness


def _shapes(
    frequencies_hz: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(bins, 1) weights of the bass range and of the voice's range."""
    octave = np.log2(np.maximum(frequencies_hz, 1.0))
    low_from, low_to = np.log2(_BASS_HZ)
    low = np.clip((low_to - octave) / (low_to - low_from), 0, 1)
    bottom, top = np.log2(_VOICE_HZ)
    voice = np.clip((octave - bottom) * 3 + 1, 0, 1) * np.clip((top - octave) * 3 + 1, 0, 1)
    return low[:, np.newaxis].astype(np.float32), voice[:, np.newaxis].astype(np.float32)


def _median_along_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Moving median along axis 1, as one long row: SciPy's filter for those is 10 × faster."""
    from scipy import ndimage

    reach = _MEDIAN // 2
    rows = np.pad(values, ((0, 0), (reach, reach)), mode="symmetric")
    flat = ndimage.median_filter(rows.reshape(-1), size=_MEDIAN).reshape(rows.shape)
    medians: NDArray[np.float32] = flat[:, reach : reach + values.shape[1]]
    return medians


def _overlap_add(
    target: NDArray[np.float32],
    spectra: NDArray[np.complex64],
    window: NDArray[np.float32],
    start: int,
) -> None:
    """Add the frames' waveforms to ``target`` from sample ``start`` on."""
    from scipy import fft

    hop = window.size // _HOPS_PER_FRAME
    frames = fft.irfft(spectra.transpose(0, 2, 1), n=window.size, axis=2) * window
    count = frames.shape[1]
    for quarter in range(_HOPS_PER_FRAME):
        piece = frames[:, :, quarter * hop : (quarter + 1) * hop].reshape(frames.shape[0], -1)
        begin = start + quarter * hop
        target[:, begin : begin + count * hop] += piece
