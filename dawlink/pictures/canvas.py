"""The look that all pictures share: one column of rows, labels on the left, dark on light.

Lengths are inches; a PNG has 160 pixels per inch and 10 inches, so 1600 pixels, of width. Colours
are Okabe & Ito's (2008), which people with any colour vision can tell apart; one ramp from white
to dark blue serves for everything that has a level.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dawlink.pictures.envelopes import Envelope
from dawlink.pictures.text import families, fit, readable
from engine.errors import UsageError
from engine.files import atomic_path
from engine.theory import Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "COLOURS",
    "INK",
    "MUTED",
    "Sheet",
    "draw_envelope",
    "level_colours",
    "new_sheet",
    "picture_format",
    "save",
    "styled",
]

PictureFormat = Literal["png", "svg", "pdf"]

WIDTH_IN: Final = 10.0
DPI: Final = 160
_RIGHT_IN: Final = 0.2
_HEADER_IN: Final = 0.72
_TOP_AXIS_IN: Final = 0.3
_BOTTOM_IN: Final = 0.42
_GAP_IN: Final = 0.07

INK: Final = "#22262b"
MUTED: Final = "#6b7280"
ACCENT: Final = "#d55e00"
COLOURS: Final[Mapping[Role, str]] = {
    "vocals": "#cc79a7",
    "drums": "#d98c00",
    "percussion": "#d98c00",
    "bass": "#0072b2",
    "other": "#009e73",
    "harmonic": "#3a9bd6",
    "mix": "#4b5563",
}
_RAMP: Final = ("#ffffff", "#d6e6f4", "#7fb5dc", "#2176b4", "#0b2f5c")

_STYLE: Final = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#c3c8cf",
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # a title may hold two dollar signs
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 6.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 2.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "svg.hashsalt": "dawlink",  # the same picture has the same bytes
}
#: Dates and versions are left out of the files.
_METADATA: Final[Mapping[PictureFormat, Mapping[str, None]]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure with its rows from top to bottom; all share the horizontal axis."""

    figure: Figure
    rows: tuple[Axes, ...]
    label_in: float

    @property
    def width_px(self) -> float:
        """Width of a row."""
        return (WIDTH_IN - self.label_in - _RIGHT_IN) * DPI

    def label(self, row: int, name: str, details: Sequence[str] = (), *, colour: str = INK) -> None:
        """Name a row on its left: bold, and under it small lines that are cut to fit.

        ``name`` is drawn in DejaVu Sans alone: other families may have no bold face.
        """
        axes = self.rows[row]
        height_pt = axes.bbox.height / DPI * 72
        line = min(9.5, height_pt / (len(details) + 1.2))
        top = height_pt / 2 + line * len(details) / 2
        inset = -(self.label_in - 0.14) * 72
        for number, text in enumerate((name, *details)):
            drawn = axes.annotate(
                readable(text) if number else text,
                (0, 0),
                (inset, top - number * line),
                xycoords="axes fraction",
                textcoords="offset points",
                va="center",
                color=MUTED if number else colour,
                fontsize=line * (0.72 if number else 0.95),
                fontfamily=list(families()) if number else "DejaVu Sans",
                fontweight="normal" if number else "bold",
                annotation_clip=False,
            )
            fit(drawn, (self.label_in - 0.45) * DPI)


def picture_format(path: Path) -> PictureFormat:
    """The format that the ending of ``path`` asks for.

    Raises:
        UsageError: none that can be drawn.
    """
    suffix = path.suffix.lower()
    for known in _METADATA:
        if suffix == f".{known}":
            return known
    raise UsageError(
        f"{path.name} does not end in .png, .svg or .pdf, so its format is unknown.",
        hint="Name the picture like song.png.",
        code="bad_picture_format",
    )


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """The house style for everything made inside the block, whatever the person's own style is."""
    import matplotlib.style

    family = {"font.family": list(families())}
    with matplotlib.style.context(["default", {**_STYLE, **family}]):
        yield


def new_sheet(
    heights_in: Sequence[float], *, label_in: float, title: str, subtitle: str, top_axis: bool
) -> Sheet:
    """An empty sheet with rows of those heights under a title and a line of facts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    header = _HEADER_IN + (_TOP_AXIS_IN if top_axis else 0.0)
    height = header + sum(heights_in) + _GAP_IN * (len(heights_in) - 1) + _BOTTOM_IN
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI)
    FigureCanvasAgg(figure)
    for text, at_in, size, colour in ((title, 0.27, 15, INK), (subtitle, 0.54, 8.5, MUTED)):
        left, up = 0.14 / WIDTH_IN, 1 - at_in / height
        label = figure.text(left, up, readable(text), size=size, color=colour, va="center")
        fit(label, (WIDTH_IN - 0.14 - _RIGHT_IN) * DPI)
    rows: list[Axes] = []
    top = height - header
    width = (WIDTH_IN - label_in - _RIGHT_IN) / WIDTH_IN
    for row in heights_in:
        box = (label_in / WIDTH_IN, (top - row) / height, width, row / height)
        axes = figure.add_axes(box, sharex=rows[0] if rows else None)
        axes.tick_params(labelbottom=False, bottom=False)
        axes.set_yticks([])
        rows.append(axes)
        top -= row + _GAP_IN
    rows[-1].tick_params(labelbottom=True, bottom=True)
    return Sheet(figure, tuple(rows), label_in)


def save(sheet: Sheet, path: Path) -> None:
    """Write the sheet, whole or not at all.

    Raises:
        UsageError: the ending of ``path`` names no format.
        UnwritableOutput: the folder cannot be written, or the disk is full.
    """
    kind = picture_format(path)
    with atomic_path(path) as temporary:
        sheet.figure.savefig(temporary, format=kind, metadata=dict(_METADATA[kind]))


def level_colours() -> Colormap:
    """White for nothing, dark blue for most."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("level", list(_RAMP))


def draw_envelope(
    axes: Axes, envelope: Envelope, x: NDArray[np.float64], *, colour: str, full_scale: float
) -> None:
    """The outline of a waveform, its RMS darker inside; ``full_scale`` fills the row."""
    scale = full_scale if full_scale > 0 else 1.0
    low, high = envelope.lowest / scale, envelope.highest / scale
    body = np.minimum(envelope.rms / scale, np.maximum(high, -low))
    axes.fill_between(x, low, high, color=colour, alpha=0.55, linewidth=0.3, zorder=2)
    axes.fill_between(x, -body, body, color=colour, linewidth=0, zorder=2.1)
    axes.axhline(0, color=colour, linewidth=0.5, zorder=1.9)
    axes.set_ylim(-1.08, 1.08)
