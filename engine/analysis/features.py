"""Beat-grid features of one stem: what ranking compares instead of rendered audio.

Everything is measured on a fine time axis and then averaged or placed along the song's beat map,
so the same music at another tempo has the same features, and on the semitone axis a transposition
rolls chroma and shifts the log-frequency rows. See :data:`engine.analysis.records.BEAT_ROW` for
fields, units and axis order; rows are (intervals,) from ``grid.beats_s[0]`` on, and beats outside
the audio are all zeros.

- ``logfreq``, ``chroma``: semitone powers averaged over quarter beats and beats. Chroma adds up
  the *compressed* powers of five octaves from C2 (65 Hz) to B6 (1 976 Hz): compression lets quiet
  chord notes count beside a loud root (Müller & Ewert 2011, "chroma toolbox", log compression).
- ``onsets``: rise of log energy in third-octave bands (Klapuri 1999), peaks only, in three bands
  at twelve steps per beat (Davies et al. 2014, "AutoMashUpper").
- ``bands``: RMS with B-weighting (IEC 651), which follows the 70-phon contour: music is heard at
  that level, and the A curve (40 phon) would take 30 dB from a sub-bass.

The audio's mean over channels is analysed; content above 10–20 kHz (half the base rate of
:mod:`engine.analysis.spectra`) is left out.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import (
    BEAT_ROW,
    LOGFREQ_BINS,
    LOGFREQ_FLOOR_DB,
    LOGFREQ_FRAMES,
    STEPS_PER_BEAT,
)
from engine.analysis.spectra import (
    PowerFrames,
    base_rate_signal,
    semitone_octaves,
    short_time_power,
)
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid

__all__ = ["active_beats", "beat_features"]

#: Upper edges of the low and mid bands [Hz]: A3 and A6 (Davies et al. 2014).
_BAND_EDGES_HZ: Final = (220.0, 1760.0)
_BAND_CENTRES_HZ: Final = (110.0, 622.0, 3520.0)
#: Cells, beats and attacks below this power (-90 dB) are silence: dither and codec residue.
_SILENCE_POWER: Final = 1e-9

#: Bins C2 to B6 carry harmony; below is one muddy octave, above are overtones and consonants.
_CHROMA_BINS: Final = slice(12, 72)
#: Chroma powers are compressed as log(1 + this * power / loudest cell of the stem): notes from
#: 20 dB below it upwards count. With ten times as much, the chroma of real horns, keys and a voice
#: was 30 to 70 % more like its own transposition by a semitone.
_CHROMA_COMPRESSION: Final = 100.0
#: A beat more than this below the stem's loudest beat in the chroma range has no chroma.
_CHROMA_RANGE_POWER: Final = 1e-6

#: Onset energies are compressed as log(1 + this * energy / loud energy): rises from 20 dB below
#: the band's loud frames upwards count. A band's loud energy is at least -25 dB of the loudest
#: band's: in the one real full kit looked at, hi-hats lay 20 dB below the kick; a synthetic hi-hat
#: leaks into the low band 46 dB down.
_ONSET_COMPRESSION: Final = 100.0
_LOUD_PERCENTILE: Final = 99.0
_LOUD_LEAST_SHARE: Final = 3e-3
#: A rise is the level of now above the highest level 2 to 6 frames (10 to 30 ms) ago: looking at
#: the highest keeps beating partials and low notes, whose level swings that fast, from counting.
_RISE_FRAMES: Final = (2, 6)
#: The rise of an attack is seen this long before the attack itself, because half an analysis
#: window reaches ahead (on synthetic clicks and drum sounds from 0 to -20 dB: 0.5 to 7 ms). Soft
#: attacks are placed late instead: one that fades in over 30 ms by 6 to 11 ms.
_ATTACK_LEAD_S: Final = 0.005
#: Weaker rises (mean log units over the band's third octaves) are ripple of steady sounds.
_LEAST_RISE: Final = 0.25
#: Only the strongest rise within this many frames on both sides is an attack (20 ms).
_PEAK_REACH_FRAMES: Final = 4
_ONSET_PERCENTILE: Final = 99.5
#: A band's full scale is never below this share of the strongest band's, so that leakage of a
#: hi-hat into the low band is not blown up into a kick.
_ONSET_LEAST_SHARE: Final = 0.6

#: A beat sounds above -60 dBFS (weighted RMS) ...
_ACTIVE_FLOOR: Final = 1e-3
#: ... and above 36 dB below the stem's own loud beats (their 90th percentile), so that the faint
#: remains of other instruments do not count. On ten real stems 12 of 1 435 beats above the floor
#: were fainter, all in one horn part; how far down separated stems bleed was not measured.
_ACTIVE_RELATIVE: Final = 10 ** (-36 / 20)
_ACTIVE_PERCENTILE: Final = 90.0


def beat_features(
    waveform: Waveform, grid: BeatGrid, *, tuning_cents: float = 0.0
) -> NDArray[np.void]:
    """Features of one stem, one row per beat interval of ``grid``.

    Args:
        waveform: the stem, any rate from 8 kHz and any number of channels.
        grid: the song's beats; may begin before and end after the audio.
        tuning_cents: the song's deviation from A = 440 Hz [-50, 50).

    Returns:
        (intervals,) of :data:`~engine.analysis.records.BEAT_ROW`, zeros where nothing sounds.
    """
    rows = np.zeros(grid.intervals, dtype=BEAT_ROW)
    mono = waveform.mono()
    if not np.isfinite(mono).all():
        mono = np.nan_to_num(mono, nan=0.0, posinf=0.0, neginf=0.0)
    if mono.size == 0 or not np.any(mono):
        return rows
    signal, rate_hz = base_rate_signal(mono, waveform.sample_rate)
    cells = _semitone_cells(signal, rate_hz, grid, tuning_cents)
    rows["logfreq"] = _logfreq(cells)
    rows["chroma"] = _chroma(cells)
    spectra = short_time_power(signal, rate_hz)
    rows["bands"] = _band_levels(spectra, grid)
    rows["onsets"] = _onsets(spectra, grid)
    return rows


def active_beats(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """(intervals,) True where the stem sounds: above -60 dBFS and 36 dB below its loud beats."""
    level = np.sqrt(np.sum(rows["bands"].astype(np.float64) ** 2, axis=1))
    sounding: NDArray[np.bool_] = level > _ACTIVE_FLOOR
    if not sounding.any():
        return sounding
    loud = float(np.percentile(level[sounding], _ACTIVE_PERCENTILE))
    active: NDArray[np.bool_] = sounding & (level > _ACTIVE_RELATIVE * loud)
    return active


def _semitone_cells(
    signal: NDArray[np.float32], rate_hz: float, grid: BeatGrid, tuning_cents: float
) -> NDArray[np.float32]:
    """(intervals, 4, 96) mean semitone power in each quarter of each beat."""
    edges_s = _divided(grid, LOGFREQ_FRAMES)
    cells = np.zeros((grid.intervals * LOGFREQ_FRAMES, LOGFREQ_BINS), dtype=np.float32)
    for first, octave in semitone_octaves(signal, rate_hz, tuning_cents=tuning_cents):
        cells[:, first : first + octave.power.shape[1]] = octave.means(edges_s[:-1], edges_s[1:])
    return cells.reshape(grid.intervals, LOGFREQ_FRAMES, LOGFREQ_BINS)


def _logfreq(cells: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels below the loudest cell, scaled to 0..255."""
    loudest = float(cells.max())
    if loudest < _SILENCE_POWER:
        return np.zeros(cells.shape, dtype=np.uint8)
    decibels = 10.0 * np.log10(np.maximum(cells, 1e-20) / loudest)
    scaled = 255.0 * np.clip(1.0 - decibels / LOGFREQ_FLOOR_DB, 0.0, 1.0)
    scaled[cells < _SILENCE_POWER] = 0.0
    return np.rint(scaled).astype(np.uint8)


