"""How commands reach the script without Max for Live: OSC messages and a page in the browser.

Both are on the loopback, on one number (UDP and TCP). OSC: ``/dawlink/live/suggest``, ``…/pick i``,
``…/next``, ``…/previous``, ``…/try``, ``…/insert``, ``…/keep``, ``…/remove``, ``…/cancel``. Page:
``GET /`` (the page), ``GET /state`` (JSON), ``POST /do/<command>``.

A page on the web could try to reach the loopback too. So a request must name this host in ``Host``,
and a command must carry the header ``X-DawLink``, which a browser sends to no other origin without
asking first, and that question is not answered.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, urlsplit

from .clip import Refused
from .engine import LOOPBACK
from .osc import NotOsc, unpack

if TYPE_CHECKING:
    from .shapes import Value
    from .work import Work

PREFIX = "/dawlink/live/"
#: Longest request that is read [bytes], and how long it may take [s].
REQUEST_BYTES = 4096
REQUEST_SECONDS = 2.0
#: Connections and packets that are looked at in one tick.
CONNECTIONS = 8
PACKETS = 16
PAGE = Path(__file__).with_name("page.html")
_STATUS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


class Commands:
    """Commands by name, with what a refusal says shown to the person."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._plain = {
            "next": work.next,
            "previous": work.previous,
            "try": work.try_out,
            "insert": work.insert,
            "keep": work.keep,
            "remove": work.remove,
            "cancel": work.cancel,
        }

    def run(self, name: str, value: Value) -> bool:
        """Whether there is such a command; it is done then."""
        try:
            if name == "suggest":
                self._work.suggest(str(value or ""))
            elif name == "pick" and str(value).isdecimal():
                self._work.pick(int(value))
            elif name in self._plain:
                self._plain[name]()
            else:
                return False
        except Refused as refusal:
            self._work.say(str(refusal))
        return True

    def state(self) -> dict[str, object]:
        """What the page shows."""
        return self._work.state()


class OscControl:
    """Commands as OSC messages from this machine."""

    def __init__(self, port: int, commands: Commands) -> None:
        self._commands = commands
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((LOOPBACK, port))

    def tick(self) -> None:
        """Does what has come."""
        for _ in range(PACKETS):
            try:
                packet, _sender = self._socket.recvfrom(65536)
            except OSError:
                return
            try:
                address, values = unpack(packet)
            except NotOsc:
                continue
            if address.startswith(PREFIX):
                self._commands.run(address[len(PREFIX) :], values[0] if values else "")

    def close(self) -> None:
        """Lets go of the port."""
        self._socket.close()


class PageControl:
    """The page, served between two ticks."""

    def __init__(self, port: int, commands: Commands) -> None:
        self._commands = commands
        self._hosts = (f"{LOOPBACK}:{port}", f"localhost:{port}")
        self._waiting: list[_Request] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        self._socket.bind((LOOPBACK, port))
        self._socket.listen(CONNECTIONS)

    def tick(self) -> None:
        """Takes new connections and answers those that have said everything."""
        while len(self._waiting) < CONNECTIONS:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                break
            connection.setblocking(False)
            self._waiting.append(_Request(connection))
        for request in list(self._waiting):
            if request.read():
                self._waiting.remove(request)
                if request.complete:
                    request.answer(*self._answer(request))

    def close(self) -> None:
        """Lets go of the port and of everybody who waits."""
        for request in self._waiting:
            request.close()
        self._socket.close()

    def _answer(self, request: _Request) -> tuple[int, str, bytes]:
        """Status, type and body."""
        if request.headers.get("host") not in self._hosts:
            return 403, "text/plain", b"not this host"
        target = urlsplit(request.target)
        if request.method == "GET" and target.path == "/":
            return 200, "text/html; charset=utf-8", PAGE.read_bytes()
        if request.method == "GET" and target.path == "/state":
            return 200, "application/json", self._state()
        if request.method == "POST" and target.path.startswith("/do/"):
            return self._do(request, target)
        return 404, "text/plain", b"nothing here"

    def _do(self, request: _Request, target: SplitResult) -> tuple[int, str, bytes]:
        if "x-dawlink" not in request.headers:
            return 403, "text/plain", b"the header X-DawLink is missing"
        value = parse_qs(target.query).get("value", [""])[0]
        if not self._commands.run(target.path[len("/do/") :], value):
            return 404, "text/plain", b"no such command"
        return 200, "application/json", self._state()

    def _state(self) -> bytes:
        return json.dumps(self._commands.state()).encode("utf-8")


class _Request:
    """One connection: what it has said so far."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._raw = b""
        self._until = time.monotonic() + REQUEST_SECONDS
        self.complete = False
        self.method, self.target = "", ""
        self.headers: dict[str, str] = {}

    def read(self) -> bool:
        """Whether nothing more is to be read: it is complete, too long, too slow, or gone."""
        try:
            part = self._connection.recv(REQUEST_BYTES)
            ended = not part
        except BlockingIOError:
            part, ended = b"", False
        except OSError:
            part, ended = b"", True
        self._raw += part
        if b"\r\n\r\n" in self._raw:
            self._parse()
            return True
        if ended or len(self._raw) > REQUEST_BYTES or time.monotonic() > self._until:
            self.close()
            return True
        return False

    def answer(self, status: int, kind: str, body: bytes) -> None:
        """Says it and hangs up. The answer fits into the socket's buffer, so nothing waits."""
        head = f"HTTP/1.1 {status} {_STATUS[status]}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        head += "Connection: close\r\n\r\n"
        try:
            self._connection.setblocking(True)
            self._connection.settimeout(0.05)
            self._connection.sendall(head.encode("ascii") + body)
        except OSError:
            return  # gone meanwhile
        finally:
            self.close()

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()

    def _parse(self) -> None:
        lines = self._raw.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) == 3:
            self.method, self.target = words[0], words[1]
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.complete = True
