"""The patch inside the built device, checked against what Max's objects have.

The table of inlets and outlets is this test's own; where devices that Max has saved are at hand, it
is checked against them as well.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from max4live.device.build import build_device
from tests.max4live.amxd_reader import read_device
from tests.recordings import recordings_dir

Box = dict[str, Any]

#: Inlets and outlets that do not depend on arguments, from Max's reference pages.
COUNTS = {
    "%~": (2, 1),
    "*~": (2, 1),
    "+~": (2, 1),
    "==": (2, 1),
    "buffer~": (1, 2),
    "deferlow": (1, 1),
    "freebang": (0, 1),
    "js": (2, 6),  # the script says so: inlets = 2, outlets = 6
    "line~": (2, 2),
    "live.comment": (1, 0),
    "live.line": (1, 0),
    "live.menu": (1, 3),
    "live.numbox": (1, 2),
    "live.text": (1, 2),
    "live.thisdevice": (1, 3),
    "message": (2, 1),
    "pattr": (1, 3),
    "phasor~": (2, 1),
    "plugin~": (2, 2),
    "plugout~": (2, 2),
    "prepend": (1, 1),
    "qmetro": (2, 1),
    "sig~": (1, 1),
    "udpreceive": (1, 1),
    "udpsend": (1, 0),
}
VISIBLE = {"live.comment", "live.line", "live.menu", "live.numbox", "live.text"}
#: A character of Live's font is about this wide at 10 points [px]; a control has 4 px of edge.
LETTER_PX, EDGE_PX = 5.0, 6.0


@pytest.fixture(scope="module")
def patch() -> dict[str, Any]:
    return read_device(build_device()).patch


@pytest.fixture(scope="module")
def boxes(patch: dict[str, Any]) -> dict[str, Box]:
    listed = [item["box"] for item in patch["boxes"]]
    found = {box["id"]: box for box in listed}
    assert len(found) == len(listed), "ids are unique"
    return found


def words(box: Box) -> list[str]:
    return box.get("text", "").split() if box["maxclass"] == "newobj" else [box["maxclass"]]


def expected(box: Box) -> tuple[int, int]:
    name, *arguments = words(box)
    plain = list(itertools.takewhile(lambda word: not word.startswith("@"), arguments))
    if name == "route" or name == "sel":
        return len(plain) + 1, len(plain) + 1
    if name in ("t", "unpack"):
        return 1, len(plain)
    if name == "groove~":
        return 3, int(plain[1]) + 1
    if name == "play~":
        return 1, int(plain[1]) + 1
    return COUNTS[name]


def test_every_object_has_the_inlets_and_outlets_that_max_gives_it(
    boxes: dict[str, Box],
) -> None:
    for box in boxes.values():
        counts = (box["numinlets"], box["numoutlets"])
        assert counts == expected(box), box
        assert len(box.get("outlettype", [])) == box["numoutlets"], box


def test_every_cord_joins_an_outlet_that_is_there_to_an_inlet_that_is_there(
    patch: dict[str, Any], boxes: dict[str, Box]
) -> None:
    seen = set()
    for line in patch["lines"]:
        (source, outlet), (target, inlet) = (
            line["patchline"]["source"],
            line["patchline"]["destination"],
        )
        assert 0 <= outlet < boxes[source]["numoutlets"], line
        assert 0 <= inlet < boxes[target]["numinlets"], line
        assert (source, outlet, target, inlet) not in seen, "drawn twice"
        seen.add((source, outlet, target, inlet))
    assert len(seen) > len(boxes)


def test_signals_go_only_where_signals_are_taken(
    patch: dict[str, Any], boxes: dict[str, Box]
) -> None:
    for line in patch["lines"]:
        source, outlet = line["patchline"]["source"]
        if boxes[source]["outlettype"][outlet] == "signal":
            target = words(boxes[line["patchline"]["destination"][0]])[0]
            assert target.endswith("~"), (boxes[source]["text"], target)


def test_no_object_hangs_loose(patch: dict[str, Any], boxes: dict[str, Box]) -> None:
    joined = {end[0] for line in patch["lines"] for end in line["patchline"].values()}
    loose = [box for key, box in boxes.items() if key not in joined]
    assert {box["maxclass"] for box in loose} <= {"live.comment", "live.line"}
    named = [box for box in loose if "varname" in box]
    assert not named, "a text that the script writes has a cord"


def test_everything_that_is_seen_lies_inside_169_px_and_nothing_overlaps(
    patch: dict[str, Any], boxes: dict[str, Box]
) -> None:
    width = patch["openrect"][2]
    seen = [box for box in boxes.values() if box.get("presentation")]
    assert {box["maxclass"] for box in seen} == VISIBLE
    for box in seen:
        x, y, w, h = box["presentation_rect"]
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= 169, box
    for one, other in itertools.combinations(seen, 2):
        assert not overlap(one["presentation_rect"], other["presentation_rect"]), (one, other)


def overlap(one: list[float], other: list[float]) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


def test_labels_fit_on_their_controls(boxes: dict[str, Box]) -> None:
    for box in boxes.values():
        if box["maxclass"] in ("live.text", "live.comment") and box.get("text", " ").strip():
            room = box["presentation_rect"][2] * box.get("linecount", 1)
            assert len(box["text"]) * LETTER_PX + EDGE_PX <= room, box["text"]


def test_parameters_are_named_once_and_driven_ones_are_hidden(
    patch: dict[str, Any], boxes: dict[str, Box]
) -> None:
    named = {
        key: box["saved_attribute_attributes"]["valueof"]
        for key, box in boxes.items()
        if "valueof" in box.get("saved_attribute_attributes", {})
    }
    assert {key for key in patch["parameters"] if key.startswith("obj-")} == set(named)
    names = [value["parameter_longname"] for value in named.values()]
    assert len(set(names)) == len(names)
    driven = {"audition", "favourite", *(f"title{row}" for row in range(1, 9))}
    for key, value in named.items():
        name = boxes[key].get("varname")
        wanted = 2 if name in driven or boxes[key].get("mode") == 0 else 1
        assert value["parameter_invisible"] == wanted, name
        if "parameter_initial" in value:
            assert value["parameter_initial_enable"] == 1


def test_every_control_has_a_help_text(boxes: dict[str, Box]) -> None:
    for box in boxes.values():
        if box["maxclass"] in ("live.text", "live.menu", "live.numbox"):
            assert box["annotation"].endswith("."), box


def test_the_buffer_of_each_device_is_its_own(boxes: dict[str, Box]) -> None:
    players = [w for w in map(words, boxes.values()) if w[0] in ("buffer~", "play~", "groove~")]
    assert len(players) == 3
    assert len({player[1] for player in players}) == 1
    assert players[0][1].startswith("---")


def saved_boxes() -> Iterator[Box]:
    """Every object of the devices that Max has saved."""
    for path in sorted((recordings_dir() / "daw_samples").glob("*/*.amxd")):
        data = path.read_bytes()
        data = data[data.index(b"ptch") + 8 :]
        text = data[16:] if data.startswith(b"mx@c") else data
        patch, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
        yield from inside(patch["patcher"])


def inside(patcher: dict[str, Any]) -> Iterator[Box]:
    for item in patcher["boxes"]:
        yield item["box"]
        if "patcher" in item["box"]:
            yield from inside(item["box"]["patcher"])


def test_the_table_agrees_with_devices_that_max_has_saved() -> None:
    checked = set()
    for box in saved_boxes():
        name = (words(box) or [""])[0]
        if name in COUNTS and name != "js":
            checked.add(name)
            assert (box["numinlets"], box["numoutlets"]) == COUNTS[name], box
        elif name in ("route", "sel", "t", "unpack"):
            checked.add(name)
            assert (box["numinlets"], box["numoutlets"]) == expected(box), box
    if not checked:
        pytest.skip("no device samples: set DAWLINK_TEST_DATA to a folder that has them")
    assert {"live.text", "live.menu", "route", "sel", "udpreceive", "buffer~"} <= checked