def _chroma(cells: NDArray[np.float32]) -> NDArray[np.float16]:
    """(intervals, 12) compressed pitch-class energy from C, norm 1 or 0."""
    tonal = cells[:, :, _CHROMA_BINS].astype(np.float64)
    power = tonal.sum(axis=(1, 2)) / LOGFREQ_FRAMES
    compressed = np.log1p(_CHROMA_COMPRESSION * tonal / max(float(tonal.max()), _SILENCE_POWER))
    folded = compressed.mean(axis=1).reshape(cells.shape[0], -1, 12).sum(axis=1)
    norm = np.linalg.norm(folded, axis=1, keepdims=True)
    sounding = power > max(_SILENCE_POWER, _CHROMA_RANGE_POWER * float(power.max()))
    unit = np.divide(folded, norm, out=np.zeros_like(folded), where=norm > 0)
    unit[~sounding] = 0.0
    chroma: NDArray[np.float16] = unit.astype(np.float16)
    return chroma


def _band_levels(spectra: PowerFrames, grid: BeatGrid) -> NDArray[np.float16]:
    """(intervals, 3) weighted RMS of low, mid and high, linear."""
    weighting = _b_weighting(spectra.frequencies_hz)
    bands = np.searchsorted(_BAND_EDGES_HZ, spectra.frequencies_hz, side="right")
    pooling = (np.eye(3)[bands] * weighting[:, np.newaxis]).astype(np.float32)
    pooled = dataclasses.replace(
        spectra, power=spectra.power @ pooling, frequencies_hz=np.asarray(_BAND_CENTRES_HZ)
    )
    # Frames reach half a window beyond their time: look only at those that lie inside the beat.
    reach_s = np.minimum(spectra.window_s / 2, np.diff(grid.beats_s) / 4)
    power = pooled.means(grid.beats_s[:-1] + reach_s, grid.beats_s[1:] - reach_s)
    power[power.sum(axis=1) < _SILENCE_POWER] = 0.0
    level: NDArray[np.float16] = np.sqrt(power).astype(np.float16)
    return level


