"""Every address, asked by liblo's ``oscsendfile`` and ``oscsend`` and heard by its ``oscdump``."""

from __future__ import annotations

import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dawlink.osc.clients import clip_id_for
from dawlink.osc.messages import ANSWERS, REQUESTS
from engine.library.library import Library
from tests.dawlink.osc.conftest import Music
from tests.dawlink.osc.daemon import Running, start
from tests.dawlink.osc.music import MARKERS
from tests.ports import free_port

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("oscsend", "oscsendfile", "oscdump")),
    reason="liblo's tools are not installed (Debian: liblo-tools)",
)


READY = "/ready"


@dataclass(frozen=True)
class Ear:
    """``oscdump`` on a port of its own."""

    process: subprocess.Popen[str]
    port: int

    def until(self, *words: str) -> list[tuple[str, str]]:
        """(address, the rest of the line) up to the last of ``words`` that was waited for."""
        heard: list[tuple[str, str]] = []
        left = set(words)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            _, address, rest = (line.rstrip("\n") + "  ").split(" ", 2)
            if address == READY:
                continue
            heard.append((address, rest.strip()))
            left -= {word for word in left if f"{address} {rest}".startswith(word)}
            if not left:
                return heard
        raise AssertionError(f"oscdump ended; {left} never came")


