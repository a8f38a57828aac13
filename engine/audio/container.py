"""Audio streams inside containers (MP4, M4A, ADTS and whatever else FFmpeg knows), by PyAV.

FFmpeg applies an MP4's edit list and an MP3's LAME tag itself: the encoder's priming samples
never come out. Time stamps count from the earliest stream; one that begins later gets silence in
front, so streams of one file stay aligned.

Native Instruments' ``.stem.mp4`` names its four stems in a JSON text, box ``moov/udta/stem``
("Stems Creation Tool", version 1): ``{"stems": [{"name": "Drums", "color": …}, …]}``; they are
audio streams 1 to 4, and stream 0 is the master.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import require_bearable
from engine.audio.records import AudioInfo
from engine.audio.resample import to_stereo_or_mono

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer
    from av.stream import Stream

__all__ = ["RawStream", "probe_container", "read_streams", "stem_names"]

_log = logging.getLogger(__name__)

#: A stem box is a few hundred bytes; more is not one.
_MAX_STEM_BYTES: Final = 1 << 20
#: Encoders fill up their last frame with at most this (two AAC frames of 2048) [frames].
_MAX_FILL_FRAMES: Final = 4096
#: Handler names that writers put everywhere.
_EMPTY_TITLES: Final = frozenset({"", "SoundHandler", "Core Media Audio", "GPAC ISO Audio Handler"})


@dataclass(frozen=True, eq=False)
class RawStream:
    """(1 or 2, frames) float32 of one stream."""

    title: str
    samples: NDArray[np.float32]
    sample_rate: int


def probe_container(path: Path) -> AudioInfo | None:
    """What the container says, or None where there is no audio in it."""
    with _Container(path) as opened:
        if opened is None or not opened.streams.audio:
            return None
        first = opened.streams.audio[0]
        duration_s = _seconds(first) or (opened.duration or 0) / 1_000_000
        return AudioInfo(
            duration_s=duration_s,
            sample_rate=int(first.codec_context.sample_rate or 0),
            channels=int(first.codec_context.channels or 0),
            codec=str(first.codec_context.name),
            titles=_titles(path, opened),
        )


def read_streams(
    path: Path, span: tuple[float, float], *, streams: int | None
) -> tuple[RawStream, ...]:
    """The first ``streams`` audio streams (None: all), cut to ``span`` seconds.

    Empty where FFmpeg cannot read the file or finds no audio in it.
    """
    with _Container(path) as opened:
        if opened is None:
            return ()
        chosen = list(opened.streams.audio)[:streams]
        if not chosen:
            return ()
        titles = _titles(path, opened)
        collected = [_Collector(path, span, _seconds(stream)) for stream in chosen]
        places = {stream.index: number for number, stream in enumerate(chosen)}
        for index, samples, rate, time_s in _decoded(path, opened, chosen):
            collected[places[index]].add(samples, rate, time_s)
            if all(collector.full for collector in collected):
                break
    return tuple(c.stream(title) for c, title in zip(collected, titles, strict=False))


def stem_names(path: Path) -> tuple[str, ...]:
    """The four names in a ``.stem.mp4``; nothing where the file has no (readable) stem box."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            for name in (b"moov", b"udta"):
                inside = _find_box(file, name, size)
                if inside is None:
                    return ()
                size = inside
            length = _find_box(file, b"stem", size)
            if length is None or length - file.tell() > _MAX_STEM_BYTES:
                return ()
            content = json.loads(file.read(length - file.tell()))
        return tuple(str(stem["name"]) for stem in content["stems"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


class _Container:
    """An opened container, or None where FFmpeg cannot read the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: InputContainer | None = None

    def __enter__(self) -> InputContainer | None:
        import av

        try:
            self._opened = av.open(str(self._path), mode="r", metadata_errors="replace")
        except (av.FFmpegError, ValueError) as error:
            _log.debug("%s: FFmpeg says %s", self._path, error)
        return self._opened

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()


@dataclass
class _Collector:
    """Gathers one stream's samples inside a span."""

    path: Path
    span: tuple[float, float]
    duration_s: float
    blocks: list[NDArray[np.float32]] = field(default_factory=list)
    rate: int = 0
    position: int = 0
    kept: int = 0
    full: bool = False

    def add(self, samples: NDArray[np.float32], rate: int, time_s: float) -> None:
        """Take the next block; the first one's time says where the stream begins."""
        if self.rate == 0:
            self.rate = rate
            begin = round(time_s * rate)
            if begin > 0:
                self._keep(np.zeros((samples.shape[0], begin), np.float32))
            elif begin < 0:
                samples = samples[:, -begin:]
        self._keep(samples)

    def _keep(self, samples: NDArray[np.float32]) -> None:
        first = round(self.span[0] * self.rate)
        last = round(min(self.span[1] * self.rate, 1e15))
        low = max(first - self.position, 0)
        high = min(last - self.position, samples.shape[1])
        self.position += samples.shape[1]
        self.full = self.position >= last
        if low < high:
            self.kept += (high - low) * samples.shape[0]
            require_bearable(self.path, self.kept)
            self.blocks.append(samples[:, low:high])

    def stream(self, title: str) -> RawStream:
        """What was gathered."""
        channels = max((block.shape[0] for block in self.blocks), default=1)
        alike = [np.broadcast_to(b, (channels, b.shape[1])) for b in self.blocks]
        samples = np.concatenate(alike, axis=1) if alike else np.zeros((1, 0), np.float32)
        # The last codec frame is filled up; the stream's duration says where the music ends.
        surplus = self.position - round(self.duration_s * self.rate)
        if not self.full and -surplus > _MAX_FILL_FRAMES:
            _log.warning("%s is cut off: %.2f s are missing.", self.path, -surplus / self.rate)
        if self.duration_s > 0 and not self.full and 0 < surplus <= _MAX_FILL_FRAMES:
            samples = samples[:, : max(samples.shape[1] - surplus, 0)]
        return RawStream(title, samples, max(self.rate, 1))


def _decoded(
    path: Path, opened: InputContainer, streams: list[AudioStream]
) -> Iterator[tuple[int, NDArray[np.float32], int, float]]:
    """(stream index, samples, rate, seconds) of every decoded block; stops at damage."""
    import av

    resamplers: dict[int, av.AudioResampler] = {}
    start_s = (opened.start_time or 0) / 1_000_000
    try:
        for packet in opened.demux(streams):
            for frame in _frames_of(path, packet):
                index = packet.stream.index
                if index not in resamplers:
                    resamplers[index] = av.AudioResampler(
                        format="fltp", layout=frame.layout, rate=frame.sample_rate
                    )
                time_s = float((frame.pts or 0) * (frame.time_base or 0)) - start_s
                for plain in resamplers[index].resample(frame):
                    samples = np.ascontiguousarray(plain.to_ndarray(), dtype=np.float32)
                    yield index, to_stereo_or_mono(samples), plain.sample_rate, time_s
    except av.FFmpegError as error:
        _log.warning("%s is damaged or cut off: %s", path, error)


def _frames_of(path: Path, packet: Packet[Stream]) -> list[AudioFrame]:
    """The frames of one packet; a damaged packet is left out."""
    import av

    try:
        return [frame for frame in packet.decode() if _is_audio(frame)]
    except av.InvalidDataError as error:
        _log.warning("%s has a damaged packet, which is left out: %s", path, error)
        return []


def _seconds(stream: AudioStream) -> float:
    """The stream's stated duration, 0 where it states none."""
    if stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def _is_audio(frame: object) -> TypeGuard[AudioFrame]:
    import av

    return isinstance(frame, av.AudioFrame)


def _titles(path: Path, opened: InputContainer) -> tuple[str, ...]:
    streams = opened.streams.audio
    names = stem_names(path)
    if len(names) == len(streams) - 1 and names:
        return ("mix", *names)
    return tuple(_title(stream.metadata) for stream in streams)


def _title(metadata: dict[str, str]) -> str:
    for key in ("title", "name", "handler_name"):
        title = metadata.get(key, "").strip("\x00 ")
        if title not in _EMPTY_TITLES:
            return title
    return ""


def _find_box(file: BinaryIO, wanted: bytes, end: int) -> int | None:
    """Leave ``file`` at the content of the MP4 box ``wanted`` before ``end``; where it ends."""
    at = file.tell()
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), at + 16
        elif size == 0:
            size = end - at
        if size < content - at or at + size > end:
            return None
        if kind == wanted:
            file.seek(content)
            return at + size
        at += size
    return None
