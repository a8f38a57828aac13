"""The minutes of a training: they count from its beginning, whatever it does first."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import SomeItemsFailed
from engine.training.requests import Tell

__all__ = ["Deadline"]


class Deadline:
    """The moment at which a run shall end.

    Args:
        minutes: from now on; None for never.
        clock: seconds.
    """

    def __init__(
        self, minutes: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._end_s = None if minutes is None else clock() + 60.0 * minutes

    def is_over(self) -> bool:
        """Whether it has come."""
        return self._end_s is not None and self._clock() >= self._end_s

    def minutes_left(self) -> float | None:
        """Minutes until then, 0 when it has come; None for never."""
        return None if self._end_s is None else max(self._end_s - self._clock(), 0.0) / 60.0

    def telling(self, tell: Tell) -> Tell:
        """``tell`` for all that comes before the first step, which it ends when the time is over.

        The function raises:
            SomeItemsFailed: the moment has come.
        """

        def told(text: str) -> None:
            if self.is_over():
                raise SomeItemsFailed(
                    f"Time ran out before training began, at: {text}.",
                    hint="Run the same command again: songs that were rendered or analysed are "
                    "kept. Where it gets no further, give more --minutes.",
                    code="out_of_time",
                )
            tell(text)

        return told
