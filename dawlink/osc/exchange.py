"""One request and its answers: ends exactly once, and says the same again when asked again.

What is said again is the last message and, where the answer comes in parts (files, hits), the parts
before it: whoever lost the last message may have lost those too. Progress is not said again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from dawlink.osc.answers import Cancelled, Error
from dawlink.osc.faults import Fault
from dawlink.osc.stopping import Stop

if TYPE_CHECKING:
    from dawlink.osc.clients import Client
    from dawlink.osc.schema import Message

__all__ = ["MOST_REMEMBERED", "Exchange"]

#: Ended requests of a client whose last message can be sent again.
MOST_REMEMBERED: Final = 128


class Exchange:
    """A request that is being answered. Only the event loop's thread uses it.

    Args:
        client: who asked.
        req: the request's number.
        request: what was asked; the same again under the same number is a retry.
        send: puts a message on its way to the client.
    """

    def __init__(
        self, client: Client, req: int, request: Message, send: Callable[[Message], None]
    ) -> None:
        self.client = client
        self.req = req
        self.request = request
        self.stop = Stop()
        self.task: asyncio.Task[None] | None = None
        self._send = send
        self._last: Message | None = None
        self._parts: Callable[[], Sequence[Message]] = tuple
        self._abandoned = False

    @property
    def ended(self) -> bool:
        """Its last message was sent."""
        return self._last is not None or self._abandoned

    @property
    def failed(self) -> bool:
        """It ended with an error."""
        return isinstance(self._last, Error)

    def send(self, message: Message) -> None:
        """A message on the way; nothing after the end."""
        if not self.ended:
            self._send(message)

    def end(
        self, message: Message, *, parts: Callable[[], Sequence[Message]] | None = None
    ) -> bool:
        """The last message; False when there was one before.

        Args:
            message: the last one.
            parts: gives the parts of the answer, sent already, for a retry.
        """
        if self.ended:
            return False
        self._send(message)
        self._last, self._parts = message, parts or self._parts
        return True

    def fail(self, fault: Fault) -> bool:
        """End with an error."""
        return self.end(Error(self.req, fault.code.value, fault.name, fault.message))

    def cancel(self) -> bool:
        """Stop the work and end, unless it ended before or has gone too far."""
        if self.ended or not self.stop.stop():
            return False
        self.end(Cancelled(self.req))
        self._drop_task()
        return True

    def abandon(self) -> None:
        """Stop the work for a client that is gone; nothing more is sent."""
        self.stop.stop()
        self._abandoned = True
        self._drop_task()

    def repeat(self) -> None:
        """Send the answer again; a request that is not ended needs no reminder."""
        if self._last is not None:
            for part in self._parts():
                self._send(part)
            self._send(self._last)

    def _drop_task(self) -> None:
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
