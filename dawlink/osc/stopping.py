"""How work in a thread is stopped: it looks now and then, and once at the point of no return."""

from __future__ import annotations

import threading

__all__ = ["Stop", "Stopped"]


class Stopped(Exception):
    """The work was stopped from outside."""


class Stop:
    """Shared by a request and the threads that work for it. Stopping ends at :meth:`commit`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._committed = False

    def stop(self) -> bool:
        """Ask the work to stop; False when it has gone too far."""
        with self._lock:
            if self._committed:
                return False
            self._stopped = True
            return True

    @property
    def stopped(self) -> bool:
        """Whether somebody asked."""
        return self._stopped

    def check(self) -> None:
        """Raise :class:`Stopped` when somebody asked."""
        if self._stopped:
            raise Stopped

    def commit(self) -> None:
        """From here on the work goes through to its end.

        Raises:
            Stopped: somebody asked before.
        """
        with self._lock:
            if self._stopped:
                raise Stopped
            self._committed = True
