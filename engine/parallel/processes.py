"""Whether a process is still there, on every system that dawlink runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Protocol

__all__ = ["is_alive"]

_QUERY_LIMITED_INFORMATION: Final = 0x1000
_STILL_ACTIVE: Final = 259
_ACCESS_DENIED: Final = 5


class _Kernel(Protocol):
    """What is used of Windows."""

    def open(self, pid: int) -> int:
        """A handle; 0 where there is none."""

    def exit_code(self, handle: int) -> int:
        """259 while the process runs."""

    def close(self, handle: int) -> None:
        """Let go of a handle."""

    def last_error(self) -> int:
        """Why no handle was given."""


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number, whoever owns it.

    One that has ended counts as gone although nobody has taken note of its end yet, as far as the
    system tells (Linux): the parent that should may have been killed with it.
    """
    if pid <= 0:
        return False
    if sys.platform == "win32":  # signal 0 would end the process there
        return _alive_on_windows(pid, _kernel())
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether Linux lists the process as a zombie or dead; False where that cannot be read."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # gone since it was asked, or no Linux
        return Path("/proc/self/stat").exists()
    except OSError:
        return False
    state = status.rpartition(")")[2].split()[:1]  # the name before it may hold anything
    return state in (["Z"], ["X"])


def _alive_on_windows(pid: int, kernel: _Kernel) -> bool:
    handle = kernel.open(pid)
    if not handle:
        return kernel.last_error() == _ACCESS_DENIED  # somebody else's
    try:
        return kernel.exit_code(handle) == _STILL_ACTIVE
    finally:
        kernel.close(handle)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Kernel32:
        """Windows' own functions."""

        def __init__(self) -> None:
            self._dll = ctypes.WinDLL("kernel32", use_last_error=True)
            self._dll.OpenProcess.restype = wintypes.HANDLE
            self._dll.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
            self._dll.GetExitCodeProcess.argtypes = (wintypes.HANDLE, wintypes.LPDWORD)
            self._dll.CloseHandle.argtypes = (wintypes.HANDLE,)

        def open(self, pid: int) -> int:
            return int(self._dll.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid) or 0)

        def exit_code(self, handle: int) -> int:
            code = wintypes.DWORD()
            self._dll.GetExitCodeProcess(handle, ctypes.byref(code))
            return int(code.value)

        def close(self, handle: int) -> None:
            self._dll.CloseHandle(handle)

        def last_error(self) -> int:
            return ctypes.get_last_error()

    def _kernel() -> _Kernel:
        return _Kernel32()
