"""Ctrl-C and SIGTERM during a training: it ends where nothing is lost."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["stop_signals", "terminable"]

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does while the block runs, where nobody else waits for it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Signals that asked for an end while the block ran; after the first all is as it was before.

    Only what nobody else waits for is waited for, and only where Python lets it be: in the main
    thread.
    """
    came: list[int] = []
    usual = (signal.SIG_DFL, signal.default_int_handler)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
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
