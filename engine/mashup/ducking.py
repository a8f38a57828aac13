"""How far the accompaniment steps back while the voice sings, band by band.

With a trained mask network the curve is what the network has heard in mashups: its weight of the
second song, relative to the level at which that song is heard at its loudest, as long as both
sound at all. Without one it is a rule. In a band in which the voice sounds, the accompaniment
needs room where its level L_a comes near to or over the voice's L_v; the reduction in dB is

    depth * clip((v - loud + 40) / 20, 0, 1) * clip((L_a - L_v + 6) / 12, 0, 1)

with v the voice's level now, ``loud`` that of its loud moments, and L_a, L_v means over 0.4 s: no
reduction where the voice is 40 dB softer than that or lies 6 dB over the accompaniment, all of it
where the voice is within 20 dB of its loud level and lies 6 dB under. Attack and release smooth it
as in a compressor (Giannoulis, Massberg & Reiss 2012, section 2.4: a branching one-pole filter on
the gain in dB).

Gains are linear, (bands or 1, frames), one frame per 10 ms from the common start of both signals,
and last as long as the accompaniment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import resample
from engine.audio.waveform import Waveform

__all__ = [
    "ATTACK_S",
    "BAND_EDGES_HZ",
    "DEFAULT_DUCK_DB",
    "FRAME_S",
    "MOST_REDUCTION_DB",
    "RELEASE_S",
    "DuckNetwork",
    "MaskSource",
    "apply_ducking",
    "band_of_bins",
    "ducking_gain",
]

#: Between the bands: below most voices, their fundamentals, two of formants, presence, air.
BAND_EDGES_HZ: Final = (150.0, 400.0, 1000.0, 2500.0, 6000.0)
BANDS: Final = len(BAND_EDGES_HZ) + 1
FRAME_S: Final = 0.01
#: Half the amplitude: more is heard as pumping.
MOST_REDUCTION_DB: Final = 6.0
#: Depth when none is asked for.
DEFAULT_DUCK_DB: Final = 4.0
ATTACK_S: Final = 0.02
RELEASE_S: Final = 0.25

#: Bands are measured at this rate [Hz]: what lies above 8 kHz follows the band below it.
_RATE: Final = 16_000
_HOP: Final = round(_RATE * FRAME_S)
#: 32 ms.
_WINDOW: Final = 512
_CHUNK_FRAMES: Final = 1024
_SILENCE_DB: Final = -120.0
#: A voice whose loud moments stay under this is silence.
_LEAST_VOICE_DB: Final = -60.0
#: The voice's loud level: exceeded in one of twenty frames that are not silent.
_LOUD_PERCENTILE: Final = 95.0
_PRESENCE_DB: Final = (-40.0, 20.0)
_NEED_DB: Final = (-6.0, 12.0)
#: Need compares mean powers over this time, so that single hits and consonants do not pump.
_LEVEL_S: Final = 0.4


class MaskSource(Protocol):
    """Says how much of each of two songs is heard, such as a trained mask network."""

    def masks(self, first: Waveform, second: Waveform) -> NDArray[np.float32]:
        """(2, BANDS, frames) weights in [0, 1], frames of ``FRAME_S``."""
        ...


@dataclass(frozen=True, eq=False)
class DuckNetwork:
    """A mask network, and the digest that names the file it came from."""

    source: MaskSource
    checkpoint: str


def ducking_gain(
    vocal: Waveform,
    accompaniment: Waveform,
    *,
    network: MaskSource | None = None,
    per_band: bool = True,
    depth_db: float = MOST_REDUCTION_DB,
    attack_s: float = ATTACK_S,
    release_s: float = RELEASE_S,
) -> NDArray[np.float32]:
    """(BANDS or 1, frames) linear gain of the accompaniment, never above 1 nor under the depth.

    Args:
        vocal: begins together with the accompaniment, at the levels of the mix.
        accompaniment: what steps back.
        network: the trained model; the rule when None.
        per_band: one gain for all frequencies when False.
        depth_db: most reduction [0, 6 dB].
        attack_s: time constant of going down; the curve begins so much earlier.
        release_s: time constant of coming back.
    """
    if not 0.0 <= depth_db <= MOST_REDUCTION_DB:
        raise ValueError(f"a depth of {depth_db} dB is outside 0..{MOST_REDUCTION_DB:g} dB")
    frames = _frames_of(accompaniment)
    if network is None:
        wanted_db = _rule_db(vocal, accompaniment, frames, per_band=per_band) * depth_db
    else:
        weights = network.masks(vocal, accompaniment)[1]
        wanted_db = _heard_db(_fitted(weights, frames), per_band=per_band)
        for part in (vocal, accompaniment):
            wanted_db = wanted_db * _presence(_fitted(_band_powers(part, per_band=False), frames))
    smooth_db = _smoothed(np.clip(wanted_db, 0.0, depth_db), attack_s, release_s)
    return (10 ** (-smooth_db / 20)).astype(np.float32)


def apply_ducking(accompaniment: Waveform, gain: NDArray[np.float32]) -> Waveform:
    """The accompaniment with ``gain`` on it; where the gain is 1, its samples stay as they are.

    Args:
        accompaniment: (channels, frames).
        gain: (BANDS or 1, gain frames) linear; its last frame holds on.
    """
    rate = accompaniment.sample_rate
    size = int(2 ** np.round(np.log2(rate * 0.046)))  # 46 ms: 2048 at 44.1 kHz
    hop = size // 4
    window = np.sqrt(np.hanning(size + 1)[:-1]).astype(np.float32)
    weights = _bin_weights(np.fft.rfftfreq(size, 1 / rate).astype(np.float64), gain.shape[0])
    padded = np.pad(accompaniment.samples, ((0, 0), (size, 2 * size)))
    taken = np.zeros_like(padded)
    starts = np.arange(0, padded.shape[1] - size + 1, hop)
    centres = np.round((starts - size / 2) / rate / FRAME_S).astype(np.intp)
    reduction = (1.0 - gain)[:, np.clip(centres, 0, gain.shape[1] - 1)]
    for index in np.flatnonzero(reduction.max(axis=0) > 0):
        place = slice(starts[index], starts[index] + size)
        spectra = np.fft.rfft(padded[:, place] * window, axis=1)
        spectra *= weights @ reduction[:, index]
        # four windows of squared sine overlap to 2
        taken[:, place] += np.fft.irfft(spectra, n=size, axis=1) * window / 2.0
    left = (padded - taken)[:, size : size + accompaniment.frames]
    return Waveform(np.ascontiguousarray(left, dtype=np.float32), rate)


def band_of_bins(frequencies_hz: NDArray[np.float64]) -> NDArray[np.intp]:
    """(bins,) number of the band in which each frequency lies."""
    return np.searchsorted(np.array(BAND_EDGES_HZ), frequencies_hz, side="right")


def _rule_db(
    vocal: Waveform, accompaniment: Waveform, frames: int, *, per_band: bool
) -> NDArray[np.float64]:
    """(bands, frames) share [0, 1] of the depth, see the module's paragraph."""
    voice = _fitted(_band_powers(vocal, per_band=per_band), frames)
    band = _fitted(_band_powers(accompaniment, per_band=per_band), frames)
    voice_db, band_db = (_decibels(_moving_mean(powers)) for powers in (voice, band))
    need = (band_db - voice_db - _NEED_DB[0]) / _NEED_DB[1]
    share: NDArray[np.float64] = _presence(voice) * np.clip(need, 0, 1)
    return share


