"""A device in Max: its script in an ES5 engine, and around it the patch, as its seam describes.

``udpsend`` and ``udpreceive`` are two real sockets: what is answered to the port that a packet
came from is never seen, only what comes to the port of ``udpreceive``. Everything reaches the
script one after another, in the low-priority queue.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.fake_live.es5 import Es5
from tests.fake_live.max_api import Atom, LiveApi, MaxDevice, RuleBroken
from tests.fake_live.max_osc import NotReceived, pack, unpack
from tests.fake_live.song import LiveSet

TICK_S = 0.1
OSC, LISTEN, PICTURE, SOUND, LATER, STORE = range(6)
LOOPBACK = "127.0.0.1"


class Udp:
    """``udpsend`` and ``udpreceive``."""

    def __init__(self) -> None:
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in: socket.socket | None = None
        self.target: tuple[str, int] = (LOOPBACK, 0)
        self.port = 0
        self.sent: list[tuple[str, list[Atom]]] = []
        self.received: list[tuple[str, list[Atom]]] = []
        self.dropped: list[str] = []
        #: A network that loses packets: told each one, says whether to lose it.
        self.lose: Callable[[str], bool] = lambda _address: False

    def listen(self, port: int) -> None:
        """Moves to another port; one that is taken is not told of, nothing arrives then."""
        self.stop_listening()
        self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.setblocking(False)
        try:
            self._in.bind((LOOPBACK, port))
        except OSError:
            self.stop_listening()
            return
        self.port = port

    def send(self, address: str, atoms: list[Atom]) -> None:
        packet = pack(address, atoms)
        if len(packet) > 1024:
            raise AssertionError(f"{address} has {len(packet)} bytes")
        self.sent.append((address, atoms))
        if not self.lose(address):
            self._out.sendto(packet, self.target)

    def receive(self, wait_s: float) -> list[tuple[str, list[Atom]]]:
        """What has arrived, or arrives within the time."""
        if self._in is None:
            time.sleep(wait_s)
            return []
        ready, _, _ = select.select([self._in], [], [], wait_s)
        came: list[tuple[str, list[Atom]]] = []
        while ready:
            try:
                packet = self._in.recv(65536)
            except BlockingIOError:
                break
            try:
                came.append(unpack(packet))
            except NotReceived as reason:
                self.dropped.append(str(reason))
        came = [message for message in came if not self.lose(message[0])]
        self.received += came
        return came

    def stop_listening(self) -> None:
        if self._in is not None:
            self._in.close()
        self._in, self.port = None, 0

    def close(self) -> None:
        self.stop_listening()
        self._out.close()


class Device:
    """A dawlink device on a track of the set. Use it as a context manager."""

    def __init__(self, live: LiveSet, scripts: Iterable[Path], *, engine_port: int = 0) -> None:
        self.live = live
        track = live.song.tracks[0] if live.song.tracks else live.song.create_audio_track()
        self.api = LiveApi(live, MaxDevice(track), self._call_back)
        self.udp = Udp()
        #: What each widget shows: "message" -> ["Press Suggest."], "row 1 title" -> [...].
        self.picture: dict[str, list[Atom]] = {}
        self.sound: list[list[Atom]] = []
        self.stored: list[Atom] = []
        self.console: list[str] = []
        self._later: deque[tuple[str, list[Atom]]] = deque()
        self._last_tick = time.monotonic()
        self._es5 = Es5(self._host)
        for script in scripts:
            self._es5.load(script)
        if engine_port:
            self.ui("engineport", engine_port)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            if kind is None:
                self.send("closing")
        finally:
            self._es5.close()
            self.udp.close()
            self.api.release()

    # What a person and Live do

    def start(self) -> None:
        """``live.thisdevice`` bangs, then the script is told."""
        self.api.ready = True
        self.send("ready")

    def ui(self, name: str, *values: Atom) -> None:
        """A control is used."""
        self.send("ui", name, *values)

    def send(self, name: str, *atoms: Atom, inlet: int = 0) -> None:
        """A message into the script; afterwards what it deferred has come back."""
        self._message(name, list(atoms), inlet)
        self._run_later()

    def until(self, come: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Lets Max run until ``come()``.

        Raises:
            AssertionError: it did not come; the picture and the console are told.
        """
        deadline = time.monotonic() + timeout_s
        while not come():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain; {self.told()}")
            self.run(0.02)
        self.check()

    def run(self, seconds: float) -> None:
        """Lets Max run for a while: packets, ticks, the transport."""
        deadline = time.monotonic() + seconds
        self._run_later()
        while (left := deadline - time.monotonic()) > 0:
            to_tick = self._last_tick + TICK_S - time.monotonic()
            for address, atoms in self.udp.receive(max(min(left, to_tick), 0.0)):
                self.send(address, *atoms, inlet=1)
            self._tick()

    def check(self) -> None:
        """Nothing that Max forbids was done, and nothing went to Max's console."""
        if self.api.broken or self.console:
            raise AssertionError(self.told())

    def shown(self, widget: str) -> str:
        return " ".join(str(atom) for atom in self.picture.get(widget, [])).strip()

    def told(self) -> str:
        return (
            f"picture {self.picture}, max console {self.console}, rules broken {self.api.broken}, "
            f"live console {self.live.world.console}, dropped {self.udp.dropped}, "
            f"last sent {self.udp.sent[-4:]}, last received {self.udp.received[-4:]}"
        )

    # What the patch does

    def _tick(self) -> None:
        now = time.monotonic()
        if not self.api.ready or now < self._last_tick + TICK_S:
            return
        self.live.song.pass_time(now - self._last_tick)
        self._last_tick = now
        self.send("tick")

    def _message(self, name: str, atoms: list[Atom], inlet: int) -> None:
        wish = {"do": "message", "name": name, "args": atoms, "inlet": inlet}
        self._es5.ask(wish)

    def _run_later(self) -> None:
        while self._later:
            name, atoms = self._later.popleft()
            self._message(name, atoms, 0)

    def _call_back(self, number: int, atoms: list[Atom]) -> None:
        self._es5.ask({"do": "callback", "number": number, "args": atoms})

    def _host(self, name: str, arguments: list[object]) -> object:
        if name == "post":
            self.console.append(str(arguments[0]))
            return None
        if name == "outlet":
            number, atoms = arguments
            return self._outlet(int(str(number)), list(atoms) if isinstance(atoms, list) else [])
        if name.startswith("_") or not hasattr(self.api, name):
            raise RuleBroken(f"no {name}")
        return getattr(self.api, name)(*arguments)

    def _outlet(self, number: int, atoms: list[Atom]) -> None:
        self.api.symbols |= {atom for atom in atoms if isinstance(atom, str)}
        if number == OSC:
            self._udpsend(atoms)
        elif number == LISTEN:
            self.udp.listen(int(atoms[1]))
        elif number == PICTURE:
            self._show(atoms)
        elif number == SOUND:
            self.sound.append(atoms)
            if atoms[0] == "load":
                self._load(str(atoms[1]))
        elif number == LATER:
            self._later.append(("deferred", atoms))
        elif number == STORE:
            self.stored = atoms
        else:
            raise RuleBroken(f"outlet {number}")

    def _udpsend(self, atoms: list[Atom]) -> None:
        if atoms[0] == "host":
            self.udp.target = (str(atoms[1]), self.udp.target[1])
        elif atoms[0] == "port":
            self.udp.target = (self.udp.target[0], int(atoms[1]))
        else:
            self.udp.send(str(atoms[0]), atoms[1:])

    def _show(self, atoms: list[Atom]) -> None:
        place, size = str(atoms[0]), 1
        if place == "row":
            place, size = " ".join(str(atom) for atom in atoms[:3]), 3
        self.picture[place] = atoms[size:]

    def _load(self, path: str) -> None:
        """``buffer~`` reads a file; it says so when there was one."""
        if Path(path).is_file():
            self._later.append(("loaded", []))
