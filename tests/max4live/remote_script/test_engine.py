"""The script's line to the engine, against an engine that loses, refuses and lies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.max4live.remote_script.loading import part

engine, osc = part("engine"), part("osc")


class Other:
    """A socket on the loopback that plays the engine by hand."""

    def __init__(self) -> None:
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind(("127.0.0.1", 0))
        self.door.settimeout(5)
        self.client = ("127.0.0.1", 0)

    @property
    def port(self) -> int:
        return int(self.door.getsockname()[1])

    def heard(self) -> tuple[str, list[object]]:
        packet, self.client = self.door.recvfrom(65536)
        address, values = osc.unpack(packet)
        return address, values

    def say(self, address: str, *values: object) -> None:
        self.door.sendto(osc.pack(address, values), self.client)


class Line:
    """The script's side, connected."""

    def __init__(self, other: Other) -> None:
        self.said: list[str] = []
        self.engine = engine.Engine(other.port, self.said.append)
        self.engine.tick()
        address, values = other.heard()
        assert (address, values[1], values[3:5]) == ("/dawlink/hello", "live-remote-script", [1, 0])
        other.say("/dawlink/welcome", values[0], 1, "0.1.0", "", 7)
        self.engine.tick()

    def ask(self, *messages: list[object], wait_ticks: int = 10) -> list[object]:
        """Starts a job with one request; what becomes of it is put into the list."""
        outcome: list[object] = []

        def job() -> Iterator[object]:
            try:
                answer = yield engine.Ask("/dawlink/x", *messages, wait_ticks=wait_ticks)
                outcome.append((answer.values, answer.parts))
            except engine.EngineError as error:
                outcome.append((error.code, error.sentence))

        self.job = job()
        self.engine.start(self.job)
        return outcome

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.engine.tick()


@pytest.fixture
def other() -> Iterator[Other]:
    made = Other()
    yield made
    made.door.close()


@pytest.fixture
def line(other: Other) -> Iterator[Line]:
    made = Line(other)
    yield made
    made.engine.close()


def numbers(other: Other, count: int) -> list[object]:
    """The numbers of the next so many requests for ``/dawlink/x``."""
    found: list[object] = []
    while len(found) < count:
        address, values = other.heard()
        if address == "/dawlink/x":
            found.append(values[0])
    return found


def test_it_is_connected(line: Line) -> None:
    assert line.engine.connected
    assert line.said == ["Engine connected, 7 songs."]


def test_a_request_is_repeated_under_its_number_until_it_is_answered(
    line: Line, other: Other
) -> None:
    outcome = line.ask(["a"])
    line.ticks(25)
    first, *again = numbers(other, 3)
    assert again == [first, first]
    other.say("/dawlink/x/part", first, 1)
    other.say("/dawlink/x/done", first, "b")
    line.ticks(1)
    assert outcome == [(["b"], [("/dawlink/x/part", [1])])]
    other.say("/dawlink/x/done", first, "c")  # a late copy
    line.ticks(1)
    assert len(outcome) == 1


def test_it_gives_up_with_a_sentence(line: Line) -> None:
    outcome = line.ask(["a"])
    line.ticks(60)
    assert outcome == [(0, engine.NOT_RUNNING)]


def test_long_work_is_waited_for_while_pings_are_answered(line: Line, other: Other) -> None:
    outcome = line.ask(["a"], wait_ticks=engine.LONG_TICKS)
    other.door.settimeout(0)
    for _ in range(60):  # a minute, many times as long as five tries
        line.ticks(10)
        _answer_pings(other)
    assert outcome == []
    line.ticks(300)  # now the engine is silent altogether
    assert outcome == [(0, engine.NOT_RUNNING)]


def _answer_pings(other: Other) -> None:
    while True:
        try:
            address, values = other.heard()
        except BlockingIOError:
            return
        if address == "/dawlink/ping":
            other.say("/dawlink/pong", values[0], "0.1.0", 1)


@pytest.mark.parametrize("value", ["/" + "x" * 1100, "a\0b", 1e300])
def test_what_no_message_can_hold_is_a_sentence(line: Line, value: object) -> None:
    outcome = line.ask([value])
    ((code, sentence),) = outcome
    assert code == 1
    assert str(sentence).startswith("The engine cannot be told that")
    line.ticks(100)
    assert len(outcome) == 1
    with pytest.raises(engine.EngineError):
        line.engine.tell("/dawlink/set/project", value)


def test_what_comes_meanwhile_restarts_the_clock(line: Line, other: Other) -> None:
    outcome = line.ask(["a"])
    (number,) = numbers(other, 1)
    for _ in range(10):
        line.ticks(8)
        other.say("/dawlink/x/progress", number, 0.5)
    line.ticks(1)
    assert outcome == []


def test_all_messages_of_a_request_have_one_number(line: Line, other: Other) -> None:
    line.ask(["a"], ["b"], ["c"])
    assert len(set(numbers(other, 3))) == 1


def test_a_refusal_is_thrown_into_the_job(line: Line, other: Other) -> None:
    outcome = line.ask(["a"])
    (number,) = numbers(other, 1)
    other.say("/dawlink/error", number, 3, "missing_file", "It is not there.")
    line.ticks(1)
    assert outcome == [(3, "It is not there.")]


def test_only_the_engine_is_listened_to(line: Line, other: Other) -> None:
    outcome = line.ask(["a"])
    (number,) = numbers(other, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(osc.pack("/dawlink/x/done", [number]), other.client)
    for noise in (b"", b"noise", bytes(1500), b"/x\0\0,h\0\0" + bytes(8)):
        other.door.sendto(noise, other.client)
    other.say("/dawlink/error")
    other.say("/dawlink/error", number)
    line.ticks(1)
    assert outcome == [(9, "Engine error.")]


def test_a_shutdown_ends_what_is_open(line: Line, other: Other) -> None:
    outcome = line.ask(["a"])
    numbers(other, 1)
    other.say("/dawlink/event/shutdown")
    line.ticks(1)
    assert not line.engine.connected
    assert [code for code, _ in outcome] == [0]  # type: ignore[misc]


def test_a_stopped_job_is_cancelled_at_the_engine(line: Line, other: Other) -> None:
    outcome = line.ask(["a"])
    (number,) = numbers(other, 1)
    line.engine.stop(line.job)
    address, values = other.heard()
    assert (address, values[1]) == ("/dawlink/cancel", number)
    other.say("/dawlink/x/done", number)
    line.ticks(1)
    assert outcome == []


def test_it_looks_for_the_engine_until_there_is_one(other: Other) -> None:
    said: list[str] = []
    one: ModuleType = engine.Engine(other.port, said.append)
    for _ in range(120):
        one.tick()
    greetings = []
    other.door.setblocking(False)
    while True:
        try:
            greetings.append(osc.unpack(other.door.recv(65536))[0])
        except BlockingIOError:
            break
    assert len(greetings) > 5
    assert set(greetings) == {"/dawlink/hello"}
    one.close()
