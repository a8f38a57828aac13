"""A second reader of ``.amxd``, written from the format's description alone.

It shares nothing with the builder, so that a mistake made in one is found by the other. Every
length, order and padding that the format fixes is checked; any surprise is an AssertionError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

ENTRY_TAGS = ["type", "fnam", "sz32", "of32", "vers", "flag", "mdat"]
DEVICE_TYPES = {"aaaa", "iiii", "mmmm", "nagg", "natt"}


@dataclass(frozen=True)
class Entry:
    """One file inside a frozen device."""

    kind: str
    name: str
    offset: int
    flag: int
    version: int
    time: int
    data: bytes


@dataclass(frozen=True)
class Device:
    """A device as read."""

    kind: str
    meta: int
    frozen: bool
    entries: tuple[Entry, ...]
    patch: dict[str, Any]


def read_device(data: bytes) -> Device:
    """Take a device apart."""
    chunks = _chunks(data)
    assert [tag for tag, _ in chunks] == ["ampf", "meta", "ptch"], chunks
    kind = chunks[0][1].decode("ascii")
    assert kind in DEVICE_TYPES
    assert len(chunks[1][1]) == 4
    body = chunks[2][1]
    frozen = body.startswith(b"mx@c")
    entries = _entries(body) if frozen else ()
    text = (entries[0].data if frozen else body).decode("utf-8")
    patch, _ = json.JSONDecoder().raw_decode(text)
    return Device(kind, int.from_bytes(chunks[1][1], "little"), frozen, entries, patch["patcher"])


def _chunks(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    while data:
        assert len(data) >= 8, "bytes left over at the end"
        size = int.from_bytes(data[4:8], "little")
        assert len(data) >= 8 + size, "a chunk ends after the file"
        found.append((data[:4].decode("ascii"), data[8 : 8 + size]))
        data = data[8 + size :]
    return found


def _entries(block: bytes) -> tuple[Entry, ...]:
    head, footer = _big(block[4:8]), _big(block[8:16])
    assert head == 16
    listing = _fields(block[footer:])
    assert [tag for tag, _ in listing] == ["dlst"], "the footer is one list and ends the block"
    entries = tuple(_entry(block, data) for tag, data in _fields(listing[0][1]) if tag == "dire")
    place = head
    for entry in entries:
        assert entry.offset == place, "files lie without gaps, in the order of the list"
        place += len(entry.data)
    assert place == footer
    return entries


def _entry(block: bytes, data: bytes) -> Entry:
    fields = _fields(data)
    assert [tag for tag, _ in fields] == ENTRY_TAGS
    value = dict(fields)
    name = value["fnam"]
    assert len(name) % 4 == 0
    assert name.endswith(b"\0")
    offset, size = _big(value["of32"]), _big(value["sz32"])
    return Entry(
        kind=value["type"].decode("ascii"),
        name=name.rstrip(b"\0").decode("ascii"),
        offset=offset,
        flag=_big(value["flag"]),
        version=_big(value["vers"]),
        time=_big(value["mdat"]),
        data=block[offset : offset + size],
    )


def _fields(data: bytes) -> list[tuple[str, bytes]]:
    found = []
    while data:
        size = _big(data[4:8])
        assert 8 <= size <= len(data), "a field's length counts its own head"
        found.append((data[:4].decode("ascii"), data[8:size]))
        data = data[size:]
    return found


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")
