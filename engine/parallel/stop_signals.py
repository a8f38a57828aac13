"""Ctrl-C, SIGTERM and a closed terminal: work ends where nothing is lost."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

__all__ = ["STOP_SIGNALS", "stop_signals", "terminable"]

#: What asks for an end: Ctrl-C, a shutdown, and a terminal that is closed, which Windows lacks.
STOP_SIGNALS: Final[tuple[signal.Signals, ...]] = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
)

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does while the block runs, where nobody waits for them."""
    is_main = threading.current_thread() is threading.main_thread()
    numbers = STOP_SIGNALS[1:] if is_main else ()
    free = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Signals that asked for an end while the block ran; after the first all is as it was before.

    Only what nobody else waits for is waited for, and only where Python lets it be: in the main
    thread.
    """
    came: list[int] = []
    usual = (signal.SIG_DFL, signal.default_int_handler)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler in usual}
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def come(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        restore()
        _LOGGER.warning("Ending after this step; once more ends at once and loses what is new.")

    for number in before:
        signal.signal(number, come)
    try:
        yield came
    finally:
        restore()
