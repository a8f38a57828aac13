"""Inlets and outlets of the Max objects that the device uses.

Max takes the counts in a patch file as they are and silently drops cords that do not fit, so they
have to be right. They were read off patches that Max 8 and 9 have saved. ``ports`` knows the few
objects whose counts follow from their arguments: ``route a b`` has one outlet for each word and one
for the rest.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ports"]

_MESSAGE: Final = ("",)
_SIGNAL: Final = ("signal",)
_FIXED: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "*~": (2, _SIGNAL),
    "+~": (2, _SIGNAL),
    "%~": (2, _SIGNAL),
    "==": (2, ("int",)),
    "buffer~": (1, ("float", "bang")),
    "deferlow": (1, _MESSAGE),
    "freebang": (0, ("bang",)),
    "groove~": (3, ("signal", "signal", "signal")),
    "line~": (2, ("signal", "bang")),
    "live.comment": (1, ()),
    "live.line": (1, ()),
    "live.menu": (1, ("", "", "float")),
    "live.numbox": (1, ("", "float")),
    "live.text": (1, ("", "")),
    "live.thisdevice": (1, ("bang", "int", "int")),
    "message": (2, _MESSAGE),
    "pattr": (1, ("", "", "")),
    "phasor~": (2, _SIGNAL),
    "play~": (1, ("signal", "signal", "bang")),
    "plugin~": (2, ("signal", "signal")),
    "plugout~": (2, ("signal", "signal")),
    "prepend": (1, _MESSAGE),
    "qmetro": (2, ("bang",)),
    "sig~": (1, _SIGNAL),
    "udpreceive": (1, _MESSAGE),
    "udpsend": (1, ()),
}
_TRIGGER_TYPES: Final = {"b": "bang", "i": "int", "f": "float", "l": "list", "s": ""}


def ports(maxclass: str, text: str = "") -> tuple[int, tuple[str, ...]]:
    """How many inlets, and the type of each outlet.

    Args:
        maxclass: "newobj" for an object that is named in ``text``.
        text: the object's name and arguments.

    Raises:
        KeyError: an object that is not known here.
    """
    if maxclass != "newobj":
        return _FIXED[maxclass]
    name, *arguments = text.split()
    if name == "route":
        return len(arguments) + 1, ("",) * (len(arguments) + 1)
    if name == "unpack":
        return 1, tuple("float" if "." in word else "int" for word in arguments)
    if name == "t":
        return 1, tuple(_TRIGGER_TYPES.get(word, "int") for word in arguments)
    if name == "sel":
        return len(arguments) + 1, ("bang",) * len(arguments) + ("",)
    return _FIXED[name]
