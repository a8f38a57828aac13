"""A real daemon in a process of its own, on a free port, with folders of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.dawlink.osc.client import OscClient

#: What only one process holds, in memory or swapped out; pages of files come and go.
OWN_MEMORY = ("RssAnon:", "VmSwap:")


@dataclass(frozen=True)
class Running:
    """A daemon that answers on ``port``."""

    process: subprocess.Popen[str]
    port: int
    folder: Path

    def client(self) -> OscClient:
        return OscClient(self.port)

    @property
    def output(self) -> Path:
        return self.folder / "renders"

    @property
    def jobs(self) -> Path:
        return self.folder / "state" / "dawlink" / "jobs.sqlite"

    def stop(self, *, patience_s: float = 20.0) -> int:
        """Its exit code; one that does not end in time is killed, which is an error."""
        with self.process:  # closes its output too
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


def environment(folder: Path) -> dict[str, str]:
    """Settings, state and run files inside ``folder`` only."""
    (folder / "run").mkdir(mode=0o700, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAWLINK_", "XDG_"))}
    return {
        **kept,
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "DAWLINK_OUTPUT": str(folder / "renders"),
        "HF_HUB_OFFLINE": "1",
    }


def command(library: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "dawlink", "--library", str(library), "serve", *options]


def memory_mb(running: Running, *fields: str) -> float:
    """Memory of a daemon on Linux: the sum of these fields of its status."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    found = [int(line.split()[1]) for line in lines if line.startswith(fields)]
    assert len(found) == len(fields), found
    return sum(found) / 1000


def start(library: Path, folder: Path, *options: str) -> Running:
    """Start one and wait until it says where it listens."""
    chosen = options if "--port" in options else ("--port", "0", *options)
    process = subprocess.Popen(
        command(library, *chosen, "--json"),
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    return Running(process, port, folder)
