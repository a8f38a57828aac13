from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dawlink.pictures.text import drawable_characters, fit, readable

LATIN = frozenset(range(0x20, 0x7F)) | {ord("□"), ord("é"), ord("–")}


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Plain – title", "Plain – title"),
        ("cafe\u0301", "café"),  # decomposed, as some file systems give it
        ("Dvořák", "Dvorak"),
        ("①ﬁ", "1fi"),
        ("絆 🎵", "□ □"),
        ("a\x00b\u200d\tc\n d", "ab c d"),
        ("", ""),
    ],
)
def test_what_cannot_be_drawn_is_replaced_and_the_rest_stays(text: str, drawn: str) -> None:
    assert readable(text, LATIN) == drawn


def test_the_bundled_font_draws_european_letters() -> None:
    assert readable("Ångström – ű Ω Ж □…") == "Ångström – ű Ω Ж □…"
    assert ord("…") in drawable_characters()


def test_a_label_is_cut_to_its_room_and_a_short_one_is_left() -> None:
    figure = Figure(figsize=(4, 1), dpi=100)
    FigureCanvasAgg(figure)
    long, short = figure.text(0, 0, "word " * 200), figure.text(0, 0, "word")
    fit(long, 150)
    fit(short, 150)
    assert long.get_window_extent().width <= 150
    assert long.get_text().startswith("word word")
    assert long.get_text().endswith("…")
    assert short.get_text() == "word"
