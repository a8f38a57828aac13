"""The file that says which process is the engine: ``<runtime folder>/dawlink/engine-PORT.json``.

Who finds a port taken learns from it by whom, and clients that look for the engine find its port.
A file whose process is gone is left over and counts for nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from engine.errors import DawlinkError
from engine.files import write_whole
from engine.parallel.processes import is_alive

__all__ = ["RunFile", "holder_of", "living_engines", "run_file_path"]


@dataclass(frozen=True)
class RunFile:
    """The engine that listens on a port."""

    pid: int
    host: str
    port: int
    protocol: int
    version: str
    library: str

    def write(self) -> bool:
        """Put it in place; False where the folder cannot be written (then clients use the port)."""
        with contextlib.suppress(DawlinkError):
            document = {"schema": 1, **asdict(self)}
            write_whole(run_file_path(self.port), json.dumps(document, indent=2) + "\n")
            return True
        return False

    def remove(self) -> None:
        """Take it away, unless another engine has put its own there."""
        found = _read(run_file_path(self.port))
        if found is not None and found.pid == self.pid:
            with contextlib.suppress(OSError):
                run_file_path(self.port).unlink()


def run_file_path(port: int) -> Path:
    """Where the run file for ``port`` lies."""
    with warnings.catch_warnings(action="ignore"):  # of a folder that others may read
        return platformdirs.user_runtime_path("dawlink", False) / f"engine-{port}.json"


def holder_of(port: int) -> RunFile | None:
    """The living engine that listens on ``port``, if one says so."""
    found = _read(run_file_path(port))
    return found if found is not None and is_alive(found.pid) else None


def living_engines() -> frozenset[int]:
    """Process ids of the other engines that say of themselves that they are there.

    A number alone says little: after a kill, another program may bear it.
    """
    files = run_file_path(0).parent.glob("engine-*.json")
    pids = {found.pid for found in map(_read, files) if found is not None}
    return frozenset(pid for pid in pids if pid != os.getpid() and is_alive(pid))


def _read(path: Path) -> RunFile | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return RunFile(
            pid=int(document["pid"]),
            host=str(document["host"]),
            port=int(document["port"]),
            protocol=int(document["protocol"]),
            version=str(document["version"]),
            library=str(document["library"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
