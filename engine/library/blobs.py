"""Files named by their content: FLAC audio and NumPy arrays.

Audio is kept as 24-bit FLAC and named by the SHA-256 of its samples (interleaved, little-endian,
three bytes each) after a header with rate and channel count, so the same sound under another name
or in another container is stored once. Samples are ``round(x * 2**23)``: what came from 16-bit or
24-bit files returns bit for bit; what exceeds full scale is scaled down as a whole, and the gain
that undoes it is handed back. Arrays are ``.npy`` files named by the SHA-256 of their bytes.

Every file is encoded in memory, then written under a temporary name, flushed to the disk and
renamed: it is whole or not there. A file that is there already is only touched, which keeps a
sweep in another process from taking it for an old orphan.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import LibraryUnusable, UnusableInput
from engine.files import atomic_path, sha256_of
from engine.library.rows import StoredAudio

__all__ = ["PART_PREFIX", "BlobKind", "BlobStore", "audio_key"]

BlobKind = Literal["audio", "features"]

PART_PREFIX: Final = ".part-"  # what engine.files.atomic_path calls an unfinished file
_SUFFIX: Final[dict[BlobKind, str]] = {"audio": ".flac", "features": ".npy"}
_FULL_SCALE: Final = 2.0**23
_MAX_CHANNELS: Final = 8  # FLAC's own limit
_MAX_RATE_HZ: Final = 655_350  # FLAC's own limit
_BLOCK_FRAMES: Final = 1 << 18  # hashed and checked in pieces of about 2 MB


@dataclass(frozen=True, eq=False)
class _Pcm:
    """24-bit samples in the upper bits of int32 (frames, channels), and how they were scaled."""

    samples: NDArray[np.int32]
    stored: StoredAudio


def audio_key(waveform: Waveform) -> StoredAudio:
    """The name that this audio has in every library, without storing it.

    Raises:
        UnusableInput: no frames, samples that are not finite, or more channels or a higher rate
            than FLAC can hold.
    """
    return _quantised(waveform).stored


class BlobStore:
    """The ``audio`` and ``features`` folders of one library."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, kind: BlobKind, sha: str) -> Path:
        """Where a blob lies, whether or not it is there."""
        return self._folder / kind / sha[:2] / f"{sha}{_SUFFIX[kind]}"

    def store_audio(self, waveform: Waveform) -> StoredAudio:
        """Keep audio; adds nothing when it is there already.

        Raises:
            UnusableInput: see :func:`audio_key`.
            UnwritableOutput: disk full, or the folder cannot be written.
        """
        pcm = _quantised(waveform)
        path = self.path("audio", pcm.stored.sha)
        if not _touched(path):
            _write(path, _encoded_flac(pcm))
        return pcm.stored

    def store_features(self, rows: NDArray[np.generic]) -> str:
        """Keep an array; returns its SHA-256.

        Raises:
            ValueError: the array is empty or holds Python objects.
            UnwritableOutput: disk full, or the folder cannot be written.
        """
        if rows.size == 0 or rows.dtype.hasobject:
            raise ValueError(f"cannot store an array of {rows.dtype} with shape {rows.shape}")
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rows), allow_pickle=False)
        data = buffer.getvalue()
        sha = hashlib.sha256(data).hexdigest()
        path = self.path("features", sha)
        if not _touched(path):
            _write(path, data)
        return sha

    def features(self, sha: str) -> NDArray[np.void]:
        """The array, memory-mapped and read-only.

        Raises:
            LibraryUnusable: its file is missing or damaged.
        """
        path = self.path("features", sha)
        try:
            rows: NDArray[np.void] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise _unusable(path, "is missing") from error
        except (OSError, ValueError, EOFError) as error:
            raise _unusable(path, "is damaged") from error
        return rows

    def waveform(self, audio: StoredAudio, start_frame: int, frames: int) -> Waveform:
        """Samples of stored audio at their true level; ``frames`` -1 reads to the end.

        Raises:
            LibraryUnusable: the file is missing or damaged.
        """
        import soundfile

        path = self.path("audio", audio.sha)
        if not path.is_file():
            raise _unusable(path, "is missing")
        try:
            samples, rate = soundfile.read(
                path, frames=frames, start=start_frame, dtype="float32", always_2d=True
            )
        except soundfile.SoundFileError as error:
            raise _unusable(path, "is damaged") from error
        level = np.float32(10.0 ** (audio.gain_db / 20.0))
        return Waveform(np.ascontiguousarray(samples.T * level, dtype=np.float32), int(rate))

    def audio_frames(self, sha: str) -> int:
        """Samples per channel that a file's header promises.

        Raises:
            LibraryUnusable: it is missing or damaged.
        """
        import soundfile

        path = self.path("audio", sha)
        try:
            return int(soundfile.info(path).frames)
        except soundfile.SoundFileError as error:
            raise _unusable(path, "is damaged") from error

    def is_whole(self, kind: BlobKind, sha: str) -> bool:
        """Whether the file still holds what its name says (reads all of it).

        Raises:
            OSError: the file cannot be read.
        """
        path = self.path(kind, sha)
        if kind == "features":
            return sha256_of(path) == sha
        return _key_of_file(path) == sha

    def names(self, kind: BlobKind) -> Iterator[tuple[str, Path]]:
        """(sha, path) of every finished file."""
        for path in (self._folder / kind).glob(f"??/*{_SUFFIX[kind]}"):
            if not path.name.startswith(PART_PREFIX):
                yield path.stem, path

    def unfinished(self) -> Iterator[Path]:
        """Temporary files of writers, living or killed."""
        for kind in _SUFFIX:
            yield from (self._folder / kind).glob(f"??/{PART_PREFIX}*")


