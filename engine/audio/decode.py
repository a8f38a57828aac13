"""Audio files into waveforms, with one clear error for everything that is not usable audio.

soundfile reads WAV, AIFF, FLAC and Ogg; everything else, MP3 and AAC in ``.m4a``, ``.mp4`` and
``.stem.mp4`` first of all, is read by PyAV (:mod:`engine.audio.container`). Encoder delay is
trimmed where the file states it (MP3 with a LAME tag, MP4 with an edit list), so frame 0 is the
first sample that the encoder was given; a bare ``.aac`` stream states nothing and keeps its delay.

More than two channels are mixed to stereo with the coefficients of ITU-R BS.775-3, annex 4
(centre and surrounds at -3 dB, no LFE), in the channel order of WAV files. Times are seconds from
the start of the file. Reading goes block by block, so a header that claims a billion frames costs
nothing. A file that is cut off gives what is left of it and a warning in the log; a file with
NaN or infinite samples is refused, since they would spread through everything computed from it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import (
    checked_waveform,
    no_audio,
    require_bearable,
    require_file,
    require_length,
    require_sound,
    require_true_header,
)
from engine.audio.records import AudioInfo, TitledWaveform
from engine.audio.resample import to_stereo_or_mono
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput, UsageError

if TYPE_CHECKING:
    from soundfile import SoundFile

__all__ = [
    "AudioInfo",
    "TitledWaveform",
    "decode",
    "decode_streams",
    "probe",
    "require_length",
    "require_sound",
]

_log = logging.getLogger(__name__)

_BLOCK_FRAMES: Final = 1 << 18
#: What PyAV reads: formats that soundfile does not know, and MP3. python-soundfile seeks after each
#: block, and in an MP3 that loses the bit reservoir, and with it up to 0.1 s of audio.
_CONTAINER_SUFFIXES: Final = frozenset(
    {".mp3", ".m4a", ".mp4", ".aac", ".m4b", ".mov", ".wma", ".webm"}
)


def probe(path: Path) -> AudioInfo:
    """What ``path`` holds, from its headers.

    Raises:
        UnusableInput: missing, a folder, empty, not audio, or a header that cannot be true.
    """
    require_file(path)
    if path.suffix.lower() in _CONTAINER_SUFFIXES:
        return _probe_container(path)
    try:
        return _probe_plain(path)
    except _Unreadable:
        return _probe_container(path)


def decode(path: Path, *, start_s: float | None = None, end_s: float | None = None) -> Waveform:
    """The audio of ``path``, mono or stereo, from ``start_s`` to ``end_s``.

    Of several streams the first is taken. The span is cut to the file.

    Args:
        path: the file.
        start_s: seconds [0, duration); None is the start.
        end_s: seconds, after ``start_s``; None is the end.

    Raises:
        UsageError: ``end_s`` does not come after ``start_s``, or one of them is no time.
        UnusableInput: code ``missing``, ``folder``, ``empty``, ``unreadable``, ``not_audio``,
            ``truncated``, ``bad_header``, ``too_long``, ``not_finite`` or ``too_short`` (the span
            lies after the end).
    """
    span = _checked_span(start_s, end_s)
    require_file(path)
    if path.suffix.lower() in _CONTAINER_SUFFIXES:
        return _decode_container(path, span, streams=1)[0].waveform
    try:
        return _decode_plain(path, span)
    except _Unreadable:
        return _decode_container(path, span, streams=1)[0].waveform


def decode_streams(path: Path) -> tuple[TitledWaveform, ...]:
    """Every audio stream of ``path``, all of the same length (the shorter ones padded).

    In a ``.stem.mp4`` stream 0 is the master mix and 1 to 4 are the stems.

    Raises:
        UnusableInput: as :func:`decode`.
    """
    require_file(path)
    try:
        streams = _decode_container(path, (0.0, inf), streams=None)
    except UnusableInput as error:
        if error.code not in ("not_audio", "truncated"):
            raise
        return (TitledWaveform("", decode(path)),)
    frames = max(stream.waveform.frames for stream in streams)
    return tuple(_padded(stream, frames) for stream in streams)


class _Unreadable(Exception):
    """soundfile does not know this file or finds damage in it; PyAV may get further."""


def _probe_plain(path: Path) -> AudioInfo:
    import soundfile

    try:
        with soundfile.SoundFile(_name(path)) as file:
            require_true_header(path, file.samplerate, file.channels)
            return AudioInfo(
                duration_s=file.frames / file.samplerate,
                sample_rate=file.samplerate,
                channels=file.channels,
                codec=f"{file.format} {file.subtype}".lower(),
                titles=(file.title or "",),
                notes=_cut_off_note(path, file.extra_info),
            )
    except soundfile.LibsndfileError as error:
        raise _Unreadable from error


def _name(path: Path) -> str | bytes:
    """What soundfile opens: bytes, for names on Linux and macOS need not be text."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _decode_plain(path: Path, span: tuple[float, float]) -> Waveform:
    import soundfile

    try:
        file = soundfile.SoundFile(_name(path))
    except soundfile.LibsndfileError as error:
        raise _Unreadable from error
    with file:
        rate = int(file.samplerate)
        require_true_header(path, rate, file.channels)
        first = round(span[0] * rate)
        frames = round(min(span[1] * rate, 1e15)) - first
        for note in _cut_off_note(path, file.extra_info):
            _log.warning(note)
        if 0 < file.frames <= first:
            return checked_waveform(path, np.zeros((1, 0), np.float32), rate, span)
        if first > 0:
            try:
                file.seek(first)
            except soundfile.LibsndfileError as error:
                raise _Unreadable from error
        expected = min(frames, file.frames - first)
        blocks = list(_blocks(path, file, frames))
    samples = np.concatenate(blocks, axis=1) if blocks else np.zeros((1, 0), np.float32)
    if samples.shape[1] < expected:
        _log.warning(
            "%s is cut off: %.2f s are missing.", path, (expected - samples.shape[1]) / rate
        )
    return checked_waveform(path, samples, rate, span)


