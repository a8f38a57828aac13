"""One audio clip as Live's element, with its sample's reference and warp markers.

Positions are beats from where the audio begins; a clip in a slot repeats in whole passes, so its
loop may begin before its audio does and end after it. A sample is referred to relative to the
project's root (type 3) or to the file (type 1), with its size and the CRC-16 that Live computes
over its first 16 384 bytes (polynomial 0x8005, start 0, not reflected). Beats mode leaves audio
that runs at its own speed untouched; what Live has to stretch gets the mode of its role.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from dawlink.daw.live.skeleton import Skeleton
from dawlink.daw.project import AudioClip
from engine.theory import Role

__all__ = ["COLORS", "ClipPlace", "audio_clip", "crc16", "crc_of"]

#: Bytes of a file that Live's CRC covers.
_CRC_BYTES: Final = 16_384
_POLYNOMIAL: Final = 0x8005
_BEATS, _COMPLEX, _COMPLEX_PRO = 0, 4, 6
_MODES: Final[dict[Role, int]] = {
    "vocals": _COMPLEX_PRO,
    "drums": _BEATS,
    "percussion": _BEATS,
}
#: Places in Live's palette.
COLORS: Final[dict[Role, int]] = {
    "vocals": 12,
    "harmonic": 9,
    "other": 7,
    "bass": 10,
    "drums": 1,
    "percussion": 1,
    "mix": 13,
}


@dataclass(frozen=True)
class ClipPlace:
    """Where a clip goes.

    Args:
        number: its id in its list.
        samples: the folder of samples, relative to the project's root or to the file.
        path_type: which of the two, as Live numbers them.
        session: in a slot, where it loops; else on the timeline.
        tempo_bpm: of the set, to tell what has to be stretched.
        beats_per_bar: metre.
    """

    number: int
    samples: str
    path_type: int
    session: bool
    tempo_bpm: float
    beats_per_bar: int


def audio_clip(skeleton: Skeleton, clip: AudioClip, role: Role, place: ClipPlace) -> Element:
    """The ``AudioClip`` element.

    Raises:
        OSError: the sample cannot be read.
    """
    coarse, fine = _pitch(clip.semitones)
    start = 0.0 if place.session else clip.start_beat
    loop_start = -clip.lead_beats if place.session else 0.0
    loop_end = clip.beats + (clip.tail_beats if place.session else 0.0)
    steady = clip.is_steady(place.tempo_bpm) and not clip.semitones
    element = skeleton.one(
        "audio_clip",
        {
            "number": place.number,
            "time": start,
            "current_end": start + loop_end - loop_start,
            "loop_start": loop_start or 0,
            "loop_end": float(loop_end),
            "loop_on": place.session,
            "name": clip.name,
            "color": COLORS[role],
            "numerator": place.beats_per_bar,
            "warped": True,
            "path_type": place.path_type,
            "relative_path": f"{place.samples}/{clip.audio.name}",
            "path": "",
            "file_size": clip.audio.path.stat().st_size,
            "crc": crc_of(clip.audio.path),
            "modified": 0,
            "frames": clip.audio.frames,
            "sample_rate": clip.audio.sample_rate,
            "warp_mode": _BEATS if steady else _MODES.get(role, _COMPLEX),
            "fade": clip.fade_s > 0,
            "fade_s": float(clip.fade_s),
            "pitch_coarse": coarse,
            "pitch_fine": fine,
            "volume": float(10 ** (clip.gain_db / 20)),
        },
    )
    markers = element.find("WarpMarkers")
    assert markers is not None
    markers.extend(_markers(clip))
    return element


def crc_of(path: Path) -> int:
    """Live's ``OriginalCrc`` of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return crc16(file.read(_CRC_BYTES))


def crc16(data: bytes) -> int:
    """Live's ``OriginalCrc`` of a file that begins with ``data``."""
    value = 0
    for byte in data[:_CRC_BYTES]:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ _POLYNOMIAL if value & 0x8000 else value << 1
        value &= 0xFFFF
    return value


def _markers(clip: AudioClip) -> Iterator[Element]:
    for number, point in enumerate(clip.warp):
        place = {"SecTime": f"{point.source_s:.17g}", "BeatTime": f"{point.beat:.17g}"}
        yield Element("WarpMarker", {"Id": str(number), **place})


def _pitch(semitones: float) -> tuple[int, float]:
    """Whole semitones, and cents within half a semitone."""
    coarse = math.floor(semitones + 0.5)
    return coarse, round((semitones - coarse) * 100, 6)
