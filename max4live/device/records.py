"""A Max patch as records: boxes, cords, parameters, and the JSON that Max reads.

Rectangles are pixels (x, y, width, height), x to the right, y down. A box has a place in the
patching view and, where a person sees it, one in the presentation view; a device is 169 px high.
Keys follow files that Max 8 and 9 have written (patcher ``fileversion`` 1). A parameter is Live's
view of a control: stored with the set, or hidden where the device itself drives it, because each
change of a visible parameter would land in Live's undo history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

__all__ = ["HEIGHT_PX", "Box", "Cord", "Json", "Parameter", "Patch", "Rect"]

Json: TypeAlias = str | int | float | Sequence["Json"] | Mapping[str, "Json"]

#: Height of every device in Live [px].
HEIGHT_PX: Final = 169
#: Device type "audio effect" as Max writes it into the project record: "aaaa", big-endian.
_AUDIO_EFFECT: Final = int.from_bytes(b"aaaa", "big")
#: Creation time that Max gives to new devices, kept fixed [s since 1904].
_PROJECT_TIME: Final = 3590052493

ParameterKind = Literal["number", "choice", "blob"]
_KINDS: Final[Mapping[ParameterKind, int]] = {"number": 0, "choice": 2, "blob": 3}
#: 0 automatable, 1 stored with the set only, 2 neither.
_VISIBILITY: Final = {"stored": 1, "hidden": 2}
_UNIT_INTEGER: Final = 0


@dataclass(frozen=True)
class Rect:
    """x, y, width, height [px]."""

    x: float
    y: float
    width: float
    height: float

    def as_json(self) -> list[Json]:
        """As Max writes it."""
        return [float(self.x), float(self.y), float(self.width), float(self.height)]

    @property
    def right(self) -> float:
        """Horizontal place of the right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Vertical place of the lower edge."""
        return self.y + self.height


@dataclass(frozen=True)
class Parameter:
    """What Live knows of a control.

    Args:
        name: unique in the device.
        kind: number, choice (an index into ``choices``) or blob (anything, never shown).
        visibility: "stored" with the set, or "hidden" where the device drives the control itself.
        choices: names of the values of a choice.
        initial: value of a new device; None for none.
        lowest: of a number.
        highest: of a number.
    """

    name: str
    kind: ParameterKind
    visibility: Literal["stored", "hidden"]
    choices: tuple[str, ...] = ()
    initial: float | None = None
    lowest: float = 0.0
    highest: float = 1.0

    def as_json(self) -> dict[str, Json]:
        """The ``valueof`` record of a box."""
        record: dict[str, Json] = {
            "parameter_invisible": _VISIBILITY[self.visibility],
            "parameter_longname": self.name,
            "parameter_modmode": 0,
            "parameter_shortname": self.name,
            "parameter_type": _KINDS[self.kind],
        }
        if self.kind == "choice":
            record["parameter_enum"] = list(self.choices)
            record["parameter_mmax"] = len(self.choices) - 1
        if self.kind == "number":
            record["parameter_mmin"] = float(self.lowest)
            record["parameter_mmax"] = float(self.highest)
            record["parameter_unitstyle"] = _UNIT_INTEGER
        if self.initial is not None:
            record["parameter_initial"] = [float(self.initial)]
            record["parameter_initial_enable"] = 1
        return dict(sorted(record.items()))


@dataclass(frozen=True)
class Box:
    """One object.

    Args:
        key: its id in the patch.
        maxclass: "newobj" for ordinary objects, whose name stands in ``text``.
        text: what is typed into the box, or shown on it.
        inlets: how many.
        outlets: type of each outlet; "" for messages, "signal" for sound.
        place: in the patching view.
        shown: in the presentation view; None where a person never sees it.
        name: scripting name; empty for none.
        parameter: Live's view of it.
        attributes: further keys.
    """

    key: str
    maxclass: str
    text: str
    inlets: int
    outlets: tuple[str, ...]
    place: Rect
    shown: Rect | None = None
    name: str = ""
    parameter: Parameter | None = None
    attributes: Mapping[str, Json] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """The ``box`` record."""
        record: dict[str, Json] = {
            "id": self.key,
            "maxclass": self.maxclass,
            "numinlets": self.inlets,
            "numoutlets": len(self.outlets),
            "patching_rect": self.place.as_json(),
            **self.attributes,
        }
        if self.outlets:
            record["outlettype"] = list(self.outlets)
        if self.text:
            record["text"] = self.text
        if self.name:
            record["varname"] = self.name
        if self.shown is not None:
            record["presentation"] = 1
            record["presentation_rect"] = self.shown.as_json()
        if self.parameter is not None:
            record["saved_attribute_attributes"] = {"valueof": self.parameter.as_json()}
            if self.maxclass != "newobj":
                record["parameter_enable"] = 1
        return dict(sorted(record.items()))


@dataclass(frozen=True)
class Cord:
    """From an outlet to an inlet, both counted from 0."""

    source: str
    outlet: int
    destination: str
    inlet: int

    def as_json(self) -> dict[str, Json]:
        """The ``patchline`` record."""
        return {
            "destination": [self.destination, self.inlet],
            "source": [self.source, self.outlet],
        }


@dataclass(frozen=True)
class Patch:
    """A whole device.

    Args:
        boxes: every object.
        cords: every connection.
        width_px: of the device.
        files: names of text files that travel with the device.
    """

    boxes: tuple[Box, ...]
    cords: tuple[Cord, ...]
    width_px: float
    files: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The document that Max reads."""
        patcher: dict[str, Json] = {
            "fileversion": 1,
            "appversion": {
                "major": 8,  # of Live 11, the oldest that is served
                "minor": 1,
                "revision": 0,
                "architecture": "x64",
                "modernui": 1,
            },
            "classnamespace": "box",
            "rect": [80.0, 80.0, 1400.0, 900.0],
            "openrect": [0.0, 0.0, float(self.width_px), float(HEIGHT_PX)],
            "openinpresentation": 1,
            "default_fontsize": 10.0,
            "default_fontname": "Ableton Sans Medium Regular",
            "gridsize": [8.0, 8.0],
            "enablehscroll": 0,
            "enablevscroll": 0,
            "devicewidth": float(self.width_px),
            "description": "Ranks your own stems under the selected clip and inserts them.",
            "boxes": [{"box": box.as_json()} for box in self.boxes],
            "lines": [{"patchline": cord.as_json()} for cord in self.cords],
            "parameters": self._parameters(),
            "dependency_cache": [
                {"name": name, "bootpath": "~", "type": "TEXT", "implicit": 1}
                for name in self.files
            ],
            "latency": 0,
            "is_mpe": 0,
            "minimum_live_version": "",
            "minimum_max_version": "",
            "platform_compatibility": 0,
            "project": _project(),
            "autosave": 0,
        }
        return {"patcher": patcher}

    def _parameters(self) -> dict[str, Json]:
        named: dict[str, Json] = {
            box.key: [box.parameter.name, box.parameter.name, 0]
            for box in self.boxes
            if box.parameter is not None
        }
        named["parameterbanks"] = {}
        named["inherited_shortname"] = 1
        return named


def _project() -> dict[str, Json]:
    """Without it Max says "a project without a name" for every device."""
    return {
        "version": 1,
        "creationdate": _PROJECT_TIME,
        "modificationdate": _PROJECT_TIME,
        "viewrect": [0.0, 0.0, 300.0, 500.0],
        "autoorganize": 1,
        "hideprojectwindow": 1,
        "showdependencies": 1,
        "autolocalize": 0,
        "contents": {"patchers": {}, "code": {}},
        "layout": {},
        "searchpath": {},
        "detailsvisible": 0,
        "amxdtype": _AUDIO_EFFECT,
        "readonly": 0,
        "devpathtype": 0,
        "devpath": ".",
        "sortmode": 0,
        "viewmode": 0,
        "includepackages": 0,
    }
