"""Live 11 brings Python 3.7 and nothing else: the script must not need more."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.max4live.remote_script.loading import FOLDER

SOURCES = sorted(FOLDER.glob("*.py"))
#: Methods and functions that came after 3.7 and are easily written by habit.
NEWER = {
    "removeprefix",
    "removesuffix",
    "is_relative_to",
    "with_stem",
    "readlink",
    "cached_property",
    "cache",
    "prod",
    "dist",
    "isqrt",
    "pairwise",
    "create_server",
    "to_thread",
    "bit_count",
    "randbytes",
}


def imported(tree: ast.AST) -> set[str]:
    """Top names of everything that is imported from elsewhere."""
    found = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return found | {
        str(node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 0
    }


def test_there_is_something_to_look_at() -> None:
    assert {"__init__.py", "script.py", "engine.py"} <= {path.name for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_syntax_is_that_of_3_7(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=path.name, feature_version=(3, 7))
    assert re.search(r"\{\w+=\}", text) is None  # f"{name=}" came with 3.8
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & NEWER
    keywords = {
        (node.func.id, keyword.arg)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for keyword in node.keywords
    }
    assert not keywords & {("zip", "strict"), ("sum", "start")}
    newer_nodes = (ast.NamedExpr, ast.Match, ast.TryStar)
    assert not any(isinstance(node, newer_nodes) for node in ast.walk(tree))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_needs_the_standard_library_and_live_only(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"Live", "ableton"}
    assert imported(ast.parse(path.read_text(encoding="utf-8"))) <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_annotations_are_not_evaluated(path: Path) -> None:
    """So that none of them can be too new."""
    assert "from __future__ import annotations" in path.read_text(encoding="utf-8")