def _blocks(path: Path, file: SoundFile, frames: int) -> Iterator[NDArray[np.float32]]:
    """Mono or stereo blocks until ``frames`` are read or the file ends."""
    import soundfile

    done = 0
    while done < frames:
        try:
            block = file.read(min(_BLOCK_FRAMES, frames - done), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _Unreadable from error
        if block.shape[0] == 0:
            return
        done += block.shape[0]
        require_bearable(path, done * min(file.channels, 2))
        yield to_stereo_or_mono(np.ascontiguousarray(block.T))


def _probe_container(path: Path) -> AudioInfo:
    from engine.audio import container

    info = container.probe_container(path)
    if info is None:
        raise no_audio(path)
    require_true_header(path, info.sample_rate, info.channels)
    return info


def _decode_container(
    path: Path, span: tuple[float, float], *, streams: int | None
) -> tuple[TitledWaveform, ...]:
    from engine.audio import container

    found = container.read_streams(path, span, streams=streams)
    if not found:
        raise no_audio(path)
    return tuple(
        TitledWaveform(title, checked_waveform(path, samples, rate, span))
        for title, samples, rate in ((s.title, s.samples, s.sample_rate) for s in found)
    )


def _checked_span(start_s: float | None, end_s: float | None) -> tuple[float, float]:
    start = 0.0 if start_s is None else start_s
    end = inf if end_s is None else end_s
    if not isfinite(start) or start < 0 or not end > start:
        raise UsageError(
            f"A part from {start:g} s to {end:g} s is empty or begins before the file.",
            hint="Give a start of 0 s or more and an end after it, both in seconds.",
        )
    return start, end


def _cut_off_note(path: Path, log: str) -> tuple[str, ...]:
    """What the header promises: libsndfile logs ``data : 400000 (should be 60000)``."""
    for line in log.splitlines():
        name, _, rest = line.partition(":")
        if name.strip() in ("data", "SSND") and "should be" in rest:
            return (f"{path} is cut off: its header promises more audio than there is.",)
    return ()


def _padded(stream: TitledWaveform, frames: int) -> TitledWaveform:
    missing = frames - stream.waveform.frames
    if missing == 0:
        return stream
    samples = np.pad(stream.waveform.samples, ((0, 0), (0, missing)))
    return TitledWaveform(stream.title, Waveform(samples, stream.waveform.sample_rate))
