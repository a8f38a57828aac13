"""What a WAV file says about its music: chunks after its samples that other programs read.

``acid`` holds length in beats, metre, tempo and root note (ACID, REAPER, Reason, FL Studio);
``smpl`` one loop over the whole file (samplers); ``cue `` with a ``LIST adtl`` a label on every bar
line; ``bext`` (EBU Tech 3285) a description, the originator and the place on the timeline. They
come after ``data``, so the beginning of the file, which Live's checksum covers, does not change
with them. Layouts are those that libsndfile and FFmpeg read; the order of the two metre fields in
``acid`` is disputed, and matters when they differ.

No chunk carries a clock, so the same render gives the same bytes. libsndfile writes the time of
day into the ``PEAK`` chunk of floating-point files (version, seconds since 1970, then value and
position per channel; 32-bit words); it is set to 0 there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from engine.theory import Key

__all__ = ["WavTags", "forget_time", "tag_wav"]

#: ``acid`` flags: the root note counts, the file may be stretched.
_ROOT_SET, _STRETCH = 2, 4
#: MIDI note of the octave that root notes are written in.
_MIDDLE_C: Final = 60
#: ``smpl`` loops: forward, for ever.
_FORWARD, _FOR_EVER = 0, 0
_BEXT_BYTES: Final = 602
_RIFF_LIMIT: Final = (1 << 32) - 1
#: Bytes of ``RIFF``, size and ``WAVE``; of a chunk's name and size; before the seconds in ``PEAK``.
_RIFF_HEAD: Final = 12
_CHUNK_HEAD: Final = 8
_PEAK_SECONDS: Final = 4


@dataclass(frozen=True)
class WavTags:
    """What to say.

    Args:
        title: one line about the file.
        tempo_bpm: quarter notes per minute.
        beats: length.
        beats_per_bar: metre over quarter notes.
        key: its tonic becomes the root note; none for drums.
        loop: the file repeats seamlessly, so samplers shall loop it.
    """

    title: str
    tempo_bpm: float
    beats: int
    beats_per_bar: int
    key: Key | None = None
    loop: bool = True


def tag_wav(path: Path, tags: WavTags) -> None:
    """Append the chunks to a file that has none of them, and take the time of day out of it.

    A file that is no RIFF file stays as it is, also RF64 files, which are larger than 4 GB.

    Raises:
        OSError: the file cannot be changed.
    """
    with path.open("r+b") as file:
        head = file.read(_RIFF_HEAD)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        _forget_time(file)
        rate, frames = _format_of(path)
        chunks = b"".join(_chunk(name, data) for name, data in _chunks(tags, rate, frames))
        end = file.seek(0, os.SEEK_END)
        pad = end & 1
        if end + pad + len(chunks) > _RIFF_LIMIT:
            return
        file.write(b"\0" * pad + chunks)
        file.seek(4)
        file.write(struct.pack("<I", end + pad + len(chunks) - 8))


def forget_time(path: Path) -> None:
    """Take the time of day out of a WAV file.

    Raises:
        OSError: the file cannot be changed.
    """
    with path.open("r+b") as file:
        file.seek(_RIFF_HEAD)
        _forget_time(file)


def _forget_time(file: BinaryIO) -> None:
    """Set the seconds in the ``PEAK`` chunk to 0, where there is one before the samples."""
    place = _RIFF_HEAD
    while len(head := file.read(_CHUNK_HEAD)) == _CHUNK_HEAD and head[:4] != b"data":
        if head[:4] == b"PEAK":
            file.seek(place + _CHUNK_HEAD + _PEAK_SECONDS)
            file.write(b"\0" * 4)
            return
        size = int.from_bytes(head[4:], "little")
        place = file.seek(place + _CHUNK_HEAD + size + (size & 1))


def _format_of(path: Path) -> tuple[int, int]:
    """Rate [Hz] and frames."""
    import soundfile

    info = soundfile.info(path)
    return info.samplerate, info.frames


def _chunks(tags: WavTags, rate: int, frames: int) -> Sequence[tuple[bytes, bytes]]:
    bars = range(0, tags.beats, tags.beats_per_bar)
    places = [round(beat * 60.0 / tags.tempo_bpm * rate) for beat in bars]
    places = [place for place in places if place < frames]
    chunks = [(b"acid", _acid(tags))]
    if tags.loop:
        chunks.append((b"smpl", _smpl(tags, rate, frames)))
    chunks += [(b"cue ", _cue(places)), (b"LIST", _labels(len(places))), (b"bext", _bext(tags))]
    return chunks


def _acid(tags: WavTags) -> bytes:
    flags = _STRETCH | (_ROOT_SET if tags.key else 0)
    root = _MIDDLE_C + (tags.key.tonic if tags.key else 0)
    metre = (4, tags.beats_per_bar)
    return struct.pack("<IHHfIHHf", flags, root, 0x8000, 0.0, tags.beats, *metre, tags.tempo_bpm)


def _smpl(tags: WavTags, rate: int, frames: int) -> bytes:
    note = _MIDDLE_C + (tags.key.tonic if tags.key else 0)
    period_ns = round(1e9 / rate)
    head = struct.pack("<9I", 0, 0, period_ns, note, 0, 0, 0, 1, 0)
    return head + struct.pack("<6I", 0, _FORWARD, 0, frames - 1, 0, _FOR_EVER)


def _cue(places: Sequence[int]) -> bytes:
    points = (
        struct.pack("<II4sIII", number, place, b"data", 0, 0, place)
        for number, place in enumerate(places, 1)
    )
    return struct.pack("<I", len(places)) + b"".join(points)


def _labels(count: int) -> bytes:
    labels = (
        _chunk(b"labl", struct.pack("<I", number) + f"Bar {number}\0".encode("ascii"))
        for number in range(1, count + 1)
    )
    return b"adtl" + b"".join(labels)


def _bext(tags: WavTags) -> bytes:
    description = tags.title.encode("utf-8")[:255].decode("utf-8", errors="ignore")
    fields = struct.pack(
        "<256s32s32s10s8sIIH",
        description.encode("utf-8"),
        b"dawlink",
        b"",
        b"",
        b"",
        0,
        0,
        1,
    )
    return fields + b"\0" * (_BEXT_BYTES - len(fields))


def _chunk(name: bytes, data: bytes) -> bytes:
    """A RIFF chunk; its length is even, the size it states is the true one."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)
