"""What makes an audio file or a waveform unusable, each with one sentence and a stable code.

Peaks and thresholds are dBFS, times seconds. Everything here raises
:class:`~engine.errors.UnusableInput` or lets its argument pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import UnusableInput

__all__ = [
    "SILENCE_DB",
    "checked_waveform",
    "no_audio",
    "require_bearable",
    "require_file",
    "require_length",
    "require_sound",
    "require_stem",
    "require_true_header",
]

#: Peaks below this are silence: under the noise of 14-bit audio [dBFS].
SILENCE_DB: Final = -80.0
#: More samples than this are refused: 2 h of stereo at 48 kHz, 2.8 GB.
_MAX_SAMPLES: Final = 2 * 2 * 3600 * 48000
#: Rates outside are damaged headers, not audio [Hz].
_RATE_RANGE: Final = (4000, 768000)
_MAX_CHANNELS: Final = 64
#: First bytes (at an offset) of audio files: with them, an unreadable file is a damaged one.
_SIGNATURES: Final = (
    (0, b"RIFF"), (0, b"RF64"), (0, b"FORM"), (0, b"fLaC"), (0, b"OggS"), (0, b"ID3"),
    (4, b"ftyp"),
)  # fmt: skip


def require_sound(waveform: Waveform, path: Path) -> None:
    """Refuse silence.

    Raises:
        UnusableInput: code ``silent``: no sample reaches -80 dBFS, or all are the same.
    """
    samples = waveform.samples
    highest, lowest = samples.max(axis=1, initial=-np.inf), samples.min(axis=1, initial=np.inf)
    peak = float(np.max(highest - lowest, initial=0.0)) / 2  # a constant offset is no sound
    if peak < 10 ** (SILENCE_DB / 20):
        raise UnusableInput(
            f"{path} is silent: nothing in it reaches {SILENCE_DB:g} dBFS.",
            hint="Choose another file or another part of it.",
            code="silent",
        )


def require_stem(path: Path, title: str) -> None:
    """Refuse a stem of the library whose audio is not there.

    Raises:
        UnusableInput: code ``no_audio``.
    """
    if not path.is_file():
        raise UnusableInput(
            f"The audio of {title} is not there: {path} is missing.",
            hint="Run dawlink verify, which names all that is damaged; add the song again.",
            code="no_audio",
        )


def require_length(
    waveform: Waveform,
    minimum_s: float,
    path: Path,
    *,
    hint: str = "Choose a longer file or a longer part of it.",
) -> None:
    """Refuse what is shorter than ``minimum_s`` seconds.

    Raises:
        UnusableInput: code ``too_short``.
    """
    if waveform.duration_s < minimum_s:
        raise UnusableInput(
            f"{path} has {waveform.duration_s:.2f} s of audio, but {minimum_s:g} s are needed.",
            hint=hint,
            code="too_short",
        )


def checked_waveform(
    path: Path, samples: NDArray[np.float32], rate: int, span: tuple[float, float]
) -> Waveform:
    """The waveform, if there is anything in it and every sample is a number."""
    if samples.shape[1] == 0 and span[0] > 0:
        raise UnusableInput(
            f"{path} has no audio at {span[0]:g} s.",
            hint="Choose a start before the end of the file.",
            code="too_short",
        )
    if samples.shape[1] == 0:
        raise UnusableInput(
            f"{path} holds no audio: it is cut off after its header or was never filled.",
            hint="Export or copy the file again.",
            code="truncated",
        )
    if not np.isfinite(samples).all():
        bad = int(np.flatnonzero(~np.isfinite(samples).all(axis=0))[0])
        raise UnusableInput(
            f"{path} holds samples that are not numbers, the first at {bad / rate:.3f} s.",
            hint="Export the file again; a plug-in or a conversion has gone wrong.",
            code="not_finite",
        )
    return Waveform(np.ascontiguousarray(samples, dtype=np.float32), rate)


def require_bearable(path: Path, samples: int) -> None:
    """Stop before memory runs out.

    Raises:
        UnusableInput: code ``too_long``.
    """
    if samples > _MAX_SAMPLES:
        raise UnusableInput(
            f"{path} is longer than two hours of stereo audio.",
            hint="Cut the part you need, or give a start and an end.",
            code="too_long",
        )


def require_file(path: Path) -> None:
    """Refuse what is missing, a folder, empty or not allowed to be read."""
    if path.is_dir():
        raise UnusableInput(
            f"{path} is a folder; an audio file is needed here.",
            hint="Name a file in it.",
            code="folder",
        )
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise UnusableInput(
            f"{path} does not exist.", hint="Check the spelling of the path.", code="missing"
        ) from None
    except (OSError, ValueError) as error:
        raise UnusableInput(
            f"{path} cannot be read: {error}.",
            hint="Check the permissions of the file.",
            code="unreadable",
        ) from error
    if size == 0:
        raise UnusableInput(
            f"{path} is empty (0 bytes).", hint="Export or copy the file again.", code="empty"
        )


def require_true_header(path: Path, rate: int, channels: int) -> None:
    """Refuse rates and channel counts that no audio has (code ``bad_header``)."""
    if not _RATE_RANGE[0] <= rate <= _RATE_RANGE[1] or not 1 <= channels <= _MAX_CHANNELS:
        raise UnusableInput(
            f"{path} claims {channels} channels at {rate} Hz, which no audio has.",
            hint="The header is damaged; export the file again.",
            code="bad_header",
        )


def no_audio(path: Path) -> UnusableInput:
    """The error for a file that no decoder reads: damaged audio, or something else."""
    with path.open("rb") as file:
        head = file.read(16)
    if any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
        return UnusableInput(
            f"{path} is damaged or cut off: nothing in it can be decoded.",
            hint="Export or copy the file again.",
            code="truncated",
        )
    return UnusableInput(
        f"{path} is not an audio file that can be read.",
        hint="WAV, AIFF, FLAC, MP3, Ogg, M4A and .stem.mp4 are understood.",
        code="not_audio",
    )
