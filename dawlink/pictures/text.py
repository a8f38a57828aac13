"""Text as it can be drawn with the fonts of this machine.

Matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic and more, but no Chinese, Japanese
or Korean. Where the system has a font for those it is asked next; a character that no font has is
drawn by its base letter or, if that fails too, as an empty box.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Set
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.text import Text

__all__ = ["drawable_characters", "families", "fit", "readable"]

#: Fonts with East Asian scripts that Linux, macOS and Windows bring.
_EAST_ASIAN: Final = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "Droid Sans Fallback",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
)
_BOX: Final = "□"
_ELLIPSIS: Final = "…"


@functools.cache
def families() -> tuple[str, ...]:
    """Font families to look a character up in, in this order."""
    from matplotlib.font_manager import fontManager

    installed = {entry.name for entry in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _EAST_ASIAN if name in installed))


@functools.cache
def drawable_characters() -> frozenset[int]:
    """Code points that one of :func:`families` has in its regular weight."""
    from matplotlib.font_manager import findfont, get_font

    found: set[int] = set()
    for family in families():
        found.update(get_font(findfont(family)).get_charmap())
    return frozenset(found)


def readable(text: str, drawable: Set[int] | None = None) -> str:
    """``text`` on one line, in characters that can be drawn.

    Args:
        text: anything, a title that a person typed.
        drawable: code points that can be drawn; those of this machine when None.
    """
    known = drawable_characters() if drawable is None else drawable
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(_drawn(character, known) for character in composed).split())


def _drawn(character: str, known: Set[int]) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category.startswith("C"):  # control, format, surrogate, private, unassigned
        return ""
    if ord(character) in known:
        return character
    if category == "Mn":  # an accent that cannot be drawn leaves its letter
        return ""
    plain = [c for c in unicodedata.normalize("NFKD", character) if ord(c) in known]
    return "".join(c for c in plain if not unicodedata.combining(c)) or _BOX


def fit(label: Text, width_px: float) -> None:
    """Cut ``label`` at its end until it is at most ``width_px`` wide."""
    text = label.get_text()
    while len(text) > 1:
        width = label.get_window_extent().width
        if width <= width_px:
            return
        text = text[: max(1, min(len(text) - 1, int(len(text) * width_px / width)))]
        label.set_text(text.rstrip() + _ELLIPSIS)
