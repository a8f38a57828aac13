"""Loudness, true peak, and the gain and limiter that bring a mix to a target.

Loudness is the integrated, gated loudness of ITU-R BS.1770-4 [LUFS], by pyloudnorm. The true
peak is that of the four times oversampled signal (annex 2) [dBTP]. Material shorter than one
gating block (400 ms) is padded with silence to a block. A mono waveform counts as one channel:
the same signal in both channels of a stereo file is 3 LU louder.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import inf, isfinite, log10
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.limiter import limit, oversampled_peaks
from engine.audio.waveform import Waveform
from engine.errors import UsageError

__all__ = ["Mastered", "integrated_lufs", "master", "true_peak_db"]

#: One gating block of BS.1770 [s].
_BLOCK_S: Final = 0.4
#: The filters and five-channel weights of BS.1770 as pyloudnorm has them.
_MAX_CHANNELS: Final = 5
#: Gain rounds: limiting costs loudness, and each round gives back what the last one took.
_ROUNDS: Final = 4
#: Near enough to the target [LU].
_CLOSE_LU: Final = 0.2
#: Loudness asked for per loudness missing: limiting swallows a part of it.
_OVERSHOOT: Final = 1.3
#: No material is pushed further into the limiter than this [dB]: it would only be distortion.
_MAX_DRIVE_DB: Final = 12.0
#: A smaller DC offset is left alone [full scale]: it takes a tenth of a dB of headroom.
_LEAST_OFFSET: Final = 0.01
#: Between its samples, audio rises over them by at most this (3 dB: a sine at a quarter of the
#: rate, sampled beside its crests); more takes signals made to do so.
_MOST_OVERSHOOT: Final = 1.4142


@dataclass(frozen=True, eq=False)
class Mastered:
    """A waveform at its target, with what was done and measured.

    ``gain_db`` is the gain before the limiter; ``lufs`` and ``true_peak_db`` are measured on
    ``waveform``; ``reduction_db`` (0 or more) is the most that the limiter took away.
    """

    waveform: Waveform
    gain_db: float
    lufs: float
    true_peak_db: float
    reduction_db: float


def integrated_lufs(waveform: Waveform) -> float:
    """Integrated loudness [LUFS]; ``-inf`` for silence (everything under the -70 LUFS gate)."""
    import pyloudnorm

    needed = int(np.ceil(_BLOCK_S * waveform.sample_rate)) + 1
    samples = waveform.samples[:_MAX_CHANNELS]
    if waveform.frames < needed:
        samples = np.pad(samples, ((0, 0), (0, needed - waveform.frames)))
    if not samples.any():
        return -inf
    meter = pyloudnorm.Meter(waveform.sample_rate, block_size=_BLOCK_S)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        lufs = float(meter.integrated_loudness(samples.T.astype(np.float64)))
    return lufs if isfinite(lufs) else -inf


def true_peak_db(waveform: Waveform) -> float:
    """Highest value of the four times oversampled signal [dBTP]; ``-inf`` for silence.

    Only looked for around samples less than :data:`_MOST_OVERSHOOT` below the highest one.
    """
    highest = float(np.abs(waveform.samples).max(initial=0.0))
    peaks = oversampled_peaks(waveform.samples, floor=highest, overshoot=_MOST_OVERSHOOT)
    return _decibels(float(peaks.max(initial=0.0)))


def master(waveform: Waveform, *, target_lufs: float = -14.0, ceiling_db: float = -1.0) -> Mastered:
    """Bring ``waveform`` to a loudness, with no true peak over the ceiling.

    Music lands within 0.5 LU of the target. Where that would take more than 12 dB of limiting
    (lone clicks), or the waveform is silent, it stays quieter; ``lufs`` says what came out. A DC
    offset of more than -40 dB is taken away: nobody hears it, and the limiter would work for it.

    Args:
        waveform: (channels, frames).
        target_lufs: [-60, 0] LUFS.
        ceiling_db: [-20, 0] dBTP.

    Raises:
        UsageError: a target or ceiling that cannot be meant.
    """
    if not -60 <= target_lufs <= 0 or not -20 <= ceiling_db <= 0:
        raise UsageError(
            f"A loudness of {target_lufs:g} LUFS under a ceiling of {ceiling_db:g} dB is outside "
            "-60..0 and -20..0.",
            hint="Usual values are -14 LUFS and -1 dB.",
        )
    waveform = _centred(waveform)
    before = integrated_lufs(waveform)
    if before == -inf:
        return Mastered(waveform, 0.0, -inf, true_peak_db(waveform), 0.0)
    loudest_db = ceiling_db - true_peak_db(waveform) + _MAX_DRIVE_DB
    gain_db = min(target_lufs - before, loudest_db)
    peaks = oversampled_peaks(waveform.samples, floor=10 ** ((ceiling_db - loudest_db) / 20))
    for _ in range(_ROUNDS):
        made, reduction_db = _limited(waveform, peaks, gain_db, ceiling_db)
        lufs = integrated_lufs(made)
        missing = target_lufs - lufs
        if abs(missing) <= _CLOSE_LU or reduction_db == 0 or gain_db >= loudest_db:
            break
        # Pushed by 1 dB, limited material gains less than 1 LU: ask for a little more.
        gain_db = min(gain_db + _OVERSHOOT * missing, loudest_db)
    return _under_ceiling(
        Mastered(made, gain_db, lufs, true_peak_db(made), reduction_db), ceiling_db
    )


def _centred(waveform: Waveform) -> Waveform:
    """``waveform`` without its DC offset, where it has one worth the name."""
    total = waveform.samples.sum(axis=1, keepdims=True, dtype=np.float64)
    offsets = total / max(waveform.frames, 1)
    if float(np.abs(offsets).max(initial=0.0)) < _LEAST_OFFSET:
        return waveform
    return Waveform(waveform.samples - offsets.astype(np.float32), waveform.sample_rate)


def _limited(
    waveform: Waveform, peaks: NDArray[np.float32], gain_db: float, ceiling_db: float
) -> tuple[Waveform, float]:
    """``waveform`` amplified and limited, and the largest reduction [dB]."""
    factor = np.float32(10 ** (gain_db / 20))
    samples, reduction_db = limit(
        waveform.samples * factor, waveform.sample_rate, ceiling_db, peaks=peaks * factor
    )
    return Waveform(samples, waveform.sample_rate), reduction_db


def _under_ceiling(mastered: Mastered, ceiling_db: float) -> Mastered:
    """Turn down by the last hundredths of a dB that a moving gain may add between samples."""
    excess_db = mastered.true_peak_db - ceiling_db
    if excess_db <= 0:
        return mastered
    samples = mastered.waveform.samples * np.float32(10 ** (-excess_db / 20))
    return Mastered(
        Waveform(samples, mastered.waveform.sample_rate),
        mastered.gain_db - excess_db,
        mastered.lufs - excess_db,
        ceiling_db,
        mastered.reduction_db,
    )


def _decibels(value: float) -> float:
    return 20 * log10(value) if value > 0 else -inf
