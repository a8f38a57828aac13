"""Reading and writing Live's set files: gzipped XML, from people and the internet, so hostile.

A file is unpacked and parsed block by block. It is refused as soon as it is larger than any set,
has more tags, attributes and lines than any set (each costs memory, and many pack to nothing), or
declares a document type, which an XML bomb needs; afterwards when it is nested too deep, is no set,
or holds text where Live writes numbers. Memory stays below 1.5 GB whatever comes.

Writing gives the gzip header that Live writes: no name, no clock. Live's browser skips clips whose
header carries a name, and the same set gives the same bytes. What is read and written again
unchanged is the same XML to the byte, with the line ends that it had.
"""

from __future__ import annotations

import errno
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import IO, Final, cast
from xml.etree.ElementTree import Element, ParseError, XMLParser, tostring

from dawlink.daw.live.skeleton import Version
from engine.errors import UnusableInput

__all__ = ["LiveSet", "is_target", "read_set", "set_bytes"]

#: Sets of hundreds of tracks unpack to some tens of megabytes.
MAX_XML_BYTES: Final = 256 * 1024 * 1024
#: Tags, attributes, entities and lines: one for 12 bytes, so this is a set of 100 MB.
MAX_MARKS: Final = 8_000_000
#: Live's elements nest about 20 deep, and 8 more for every rack in a rack.
MAX_DEPTH: Final = 400
#: Longest value without a tag in it; parsing one takes time that grows with its square.
MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
_BLOCK: Final = 1 << 20
_HEADER: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_GZIP: Final = b"\x1f\x8b"
#: As Live writes it: deflate, no flags, no time, best compression, no system.
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_MARKS: Final = (b"<", b"=", b"&", b"\n")
_DOCTYPE: Final = b"<!DOCTYPE"
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_HINT: Final = "Give an .als file that was saved by Live 11 or 12."


@dataclass(frozen=True, eq=False)
class LiveSet:
    """A set as Live wrote it, or as dawlink is about to.

    Args:
        root: the ``Ableton`` element.
        version: of Live, from the schema: (12, 2) for ``12.0_12203``.
        line_end: as Live writes them on its system.
    """

    root: Element
    version: Version
    line_end: bytes = b"\n"

    @property
    def live_set(self) -> Element:
        """The ``LiveSet`` element."""
        return _found(self.root, "LiveSet")

    @property
    def master(self) -> Element:
        """The main track, which was called master before Live 12."""
        main = self.live_set.find("MainTrack")
        return _found(self.live_set, "MasterTrack") if main is None else main

    @property
    def tracks(self) -> Element:
        """The ``Tracks`` element."""
        return _found(self.live_set, "Tracks")

    @property
    def scenes(self) -> int:
        """How many there are; every track has as many slots."""
        return len(self.live_set.findall("Scenes/Scene"))

    @property
    def pointee_ids(self) -> list[int]:
        """Every id of the one counter: pointees and the targets of automation and modulation."""
        return [
            int(element.get("Id", "0")) for element in self.live_set.iter() if is_target(element)
        ]

    @property
    def next_pointee_id(self) -> int:
        """The first id that is free."""
        return int(_found(self.live_set, "NextPointeeId").get("Value", "0"))


def is_target(element: Element) -> bool:
    """Whether the element's ``Id`` comes from the one counter."""
    tag = element.tag
    known = tag == "Pointee" or tag.endswith("Target") or tag.startswith("ControllerTargets.")
    return known and "Id" in element.attrib


def read_set(path: Path) -> LiveSet:
    """A set or clip file of Live 11 or 12.

    Raises:
        UnusableInput: it is missing, damaged, too large, no Live set, or of another version.
    """
    try:
        if path.exists() and not path.is_file():
            raise IsADirectoryError(errno.EISDIR, "it is no file")
        root, line_end = _parsed(path)
    except (BadGzipFile, ParseError, zlib.error, EOFError, ValueError) as error:
        why = str(error).splitlines() or ["it is damaged"]
        raise _no_set(path, why[0].rstrip(".")) from error
    except OSError as error:
        raise UnusableInput(
            f"{path} cannot be read: {error.strerror or error}.",
            hint=_HINT,
            code="missing" if isinstance(error, FileNotFoundError) else "unreadable",
        ) from error
    return _checked(root, line_end, path)


