"""The ``.amxd`` container, frozen: the patch and the files it needs in one.

Chunks of a 4-byte tag, a little-endian length and a payload: ``ampf`` the device type, ``meta`` 7
for frozen, ``ptch`` a ``mx@c`` block. That block is big-endian: the length of its own head, the
place of its footer, the files without gaps, and the footer with one ``dire`` entry for each file.
The first file is the patch. Layout read off devices that Max 8.1 to 9.1 have frozen.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from max4live.device.records import Json

__all__ = ["FROZEN_TIME", "FrozenFile", "frozen_device", "patch_file", "text_file"]

_AUDIO_EFFECT: Final = b"aaaa"
_FROZEN: Final = 7
_HEAD: Final = 16
_FLAG_PATCH: Final = 0x11
_FLAG_FILE: Final = 0
#: 2024-01-01 00:00 UTC, in seconds since 1904: fixed, so that equal sources make equal bytes.
FROZEN_TIME: Final = 1704067200 + 2082844800


@dataclass(frozen=True)
class FrozenFile:
    """A file inside a device.

    Args:
        name: ASCII, as the patch calls it.
        kind: "JSON" for patches, "TEXT" for scripts.
        data: its bytes.
        is_patch: whether it is the device itself.
    """

    name: str
    kind: Literal["JSON", "TEXT"]
    data: bytes
    is_patch: bool = False


def patch_file(name: str, patch: dict[str, Json]) -> FrozenFile:
    """The device's own patch; ends in a newline and one NUL, as Max writes it."""
    text = json.dumps(patch, indent="\t", ensure_ascii=False)
    return FrozenFile(name, "JSON", f"{text}\n\0".encode(), is_patch=True)


def text_file(name: str, text: str) -> FrozenFile:
    """A script."""
    return FrozenFile(name, "TEXT", text.encode("utf-8"))


def frozen_device(files: Sequence[FrozenFile]) -> bytes:
    """The bytes of an audio effect.

    Args:
        files: the patch first, then what it needs.
    """
    chunks = (
        (b"ampf", _AUDIO_EFFECT),
        (b"meta", struct.pack("<I", _FROZEN)),
        (b"ptch", _block(files)),
    )
    return b"".join(tag + struct.pack("<I", len(data)) + data for tag, data in chunks)


def _block(files: Sequence[FrozenFile]) -> bytes:
    body = b"".join(file.data for file in files)
    head = b"mx@c" + struct.pack(">IQ", _HEAD, _HEAD + len(body))
    entries = b""
    offset = _HEAD
    for file in files:
        entries += _entry(file, offset)
        offset += len(file.data)
    return head + body + _field(b"dlst", entries)


def _entry(file: FrozenFile, offset: int) -> bytes:
    numbers = (
        (b"sz32", len(file.data)),
        (b"of32", offset),
        (b"vers", 0),
        (b"flag", _FLAG_PATCH if file.is_patch else _FLAG_FILE),
        (b"mdat", FROZEN_TIME),
    )
    fields = [_field(b"type", file.kind.encode("ascii")), _field(b"fnam", _padded(file.name))]
    fields += [_field(tag, struct.pack(">I", value)) for tag, value in numbers]
    return _field(b"dire", b"".join(fields))


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + struct.pack(">I", 8 + len(data)) + data


def _padded(name: str) -> bytes:
    data = name.encode("ascii") + b"\0"
    return data + b"\0" * (-len(data) % 4)
