"""Every address, asked by liblo's ``oscsendfile`` and ``oscsend`` and heard by its ``oscdump``."""

from __future__ import annotations

import re
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dawlink.osc.clients import clip_id_for
from dawlink.osc.messages import ANSWERS, REQUESTS
from engine.library.library import Library
from tests.dawlink.osc.conftest import Music
from tests.dawlink.osc.daemon import Running
from tests.dawlink.osc.music import MARKERS

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
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
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


def test_every_message_from_a_socket_of_its_own(
    daemon: Running, music: Music, ear: Ear, tmp_path: Path
) -> None:
    clip = tmp_path / "voice.wav"
    shutil.copyfile(music.clip, clip)
    url = f"osc.udp://127.0.0.1:{daemon.port}/"

    def send(address: str, *arguments: object) -> None:
        subprocess.run(["oscsend", url, address, *map(str, arguments)], check=True)

    send("/dawlink/hello", "issiis", 1, "liblo", "0.31", 1, ear.port, "none")
    ear.until("/dawlink/welcome iissi 1 ")
    send("/dawlink/set/tempo", "f", 120)
    send("/dawlink/clip", "isiffif", 2, clip, 0, 0, 0, 0, 0)
    (*_, (_, rest)) = ear.until("/dawlink/clip/done isfisf 2 ")
    clip_id = rest.split('"')[1]
    send("/dawlink/suggest", "isis", 3, clip_id, 1, "harmonic percussion")
    ear.until("/dawlink/suggest/end ii 3 ")
    send("/dawlink/ping", "i", 4)
    send("/dawlink/nothing", "i", 5)
    ear.until("/dawlink/pong isi 4 ", "/dawlink/error iiss 5 2 ")
