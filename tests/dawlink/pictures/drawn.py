"""What can be read back from a picture: its pixels, and the texts that an SVG notes beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread


def pixels(path: Path) -> np.ndarray:
    """(height, width, 3) in [0, 1]."""
    return imread(path)[..., :3]


def columns_of(path: Path, colour: str, *, alpha: float = 1.0) -> np.ndarray:
    """Horizontal positions [0, 1) of the pixels of that colour, laid over white."""
    image = pixels(path)
    wanted = np.array(to_rgb(colour)) * alpha + (1 - alpha)
    found = np.abs(image - wanted).max(axis=2) < 0.012
    return np.nonzero(found)[1] / image.shape[1]


def texts(path: Path) -> list[str]:
    """Every text of an SVG, in the order in which it was drawn."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))
