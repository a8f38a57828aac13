"""Runs a command line in this process and takes its answer apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dawlink.cli.main import main

Document = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Document:
        """stdout, which holds one JSON document and nothing else."""
        found: Document = json.loads(self.out)
        assert found["schema"] == 1
        return found

    @property
    def lines(self) -> list[Document]:
        """stdout, which holds one JSON document a line and nothing else."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(line["schema"] == 1 for line in found)
        return found

    @property
    def items(self) -> list[Document]:
        """The lines of ``add`` before its summary."""
        *items, last = self.lines
        assert "summary" in last
        assert not any("summary" in item for item in items)
        return items


@dataclass(frozen=True)
class Command:
    """``dawlink --library PLACE …``."""

    library: Path | str
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Ran:
        self.capsys.readouterr()
        code = main(["--library", str(self.library), *map(str, arguments)])
        printed = self.capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    def on(self, library: Path | str) -> Command:
        """The same with another library."""
        return Command(library, self.capsys)


def refused(ran: Ran, exit_code: int, code: str, *words: str) -> Document:
    """Check one refusal: exit code, one error document, one sentence and a next step on stderr."""
    assert ran.code == exit_code, ran
    of_many_lines = ran.out.startswith("{\n")  # one indented document, not JSON lines
    error: Document = (ran.document if of_many_lines else ran.lines[-1])["error"]
    assert error["code"] == code, error
    assert error["message"].endswith((".", "?", "!"))
    assert f"error: {error['message']}" in ran.err
    assert "Traceback" not in ran.err
    assert error["hint"]
    assert error["hint"] in ran.err
    for word in words:
        assert word in f"{error['message']} {error['hint']}"
    return error
