"""Sample rates and channel counts of waveforms.

Rates are changed by soxr at its very high quality (linear phase, 28 bit), which keeps frame 0 at
frame 0. A waveform of ``n`` frames comes out with ``round(n * rate_out / rate_in)``, always.

More than two channels are mixed to stereo with the coefficients of ITU-R BS.775-3, annex 4
(centre and surrounds at -3 dB, no LFE), in the channel order of WAV files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import UsageError

__all__ = ["resample", "resampled_frames", "resample_ratio", "to_channels", "to_stereo_or_mono"]

_QUALITY: Final = "VHQ"

#: Stereo from the channel counts of WAV files: rows left, right.
_HALF: Final = 0.5**0.5
_DOWNMIX: Final[dict[int, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    3: ((1, 0, _HALF), (0, 1, _HALF)),
    4: ((1, 0, _HALF, 0), (0, 1, 0, _HALF)),
    5: ((1, 0, _HALF, _HALF, 0), (0, 1, _HALF, 0, _HALF)),
    6: ((1, 0, _HALF, 0, _HALF, 0), (0, 1, _HALF, 0, 0, _HALF)),
    7: ((1, 0, _HALF, 0, 0.5, _HALF, 0), (0, 1, _HALF, 0, 0.5, 0, _HALF)),
    8: ((1, 0, _HALF, 0, _HALF, 0, _HALF, 0), (0, 1, _HALF, 0, 0, _HALF, 0, _HALF)),
}


def resampled_frames(frames: int, rate_in: int, rate_out: int) -> int:
    """Frames that ``frames`` become when resampled: exact, halves to even."""
    return round(frames * rate_out / rate_in)


def resample(waveform: Waveform, sample_rate: int) -> Waveform:
    """``waveform`` at another rate; itself when it has that rate already.

    Args:
        waveform: (channels, frames).
        sample_rate: [Hz], positive.

    Raises:
        UsageError: the rate is not positive.
    """
    if sample_rate <= 0:
        raise UsageError(
            f"A sample rate of {sample_rate} Hz is not valid.",
            hint="Give a rate such as 44100 or 48000.",
        )
    if sample_rate == waveform.sample_rate:
        return waveform
    frames = resampled_frames(waveform.frames, waveform.sample_rate, sample_rate)
    samples = resample_ratio(waveform.samples, sample_rate / waveform.sample_rate, frames=frames)
    return Waveform(samples, sample_rate)


def resample_ratio(
    samples: NDArray[np.float32], ratio_out_in: float, *, frames: int
) -> NDArray[np.float32]:
    """(channels, ``frames``) of ``samples`` with ``ratio_out_in`` times as many frames per second.

    What soxr gives more than ``frames`` is cut off, what it gives less is silence.
    """
    import soxr

    result = np.zeros((samples.shape[0], frames), dtype=np.float32)
    if samples.shape[1] == 0:
        return result
    interleaved = np.ascontiguousarray(samples.T)
    made = soxr.resample(interleaved, 1.0, ratio_out_in, quality=_QUALITY)
    count = min(frames, made.shape[0])
    result[:, :count] = made[:count].T
    return result


def to_channels(waveform: Waveform, channels: int) -> Waveform:
    """Mono to stereo (the same signal twice) or stereo to mono (the mean).

    Raises:
        UsageError: neither is asked for.
    """
    if waveform.channels == channels:
        return waveform
    if channels == 1:
        return Waveform(waveform.mono()[np.newaxis], waveform.sample_rate)
    if waveform.channels == 1 and channels == 2:
        return Waveform(np.repeat(waveform.samples, 2, axis=0), waveform.sample_rate)
    raise UsageError(
        f"{waveform.channels} channels cannot become {channels}; mono and stereo can be changed.",
        hint="Mix down to stereo first.",
    )


def to_stereo_or_mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 or 2, frames) of (channels, frames), see the module's paragraph."""
    channels = samples.shape[0]
    if channels <= 2:
        return samples
    if channels in _DOWNMIX:
        return np.asarray(np.array(_DOWNMIX[channels], dtype=np.float32) @ samples)
    halves = (samples[0::2].mean(axis=0), samples[1::2].mean(axis=0))
    return np.stack(halves).astype(np.float32)