def set_bytes(live: LiveSet) -> bytes:
    """The file that Live reads."""
    xml = _HEADER + tostring(live.root, encoding="utf-8") + b"\n"
    if live.line_end != b"\n":  # those inside values are written as character references
        xml = xml.replace(b"\n", live.line_end)
    packer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(xml) + packer.flush()
    trailer = struct.pack("<2I", zlib.crc32(xml), len(xml) & 0xFFFFFFFF)
    return _GZIP_HEADER + packed + trailer


def _parsed(path: Path) -> tuple[Element, bytes]:
    """The root, and the line ends of the file; Live also reads sets that are not compressed."""
    parser = XMLParser(encoding="utf-8")  # whatever the file declares: Live writes nothing else
    line_end = b""
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        stream = cast("IO[bytes]", GzipFile(fileobj=raw)) if packed else raw
        for block in _bearable(stream):
            line_end = line_end or (b"\r\n" if b"\r\n" in block else b"\n")
            parser.feed(block)
    root = parser.close()
    _require_shallow(root)
    return root, line_end


def _bearable(stream: IO[bytes]) -> Iterator[bytes]:
    """The blocks of a stream, as long as no set is too large for what has come.

    Raises:
        ValueError: it is more than any set holds.
    """
    size, marks, value, end = 0, 0, 0, b""
    while block := stream.read(_BLOCK):
        size += len(block)
        marks += sum(block.count(mark) for mark in _MARKS)
        last_tag = block.rfind(b"<")
        value = value + len(block) if last_tag < 0 else len(block) - last_tag
        if _DOCTYPE in end + block:
            raise ValueError("it declares a document type, which Live never does")
        end = block[1 - len(_DOCTYPE) :]
        if size > MAX_XML_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_XML_BYTES >> 20} MB")
        if marks > MAX_MARKS:
            raise ValueError(f"it holds more than {MAX_MARKS} tags, attributes and lines")
        if value > MAX_VALUE_BYTES:
            raise ValueError(f"it holds a value of more than {MAX_VALUE_BYTES >> 20} MB")
        yield block


def _require_shallow(root: Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level for child in element]
        if not level:
            return
    raise ValueError(f"its elements are nested more than {MAX_DEPTH} deep")


def _checked(root: Element, line_end: bytes, path: Path) -> LiveSet:
    needed = ("LiveSet/Tracks", "LiveSet/NextPointeeId", "LiveSet/Scenes")
    main = any(root.find(f"LiveSet/{tag}") is not None for tag in ("MainTrack", "MasterTrack"))
    if root.tag != "Ableton" or not main or any(root.find(part) is None for part in needed):
        raise UnusableInput(f"{path} is XML, but no Live set.", hint=_HINT, code="not_a_set")
    version = _version(root.get("MinorVersion", ""))
    if version is None or version[0] not in (11, 12):
        raise UnusableInput(
            f"{path} was saved by {root.get('Creator', 'an unknown version of Live')}, "
            "dawlink knows Live 11 and 12.",
            hint="Save it with Live 11 or 12, or leave --into out to get a new set.",
            code="set_version",
        )
    live = LiveSet(root, version, line_end)
    wrong = next((text for text in _whole_numbers(live) if not _WHOLE.fullmatch(text)), None)
    if wrong is not None:
        raise _no_set(path, f"an id in it is {wrong[:40]!r}, which is no number")
    return live


def _whole_numbers(live: LiveSet) -> Iterator[str]:
    """Everything that is read as a whole number later."""
    yield _found(live.live_set, "NextPointeeId").get("Value", "")
    yield from (track.get("Id", "") for track in live.tracks)
    yield from (element.get("Id", "") for element in live.live_set.iter() if is_target(element))


def _found(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    assert found is not None, tag
    return found


def _no_set(path: Path, why: str) -> UnusableInput:
    return UnusableInput(f"{path} is no Live set: {why}.", hint=_HINT, code="not_a_set")


def _version(minor: str) -> Version | None:
    """``12.0_12203`` is 12.2; ``11.0_433`` is 11.0."""
    major, _, build = minor.partition("_")
    if not _WHOLE.fullmatch(major.split(".")[0]) or not _WHOLE.fullmatch(build or "0"):
        return None
    first, number = int(major.split(".")[0]), int(build or 0)
    return (first, number % 1000 // 100) if number >= 10_000 else (first, 0)
