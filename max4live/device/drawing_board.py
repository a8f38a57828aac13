"""Collects boxes and cords while a patch is described, and hands out their ids.

The patching view is only for people who open the device in Max: boxes are put in columns, one
column for each part of the device, in the order in which they are described.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

from max4live.device.objects import ports
from max4live.device.records import Box, Cord, Json, Parameter, Rect

__all__ = ["DrawingBoard"]

_COLUMN_PX: Final = 260.0
_ROW_PX: Final = 26.0
_ROWS: Final = 44
_LETTER_PX: Final = 7.0


class DrawingBoard:
    """A patch in the making."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.cords: list[Cord] = []
        self._column = 0
        self._row = 0

    def next_column(self) -> None:
        """What follows belongs to another part of the device."""
        if self._row:
            self._column, self._row = self._column + 1, 0

    def add(
        self,
        text: str,
        *,
        maxclass: str = "newobj",
        inlets: int | None = None,
        outlets: tuple[str, ...] | None = None,
        shown: Rect | None = None,
        name: str = "",
        parameter: Parameter | None = None,
        attributes: Mapping[str, Json] | None = None,
    ) -> str:
        """Put a box down and return its id.

        Args:
            text: the object with its arguments, or what a control shows.
            maxclass: "newobj", "message" or a user interface object.
            inlets: how many; looked up when None.
            outlets: their types; looked up when None.
            shown: place in the presentation view.
            name: scripting name.
            parameter: Live's view of it.
            attributes: further keys of the box.
        """
        if inlets is None or outlets is None:
            inlets, outlets = ports(maxclass, text)
        key = f"obj-{len(self.boxes) + 1}"
        place = self._place(shown, text)
        self.boxes.append(
            Box(
                key, maxclass, text, inlets, outlets, place, shown, name, parameter,
                attributes or {},
            )
        )  # fmt: skip
        return key

    def message(self, text: str) -> str:
        """Put a message box down."""
        return self.add(text, maxclass="message")

    def join(self, source: str, destination: str, *, outlet: int = 0, inlet: int = 0) -> None:
        """Draw a cord."""
        self.cords.append(Cord(source, outlet, destination, inlet))

    def chain(self, *keys: str) -> None:
        """Cords from first outlet to first inlet, one box after the other."""
        for source, destination in itertools.pairwise(keys):
            self.join(source, destination)

    def _place(self, shown: Rect | None, text: str) -> Rect:
        if self._row >= _ROWS:
            self.next_column()
        x, y = 20.0 + self._column * _COLUMN_PX, 20.0 + self._row * _ROW_PX
        self._row += 1
        if shown is not None:
            return Rect(x, y, shown.width, shown.height)
        return Rect(x, y, max(40.0, 16.0 + _LETTER_PX * len(text)), 20.0)
