"""Imports point down, as docs/architecture.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Every (file, module) that the files of a folder import, late imports too."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield str(path.relative_to(ROOT)), node.module
            elif isinstance(node, ast.Import):
                yield from ((str(path.relative_to(ROOT)), each.name) for each in node.names)


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("engine", "dawlink"),
        ("engine", "max4live"),
        ("engine/models", "engine.training"),
        ("engine/models", "engine.evaluation"),
        ("engine/models", "engine.rendering"),
        ("engine/rendering", "engine.models"),
        ("engine/mashup", "engine.models"),
        ("engine/mashup", "engine.rendering"),
        ("engine/analysis", "engine.library"),
        ("engine/audio", "engine.analysis"),
    ],
)
def test_nothing_imports_what_lies_above_it(folder: str, above: str) -> None:
    found = list(imported(folder))
    assert found
    assert not [pair for pair in found if f"{pair[1]}.".startswith(f"{above}.")]
