"""A minimal OSC client, written from the OSC 1.0 specification and not with our wire code."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from dataclasses import dataclass, field

Value = int | float | str


@dataclass(frozen=True)
class Received:
    address: str
    values: tuple[Value, ...]
    size: int


def packed(address: str, tags: str, *values: Value) -> bytes:
    """One message with explicit type tags."""
    parts = [_text(address), _text("," + tags)]
    for tag, value in zip(tags, values, strict=True):
        if tag == "i":
            parts.append(struct.pack(">i", value))
        elif tag == "f":
            parts.append(struct.pack(">f", value))
        else:
            parts.append(_text(str(value)))
    return b"".join(parts)


def bundle(*parts: bytes) -> bytes:
    sized = b"".join(struct.pack(">i", len(part)) + part for part in parts)
    return b"#bundle\0" + struct.pack(">Q", 1) + sized


def unpacked(data: bytes) -> Received:
    address, at = _read_text(data, 0)
    tags, at = _read_text(data, at)
    assert tags.startswith(",")
    values: list[Value] = []
    for tag in tags[1:]:
        assert tag in "ifs", f"{address} carries a {tag!r}"
        if tag == "s":
            text, at = _read_text(data, at)
            values.append(text)
        else:
            values.append(struct.unpack_from(">" + tag, data, at)[0])
            at += 4
    assert at == len(data)
    assert len(data) % 4 == 0
    return Received(address, tuple(values), len(data))


@dataclass
class OscClient:
    """Sends from one socket and gets its answers there (or at another, given to ``hello``)."""

    port: int
    door: socket.socket = field(init=False)
    heard: list[Received] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind(("127.0.0.1", 0))
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._numbers = itertools.count(1)

    def __enter__(self) -> OscClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.door.close()

    def number(self) -> int:
        return next(self._numbers)

    def send(self, address: str, tags: str = "", *values: Value) -> None:
        self.send_bytes(packed(address, tags, *values))

    def send_bytes(self, data: bytes) -> None:
        self.door.sendto(data, ("127.0.0.1", self.port))

    def receive(self, timeout_s: float = 20.0) -> Received:
        """The next message; kept in ``heard``."""
        self.door.settimeout(timeout_s)
        data, _ = self.door.recvfrom(65536)
        assert len(data) <= 1024
        message = unpacked(data)
        self.heard.append(message)
        return message

    def until(self, *addresses: str, timeout_s: float = 60.0) -> Received:
        """Read on until one of these comes; an error that nobody expects ends the test."""
        end = time.monotonic() + timeout_s
        while True:
            message = self.receive(max(end - time.monotonic(), 0.01))
            if message.address in addresses:
                return message
            assert message.address != "/dawlink/error", message

    def ask(self, address: str, tags: str, *values: Value, timeout_s: float = 60.0) -> Received:
        """Send a request with the next number, and wait for its last message."""
        req = self.number()
        self.send(address, "i" + tags, req, *values)
        return self.until_ended(req, timeout_s=timeout_s)

    def until_ended(self, req: int, timeout_s: float = 60.0) -> Received:
        """Read on until the last message of a request comes."""
        end = time.monotonic() + timeout_s
        while True:
            message = self.receive(max(end - time.monotonic(), 0.01))
            if _ends(message, req):
                return message

    def until_ready(self, timeout_s: float = 60.0) -> None:
        """Ask until its models are loaded."""
        end = time.monotonic() + timeout_s
        while self.ask("/dawlink/status", "").values[1] != "ready":
            assert time.monotonic() < end
            time.sleep(0.05)

    def silent(self, for_s: float = 0.3) -> bool:
        """Nothing comes for a while."""
        try:
            self.receive(for_s)
        except TimeoutError:
            return True
        return False


def _ends(message: Received, req: int) -> bool:
    last = message.address.endswith(("/done", "/end", "/welcome", "/pong", "/error", "/cancelled"))
    return last and message.values[0] == req


def _text(text: str) -> bytes:
    data = text.encode()
    return data + b"\0" * (4 - len(data) % 4)


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 4 - (end - at) % 4
