"""The picture of the guide: drawn from the patch, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import pytest

from engine.errors import UsageError
from max4live.device.patch import device_patch
from max4live.device.picture import EXAMPLE, draw_device, main

PATCH = device_patch()


def test_it_shows_the_whole_device_with_its_title_bar(tmp_path: Path) -> None:
    path = tmp_path / "device.png"
    assert main([str(path)]) == 0
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[:2] == (3 * (169 + 18), 3 * PATCH.width_px)


def test_drawn_twice_it_is_the_same(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_device(PATCH, tmp_path / name, EXAMPLE)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_lit_control_is_drawn_lit(tmp_path: Path) -> None:
    audition = next(box.shown for box in PATCH.boxes if box.name == "audition")
    assert audition is not None
    row, column = int(3 * (audition.y + 18 + 3)), int(3 * (audition.x + 3))
    found = []
    for state in (0, 1):
        path = tmp_path / f"{state}.png"
        draw_device(PATCH, path, {**EXAMPLE, "audition": state})
        found.append(tuple(matplotlib.image.imread(path)[row, column, :3]))
    assert found[0] != found[1]
    assert found[1] == pytest.approx((1.0, 0xB5 / 255, 0x32 / 255), abs=0.01)


def test_every_name_of_the_example_is_a_control() -> None:
    names = {box.name for box in PATCH.boxes}
    assert {name.removesuffix(" text") for name in EXAMPLE} <= names


def test_only_png_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not end in \.png"):
        draw_device(PATCH, tmp_path / "device.jpg", EXAMPLE)
    assert main([]) == 2
