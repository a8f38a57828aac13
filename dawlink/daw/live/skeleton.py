"""Live's elements from ``skeleton.txt``: what every set holds, beside what dawlink puts into it.

The text names blocks of elements; :class:`Skeleton` builds them for one version of Live, fills in
values, and hands out pointee ids: one counter for every ``Pointee`` and ``…Target`` of a set, which
Live insists are unique and below ``NextPointeeId``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element

__all__ = ["LIVE_11_3", "Skeleton", "Version"]

#: Major and minor version of Live whose elements are wanted.
Version = tuple[int, int]
#: The schema of new sets: Live 11.3 and every Live 12 open it.
LIVE_11_3: Final[Version] = (11, 3)
_LINE: Final = re.compile(r"^(?P<when>\[(?P<not>-?)(?P<version>[\d.]+)\] *)?(?P<text>.*)$")
_INDENT: Final = 2


@dataclass(frozen=True)
class _Line:
    """One line of a block: how deep, for which versions, and what it says."""

    depth: int
    text: str
    since: Version = (0, 0)
    before: Version = (99, 0)


@dataclass
class Skeleton:
    """Builds blocks for one set.

    Args:
        version: of Live.
        next_id: the first pointee id that is free.
    """

    version: Version = LIVE_11_3
    next_id: int = 1
    _named: dict[str, str] = field(default_factory=dict)

    def build(self, block: str, values: Mapping[str, object] | None = None) -> list[Element]:
        """The elements of a block, filled in.

        Raises:
            KeyError: no such block, or a value that is missing: the text and its users disagree.
        """
        top = Element("top")
        self._fill(top, block, values or {})
        return list(top)

    def one(self, block: str, values: Mapping[str, object] | None = None) -> Element:
        """The only element of a block."""
        (element,) = self.build(block, values)
        return element

    def new_id(self) -> int:
        """A pointee id that nothing else has."""
        self.next_id += 1
        return self.next_id - 1

    def _fill(self, parent: Element, block: str, values: Mapping[str, object]) -> None:
        path = [parent]
        for line in _blocks()[block]:
            if not line.since <= self.version < line.before:
                continue
            del path[line.depth + 1 :]
            if line.text.startswith("<"):
                name, _, tag = line.text.strip("<>").partition(" ")
                inside = path[-1]
                if tag:
                    inside = Element(tag)
                    path[-1].append(inside)
                self._fill(inside, name, values)
            else:
                element = self._element(line.text, values)
                path[-1].append(element)
                path.append(element)

    def _element(self, text: str, values: Mapping[str, object]) -> Element:
        tag, separator, value = text.partition(" =")
        if separator:
            return Element(tag, {"Value": self._value(value.strip(), values)})
        tag, *attributes = text.split(" ")
        pairs = (attribute.split("=", 1) for attribute in attributes)
        return Element(tag, {name: self._value(value, values) for name, value in pairs})

    def _value(self, text: str, values: Mapping[str, object]) -> str:
        if text.startswith("*"):
            number = str(self.new_id())
            if text != "*":
                self._named[text] = number
            return number
        if text.startswith("{*"):
            return self._named[text[1:-1]]
        if text.startswith("{") and text != "{}":
            return _text(values[text[1:-1]])
        return text


def _text(value: object) -> str:
    """As Live writes it: lower-case booleans, numbers with up to 17 digits and no exponent."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        plain = f"{value:.17g}"
        return plain if "e" not in plain else f"{value:.20f}".rstrip("0").rstrip(".")
    return str(value)


@functools.cache
def _blocks() -> Mapping[str, tuple[_Line, ...]]:
    text = files(__package__).joinpath("skeleton.txt").read_text(encoding="utf-8")
    blocks: dict[str, list[_Line]] = {}
    name = ""
    for raw in text.splitlines():
        if raw.startswith(":"):
            name = raw[1:]
            blocks[name] = []
        elif raw.strip() and not raw.startswith("#"):
            blocks[name].append(_line(raw))
    return {block: tuple(lines) for block, lines in blocks.items()}


def _line(raw: str) -> _Line:
    """A condition stands at its place in the indent; what follows it may be indented further."""
    outer = len(raw) - len(raw.lstrip(" "))
    match = _LINE.match(raw.strip(" "))
    assert match is not None
    text = match["text"]
    if match["when"] is None:
        return _Line(outer // _INDENT, text)
    spaces = len(match["when"]) - len(match["when"].rstrip(" ")) - 1
    depth = (outer + spaces) // _INDENT
    major, _, minor = match["version"].partition(".")
    version = (int(major), int(minor or 0))
    if match["not"]:
        return _Line(depth, text, before=version)
    return _Line(depth, text, since=version)
