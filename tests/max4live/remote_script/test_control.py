"""Commands from OSC and from the page, and what must not get through."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.max4live.remote_script.loading import part
from tests.ports import free_port

control, clip, osc = part("control"), part("clip"), part("osc")


class FakeWork:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.said: list[str] = []

    def state(self) -> dict[str, object]:
        return {"done": len(self.done)}

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def suggest(self, roles: str) -> None:
        self.done.append(f"suggest {roles}")

    def pick(self, number: int) -> None:
        self.done.append(f"pick {number}")

    def keep(self) -> None:
        raise clip.Refused("Nothing was tried.")

    def __getattr__(self, name: str) -> object:
        return lambda: self.done.append(name)


class Doors:
    """Both controls on one port."""

    def __init__(self, work: FakeWork) -> None:
        self.work, self.port = work, free_port()
        commands = control.Commands(work)
        self.osc, self.page = (
            control.OscControl(self.port, commands),
            control.PageControl(self.port, commands),
        )

    def tell(self, packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(packet, ("127.0.0.1", self.port))
        self.osc.tick()

    def ask(self, *parts: bytes) -> bytes:
        """The answer to a request that comes in parts, with a tick after each."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            for piece in parts:
                client.sendall(piece)
                self.page.tick()
            heard = b""
            while part_of := client.recv(65536):
                heard += part_of
            return heard

    def request(self, line: str, *headers: str) -> tuple[int, bytes]:
        text = "\r\n".join([f"{line} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *headers, "", ""])
        heard = self.ask(text.encode())
        return int(heard.split()[1]), heard.split(b"\r\n\r\n", 1)[1]


@pytest.fixture
def doors() -> Iterator[Doors]:
    both = Doors(FakeWork())
    yield both
    both.osc.close()
    both.page.close()


def test_commands_come_as_osc(doors: Doors) -> None:
    doors.tell(osc.pack("/dawlink/live/suggest", ["bass"]))
    doors.tell(osc.pack("/dawlink/live/pick", [3]))
    doors.tell(osc.pack("/dawlink/live/next", []))
    doors.tell(osc.pack("/dawlink/live/try", []))
    doors.tell(osc.pack("/dawlink/live/insert", []))
    assert doors.work.done == ["suggest bass", "pick 3", "next", "try_out", "insert"]


def test_a_refusal_is_said(doors: Doors) -> None:
    doors.tell(osc.pack("/dawlink/live/keep", []))
    assert doors.work.said == ["Nothing was tried."]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"noise",
        bytes(2000),
        osc.pack("/dawlink/live/pick", ["many"]),
        osc.pack("/dawlink/live/pick", [-1]),
        osc.pack("/dawlink/live/pick", ["\u00b2"]),
        osc.pack("/dawlink/live/__class__", []),
        osc.pack("/dawlink/live/state", []),
        osc.pack("/other/next", []),
    ],
)
def test_other_packets_do_nothing(doors: Doors, packet: bytes) -> None:
    doors.tell(packet)
    assert doors.work.done == []


def test_the_page_its_state_and_a_command(doors: Doors) -> None:
    status, page = doors.request("GET /")
    assert status == 200
    assert b"<title>dawlink</title>" in page
    status, body = doors.request("POST /do/suggest?value=harmonic%20percussion", "X-DawLink: 1")
    assert (status, json.loads(body)) == (200, {"done": 1})
    assert doors.work.done == ["suggest harmonic percussion"]
    assert doors.request("GET /state") == (200, b'{"done": 1}')


def test_a_page_on_the_web_gets_nothing_done(doors: Doors) -> None:
    """A form or script of another origin cannot set the header; a rebound name shows in Host."""
    assert doors.request("POST /do/insert")[0] == 403
    assert doors.request("GET /do/insert", "X-DawLink: 1")[0] == 404
    assert doors.request("OPTIONS /do/insert", "Origin: http://evil.test")[0] == 404
    rebound = f"POST /do/insert HTTP/1.1\r\nHost: evil.test:{doors.port}\r\nX-DawLink: 1\r\n\r\n"
    assert doors.ask(rebound.encode()).startswith(b"HTTP/1.1 403 ")
    assert doors.work.done == []


def test_unknown_paths_are_not_there(doors: Doors) -> None:
    assert doors.request("GET /../script.py")[0] == 404
    assert doors.request("POST /do/state", "X-DawLink: 1")[0] == 404


def test_a_request_in_pieces_is_waited_for(doors: Doors) -> None:
    whole = f"GET /state HTTP/1.1\r\nHost: localhost:{doors.port}\r\n\r\n".encode()
    assert doors.ask(whole[:9], whole[9:30], whole[30:]).startswith(b"HTTP/1.1 200 ")


def test_too_long_a_request_is_hung_up_on(doors: Doors) -> None:
    assert doors.ask(b"GET /" + b"x" * 4000, b"x" * 4000) == b""


def test_connections_that_say_nothing_keep_nobody_out_for_ever(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [socket.create_connection(("127.0.0.1", doors.port)) for _ in range(8)]
    doors.page.tick()
    now = control.time.monotonic()
    monkeypatch.setattr(control.time, "monotonic", lambda: now + 3.0)
    doors.page.tick()
    assert doors.request("GET /state")[0] == 200
    for one in silent:
        one.close()
