"""The script as text: ES5 throughout, and nothing that Max's ``js`` has not got."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import dawlink
from max4live.device.script import script_parts, script_text
from tests.max4live.engine_es5 import needs_mujs, run_es5

PARTS = script_parts()
#: What node and browsers have and Max's ``js`` has not, or what the device must not use.
FOREIGN = ("setTimeout", "setInterval", "console", "require", "import", "export", "process")
NEWER = (
    "let x = 1;",
    "const x = 1;",
    "var f = (a) => a;",
    "var s = `text`;",
    "function f(a = 1) { return a; }",
    "var {a} = {a: 1};",
    "class A {}",
    "for (var x of []) {}",
    "var o = {f() {}};",
    "f(...[1]);",
)


def parses(text: str, folder: Path) -> bool:
    done = run_es5(f"new Function({json.dumps(text)});", folder)
    return done.returncode == 0 and not done.stderr


@needs_mujs
@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_es5(name: str, tmp_path: Path) -> None:
    assert parses(PARTS[name], tmp_path)


@needs_mujs
@pytest.mark.parametrize("text", NEWER)
def test_the_engine_refuses_what_is_newer(text: str, tmp_path: Path) -> None:
    assert not parses(text, tmp_path)


def test_the_parts_are_joined_in_order_with_the_version_in() -> None:
    names = list(PARTS)
    assert names == sorted(names)
    text = script_text()
    places = [text.index(part.splitlines()[0]) for part in PARTS.values()]
    assert places == sorted(places)
    assert f'var VERSION = "{dawlink.__version__}";' in text
    assert "@VERSION@" not in text


def test_nothing_is_used_that_max_has_not() -> None:
    code = re.sub(r"//.*|\"[^\"\n]*\"", "", script_text())
    for word in FOREIGN:
        assert not re.search(rf"\b{word}\b", code), word


def test_the_script_is_ascii_so_that_encodings_cannot_matter() -> None:
    assert script_text().isascii()


def test_max_can_call_the_handlers_and_little_else() -> None:
    functions = set(re.findall(r"^function (\w+)", script_text(), re.MULTILINE))
    handlers = {"ready", "tick", "deferred", "loaded", "restore", "closing", "ui", "anything"}
    local = set(re.findall(r"^(\w+)\.local = 1;", script_text(), re.MULTILINE))
    assert functions == handlers | local
