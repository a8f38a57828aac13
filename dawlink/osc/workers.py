"""Threads by kind of work, so that nothing quick waits behind something long.

Numpy, Rubber Band and the networks let go of Python's lock while they compute, so threads share
the cores; the event loop only ever waits for the lock between two of their steps.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeVar

__all__ = ["Lane", "Workers"]

Lane = Literal["quick", "analysis", "audition", "piece", "render", "idle"]
Result = TypeVar("Result")

#: How long a thread may keep Python's lock from one that wants it [s]; the default is 5 ms.
_SWITCH_S: Final = 0.0005


class Workers:
    """Lanes for questions, clips, auditions and their pieces, renders, and what is done ahead."""

    def __init__(self) -> None:
        sys.setswitchinterval(_SWITCH_S)
        cores = max(os.cpu_count() or 1, 2)
        self._sizes: dict[Lane, int] = {
            "quick": 2,
            "analysis": 2,  # of clips that were never heard: seconds, minutes for a whole song
            "audition": 2,
            "piece": cores,  # of auditions, whose own threads wait for them
            "render": cores,
            "idle": 1,
        }
        self._lanes = {
            name: ThreadPoolExecutor(size, thread_name_prefix=f"dawlink-{name}")
            for name, size in self._sizes.items()
        }
        self._lock = threading.Lock()
        self._busy = 0

    async def run(self, lane: Lane, work: Callable[[], Result]) -> Result:
        """``work`` in a thread of ``lane``. Cancelling the wait does not stop the thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lanes[lane], self._counted(work))

    def lane(self, lane: Lane) -> ThreadPoolExecutor:
        """The threads themselves, for work that spreads its own pieces."""
        return self._lanes[lane]

    @property
    def load(self) -> float:
        """Share of the threads that work [0, 1]."""
        return min(self._busy / sum(self._sizes.values()), 1.0)

    @property
    def busy(self) -> bool:
        """Whether any thread works."""
        return self._busy > 0

    def close(self) -> None:
        """Take nothing more; what runs is expected to stop by itself."""
        for pool in self._lanes.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _counted(self, work: Callable[[], Result]) -> Callable[[], Result]:
        def counted() -> Result:
            with self._lock:
                self._busy += 1
            try:
                return work()
            finally:
                with self._lock:
                    self._busy -= 1

        return counted