def _quantised(waveform: Waveform) -> _Pcm:
    _check_storable(waveform)
    peak = float(np.max(np.abs(waveform.samples)))
    scale = max(peak, 1.0)
    samples = waveform.samples.T * np.float64(_FULL_SCALE / scale)
    np.rint(samples, out=samples)
    np.clip(samples, -_FULL_SCALE, _FULL_SCALE - 1, out=samples)
    pcm = np.ascontiguousarray(samples, dtype=np.int32) << 8
    digest = _new_key(waveform.sample_rate, waveform.channels)
    for start in range(0, waveform.frames, _BLOCK_FRAMES):
        digest.update(_three_bytes(pcm[start : start + _BLOCK_FRAMES]))
    stored = StoredAudio(
        sha=digest.hexdigest(),
        gain_db=float(20.0 * np.log10(scale)),
        sample_rate=waveform.sample_rate,
        channels=waveform.channels,
        frames=waveform.frames,
    )
    return _Pcm(pcm, stored)


def _check_storable(waveform: Waveform) -> None:
    if waveform.frames == 0:
        raise UnusableInput("The audio has no samples.", hint="Is the file cut off?")
    if not np.all(np.isfinite(waveform.samples)):
        raise UnusableInput(
            "The audio holds samples that are not numbers (NaN or infinite).",
            hint="Export it again from the program that made it.",
        )
    if not 1 <= waveform.channels <= _MAX_CHANNELS:
        raise UnusableInput(
            f"The audio has {waveform.channels} channels; the library holds 1 to {_MAX_CHANNELS}.",
            hint="Mix it down to stereo first.",
        )
    if waveform.sample_rate > _MAX_RATE_HZ:
        raise UnusableInput(
            f"The audio has {waveform.sample_rate} Hz; the library holds up to {_MAX_RATE_HZ} Hz.",
            hint="Resample it to 48000 Hz first.",
        )


def _new_key(sample_rate: int, channels: int) -> hashlib._Hash:
    return hashlib.sha256(f"pcm24 {sample_rate} Hz {channels} channels\n".encode())


def _three_bytes(pcm: NDArray[np.int32]) -> bytes:
    """Little-endian 24-bit samples of left-aligned int32, interleaved."""
    return pcm.astype("<i4", copy=False).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def _encoded_flac(pcm: _Pcm) -> memoryview:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, pcm.samples, pcm.stored.sample_rate, format="FLAC", subtype="PCM_24")
    return buffer.getbuffer()


def _key_of_file(path: Path) -> str:
    """The audio key of a FLAC file's samples; empty when they cannot all be decoded."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as stream:
            digest = _new_key(stream.samplerate, stream.channels)
            for block in stream.blocks(_BLOCK_FRAMES, dtype="int32", always_2d=True):
                digest.update(_three_bytes(np.ascontiguousarray(block)))
    except soundfile.SoundFileError:
        return ""
    return digest.hexdigest()


def _touched(path: Path) -> bool:
    """Whether the file is there; if so it now counts as new."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # another user's file, a read-only disk: it is there all the same
        return path.is_file()
    return True


def _write(path: Path, data: bytes | memoryview) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    if hasattr(os, "O_DIRECTORY"):  # a rename outlives a power cut once its folder is flushed
        with contextlib.suppress(OSError):
            handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _unusable(path: Path, what: str) -> LibraryUnusable:
    return LibraryUnusable(
        f"The library's file {path} {what}.",
        hint="`dawlink verify` names the song; remove that song and add it again.",
        code="library_damaged",
    )