def _b_weighting(frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power gain of the B curve, 1 at 1 kHz (IEC 651)."""
    f2 = frequencies_hz**2
    gain = 12194.0**2 * frequencies_hz * f2
    gain /= (f2 + 20.6**2) * np.sqrt(f2 + 158.5**2) * (f2 + 12194.0**2)
    squared: NDArray[np.float64] = (gain * 10 ** (0.17 / 20)) ** 2
    return squared


def _onsets(spectra: PowerFrames, grid: BeatGrid) -> NDArray[np.uint8]:
    """(intervals, 12, 3) strength of the attacks nearest to each step, 0..255 per band."""
    strengths = np.zeros((grid.intervals * STEPS_PER_BEAT, 3))
    frame = np.arange(spectra.power.shape[0], dtype=np.float64)
    times_s: NDArray[np.float64] = (
        spectra.start_s + (frame - _RISE_FRAMES[0] / 2) * spectra.hop_s + _ATTACK_LEAD_S
    )
    steps = np.rint(grid.beat_at(times_s) * STEPS_PER_BEAT).astype(np.intp)
    for band, rise in enumerate(_rises(spectra)):
        peak = _peaks(rise) & (steps >= 0) & (steps < strengths.shape[0])
        np.maximum.at(strengths[:, band], steps[peak], rise[peak])
    full = np.array([_full_scale(strengths[:, band]) for band in range(3)])
    full = np.maximum(full, _ONSET_LEAST_SHARE * full.max())
    scaled = np.clip(strengths / np.where(full > 0, full, 1.0), 0.0, 1.0)
    return np.rint(255 * scaled).astype(np.uint8).reshape(grid.intervals, STEPS_PER_BEAT, 3)


def _rises(spectra: PowerFrames) -> list[NDArray[np.float64]]:
    """(frames,) mean rise of log energy over each band's third octaves, low to high."""
    from scipy import ndimage

    pooling, band_of = _third_octaves(spectra.frequencies_hz)
    energy = spectra.power @ pooling
    loud = np.array([_loud_energy(energy[:, band_of == band]) for band in range(3)])
    loud = np.maximum(loud, _LOUD_LEAST_SHARE * loud.max())
    level = np.log1p(energy * (_ONSET_COMPRESSION / np.where(loud > 0, loud, np.inf))[band_of])
    near, far = _RISE_FRAMES
    # Window [n - far, n - near] of frame n: a maximum filter that looks back.
    highest = ndimage.maximum_filter1d(level, far - near + 1, axis=0, mode="constant")
    before = np.zeros(level.shape)
    middle = (near + far) // 2
    before[middle:] = highest[:-middle]
    rise = np.maximum(level - before, 0.0)
    return [rise[:, band_of == band].mean(axis=1) for band in range(band_of.max() + 1)]


def _loud_energy(energy: NDArray[np.float32]) -> float:
    """Energy of the loud frames' strongest third octave, 0 when the band is silent."""
    if energy.shape[1] == 0:
        return 0.0
    peak = energy.max(axis=1)
    sounding = peak[peak > _SILENCE_POWER]
    return float(np.percentile(sounding, _LOUD_PERCENTILE)) if sounding.size else 0.0


def _third_octaves(
    frequencies_hz: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(bins, third octaves) pooling, and the band 0..2 that each third octave belongs to."""
    thirds = 110.0 * 2.0 ** (np.arange(0, 24) / 3)
    edges = np.concatenate([[0.0], thirds[thirds < frequencies_hz[-1]]])
    group = np.searchsorted(edges, frequencies_hz + 1e-6, side="right") - 1
    _, group = np.unique(group, return_inverse=True)
    first_hz = np.array([frequencies_hz[group == g][0] for g in range(group.max() + 1)])
    pooling = np.eye(first_hz.size, dtype=np.float32)[group]
    pooling[0] = 0.0  # a constant offset is no sound
    return pooling, np.searchsorted(_BAND_EDGES_HZ, first_hz, side="right").astype(np.intp)


def _peaks(rise: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Frames whose rise is the greatest within reach (the first of equals) and not ripple."""
    from scipy import ndimage

    greatest = ndimage.maximum_filter1d(rise, 2 * _PEAK_REACH_FRAMES + 1, mode="constant")
    peak: NDArray[np.bool_] = (rise >= greatest) & (rise > _LEAST_RISE)
    peak[1:] &= rise[1:] > rise[:-1]
    return peak


def _full_scale(strengths: NDArray[np.float64]) -> float:
    """The 99.5th percentile of the steps that have an attack."""
    attacks = strengths[strengths > 0]
    return float(np.percentile(attacks, _ONSET_PERCENTILE)) if attacks.size else 0.0


def _divided(grid: BeatGrid, parts: int) -> NDArray[np.float64]:
    """(intervals * parts + 1,) seconds: every beat cut into equal parts."""
    return grid.time_at(np.arange(grid.intervals * parts + 1, dtype=np.float64) / parts)
