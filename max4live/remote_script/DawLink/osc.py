"""OSC 1.0 messages with whole numbers (``i``), numbers (``f``) and texts (``s``); bundles are not
needed. The engine sends nothing else, and no message of more than 1024 bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .shapes import Value

#: Longest message that is sent or taken [bytes].
LIMIT_BYTES = 1024


class NotOsc(ValueError):
    """A packet that is no message."""


def pack(address: str, arguments: Sequence[Value]) -> bytes:
    """The packet of a message. ``int``, ``float`` and ``str`` are sent as ``i``, ``f`` and ``s``.

    Raises:
        ValueError: a value of another type, a number that does not fit, or too long a message.
    """
    tags, body = ",", b""
    for value in arguments:
        if isinstance(value, str):
            tags, body = tags + "s", body + _text(value)
        elif isinstance(value, float):
            tags, body = tags + "f", body + _real(value)
        elif isinstance(value, int):
            tags, body = tags + "i", body + _whole(int(value))
        else:
            raise ValueError(f"{value!r} cannot be sent")
    packet = _text(address) + _text(tags) + body
    if len(packet) > LIMIT_BYTES:
        raise ValueError(f"{address} would have {len(packet)} bytes")
    return packet


def unpack(packet: bytes) -> tuple[str, list[Value]]:
    """Address and arguments (a list) of a packet.

    Raises:
        NotOsc: it is cut off, no message, or of other types.
    """
    try:
        address, rest = _cut(packet)
        tags, rest = _cut(rest)
        if not address.startswith("/") or not tags.startswith(","):
            raise NotOsc("no message")
        arguments: list[Value] = []
        for tag in tags[1:]:
            value, rest = _value(tag, rest)
            arguments.append(value)
    except (ValueError, struct.error) as error:
        raise NotOsc(str(error)) from error
    return address, arguments


def _value(tag: str, rest: bytes) -> tuple[Value, bytes]:
    if tag == "s":
        return _cut(rest)
    if tag in "if":
        return struct.unpack(">" + tag, rest[:4])[0], rest[4:]
    raise NotOsc(f"type {tag!r}")


def _real(value: float) -> bytes:
    try:
        return struct.pack(">f", value)
    except OverflowError as error:
        raise ValueError(f"{value} is too large") from error


def _whole(value: int) -> bytes:
    try:
        return struct.pack(">i", value)
    except struct.error as error:
        raise ValueError(f"{value} is too large") from error


def _text(text: str) -> bytes:
    raw = text.encode("utf-8")
    if b"\0" in raw:
        raise ValueError("a text with a zero in it")
    return raw + b"\0" * (4 - len(raw) % 4)


def _cut(rest: bytes) -> tuple[str, bytes]:
    end = rest.index(b"\0")
    return rest[:end].decode("utf-8"), rest[end + 4 - end % 4 :]
