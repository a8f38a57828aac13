"""Waveforms into WAV and FLAC files: whole or not at all, exact frame counts.

16-bit files get triangular dither of ±1 LSB (Lipshitz, Wannamaker & Vanderkooy 1992) from a fixed
seed, so the same waveform always makes the same file; silence stays digital silence. 24-bit files
are rounded. Samples over full scale are clipped to it in both, never wrapped, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import UnwritableOutput, UsageError
from engine.files import atomic_path

__all__ = ["BitDepth", "FileFormat", "WrittenAudio", "write_audio"]

FileFormat = Literal["wav", "flac"]
BitDepth = Literal["16", "24", "32f"]

_DITHER_SEED: Final = 20210
_SUBTYPES: Final[dict[BitDepth, str]] = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
_BLOCK_FRAMES: Final = 1 << 18
#: Above this a RIFF file's 32-bit sizes do not fit, and RF64 is written [bytes].
_RIFF_LIMIT: Final = (1 << 32) - (1 << 16)
#: FLAC has no rates above (RFC 9639, section 9.1.2) and at most eight channels.
_FLAC_MAX_RATE: Final = 655350
_FLAC_MAX_CHANNELS: Final = 8


@dataclass(frozen=True)
class WrittenAudio:
    """What was written; ``clipped`` counts samples (of all channels) that were over full scale."""

    path: Path
    frames: int
    clipped: int


def write_audio(
    path: Path,
    waveform: Waveform,
    *,
    file_format: FileFormat = "wav",
    bit_depth: BitDepth = "24",
    overwrite: bool = False,
) -> WrittenAudio:
    """Write ``waveform`` to ``path``, all of its frames and not one more.

    Raises:
        UsageError: a combination that does not exist (FLAC has no floats), or samples that are
            not numbers.
        UnwritableOutput: the folder cannot be written, the disk is full, or ``path`` exists and
            ``overwrite`` is False.
    """
    _require_possible(path, waveform, file_format, bit_depth)
    import soundfile

    clipped = 0
    generator = np.random.default_rng(_DITHER_SEED)
    with atomic_path(path, overwrite=overwrite) as temporary:
        try:
            with soundfile.SoundFile(
                temporary,
                "w",
                samplerate=waveform.sample_rate,
                channels=waveform.channels,
                subtype=_SUBTYPES[bit_depth],
                format=_container(waveform, file_format, bit_depth),
            ) as file:
                for first in range(0, waveform.frames, _BLOCK_FRAMES):
                    block = waveform.samples[:, first : first + _BLOCK_FRAMES]
                    data, over = _quantised(block, bit_depth, generator)
                    clipped += over
                    file.write(np.ascontiguousarray(data.T))
        except soundfile.LibsndfileError as error:
            raise UnwritableOutput(
                f"{path} cannot be written: {str(error).rstrip('. ')}; the disk may be full.",
                hint="Choose another folder, or make room on this disk.",
            ) from error
    return WrittenAudio(path, waveform.frames, clipped)


def _quantised(
    block: NDArray[np.float32], bit_depth: BitDepth, generator: np.random.Generator
) -> tuple[NDArray[np.float32] | NDArray[np.int16] | NDArray[np.int32], int]:
    """The block as the file holds it (24 bit in the high bytes of 32), and what was clipped."""
    if bit_depth == "32f":
        return block, 0
    over = int(np.count_nonzero(np.abs(block) > 1.0))
    scale = float(1 << (int(bit_depth) - 1))
    levels = block.astype(np.float64) * scale
    if bit_depth == "16":
        # Two uniform values make a triangle; where the signal is exactly 0 it stays 0.
        noise = generator.random(block.shape) - generator.random(block.shape)
        levels += np.where(block == 0, 0.0, noise)
        return np.clip(np.rint(levels), -scale, scale - 1).astype(np.int16), over
    whole = np.clip(np.rint(levels), -scale, scale - 1).astype(np.int32)
    return whole << 8, over


def _container(waveform: Waveform, file_format: FileFormat, bit_depth: BitDepth) -> str:
    if file_format == "flac":
        return "FLAC"
    size = waveform.samples.size * {"16": 2, "24": 3, "32f": 4}[bit_depth]
    return "RF64" if size > _RIFF_LIMIT else "WAV"


def _require_possible(
    path: Path, waveform: Waveform, file_format: FileFormat, bit_depth: BitDepth
) -> None:
    if file_format not in ("wav", "flac") or bit_depth not in _SUBTYPES:
        raise UsageError(
            f"Audio cannot be written as {file_format} with {bit_depth} bits.",
            hint="Formats are wav and flac, bit depths 16, 24 and 32f.",
        )
    if file_format == "flac" and bit_depth == "32f":
        raise UsageError(
            f"FLAC holds no floating-point samples, so {path.name} cannot be written with 32f.",
            hint="Choose --bit-depth 24, or --format wav.",
        )
    if file_format == "flac" and (
        waveform.sample_rate > _FLAC_MAX_RATE or waveform.channels > _FLAC_MAX_CHANNELS
    ):
        raise UsageError(
            f"FLAC holds no {waveform.channels} channels at {waveform.sample_rate} Hz.",
            hint="Choose --format wav or another sample rate.",
        )
    if not np.isfinite(waveform.samples).all():
        raise UsageError(
            f"The audio for {path.name} holds samples that are not numbers.",
            hint="This is a mistake in what made it; please report it.",
        )
