"""Runs the device's script in a real ES5 engine, mujs, as ``js`` of Live 11 would."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from max4live.device.script import script_text

MUJS: Final = shutil.which("mujs")
needs_mujs = pytest.mark.skipif(MUJS is None, reason="the ES5 engine mujs is not installed")
_STAGE: Final = Path(__file__).with_name("stage.js")
_REPORT: Final = "print(JSON.stringify({out: out, posted: posted, set: set}));"
Atom = str | float


@dataclass(frozen=True)
class Played:
    """What left the script during a scenario, and the set afterwards."""

    out: list[list[Atom]]
    posted: list[str]
    set: dict[str, dict[str, dict[str, object]]]

    def sent(self, address: str) -> list[list[Atom]]:
        """Arguments of every message to an address."""
        return [atoms[2:] for atoms in self.out if atoms[:2] == [0, address]]

    def shown(self, *place: Atom) -> Atom | None:
        """What a widget shows last."""
        found = [a[-1] for a in self.out if a[0] == 2 and tuple(a[1:-1]) == place]
        return found[-1] if found else None

    def sentences(self) -> list[Atom]:
        """Everything that the message line said."""
        return [atoms[2] for atoms in self.out if atoms[:2] == [2, "message"]]

    def sound(self) -> list[list[Atom]]:
        """What the audition was told."""
        return [atoms[1:] for atoms in self.out if atoms[0] == 3]


def run_es5(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in mujs."""
    assert MUJS is not None
    program = folder / "program.js"
    program.write_text(source, "utf-8")
    return subprocess.run(
        [MUJS, str(program)], capture_output=True, text=True, timeout=30, check=False
    )


def play(scenario: str, folder: Path) -> Played:
    """Play a scenario written against ``stage.js``."""
    source = "\n".join([_STAGE.read_text("utf-8"), script_text(), scenario, _REPORT])
    done = run_es5(source, folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    document = json.loads(done.stdout)
    return Played(document["out"], document["posted"], document["set"])
