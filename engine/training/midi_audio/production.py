"""What a studio does to a stem: tone, compression, room, level; and what a codec does to it.

Each stem is treated by itself: stems of one song that share a room or a codec would tell a network
that they belong together by something that is not music. Signals are (channels, frames) at
44.1 kHz.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from engine.audio.loudness import integrated_lufs
from engine.audio.waveform import Waveform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av import AudioStream
    from av.container import InputContainer

    from engine.theory import Role

__all__ = ["CodecName", "Treatment", "level_stems", "through_codec", "treat"]

CodecName = Literal["", "mp3", "aac"]

#: Encoder, container and the encoder's quick way.
_CODECS: Final[dict[CodecName, tuple[str, str, tuple[tuple[str, str], ...]]]] = {
    "mp3": ("libmp3lame", "mp3", (("compression_level", "7"),)),
    "aac": ("aac", "ipod", (("aac_coder", "fast"),)),
}
#: Frequencies between which the tone curve is drawn [Hz].
TONE_HZ: Final = (60.0, 200.0, 600.0, 2000.0, 6000.0, 14000.0)
#: The compressor looks at the level in steps of this [s].
_STEP_S: Final = 0.01
_RELEASE_S: Final = 0.12
#: Highest sample of the sum of all stems, and of any of them [linear, -1 dBFS].
CEILING: Final = 0.891
#: The end is faded over this long [s].
_FADE_S: Final = 0.02
#: Sound is handed to an encoder in blocks of this size [frames].
_BLOCK: Final = 1 << 16


@dataclass(frozen=True)
class Treatment:
    """What happens to one stem.

    Args:
        tone_db: gain at each of :data:`TONE_HZ`.
        ratio: of the compressor; 1 does nothing.
        reverb_s: time in which the room falls by 60 dB.
        wet_db: level of the room against the stem; -inf for none.
        codec: the stem goes through it and back.
        kilobits: of the codec.
        lufs: loudness of the stem before the song is levelled.
        seed: of the room.
    """

    tone_db: tuple[float, ...]
    ratio: float
    reverb_s: float
    wet_db: float
    codec: CodecName
    kilobits: int
    lufs: float
    seed: int


def treat(samples: NDArray[np.float32], rate: int, treatment: Treatment) -> NDArray[np.float32]:
    """The stem, as long as it was, at its own loudness; silence stays silence."""
    if not samples.any():
        return samples
    shaped = _toned(samples, rate, treatment.tone_db)
    if treatment.ratio > 1:
        shaped = _compressed(shaped, rate, treatment.ratio)
    if treatment.wet_db > -60:
        shaped = _roomed(shaped, rate, treatment)
    if treatment.codec:
        peak = float(np.abs(shaped).max(initial=1e-9))
        shaped = through_codec(
            shaped * np.float32(0.8 / peak),
            rate,
            treatment.codec,
            kilobits=treatment.kilobits,
        )
    shaped = _faded(shaped, rate)
    loudness = integrated_lufs(Waveform(shaped, rate))
    if not np.isfinite(loudness):
        return np.zeros_like(shaped)
    return shaped * np.float32(10 ** ((treatment.lufs - loudness) / 20))


def level_stems(
    stems: Mapping[Role, NDArray[np.float32]], *, lufs: float, rate: int
) -> dict[Role, NDArray[np.float32]]:
    """All stems by one gain, so that their sum has ``lufs`` where it can without clipping."""
    total = np.asarray(np.sum(list(stems.values()), axis=0), dtype=np.float32)
    highest = max(float(np.abs(part).max(initial=0.0)) for part in (total, *stems.values()))
    loudness = integrated_lufs(Waveform(total, rate))
    if highest == 0 or not np.isfinite(loudness):
        return dict(stems)
    gain = np.float32(min(10 ** ((lufs - loudness) / 20), CEILING / highest))
    return {role: samples * gain for role, samples in stems.items()}


def through_codec(
    samples: NDArray[np.float32], rate: int, codec: CodecName, *, kilobits: int
) -> NDArray[np.float32]:
    """Encoded and decoded again, as long as before; the container lets the decoder take out the
    codec's delay.
    """
    coded = _decoded(_encoded(samples, rate, codec, kilobits), samples.shape[0])
    coded = coded[:, : samples.shape[1]]
    return np.pad(coded, ((0, 0), (0, samples.shape[1] - coded.shape[1])))


def _toned(
    samples: NDArray[np.float32], rate: int, tone_db: tuple[float, ...]
) -> NDArray[np.float32]:
    from scipy import fft

    frames = samples.shape[1]
    size = fft.next_fast_len(frames + rate // 10, real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / rate), 1.0)
    gain_db = np.interp(np.log(hertz), np.log(TONE_HZ), tone_db)
    spectrum = fft.rfft(samples, size, axis=1) * (10 ** (gain_db / 20)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum, size, axis=1)[:, :frames], dtype=np.float32)


def _compressed(samples: NDArray[np.float32], rate: int, ratio: float) -> NDArray[np.float32]:
    """Levels above the average are turned down by ``ratio``; fast in, 120 ms out."""
    step = round(_STEP_S * rate)
    frames = samples.shape[1]
    blocks = -(-frames // step)
    padded = np.pad(samples, ((0, 0), (0, blocks * step - frames)))
    power = np.square(padded).mean(axis=0).reshape(blocks, step).mean(axis=1)
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    threshold = float(np.mean(level_db[level_db > level_db.max() - 40]))
    fall = 8.7 * _STEP_S / _RELEASE_S  # dB by which the detector falls in one step
    held = np.maximum.accumulate(level_db + fall * np.arange(blocks)) - fall * np.arange(blocks)
    cut_db = np.maximum(held - threshold, 0) * (1 / ratio - 1)
    gain = 10 ** (cut_db / 20)
    centres = (np.arange(blocks) + 0.5) * step
    curve = np.interp(np.arange(frames), centres, gain).astype(np.float32)
    return samples * curve


def _roomed(samples: NDArray[np.float32], rate: int, treatment: Treatment) -> NDArray[np.float32]:
    """With the tail of a room: exponentially falling noise after 12 ms (Moorer 1979)."""
    from scipy.signal import oaconvolve

    rng = np.random.default_rng(treatment.seed)
    length, wait = round(treatment.reverb_s * rate), round(0.012 * rate)
    tail = rng.standard_normal((samples.shape[0], length)).astype(np.float32)
    tail *= np.exp(-6.91 * np.arange(length) / length).astype(np.float32)
    tail /= np.sqrt(np.square(tail).sum(axis=1, keepdims=True))
    wet = np.asarray(oaconvolve(samples, tail, axes=1), dtype=np.float32)
    gain = np.float32(10 ** (treatment.wet_db / 20))
    roomed = samples.copy()
    roomed[:, wait:] += gain * wet[:, : samples.shape[1] - wait]
    return roomed


def _faded(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    fade = min(round(_FADE_S * rate), samples.shape[1])
    faded = samples.copy()
    faded[:, samples.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return faded


def _encoded(samples: NDArray[np.float32], rate: int, codec: CodecName, kilobits: int) -> bytes:
    import av

    buffer = io.BytesIO()
    name, kind, options = _CODECS[codec]
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    with av.open(buffer, "w", format=kind) as container:
        added = container.add_stream(name, rate=rate, layout=layout, options=dict(options))
        stream = cast("AudioStream", added)
        stream.bit_rate = kilobits * 1000
        for start in range(0, samples.shape[1], _BLOCK):
            part = np.ascontiguousarray(samples[:, start : start + _BLOCK])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _decoded(data: bytes, channels: int) -> NDArray[np.float32]:
    import av

    layout = "stereo" if channels == 2 else "mono"
    with cast("InputContainer", av.open(io.BytesIO(data))) as container:
        resampler = av.AudioResampler(format="fltp", layout=layout)
        parts = [
            out.to_ndarray()
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    return np.concatenate(parts, axis=1).astype(np.float32)
