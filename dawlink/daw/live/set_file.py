"""Reading and writing Live's set files: gzipped XML, from people and the internet, so hostile.

Files are unpacked piece by piece up to a limit, document types and entities are refused (an XML
bomb needs them), and the root has to be Live's. Writing gives a gzip header without a name and a
clock: Live's browser skips clips whose header carries a name, and the same set gives the same
bytes. What is read and written again unchanged is the same XML to the byte.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, tostring

from dawlink.daw.live.skeleton import Version
from engine.errors import UnusableInput

__all__ = ["LiveSet", "read_set", "set_bytes"]

#: Sets of hundreds of tracks unpack to some tens of megabytes.
MAX_XML_BYTES: Final = 512 * 1024 * 1024
_BLOCK: Final = 1 << 20
_HEADER: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class LiveSet:
    """A set as Live wrote it, or as dawlink is about to.

    Args:
        root: the ``Ableton`` element.
        version: of Live, from the schema: (12, 2) for ``12.0_12203``.
    """

    root: Element
    version: Version

    @property
    def live_set(self) -> Element:
        """The ``LiveSet`` element."""
        found = self.root.find("LiveSet")
        assert found is not None
        return found

    @property
    def master(self) -> Element:
        """The main track, which was called master before Live 12."""
        found = self.live_set.find("MainTrack")
        found = self.live_set.find("MasterTrack") if found is None else found
        assert found is not None
        return found


def read_set(path: Path) -> LiveSet:
    """A set or clip file of Live 11 or 12.

    Raises:
        UnusableInput: it is missing, damaged, too large, no Live set, or of another version.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(_unpacked(path), forbid_dtd=True)
    except OSError as error:
        raise UnusableInput(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Give an .als file that was saved by Live 11 or 12.",
            code="missing" if isinstance(error, FileNotFoundError) else "unreadable",
        ) from error
    except (ParseError, DefusedXmlException, zlib.error, EOFError, ValueError) as error:
        raise UnusableInput(
            f"{path} is no Live set: {_why(error)}.",
            hint="Give an .als file that was saved by Live 11 or 12.",
            code="not_a_set",
        ) from error
    return _checked(root, path)


def set_bytes(live: LiveSet) -> bytes:
    """The file that Live reads."""
    xml = _HEADER + tostring(live.root, encoding="utf-8") + b"\n"
    return gzip.compress(xml, compresslevel=6, mtime=0)


def _unpacked(path: Path) -> bytes:
    """The XML; Live also reads sets that are not compressed."""
    parts: list[bytes] = []
    size = 0
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > MAX_XML_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_XML_BYTES >> 20} MB")
            parts.append(block)
    return b"".join(parts)


def _checked(root: Element, path: Path) -> LiveSet:
    needed = ("LiveSet/Tracks", "LiveSet/NextPointeeId", "LiveSet/Scenes")
    main = (
        root.find("LiveSet/MainTrack") is not None or root.find("LiveSet/MasterTrack") is not None
    )
    if root.tag != "Ableton" or not main or any(root.find(part) is None for part in needed):
        raise UnusableInput(
            f"{path} is XML, but no Live set.",
            hint="Give an .als file that was saved by Live 11 or 12.",
            code="not_a_set",
        )
    version = _version(root.get("MinorVersion", ""))
    if version is None or version[0] not in (11, 12):
        raise UnusableInput(
            f"{path} was saved by {root.get('Creator', 'an unknown version of Live')}, "
            "dawlink knows Live 11 and 12.",
            hint="Save it with Live 11 or 12, or leave --into out to get a new set.",
            code="set_version",
        )
    return LiveSet(root, version)


def _version(minor: str) -> Version | None:
    """``12.0_12203`` is 12.2; ``11.0_433`` is 11.0."""
    major, _, build = minor.partition("_")
    try:
        first, number = int(major.split(".")[0]), int(build or 0)
    except ValueError:
        return None
    return (first, number % 1000 // 100) if number >= 10_000 else (first, 0)


def _why(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0].rstrip(".") if text and text[0] else type(error).__name__
