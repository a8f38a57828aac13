"""Recognises that a clip was cut from audio in the library, whatever its level, codec or rate.

Follows Haitsma & Kalker 2002, "A Highly Robust Audio Fingerprinting System", sections 4 and 5:
every 11.6 ms a frame of 0.37 s is reduced to one 32-bit sub-fingerprint, each bit telling whether
the energy difference of two neighbouring bands (33 logarithmic bands, 300 to 2000 Hz) rose or
fell since the previous frame. Two recordings of the same music differ in few bits; unrelated ones
in half of them. A sub-fingerprint of 0 stands for silence and is never compared.

Fingerprints are (frames,) uint32, frame ``i`` starts at ``i * HOP_S`` seconds. The clip may be any
excerpt, but not stretched or transposed: unwarped source audio is what a clip refers to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import resample
from engine.audio.waveform import Waveform

__all__ = [
    "HOP_S",
    "FingerprintMatch",
    "best_match",
    "fingerprint",
    "match",
]

#: 64 samples at 5 512 Hz are 11.6 ms, 2048 samples 0.37 s (the paper's values).
_RATE_HZ: Final = 5512
_FRAME_SAMPLES: Final = 2048
_HOP_SAMPLES: Final = 64
HOP_S: Final = _HOP_SAMPLES / _RATE_HZ
_BITS: Final = 32
_LOWEST_HZ: Final = 300.0
_HIGHEST_HZ: Final = 2000.0

#: A frame this far below the loudest one, or below -80 dBFS in the band, is silence: its bits are
#: noise, and noise gates and codecs change them.
_SILENT_RELATIVE: Final = 10 ** (-50 / 10)
_SILENT_POWER: Final = 1e-8

#: The paper's threshold for 256 frames (3 s): false positives there are rarer than 1e-19.
_HIGHEST_ERROR_RATE: Final = 0.35
_LEAST_FRAMES: Final = 256
#: Offsets tried per reference, those with the most equal sub-fingerprints first.
_PROPOSALS: Final = 12
#: Values that turn up more often than this in a reference (steady tones) point nowhere.
_MOST_REPEATS: Final = 200
_CHUNK_FRAMES: Final = 512


@dataclass(frozen=True)
class FingerprintMatch:
    """Where a clip lies in a reference.

    Args:
        offset_s: seconds from the reference's start to the clip's start; negative when the clip
            begins earlier.
        bit_error_rate: share of differing bits over the sounding overlap [0, 0.35].
        compared_s: seconds of overlap that sound in both.
    """

    offset_s: float
    bit_error_rate: float
    compared_s: float

    @property
    def confidence(self) -> float:
        """1 for equal bits, 0 for chance (half of the bits differ)."""
        return max(0.0, 1.0 - 2.0 * self.bit_error_rate)


def fingerprint(waveform: Waveform) -> NDArray[np.uint32]:
    """(frames,) sub-fingerprints; empty when the audio is shorter than 0.4 s."""
    mono = Waveform(waveform.mono()[np.newaxis], waveform.sample_rate)
    signal = resample(mono, _RATE_HZ).samples[0]
    if signal.size < _FRAME_SAMPLES + _HOP_SAMPLES:
        return np.zeros(0, dtype=np.uint32)
    energy = _band_energies(np.nan_to_num(signal))
    difference = energy[:, :-1] - energy[:, 1:]
    rising = np.diff(difference, axis=0) > 0
    weights = np.left_shift(np.uint32(1), np.arange(_BITS, dtype=np.uint32))
    packed = (rising * weights).sum(axis=1, dtype=np.uint32)
    packed[packed == 0] = 1  # 0 is kept for silence
    level = energy.sum(axis=1)
    silent = level < max(_SILENT_POWER, _SILENT_RELATIVE * float(level.max()))
    packed[silent[1:] | silent[:-1]] = 0
    return np.concatenate([np.zeros(1, dtype=np.uint32), packed])


def match(query: NDArray[np.uint32], reference: NDArray[np.uint32]) -> FingerprintMatch | None:
    """Where ``query`` lies in ``reference``, or None when it does not.

    At least 3 s must sound in both, and at most 35 % of their bits may differ.
    """
    return _match(_Lookup(query), reference)


def best_match(
    query: NDArray[np.uint32], references: Mapping[str, NDArray[np.uint32]]
) -> tuple[str, FingerprintMatch] | None:
    """The reference that ``query`` fits best, by name, or None when it fits none."""
    lookup = _Lookup(query)
    found = ((name, _match(lookup, reference)) for name, reference in references.items())
    matches = [(name, hit) for name, hit in found if hit is not None]
    return min(matches, key=lambda item: (item[1].bit_error_rate, item[0]), default=None)


class _Lookup:
    """A query's sub-fingerprints, sorted, with a 2^20-bit table that turns most values away."""

    def __init__(self, query: NDArray[np.uint32]) -> None:
        sounding = np.flatnonzero(query)
        order = sounding[np.argsort(query[sounding], kind="stable")]
        self.query = query
        self.values = query[order]
        self.frames = order
        self._table = np.zeros(1 << 20, dtype=np.bool_)
        self._table[self._hashed(self.values)] = True

    def offsets(self, reference: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Offsets [frames] at which a value of the query equals one of the reference."""
        near = np.flatnonzero(self._table[self._hashed(reference)] & (reference != 0))
        first = np.searchsorted(self.values, reference[near], side="left")
        count = np.searchsorted(self.values, reference[near], side="right") - first
        usable = (count > 0) & (count <= _MOST_REPEATS)
        near, first, count = near[usable], first[usable], count[usable]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        offsets: NDArray[np.intp] = (
            np.repeat(near, count) - self.frames[np.repeat(first, count) + within]
        )
        return offsets

    @staticmethod
    def _hashed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return (values * np.uint32(2_654_435_761)) >> np.uint32(12)


def _match(lookup: _Lookup, reference: NDArray[np.uint32]) -> FingerprintMatch | None:
    candidates = (
        _compared(lookup.query, reference, offset)
        for offset in _proposed(lookup.offsets(reference))
    )
    accepted = [
        found
        for found in candidates
        if found is not None and found.bit_error_rate <= _HIGHEST_ERROR_RATE
    ]
    return min(accepted, key=lambda found: found.bit_error_rate, default=None)


def _proposed(offsets: NDArray[np.intp]) -> Iterator[int]:
    """The most frequent offsets, each with its two neighbours (the frames may lie between)."""
    if offsets.size == 0:
        return
    values, counts = np.unique(offsets, return_counts=True)
    best = np.argsort(-counts, kind="stable")[:_PROPOSALS]
    yield from sorted({int(values[i]) + step for i in best for step in (-1, 0, 1)})


def _compared(
    query: NDArray[np.uint32], reference: NDArray[np.uint32], offset: int
) -> FingerprintMatch | None:
    """Error rate of the overlap with the query starting at frame ``offset`` of the reference."""
    start, end = max(0, offset), min(reference.size, offset + query.size)
    if end - start < _LEAST_FRAMES:
        return None
    ours, theirs = query[start - offset : end - offset], reference[start:end]
    sounding = (ours != 0) & (theirs != 0)
    frames = int(np.count_nonzero(sounding))
    if frames < _LEAST_FRAMES:
        return None
    differing = np.bitwise_xor(ours[sounding], theirs[sounding])
    errors = int(np.unpackbits(differing.view(np.uint8)).sum())
    return FingerprintMatch(offset * HOP_S, errors / (frames * _BITS), frames * HOP_S)


def _band_energies(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """(frames, 33) energy per frame and logarithmic band."""
    from scipy import fft

    frames = np.lib.stride_tricks.sliding_window_view(signal, _FRAME_SAMPLES)[::_HOP_SAMPLES]
    window = np.hanning(_FRAME_SAMPLES).astype(np.float32)
    window /= np.float32(np.sqrt(_FRAME_SAMPLES * np.sum(window.astype(np.float64) ** 2) / 2))
    pooling, used = _pooling()
    energy = np.empty((frames.shape[0], _BITS + 1))
    for start in range(0, frames.shape[0], _CHUNK_FRAMES):
        block = frames[start : start + _CHUNK_FRAMES] * window
        spectra = fft.rfft(block, axis=1)[:, used]
        energy[start : start + _CHUNK_FRAMES] = (spectra.real**2 + spectra.imag**2) @ pooling
    return energy


def _pooling() -> tuple[NDArray[np.float32], slice]:
    """(bins, 33) which bin belongs to which band, and the bins that are used."""
    frequencies = np.arange(_FRAME_SAMPLES // 2 + 1) * _RATE_HZ / _FRAME_SAMPLES
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BITS + 2)
    band = np.searchsorted(edges, frequencies, side="right") - 1
    inside = np.flatnonzero((band >= 0) & (band <= _BITS))
    used = slice(int(inside[0]), int(inside[-1]) + 1)
    return np.eye(_BITS + 1, dtype=np.float32)[band[used]], used
