"""The daemon: one UDP socket, an event loop that never computes, and threads that do.

:class:`Daemon` reads datagrams, tells retries from requests, hands requests to the desk
(:mod:`dawlink.osc.desk`) and sees to it that each ends exactly once. It answers ``ping`` from the
first moment; the library opens in a thread meanwhile. What is not OSC is passed over in silence;
what is OSC and makes no sense gets one error.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from dataclasses import dataclass
from typing import Final, cast

import dawlink
from dawlink.osc.answers import Error, EventLibrary, EventShutdown, Pong, Welcome
from dawlink.osc.clients import Address, Client, Clients
from dawlink.osc.desk import PROTOCOL, Desk
from dawlink.osc.exchange import MOST_REMEMBERED, Exchange
from dawlink.osc.faults import ErrorCode, Fault, as_fault
from dawlink.osc.messages import REQUESTS
from dawlink.osc.rendering import KINDS
from dawlink.osc.requests import Hello, Ping
from dawlink.osc.schema import Message, read_arguments
from dawlink.osc.service import EngineService
from dawlink.osc.stopping import Stopped
from dawlink.osc.wire import Malformed, RawMessage, decode, encode
from dawlink.osc.workers import Workers

__all__ = ["CAPS", "Daemon", "Doorway"]

CAPS: Final = f"suggest audition render kinds={','.join(KINDS)}"
#: How often the library is looked at for changes [s].
_WATCH_S: Final = 1.0
#: Requests of one client, and of all, that may be worked on at once.
_MOST_PER_CLIENT: Final = 64
_MOST_IN_ALL: Final = 2048
#: How long work may take to stop when the daemon goes away, and files to be put in place [s].
_PATIENCE_S: Final = 3.0
_PLACING_S: Final = 30.0
_TICK_S: Final = 0.05
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doorway:
    """Who may come in.

    Args:
        token: every hello must carry it in its caps; None lets everybody in.
    """

    token: str | None = None

    def lets_in(self, caps: str) -> bool:
        """Whether a hello with these caps is welcome."""
        if self.token is None:
            return True
        given = [word.removeprefix("token=") for word in caps.split() if word.startswith("token=")]
        return any(hmac.compare_digest(word.encode(), self.token.encode()) for word in given)


class Daemon(asyncio.DatagramProtocol):
    """Answers on one socket until :meth:`stop`."""

    def __init__(self, service: EngineService, desk: Desk, doorway: Doorway) -> None:
        self._service = service
        self._desk = desk
        self._doorway = doorway
        self._clients = Clients()
        self._opened = asyncio.Event()
        self._stopping = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._in_work = 0
        self._welcomes: dict[asyncio.Task[None], tuple[int, Client]] = {}
        desk.bind(self._state)

    async def run(self, door: socket.socket, workers: Workers) -> None:
        """Serve on a bound socket until :meth:`stop` is called, then leave in order."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, sock=door)
        watcher = loop.create_task(self._watch(workers))
        try:
            await self._stopping.wait()
        finally:
            watcher.cancel()
            await self._leave(workers)

    def stop(self) -> None:
        """Begin to leave."""
        self._stopping.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.DatagramProtocol`."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def error_received(self, exc: Exception) -> None:
        """A client is gone; its next hello brings it back."""
        _LOGGER.debug("A datagram did not arrive: %s", exc)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See :class:`asyncio.DatagramProtocol`."""
        source = (addr[0], addr[1])
        try:
            messages = decode(data)
        except Malformed as error:
            _LOGGER.debug("Passed over a datagram from %s:%s: %s", *source, error)
            return
        for raw in messages:
            self._take(raw, source)

    def _take(self, raw: RawMessage, source: Address) -> None:
        req = raw.values[0] if raw.values and isinstance(raw.values[0], int) else 0
        definition = REQUESTS.get(raw.address)
        try:
            if definition is None:
                raise Fault(
                    ErrorCode.UNKNOWN_ADDRESS,
                    "unknown_address",
                    f"There is no {raw.address[:100]!r}. See the list in docs/osc.md.",
                )
            req = req if definition.numbered else 0
            self._serve(read_arguments(definition, raw.values), req, source)
        except Fault as fault:
            self._refuse(fault, req, source)
        except Exception as error:  # whatever happens, the loop goes on
            _LOGGER.exception("%s failed", raw.address)
            self._refuse(as_fault(error), req, source)

    def _serve(self, message: Message, req: int, source: Address) -> None:
        if isinstance(message, Ping):
            pong = Pong(req, dawlink.__version__, PROTOCOL)
            known = self._clients.find(source)
            if known is not None:
                known.heard += 1
            self._reply(pong, source)
            return
        if isinstance(message, Hello):
            self._greet(message, source)
            return
        known = self._clients.find(source)
        if self._doorway.token is not None and not (known and known.greeted):
            raise Fault(
                ErrorCode.NOT_ALLOWED, "no_token", "Say /dawlink/hello with the token first."
            )
        client = self._speaker(source)
        if not REQUESTS_NUMBERED[type(message)]:
            self._desk.note(client, message)
            return
        before = client.exchanges.get(req)
        if before is not None and before.request == message:
            before.repeat()
            return
        if before is not None and before.ended and self._desk.is_rest(client, message, before):
            return
        if self._desk.take_piece(client, message):
            return
        if before is not None and not before.ended:
            raise Fault(ErrorCode.PROTOCOL, "req_in_use", f"Request {req} is still worked on.")
        self._begin(client, req, message, source)

    def _speaker(self, source: Address) -> Client:
        """Who speaks from ``source``; with a token every socket has to say hello itself."""
        passing = None if self._doorway.token else self._clients.speaker_at(source)
        if passing is not None:
            return passing
        client = self._clients.get(source)
        client.heard += 1
        return client

    def _begin(self, client: Client, req: int, message: Message, source: Address) -> None:
        busy = self._in_work >= _MOST_IN_ALL or sum(1 for _ in client.running) >= _MOST_PER_CLIENT
        if busy and self._desk.needs_work(message):
            raise Fault(
                ErrorCode.BUSY, "busy", "Too many requests are worked on. Ask again in a moment."
            )
        exchange = Exchange(client, req, message, lambda m: self._answer(m, client, source))
        client.exchanges.pop(req, None)
        client.exchanges[req] = exchange
        ended = [number for number, each in client.exchanges.items() if each.ended]
        for number in ended[: max(len(client.exchanges) - MOST_REMEMBERED, 0)]:
            del client.exchanges[number]
        try:
            if self._desk.answer_now(exchange):
                return
        except Exception as error:  # it ends here, so a retry gets the same error
            self._fail(exchange, error)
            return
        self._in_work += 1
        exchange.task = asyncio.get_running_loop().create_task(self._work(exchange))
        exchange.task.add_done_callback(self._worked)

    def _worked(self, _task: asyncio.Task[None]) -> None:
        self._in_work -= 1

    async def _work(self, exchange: Exchange) -> None:
        try:
            await self._opened.wait()
            await self._desk.answer(exchange)
        except (Stopped, asyncio.CancelledError):
            exchange.cancel()
        except Exception as error:
            self._fail(exchange, error)

    @staticmethod
    def _fail(exchange: Exchange, error: Exception) -> None:
        fault = as_fault(error)
        if fault.code is ErrorCode.INTERNAL:
            _LOGGER.error("Request %d failed: %s", exchange.req, fault.message, exc_info=error)
        exchange.fail(fault)

    def _greet(self, hello: Hello, source: Address) -> None:
        if hello.protocol != PROTOCOL:
            raise Fault(
                ErrorCode.PROTOCOL,
                "protocol",
                f"The engine speaks protocol {PROTOCOL}, not {hello.protocol}. Update the older.",
            )
        if not 0 <= hello.reply_port <= 65535:
            raise Fault(ErrorCode.BAD_ARGUMENTS, "reply_port", f"{hello.reply_port} is not a port.")
        if not self._doorway.lets_in(hello.caps):
            raise Fault(ErrorCode.NOT_ALLOWED, "no_token", "The hello carries no valid token.")
        client = self._clients.get(source)
        reply_to = (client.source[0], hello.reply_port or client.source[1])
        self._clients.greet(client, reply_to)
        client.name = hello.client[:100]
        for req in [req for req, each in client.exchanges.items() if each.ended]:
            del client.exchanges[req]
        _LOGGER.info("%s %s says hello", client.name, hello.version[:50])
        task = asyncio.get_running_loop().create_task(self._welcome(hello.req, client))
        self._welcomes[task] = (hello.req, client)  # the loop itself would let it be collected
        task.add_done_callback(lambda task: self._welcomes.pop(task, None))

    async def _welcome(self, req: int, client: Client) -> None:
        await self._opened.wait()
        welcome = Welcome(req, PROTOCOL, dawlink.__version__, CAPS, self._service.songs)
        self._send(welcome, client.reply_to)

    async def _watch(self, workers: Workers) -> None:
        """Open the library, and see changes of it by other processes."""
        try:
            await workers.run("quick", self._desk.recover)
        except Exception:  # leftovers are no reason not to start
            _LOGGER.exception("What an earlier engine left cannot be cleared away")
        while True:
            try:
                changed = await workers.run("quick", self._service.look)
            except Exception:  # the next look may go better
                _LOGGER.exception("The library cannot be looked at")
                changed = False
            self._opened.set()
            if changed:
                self._push(EventLibrary(self._service.songs))
                await self._warm(workers)
            await asyncio.sleep(_WATCH_S)

    async def _warm(self, workers: Workers) -> None:
        if not self._service.is_open:
            return
        try:
            await workers.run("quick", self._service.warm)
        except Exception as error:  # the question that needs it will say so
            _LOGGER.warning("The models cannot be loaded: %s", as_fault(error).message)

    def _state(self) -> tuple[str, int]:
        """(state, requests being worked on)."""
        if self._stopping.is_set():
            return "stopping", self._in_work
        if not self._opened.is_set():
            return "loading", self._in_work
        return ("ready" if self._service.is_open else "no_library"), self._in_work

    async def _leave(self, workers: Workers) -> None:
        self._push(EventShutdown())
        going = Fault(ErrorCode.CANCELLED, "shutdown", "The engine goes away. Start it again.")
        for task, (req, greeted) in list(self._welcomes.items()):
            task.cancel()
            self._send(Error(req, going.code.value, going.name, going.message), greeted.reply_to)
        for exchange in self._running():
            if exchange.stop.stop():  # what is being put in place is waited for
                exchange.fail(going)
        self._desk.record_interrupted()
        workers.close()
        await self._until_idle(workers)
        for exchange in self._running():
            exchange.fail(going)
        self._desk.close()
        if self._transport is not None:
            self._transport.close()
        self._service.close()

    async def _until_idle(self, workers: Workers) -> None:
        """Wait for work to stop; longer for files that are being moved to their names."""
        for tick in range(round(_PLACING_S / _TICK_S)):
            late = tick * _TICK_S >= _PATIENCE_S
            if not workers.busy or (late and not any(True for _ in self._running())):
                break
            await asyncio.sleep(_TICK_S)
        await asyncio.sleep(0)  # what has just been finished is told

    def _running(self) -> list[Exchange]:
        return [exchange for client in self._clients for exchange in client.running]

    def _answer(self, message: Message, client: Client, source: Address) -> None:
        """To the client's reply address; to the socket too when it never said hello itself."""
        self._send(message, client.reply_to)
        if source not in (client.source, client.reply_to):
            self._send(message, source)

    def _push(self, message: Message) -> None:
        for client in self._clients:
            if client.greeted:
                self._send(message, client.reply_to)

    def _refuse(self, fault: Fault, req: int, source: Address) -> None:
        self._reply(Error(req, fault.code.value, fault.name, fault.message), source)

    def _reply(self, message: Message, source: Address) -> None:
        """An answer that belongs to no exchange."""
        known = self._clients.find(source)
        if known is None and self._doorway.token is None:
            known = self._clients.speaker_at(source)
        if known is None:
            self._send(message, source)
        else:
            self._answer(message, known, source)

    def _send(self, message: Message, where: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(encode(message), where)


REQUESTS_NUMBERED: Final = {made.kind: made.numbered for made in REQUESTS.values()}