def _presence(voice: NDArray[np.float64]) -> NDArray[np.float64]:
    """(bands, frames) how much the voice sounds [0, 1], of its powers in that shape."""
    total_db = _decibels(voice.sum(axis=0))
    sounding = total_db[total_db > _LEAST_VOICE_DB]
    if sounding.size == 0:
        return np.zeros_like(voice)
    loud_db = float(np.percentile(sounding, _LOUD_PERCENTILE))
    presence = (_decibels(voice) - loud_db - _PRESENCE_DB[0]) / _PRESENCE_DB[1]
    return np.clip(presence, 0, 1)


def _heard_db(weights: NDArray[np.float64], *, per_band: bool) -> NDArray[np.float64]:
    """(bands, frames) dB that a song lies under its own loudest, of (BANDS, frames) weights."""
    if not per_band:
        weights = weights.mean(axis=0, keepdims=True)
    most = np.percentile(weights, _LOUD_PERCENTILE, axis=1, keepdims=True)
    heard = np.maximum(weights, 1e-3) / np.maximum(most, 1e-3)
    decibels: NDArray[np.float64] = -20 * np.log10(heard)
    return decibels


def _band_powers(waveform: Waveform, *, per_band: bool) -> NDArray[np.float64]:
    """(BANDS or 1, frames) mean square in each band, of the channels on average.

    Channels are not added up first: what is wide would sound softer than it is, and what is in
    opposite phase not at all.
    """
    count = _frames_of(waveform)
    total = np.zeros((count, BANDS))
    for channel in resample(waveform, _RATE).samples:
        total += _channel_powers(channel, count)
    mean = total / waveform.channels
    return mean.T if per_band else mean.sum(axis=1)[np.newaxis]