@pytest.fixture
def ear() -> Iterator[Ear]:
    port = free_port()
    process = subprocess.Popen(
        ["oscdump", "-L", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    greeting = f"osc.udp://127.0.0.1:{port}/"
    made = Ear(process, port)
    while True:  # until it listens
        subprocess.run(["oscsend", greeting, READY], check=True)
        ready, _, _ = select.select([process.stdout], [], [], 0.1)
        if ready:
            break
    yield made
    process.terminate()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def sent(daemon: Running, folder: Path, *lines: str) -> None:
    """All messages from one socket, as one client."""
    file = folder / "messages.osc"
    file.write_text("".join(f"00000000.00000000 {line}\n" for line in lines))
    url = f"osc.udp://127.0.0.1:{daemon.port}/"
    subprocess.run(["oscsendfile", url, str(file)], check=True, stdout=subprocess.DEVNULL)


def test_every_address(daemon: Running, music: Music, ear: Ear, tmp_path: Path) -> None:
    clip = tmp_path / "voice.wav"
    shutil.copyfile(music.clip, clip)
    clip_id = clip_id_for(clip, warped=True, start=0.0, end=16.0)
    with Library.open(music.library) as library:
        stem = library.stems(roles=["harmonic"])[0].id
    about = f"{clip} 1 0 16 0 0"
    markers = [
        f"/dawlink/clip/warp isiiff 4 {clip_id} {i} {len(MARKERS)} {sec} {beat}"
        for i, (sec, beat) in enumerate(MARKERS)
    ]
    messages = [
        f"/dawlink/hello issiis 1 liblo 0.31 1 {ear.port} none",
        "/dawlink/ping i 2",
        "/dawlink/set/tempo f 120",
        "/dawlink/set/signature ii 4 4",
        "/dawlink/set/key is 9 Minor",
        f"/dawlink/set/project s {tmp_path}",
        f"/dawlink/clip isiffif 3 {about}",
        *markers,
        f"/dawlink/clip isiffif 5 {about}",
        f"/dawlink/clip/tempo isf 15 {clip_id} 2",
        f"/dawlink/suggest isis 6 {clip_id} 2 *",
        "/dawlink/suggest/get iii 7 6 1",
        f"/dawlink/audition issfi 8 {stem} {clip_id} 1 0",
        f"/dawlink/render issffs 9 {stem} {clip_id} 0 1 wav",
        "/dawlink/inserted iif 10 1 120",
        "/dawlink/status i 11",
        f"/dawlink/render issffs 12 {stem} {clip_id} 0 1024 wav",
        "/dawlink/cancel ii 13 12",
        "/dawlink/nothing i 14",
    ]
    used = {line.split()[0] for line in messages}
    assert used >= REQUESTS.keys() - {"/dawlink/bye"}
    sent(daemon, tmp_path, *messages)
    ends = (
        "/dawlink/welcome iissi 1 1 ", "/dawlink/pong isi 2 ", "/dawlink/clip/done isfisf 3 ",
        "/dawlink/clip/warp/done is 4 ", "/dawlink/clip/done isfisf 5 ",
        "/dawlink/suggest/end ii 6 4", "/dawlink/error iiss 7 5 ", "/dawlink/audition/done is 8 ",
        "/dawlink/render/done iiiiff 9 1 88200 44100 4.0", "/dawlink/inserted/done i 10",
        "/dawlink/status/done isiif 11 ", "/dawlink/cancelled i 12", "/dawlink/cancel/done i 13",
        "/dawlink/error iiss 14 2 ", "/dawlink/error iiss 15 1 ",
    )  # fmt: skip
    heard = ear.until(*ends)
    for address, rest in heard:
        assert rest.split(" ")[0] == ANSWERS[address].tags
    path = next(rest for address, rest in heard if address == "/dawlink/render/file")
    assert re.fullmatch(r'iss 9 "wav" ".*/Samples/Processed/dawlink/.*\.wav"', path)


def test_a_session_ends(daemon: Running, ear: Ear, tmp_path: Path) -> None:
    hello = f"/dawlink/hello issiis 1 liblo 0.31 1 {ear.port} none"
    sent(daemon, tmp_path, hello, "/dawlink/bye i 2")
    ear.until("/dawlink/welcome iissi 1 ", "/dawlink/bye/done i 2")


class Hand:
    """``oscsend``: a socket for every message, as a script in a shell has it."""

    def __init__(self, port: int, ear: Ear) -> None:
        self._url, self._ear = f"osc.udp://127.0.0.1:{port}/", ear
        self.asked: set[str] = set()
        self.heard: set[str] = set()

    def send(self, address: str, *arguments: object) -> None:
        self.asked.add(address)
        subprocess.run(["oscsend", self._url, address, *map(str, arguments)], check=True)

    def until(self, *words: str) -> str:
        """What came with the last of ``words``; every type tag is that of the contract."""
        lines = self._ear.until(*words)
        self.heard |= {address for address, _ in lines}
        for address, rest in lines:
            assert rest.split(" ")[0] == ANSWERS[address].tags
        return lines[-1][1]

    def ask(self, address: str, *arguments: object, answer: str) -> str:
        self.send(address, *arguments)
        return self.until(answer)


def test_every_message_from_a_socket_of_its_own(music: Music, ear: Ear, tmp_path: Path) -> None:
    """Every address there is, with the answer that it is there for, one after the other."""
    clip, library = tmp_path / "voice.wav", tmp_path / "library"
    shutil.copyfile(music.clip, clip)
    shutil.copytree(music.library, library)
    running = start(library, tmp_path)
    hand = Hand(running.port, ear)
    try:
        hello = ("issiis", 1, "liblo", "0.31", 1, ear.port, "none")
        hand.ask("/dawlink/hello", *hello, answer="/dawlink/welcome iissi 1 ")
        hand.ask("/dawlink/ping", "i", 2, answer="/dawlink/pong isi 2 ")
        _set_up_and_ask(hand, clip, tmp_path)
        hand.ask("/dawlink/nothing", "i", 30, answer="/dawlink/error iiss 30 2 ")
        with Library.open(library) as opened:
            opened.remove(opened.song_ids()[0])
        hand.until("/dawlink/event/library i 3")
        running.process.terminate()
        hand.until("/dawlink/event/shutdown ")
    finally:
        running.stop()
    assert hand.asked - {"/dawlink/nothing"} == REQUESTS.keys() - {"/dawlink/bye"}
    assert hand.heard == ANSWERS.keys() - {"/dawlink/bye/done"}  # see test_a_session_ends


def _set_up_and_ask(hand: Hand, clip: Path, folder: Path) -> None:
    hand.send("/dawlink/set/tempo", "f", 120)
    hand.send("/dawlink/set/signature", "ii", 4, 4)
    hand.send("/dawlink/set/key", "is", 9, "Minor")
    hand.send("/dawlink/set/project", "s", folder)
    done = "/dawlink/clip/done isfisf"
    heard = hand.ask("/dawlink/clip", "isiffif", 3, clip, 0, 0, 8, 0, 0, answer=f"{done} 3 ")
    unwarped = heard.split('"')[1]
    hand.ask(
        "/dawlink/clip/tempo", "isf", 4, unwarped, 0.5, answer="/dawlink/clip/tempo/done isf 4"
    )
    about = (clip, 1, 0, 16, 0, 0)
    name = hand.ask("/dawlink/clip", "isiffif", 5, *about, answer=f"{done} 5 ").split('"')[1]
    for index, (sec, beat) in enumerate(MARKERS):
        hand.send("/dawlink/clip/warp", "isiiff", 6, name, index, len(MARKERS), sec, beat)
    hand.until(f'/dawlink/clip/warp/done is 6 "{name}"')
    hand.ask("/dawlink/clip", "isiffif", 7, *about, answer=f'{done} 7 "{name}"')
    hand.ask("/dawlink/suggest", "isis", 8, name, 2, "*", answer="/dawlink/suggest/end ii 8 4")
    hand.send("/dawlink/suggest/get", "iii", 9, 8, 2)
    hits = [hand.until("/dawlink/suggest/hit ") for _ in ("harmonic", "percussion")]
    assert all(hit.split(" ")[1:3] == ["9", "2"] for hit in hits)
    hand.until("/dawlink/suggest/end ii 9 2")
    stem = hits[0].split('"')[1]
    loop = hand.ask(
        "/dawlink/audition", "issfi", 10, stem, name, 1, 1, answer="/dawlink/audition/done is 10 "
    )
    assert Path(loop.split('"')[1]).is_file()
    render = ("/dawlink/render", "issffs")
    hand.ask(*render, 11, stem, name, 0, 1, "wav", answer="/dawlink/render/done iiiiff 11 1 88200")
    hand.ask("/dawlink/inserted", "iif", 12, 1, 120, answer="/dawlink/inserted/done i 12")
    hand.send(*render, 13, stem, name, 0, 1024, "wav")
    hand.until("/dawlink/render/progress ifi 13 ")
    hand.ask("/dawlink/status", "i", 14, answer='/dawlink/status/done isiif 14 "ready" 1 4 ')
    hand.send("/dawlink/cancel", "ii", 15, 13)
    hand.until("/dawlink/cancelled i 13", "/dawlink/cancel/done i 15")
