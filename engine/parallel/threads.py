"""How many threads numeric libraries may use.

The matrix products of a search are small. Spread over all cores they are hardly faster on an idle
machine, and far slower when a render or an analysis keeps the other cores busy: each product then
waits for the slowest thread to be scheduled. One thread makes answers steady.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrix products inside the block use the calling thread only."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
