"""Ports for what tests start: a number that is asked for must still be free when it is used.

The system gives one number for several sockets (of TCP and of UDP, at any moment, also to clients
that connect), so what it calls free may be taken before a test uses it. These lie below the
numbers that it gives of its own accord, and each process of pytest-xdist has its own.
"""

from __future__ import annotations

import itertools
import os
import socket

__all__ = ["free_port"]

_FIRST, _EACH, _PROCESSES = 20_000, 750, 16  # Linux gives 32768 and more, macOS 49152 and more
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_numbers = itertools.cycle(range(_FIRST + _WORKER * _EACH, _FIRST + (_WORKER + 1) * _EACH))


def free_port() -> int:
    """Of this machine's loopback: nothing listens there, by TCP or by UDP, and no test was told."""
    return next(port for port in itertools.islice(_numbers, _EACH) if _is_free(port))


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as door:
                door.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