def _channel_powers(samples: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """(count, BANDS) mean square of one channel at ``_RATE``."""
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW // 2 + _HOP))
    views = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    scale = 2.0 / (_WINDOW * float(np.square(window).sum()))
    bands = band_of_bins(np.fft.rfftfreq(_WINDOW, 1 / _RATE).astype(np.float64))
    member = (bands[:, np.newaxis] == np.arange(BANDS)).astype(np.float64) * scale
    powers = np.zeros((count, BANDS))
    for start in range(0, views.shape[0], _CHUNK_FRAMES):
        spectra = np.fft.rfft(views[start : start + _CHUNK_FRAMES] * window, axis=1)
        powers[start : start + len(spectra)] = np.square(np.abs(spectra)) @ member
    return powers


def _frames_of(waveform: Waveform) -> int:
    """Gain frames whose centre lies in the waveform; one at least."""
    return max(1, int(np.ceil(waveform.duration_s / FRAME_S - 1e-9)))


def _fitted(values: NDArray[np.float64] | NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """(bands, frames) cut off, or filled with silence at the end."""
    kept = values[:, :frames].astype(np.float64)
    return np.pad(kept, ((0, 0), (0, frames - kept.shape[1])))


def _moving_mean(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(bands, frames) mean over ``_LEVEL_S`` around each frame."""
    from scipy.ndimage import uniform_filter1d

    width = round(_LEVEL_S / FRAME_S) | 1
    mean = uniform_filter1d(powers, width, axis=1, mode="constant")
    return np.maximum(np.asarray(mean, dtype=np.float64), 0.0)


def _decibels(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    decibels: NDArray[np.float64] = 10 * np.log10(powers + 10 ** (_SILENCE_DB / 10))
    return decibels


def _smoothed(
    wanted_db: NDArray[np.float64], attack_s: float, release_s: float
) -> NDArray[np.float64]:
    """(bands, frames) reductions behind an attack and a release, ahead by the attack."""
    early = round(attack_s / FRAME_S)
    ahead = np.pad(wanted_db[:, early:], ((0, 0), (0, min(early, wanted_db.shape[1]))))
    falling, rising = (1 - np.exp(-FRAME_S / max(t, 1e-6)) for t in (attack_s, release_s))
    state = np.zeros(wanted_db.shape[0])
    smooth = np.empty_like(wanted_db)
    for frame in range(wanted_db.shape[1]):
        goal = np.maximum(ahead[:, frame], wanted_db[:, frame])
        state = state + np.where(goal > state, falling, rising) * (goal - state)
        smooth[:, frame] = state
    # what decays for ever would never leave the samples alone again
    return np.where(smooth < 0.01, 0.0, smooth)


def _bin_weights(frequencies_hz: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """(bins, bands) shares of the bands in a bin: linear in pitch between the bands' centres."""
    if bands == 1:
        return np.ones((frequencies_hz.size, 1))
    edges = np.array([BAND_EDGES_HZ[0] / 2, *BAND_EDGES_HZ, _RATE / 2])
    centres = np.log2(np.sqrt(edges[:-1] * edges[1:]))
    pitch = np.log2(np.maximum(frequencies_hz, 1.0))
    return np.stack([np.interp(pitch, centres, row) for row in np.eye(bands)], axis=1)
