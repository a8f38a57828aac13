"""Pictures for people: of a song as the library understands it, and of a render.

Drawn with matplotlib's Agg canvas and its object-oriented interface, which opens no window and
keeps no figures; it is loaded when the first picture is drawn. The file's ending decides between
PNG (1600 pixels wide), SVG and PDF.
"""

from __future__ import annotations

from dawlink.pictures.render import plot_render
from dawlink.pictures.song import plot_song

__all__ = ["plot_render", "plot_song"]
