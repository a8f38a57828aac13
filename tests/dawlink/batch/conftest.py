from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dawlink.cli.main import main
from tests.dawlink.batch.songs import make_clip, make_library

#: What a clip needs to be taken as it is, without any analysis of its beats.
KNOWN = {"clip_tempo": 110, "clip_downbeat": 0, "clip_key": "Am", "bars": 1}


@dataclass(frozen=True)
class Music:
    """A library and a clip."""

    library: Path
    clip: Path


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Music:
    folder = tmp_path_factory.mktemp("music")
    make_library(folder / "library")
    make_clip(folder / "vox.wav")
    return Music(folder / "library", folder / "vox.wav")


@dataclass(frozen=True)
class Ran:
    """One run of the command: its exit code, what it printed, and its JSON documents."""

    code: int
    stdout: str
    stderr: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [document for document in self.documents if "line" in document]

    @property
    def statuses(self) -> list[object]:
        return [d["status"] for d in sorted(self.lines, key=lambda d: int(str(d["line"])))]


Batch = Callable[..., Ran]


@pytest.fixture
def batch(music: Music, capsys: pytest.CaptureFixture[str]) -> Batch:
    def run(plan: Path, out: Path, *options: str) -> Ran:
        options = options if "--jobs" in options else (*options, "--jobs", "1")
        code = main(
            ["--library", str(music.library), "batch", str(plan), "--out", str(out), *options]
        )
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


def write_plan(path: Path, lines: list[dict[str, Any]]) -> Path:
    """A JSON-lines plan; every line gets what makes its clip known."""
    path.write_text("".join(json.dumps({**KNOWN, **line}) + "\n" for line in lines))
    return path


def outputs(out: Path) -> dict[str, bytes]:
    """Every file below the folder but the state, with the folder's own name taken out of it."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes().replace(
            str(out.resolve()).encode(), b"OUT"
        )
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent != out
    }
