"""The line to the engine: one socket that never blocks, requests that are repeated until answered.

A job is a generator. It yields :class:`Ask` and gets the :class:`Answer` when the engine has said
its last word, or :class:`EngineError` thrown at that place. Several jobs may run; a tick is 100 ms.
A datagram may be lost in either direction: the same number sent again makes the engine say its last
word again, so repeating is safe.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from .osc import NotOsc, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Optional

    from .shapes import Value

    Job = Generator["Ask", "Answer", None]
    OnPart = Optional[Callable[[str, "list[Value]"], None]]

PROTOCOL = 1
VERSION = "0.1.0"
LOOPBACK = "127.0.0.1"
#: Ticks without any answer after which a request is sent again.
SHORT_TICKS = 10
LONG_TICKS = 30
TRIES = 5
#: Ticks between pings while connected, and between hellos while not.
PING_TICKS = 20
#: Packets taken in one tick at most: Live waits meanwhile.
BURST = 128
_LAST = ("/done", "/end", "/pong", "/welcome", "/cancelled")

NOT_RUNNING = "The engine is not running. In a terminal: dawlink serve."


class EngineError(Exception):
    """The engine refused, or did not answer (code 0)."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class Ask:
    """A request. ``messages`` are argument lists without the number, sent under one number."""

    def __init__(
        self,
        address: str,
        *messages: Sequence[Value],
        wait_ticks: int = SHORT_TICKS,
        on_part: OnPart = None,
    ) -> None:
        self.address = address
        self.messages = messages
        self.wait_ticks = wait_ticks
        #: Work that may take any time is given up only when the engine answers no pings either.
        self.patient = wait_ticks >= LONG_TICKS
        #: Called with address and arguments of everything that comes before the last word.
        self.on_part = on_part


class Answer:
    """The last word, without its number, and everything before it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.values: list[Value] = []
        self.parts: list[tuple[str, list[Value]]] = []


class _Open:
    """A request on its way."""

    def __init__(self, ask: Ask, job: Job, number: int) -> None:
        self.ask, self.job = ask, job
        self.answer = Answer(number)
        self.age = 0
        self.tries = 1


class Engine:
    """The engine as the script sees it."""

    def __init__(self, port: int, on_change: Callable[[str], None]) -> None:
        self.connected = False
        #: Counts the times that an engine has said welcome: clip ids are good within one.
        self.life = 0
        self.songs = 0
        self._on_change = on_change
        self._address = (LOOPBACK, port)
        self._open: dict[Value, _Open] = {}
        self._number = random.randrange(1, 1 << 30)
        self._ticks = 0
        self._calling = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.setblocking(False)

    def tick(self) -> None:
        """Takes what has come, repeats what was not answered, keeps in touch."""
        self._receive()
        for number in list(self._open):
            if number in self._open:
                self._grow_older(number)
        if self._ticks % PING_TICKS == 0 and not self._calling:
            self.start(self._keep_in_touch())
        self._ticks += 1

    def start(self, job: Job) -> None:
        """Runs a job until it is through."""
        self._advance(job, lambda: next(job))

    def stop(self, job: Job) -> None:
        """Ends a job; the engine is told what nobody waits for any more."""
        for number, request in list(self._open.items()):
            if request.job is job:
                del self._open[number]
                self._number += 1
                self.tell("/dawlink/cancel", self._number, number)
        job.close()

    def tell(self, address: str, *values: Value) -> None:
        """Sends one message without waiting for anything.

        Raises:
            EngineError: no message can hold the values: too long a path, or too large a number.
        """
        try:
            packet = pack(address, values)
        except ValueError as error:
            raise EngineError(1, f"The engine cannot be told that: {error}.") from error
        try:
            self._socket.sendto(packet, self._address)
        except OSError:
            return  # nobody there, or no room: whoever waits for an answer asks again

    def close(self) -> None:
        """Says good-bye."""
        if self.connected:
            self._number += 1
            self.tell("/dawlink/bye", self._number)
        self._socket.close()

    def _keep_in_touch(self) -> Job:
        self._calling = True
        try:
            if self.connected:
                yield Ask("/dawlink/ping", [])
            else:
                hello: list[Value] = ["live-remote-script", VERSION, PROTOCOL, 0, "remote"]
                answer = yield Ask("/dawlink/hello", hello)
                self.connected, self.songs = True, int(answer.values[3])
                self.life += 1
                self._on_change(f"Engine connected, {self.songs} songs.")
        except EngineError as error:
            was, self.connected = self.connected, False
            if was or error.code:
                self._on_change(error.sentence)
        finally:
            self._calling = False

    def _lose(self, sentence: str) -> None:
        self.connected = False
        for number in list(self._open):
            request = self._open.pop(number, None)
            if request is not None:
                self._fail(request, EngineError(0, sentence))
        self._on_change(sentence)

    def _receive(self) -> None:
        for _ in range(BURST):
            try:
                packet, sender = self._socket.recvfrom(65536)
            except OSError:
                return  # nothing more, or the last send met a closed port
            if sender != self._address:
                continue
            try:
                self._heard(*unpack(packet))
            except NotOsc:
                continue

    def _heard(self, address: str, values: list[Value]) -> None:
        if address == "/dawlink/event/shutdown":
            self._lose("The engine was stopped. In a terminal: dawlink serve.")
        elif address == "/dawlink/event/library" and values:
            self.songs = int(values[0])
        elif values and values[0] in self._open:
            self._answered(values[0], address, values[1:])

    def _answered(self, number: Value, address: str, values: list[Value]) -> None:
        request = self._open[number]
        request.age = 0
        if address == "/dawlink/error":
            del self._open[number]
            code, sentence = (values[0], values[2]) if len(values) == 3 else (9, "Engine error.")
            self._fail(request, EngineError(int(code), str(sentence)))
        elif address.endswith(_LAST):
            del self._open[number]
            request.answer.values = values
            self._advance(request.job, lambda: request.job.send(request.answer))
        else:
            request.answer.parts.append((address, values))
            if request.ask.on_part is not None:
                request.ask.on_part(address, values)

    def _grow_older(self, number: Value) -> None:
        request = self._open[number]
        request.age += 1
        if request.age < request.ask.wait_ticks:
            return
        request.age = 0
        request.tries += 1
        if request.tries <= TRIES or (request.ask.patient and self.connected):
            self._send(number, request.ask)
        else:
            del self._open[number]
            self._fail(request, EngineError(0, NOT_RUNNING))

    def _fail(self, request: _Open, error: EngineError) -> None:
        self._advance(request.job, lambda: request.job.throw(error))

    def _advance(self, job: Job, step: Callable[[], Ask]) -> None:
        """Runs a job to its next request."""
        try:
            ask = step()
        except StopIteration:
            return
        self._number += 1
        number = self._number
        request = self._open[number] = _Open(ask, job, number)
        try:
            self._send(number, ask)
        except EngineError as error:
            del self._open[number]
            self._fail(request, error)

    def _send(self, number: Value, ask: Ask) -> None:
        for message in ask.messages:
            self.tell(ask.address, number, *message)
