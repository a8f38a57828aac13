"""Datagrams into messages and messages into datagrams, within fixed bounds.

What comes in may be anything: a datagram is at most 8192 bytes, bundles may hold bundles three
deep, a message has at most 64 arguments. Types that are never used (blobs, 64-bit numbers), and the
first value that cannot be read, are None, so that the answer can say which request they spoilt.
What goes out is at most 1024 bytes, and only of the types i, f and s. Times of bundles are not
waited for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pythonosc.parsing import osc_types

from dawlink.osc.faults import ErrorCode, Fault
from dawlink.osc.schema import Message, Value, address_of, arguments_of

__all__ = ["LARGEST_ANSWER", "LARGEST_DATAGRAM", "Malformed", "RawMessage", "decode", "encode"]

#: Larger ones are cut by the usual OSC servers; nobody needs them for these messages [bytes].
LARGEST_DATAGRAM: Final = 8192
#: What Max and other clients are sure to take [bytes].
LARGEST_ANSWER: Final = 1024
_DEEPEST_BUNDLE: Final = 3
_MOST_ARGUMENTS: Final = 64
_BUNDLE: Final = b"#bundle\x00"
#: Bytes that a value of a type takes that is known but never used here.
_SKIPPED: Final = {"h": 8, "d": 8, "t": 8, "r": 4, "m": 4, "c": 4, "T": 0, "F": 0, "N": 0, "I": 0}


class Malformed(Exception):
    """Bytes that are not OSC, or beyond the bounds."""


@dataclass(frozen=True)
class RawMessage:
    """A message as it came: its address and values, None for what is never used or unreadable."""

    address: str
    values: tuple[Value | None, ...]


def decode(datagram: bytes) -> list[RawMessage]:
    """The messages of a datagram, in order.

    Raises:
        Malformed: not OSC, too large, or bundles too deep; then none of it counts.
    """
    if len(datagram) > LARGEST_DATAGRAM:
        raise Malformed(f"{len(datagram)} bytes are more than {LARGEST_DATAGRAM}")
    messages: list[RawMessage] = []
    waiting = [(datagram, 0)]
    while waiting:
        packet, depth = waiting.pop()
        if packet.startswith(_BUNDLE):
            if depth == _DEEPEST_BUNDLE:
                raise Malformed("bundles too deep")
            waiting += [(part, depth + 1) for part in reversed(_parts(packet))]
        else:
            messages.append(_message(packet))
    return messages


def encode(message: Message) -> bytes:
    """The datagram of a message; a text that is too long is cut between two characters.

    Raises:
        Fault: a path or another text that must stay whole does not fit.
    """
    arguments = tuple((tag, _sendable(value)) for tag, value in arguments_of(message))
    datagram = _encoded(message, arguments)
    excess = len(datagram) - LARGEST_ANSWER
    if excess <= 0:
        return datagram
    names = ("title", "message")
    shortened = tuple(
        (tag, _cut(str(value), excess + 4) if name in names else value)
        for name, (tag, value) in zip(message.__dataclass_fields__, arguments, strict=True)
    )
    datagram = _encoded(message, shortened)
    if len(datagram) > LARGEST_ANSWER:
        raise Fault(
            ErrorCode.INTERNAL,
            "too_long",
            f"The path in {address_of(message)} is too long: {len(datagram)} bytes, "
            f"{LARGEST_ANSWER} can be sent. Use folders with shorter names.",
        )
    return datagram


def _sendable(value: Value) -> Value:
    """A text without what no OSC text can hold: zeros, and halves of characters."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", " ").encode(errors="replace").decode()


def _cut(text: str, excess: int) -> str:
    encoded = text.encode()
    kept = encoded[: max(len(encoded) - excess, 0)]
    return kept.decode(errors="ignore")


def _encoded(message: Message, arguments: tuple[tuple[str, Value], ...]) -> bytes:
    tags = "," + "".join(tag for tag, _ in arguments)
    parts = [osc_types.write_string(address_of(message)), osc_types.write_string(tags)]
    for tag, value in arguments:
        if tag == "i":
            parts.append(osc_types.write_int(int(value)))
        elif tag == "f":
            parts.append(osc_types.write_float(float(value)))
        else:
            parts.append(osc_types.write_string(str(value)))
    return b"".join(parts)


def _parts(bundle: bytes) -> list[bytes]:
    """The elements of a bundle."""
    at = len(_BUNDLE) + 8  # the time tag
    if len(bundle) < at:
        raise Malformed("a bundle without a time")
    parts = []
    while at < len(bundle):
        if at + 4 > len(bundle):
            raise Malformed("a bundle that ends early")
        (size,) = struct.unpack_from(">i", bundle, at)
        at += 4
        if size <= 0 or size % 4 or at + size > len(bundle):
            raise Malformed(f"a bundle element of {size} bytes")
        parts.append(bundle[at : at + size])
        at += size
    return parts


def _message(packet: bytes) -> RawMessage:
    if not packet.startswith(b"/"):
        raise Malformed("neither a message nor a bundle")
    try:
        address, at = osc_types.get_string(packet, 0)
        if at >= len(packet):
            return RawMessage(address, ())
        tags, at = osc_types.get_string(packet, at)
    except (osc_types.ParseError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error
    if not tags.startswith(",") or len(tags) > _MOST_ARGUMENTS + 1:
        raise Malformed("no type tags, or too many")
    return RawMessage(address, _values(packet, tags[1:], at))


def _values(packet: bytes, tags: str, at: int) -> tuple[Value | None, ...]:
    values: list[Value | None] = []
    value: Value | None
    try:
        for tag in tags:
            if tag == "i":
                value, at = osc_types.get_int(packet, at)
            elif tag == "f":
                value, at = osc_types.get_float(packet, at)
            elif tag == "s":
                value, at = osc_types.get_string(packet, at)
            elif tag in _SKIPPED:
                value, at = None, at + _SKIPPED[tag]
            else:  # its size is unknown, so the rest cannot be read
                return (*values, None)
            values.append(value)
    except (osc_types.ParseError, UnicodeDecodeError) as error:
        if not values:  # nobody could tell which request this answers
            raise Malformed(str(error)) from error
        return (*values, None)  # cut short, or a text in another encoding
    return tuple(values)
