"""Patch, script, README and guide speak of the same messages and sentences."""

from __future__ import annotations

import re
from pathlib import Path

import max4live
from max4live.device.patch import device_patch
from max4live.device.script import script_parts, script_text

TEXTS = [box.text for box in device_patch().boxes]
README = (Path(max4live.__file__).parent / "device" / "README.md").read_text("utf-8")
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "device.md"
SCRIPT = script_text()
#: Sentences that tell of trouble; the guide's table has to hold each.
TROUBLES = [
    "noEngine",
    "stopped",
    "restarted",
    "noPort",
    "oldDevice",
    "midi",
    "recording",
    "deleted",
    "altered",
    "noFile",
    "nothing",
    "unsaved",
    "noInsert",
    "mistaken",
    "otherTempo",
    "warpedTempo",
    "bug",
    "starting",
]


def route_words(first: str) -> set[str]:
    (found,) = {text for text in TEXTS if text.startswith(f"route {first} ")}
    return set(found.split()[1:])


def handled() -> set[str]:
    """Names that the script's ``ui`` understands."""
    part = script_parts()["95_events.js"]
    tables = part[part.index("var Choices") :]
    return set(re.findall(r'^    "?(\w+)"?: function', tables, re.MULTILINE))


def test_every_event_of_the_patch_is_understood_and_every_other_is_there() -> None:
    sent = {match[1] for text in TEXTS if (match := re.match(r"(?:prepend )?ui (\w+)", text))}
    assert sent == handled()
    for name in sent:
        assert re.search(rf"`{name}[ `]", README), name


def test_rows_are_sent_with_their_number() -> None:
    rows = sorted(text for text in TEXTS if text.startswith("ui row"))
    assert rows == [f"ui row {number}" for number in range(1, 9)]


def test_what_the_script_shows_has_a_place_in_the_patch() -> None:
    shown = set(re.findall(r'\bput\("(\w+)"', SCRIPT))
    assert shown == route_words("engine")
    cells = set(re.findall(r'Picture\.put\("row", row, "(\w+)"', SCRIPT))
    assert cells == route_words("title")
    for name in shown | cells:
        assert re.search(rf"[`| ]{name}\b", README), name


def test_the_sound_is_told_in_words_that_it_knows() -> None:
    assert set(re.findall(r'outlet\(SOUND, "(\w+)"', SCRIPT)) == route_words("load")


def test_the_guide_explains_every_trouble() -> None:
    guide = GUIDE.read_text("utf-8")
    sentences = dict(re.findall(r'^    (\w+): "([^"]+)"', SCRIPT, re.MULTILINE))
    for name in TROUBLES:
        first = re.split(r"[.:;,]", sentences[name])[0]
        assert f"*{first}" in guide, sentences[name]
