"""OSC as Max speaks it, and what its ``udpreceive`` does not let through.

Written from the OSC 1.0 specification. Whole numbers leave as ``i``, others as ``f``, texts as
``s``. A packet whose size is not a multiple of 4, or more than 1024 bytes, never arrives.
"""

from __future__ import annotations

import struct

Atom = int | float | str
LIMIT_BYTES = 1024


class NotReceived(Exception):
    """``udpreceive`` would drop the packet."""


def pack(address: str, atoms: list[Atom]) -> bytes:
    tags, body = ",", b""
    for atom in atoms:
        if isinstance(atom, str):
            tags, body = tags + "s", body + _text(atom)
        elif isinstance(atom, float) and not atom.is_integer():
            tags, body = tags + "f", body + struct.pack(">f", atom)
        else:
            tags, body = tags + "i", body + struct.pack(">i", int(atom))
    return _text(address) + _text(tags) + body


def unpack(packet: bytes) -> tuple[str, list[Atom]]:
    """Address and arguments of a packet.

    Raises:
        NotReceived: see the module.
    """
    if len(packet) % 4:
        raise NotReceived(f"{len(packet)} bytes are no multiple of 4")
    if len(packet) > LIMIT_BYTES:
        raise NotReceived(f"{len(packet)} bytes are over {LIMIT_BYTES}")
    address, rest = _cut(packet)
    tags, rest = _cut(rest)
    if not address.startswith("/") or not tags.startswith(","):
        raise NotReceived(f"no OSC message: {packet[:32]!r}")
    atoms: list[Atom] = []
    for tag in tags[1:]:
        atom, rest = _taken(tag, rest)
        atoms.append(atom)
    return address, atoms


def _taken(tag: str, rest: bytes) -> tuple[Atom, bytes]:
    if tag == "s":
        return _cut(rest)
    if tag not in ("i", "f"):
        raise NotReceived(f"type {tag!r} is not certain to be understood")
    return struct.unpack(f">{tag}", rest[:4])[0], rest[4:]


def _text(text: str) -> bytes:
    raw = text.encode() + b"\0"
    return raw + b"\0" * (-len(raw) % 4)


def _cut(rest: bytes) -> tuple[str, bytes]:
    end = rest.index(b"\0")
    return rest[:end].decode(), rest[end + 1 + (-(end + 1) % 4) :]
