"""Draws the device as a person sees it, from the patch's presentation view.

``python -m max4live.device.picture docs/images/device.png`` makes the picture of the guide. Places,
labels and menu entries come from the patch that is built; what the script writes is an example.
Colours are those of Live's mid-light theme, sizes pixels of the device at three times its size.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dawlink.pictures.text import families, fit, readable
from engine.errors import UsageError
from engine.files import atomic_path
from max4live.device.patch import device_patch
from max4live.device.records import HEIGHT_PX, Box, Patch, Rect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EXAMPLE", "draw_device", "main"]

Shown = str | int

_SCALE: Final = 3
_TITLE_BAR_PX: Final = 18.0
_TEXT_PX: Final = 7.4
_PAD_PX: Final = 3.0

_BODY: Final = "#a5a5a5"
_BAR: Final = "#8b8b8b"
_EDGE: Final = "#6e6e6e"
_CONTROL: Final = "#c3c3c3"
_LIT: Final = "#ffb532"
_DISPLAY: Final = "#1e1e1e"
_DISPLAY_TEXT: Final = "#b7b7b7"
_TEXT: Final = "#0d0d0d"
_MENU_ARROW: Final = "▾"

_ROWS: Final = (
    ("* Underpass", "harm+drums", "93 %", "-3", "0.82x"),
    ("Harbour Lights + Night Ferry", "harm+drums", "91 %", "+2", "1.04x"),
    ("Night Ferry", "harm+drums", "86 %", "0", "0.98x"),
    ("Copper Sky", "harm+drums", "84 %", "-1", "1.11x"),
    ("Ten to Midnight + Underpass", "harm+drums", "79 %", "+3", "0.90x"),
    ("Low Tide", "harm+drums", "77 %", "-2", "1.02x"),
    ("Paper Lanterns", "harm+drums", "71 %", "+1", "0.95x"),
    ("Second Summer", "harm+drums", "70 %", "0", "1.17x"),
)
#: What the script might show, by scripting name; 1 is "on".
EXAMPLE: Final[Mapping[str, Shown]] = {
    "engine": "Engine 0.1.0, port 11110, 214 songs",
    "clip": "Verse vocals",
    "tempo": "104.0 BPM",
    "clipkey": "A minor",
    "page": "1/4",
    "message": "Playing in time with Live.",
    "audition": 1,
    "favourite": 1,
    "follow": 1,
    "title1": 1,
    **{f"title{row} text": cells[0] for row, cells in enumerate(_ROWS, start=1)},
    **{
        f"{name}{row}": cells[column]
        for row, cells in enumerate(_ROWS, start=1)
        for column, name in enumerate(("role", "fit", "semi", "stretch"), start=1)
    },
}


def draw_device(patch: Patch, path: Path, shown: Mapping[str, Shown]) -> None:
    """Write a PNG of the device.

    Args:
        patch: whose presentation view is drawn.
        path: a ``.png`` file.
        shown: text or state of controls by scripting name; ``"<name> text"`` is a button's label.

    Raises:
        UsageError: ``path`` does not end in ``.png``.
        UnwritableOutput: it cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(
            f"{path.name} does not end in .png.", hint="Name it like device.png.", code="bad_format"
        )
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = HEIGHT_PX + _TITLE_BAR_PX
    with matplotlib.style.context(["default", {"font.family": list(families())}]):
        figure = Figure(figsize=(patch.width_px / 72, height / 72), dpi=72 * _SCALE)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, patch.width_px)
        axes.set_ylim(HEIGHT_PX, -_TITLE_BAR_PX)
        axes.axis("off")
        _case(axes, patch.width_px)
        for box in patch.boxes:
            if box.shown is not None:
                _control(axes, box, box.shown, shown)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _case(axes: Axes, width: float) -> None:
    _box(axes, Rect(0, -_TITLE_BAR_PX, width, HEIGHT_PX + _TITLE_BAR_PX), fill=_BODY, edge=_EDGE)
    bar = Rect(0, -_TITLE_BAR_PX, width, _TITLE_BAR_PX)
    _box(axes, bar, fill=_BAR, edge=_EDGE)
    _box(axes, Rect(5, -_TITLE_BAR_PX + 5, 8, 8), fill=_LIT, edge=_EDGE)
    _label(axes, Rect(16, bar.y, 120, bar.height), "dawlink", colour=_TEXT)


def _control(axes: Axes, box: Box, place: Rect, shown: Mapping[str, Shown]) -> None:
    if box.maxclass == "live.line":
        middle = place.y + place.height / 2
        axes.plot([place.x, place.right], [middle, middle], color=_EDGE, linewidth=0.6)
    elif box.maxclass == "live.comment":
        text = str(shown.get(box.name, box.text)) if box.name else box.text
        side = box.attributes.get("textjustification", 0)
        _label(axes, place, text, colour=_TEXT, side=side if isinstance(side, int) else 0)
    elif box.maxclass == "live.text":
        lit = box.attributes.get("mode") == 1 and shown.get(box.name, 0) == 1
        _box(axes, place, fill=_LIT if lit else _CONTROL, edge=_EDGE)
        text = str(shown.get(f"{box.name} text", box.text))
        _label(axes, place, text, colour=_TEXT, side=1)
    else:
        _box(axes, place, fill=_DISPLAY, edge=_EDGE)
        _label(axes, place, _display(box, shown), colour=_DISPLAY_TEXT, side=0)
        if box.maxclass == "live.menu":
            arrow = Rect(place.right - 12, place.y, 12, place.height)
            _label(axes, arrow, _MENU_ARROW, colour=_DISPLAY_TEXT, side=1)


def _display(box: Box, shown: Mapping[str, Shown]) -> str:
    parameter = box.parameter
    if parameter is None:
        return ""
    value = shown.get(box.name, int(parameter.initial or 0))
    if parameter.choices and isinstance(value, int):
        return parameter.choices[value]
    return str(value)


def _box(axes: Axes, place: Rect, *, fill: str, edge: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (place.x, place.y), place.width, place.height,
            facecolor=fill, edgecolor=edge, linewidth=0.6,
        )
    )  # fmt: skip


def _label(axes: Axes, place: Rect, text: str, *, colour: str, side: int = 0) -> None:
    if not text.strip():
        return
    x = (place.x + _PAD_PX, place.x + place.width / 2, place.right - _PAD_PX)[side]
    drawn = axes.text(
        x,
        place.y + place.height / 2,
        readable(text),
        size=_TEXT_PX,
        color=colour,
        ha=("left", "center", "right")[side],
        va="center_baseline",
        parse_math=False,
    )
    fit(drawn, (place.width - 2 * _PAD_PX + 1) * _SCALE)


def main(arguments: Sequence[str]) -> int:
    """Draw the picture of the guide.

    Args:
        arguments: the PNG file.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m max4live.device.picture FILE.png\n")
        return 2
    draw_device(device_patch(), Path(arguments[0]), EXAMPLE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
