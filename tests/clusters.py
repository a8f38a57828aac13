"""A Dask cluster of this machine for tests: a scheduler and two workers, each a process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.ports import free_port
from tests.servers import end_with_starter

__all__ = ["CHECKOUT", "LocalCluster", "wait_for"]

CHECKOUT = Path(__file__).parent.parent
_START_S = 120.0
#: A job may take one worker down with it; the second time Dask gives it up.
_SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}


class LocalCluster:
    """Use it as a context manager; workers that are killed are started again by their nannies."""

    def __init__(
        self, folder: Path, *, workers: int = 2, worker_ttl: str = "5m", nannies: bool = True
    ) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers = workers
        self._ttl = worker_ttl
        self._nanny = "--nanny" if nannies else "--no-nanny"
        self.address = f"tcp://127.0.0.1:{free_port()}"

    def __enter__(self) -> LocalCluster:
        port = self.address.rsplit(":", 1)[1]
        options = ["--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        patience = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": self._ttl}
        self._start("scheduler", *options, **patience)
        for number in range(self._workers):
            self.start_worker(f"w{number}")
        wait_for(lambda: len(self.pids()) == self._workers, seconds=_START_S)
        return self

    def __exit__(self, *_: object) -> None:
        workers = self.pids().values()
        for process in self._processes:  # at once: workers and nannies take long to say goodbye
            process.kill()
            process.wait()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_worker(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        options = [
            self._nanny,
            "--nthreads",
            "1",
            "--no-dashboard",
            "--name",
            name,
            "--host",
            "127.0.0.1",
        ]
        folder = ["--local-directory", str(self._folder), "--death-timeout", "60"]
        return self._start("worker", self.address, *options, *folder, **environment)

    def pids(self) -> dict[str, int]:
        """Process of each worker, by its address."""
        from distributed import Client

        with Client(self.address, timeout=10, set_as_default=False) as client:
            found = client.run(os.getpid, on_error="ignore")
            return {worker: pid for worker, pid in found.items() if isinstance(pid, int)}

    def busy(self) -> list[int]:
        """Processes of the workers that have a job."""
        from distributed import Client

        with Client(self.address, timeout=10, set_as_default=False) as client:
            working = {worker for worker, keys in client.processing().items() if keys}
        return [pid for worker, pid in self.pids().items() if worker in working]

    def _start(self, kind: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT), **_SETTINGS, **environment},
                stdout=log,
                stderr=log,
                preexec_fn=end_with_starter,
            )
        self._processes.append(process)
        return process


def wait_for(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
