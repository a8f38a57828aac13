from __future__ import annotations

import os
import subprocess
import sys

import pytest

from engine.parallel.processes import _alive_on_windows, is_alive


def test_a_process_is_alive_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_alive(process.pid)
        process.communicate(b"")
    assert not is_alive(process.pid)
    assert is_alive(os.getpid())


@pytest.mark.parametrize("pid", [0, -1, 10**30])
def test_numbers_that_no_process_has(pid: int) -> None:
    assert not is_alive(pid)


class Windows:
    """Process 5 runs, 6 has ended while somebody holds it, 7 is the system's; others are not."""

    def __init__(self) -> None:
        self.open_handles: list[int] = []
        self._error = 0

    def open(self, pid: int) -> int:
        self._error = {5: 0, 6: 0, 7: 5}.get(pid, 87)
        if self._error:
            return 0
        self.open_handles.append(pid)
        return pid

    def exit_code(self, handle: int) -> int:
        return 259 if handle == 5 else 1

    def close(self, handle: int) -> None:
        self.open_handles.remove(handle)

    def last_error(self) -> int:
        return self._error


@pytest.mark.parametrize(("pid", "alive"), [(5, True), (6, False), (7, True), (8, False)])
def test_on_windows_a_handle_tells(pid: int, alive: bool) -> None:
    kernel = Windows()
    assert _alive_on_windows(pid, kernel) is alive
    assert kernel.open_handles == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_process_whose_end_nobody_noted_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_alive(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
        os.kill(process.pid, 0)
        assert not is_alive(process.pid)
