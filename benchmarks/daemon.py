"""How the engine daemon behaves: ``python -m benchmarks.daemon [start] [suggest] [ping] …``.

A real daemon in a process of its own is asked over UDP by this one.

- *start*: from the start of the process to the first pong and to the first answered suggest, and
  memory, on a library of 10 000 stems (synthetic rows in a real library).
- *suggest*: warm questions to it, from sending the request to the last packet of its answer.
- *ping*: how long pings take, idle and while two renders run.
- *audition*: 8 bars of two stereo stems, from the request until the file is there, never made
  before; and again from the cache.
- *hostile*: 200 000 datagrams that nobody means well with, and how much more memory is held after
  them than at most during the first 10 000, which fill every bounded cache.
- *crowd*: 50 clients with 20 requests each at once; each must end in exactly one last message.

Wall time on an otherwise idle machine. Results go to stdout and, with ``--json FILE``, to a file.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, run_parts
from benchmarks.speed import synthetic_library
from dawlink.demo import write_demo_vocal
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.library import Library
from tests.dawlink.osc.client import OscClient, Received, packed, unpacked
from tests.dawlink.osc.daemon import OWN_MEMORY, Running, environment, memory_mb, start
from tests.dawlink.osc.hostile import Known, datagrams
from tests.dawlink.osc.music import RATE, add_song

STEMS = 10_000
QUESTIONS = 300
PINGS = 1500
HOSTILE = 200_000
CLIENTS, REQUESTS_EACH = 50, 20
SONG_BARS = 64


def main() -> int:
    """Run the asked parts and print their figures."""
    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "start": started,
        "suggest": suggest,
        "ping": ping,
        "audition": audition,
        "hostile": hostile,
        "crowd": crowd,
    }
    return run_parts(parts, __doc__.splitlines()[0])


def started(folder: Path) -> list[Figure]:
    """From nothing to the first pong and the first suggestions, three times."""
    library = large_library(folder)
    vocal = write_demo_vocal(folder)
    pongs, answers, memory = [], [], []
    for number in range(4):
        begun = time.perf_counter()
        port = free_port()
        running = Popped(library, folder, port)
        with OscClient(port) as client:
            pongs.append(first_pong(client) - begun)
            about = (str(vocal), 0, 0.0, 0.0, 0, 0.0)
            clip = client.ask("/dawlink/clip", "siffif", *about).values[1]
            client.ask("/dawlink/suggest", "sis", clip, 10, "*")
            answers.append(time.perf_counter() - begun)
            memory.append(memory_mb(running, "VmRSS:"))
        running.stop()
        if number == 0:
            answers.clear()  # the clip was analysed for the first time
    return [
        Figure("start to first pong, worst of 4", max(pongs), "s", "< 1"),
        Figure(
            f"start to first suggest, {STEMS:,} stems, clip analysed before",
            max(answers),
            "s",
            "< 4",
        ),
        Figure("resident after it", max(memory), "MB", "< 700"),
    ]


def suggest(folder: Path) -> list[Figure]:
    """Warm questions, first packet sent to last packet received."""
    library = large_library(folder)
    vocal = write_demo_vocal(folder)
    with serving(library, folder) as running, running.client() as client:
        client.send("/dawlink/set/tempo", "f", 112.0)
        clip = client.ask("/dawlink/clip", "siffif", str(vocal), 0, 0.0, 0.0, 0, 0.0).values[1]
        for _ in range(5):
            client.ask("/dawlink/suggest", "sis", clip, 10, "*")
        times = []
        for _ in range(QUESTIONS):
            begun = time.perf_counter()
            end = client.ask("/dawlink/suggest", "sis", clip, 10, "*")
            times.append(1000 * (time.perf_counter() - begun))
            assert end.values[1] == 20, end
    label = f"suggest over OSC, {STEMS:,} stems, warm"
    return [
        Figure(f"{label}: median", float(np.median(times)), "ms", "< 50"),
        Figure(f"{label}: p99", float(np.quantile(times, 0.99)), "ms", "< 150"),
    ]


def ping(folder: Path) -> list[Figure]:
    """Pings, idle and while two renders run."""
    library = sounding_library(folder / "library")
    vocal = write_demo_vocal(folder)
    with serving(library, folder) as running, running.client() as client, running.client() as own:
        clip, stems = introduced(client, vocal)
        idle = pings(own)
        jobs = (8001, 8002)
        for req in jobs:
            client.send("/dawlink/render", "issffs", req, stems, clip, 0.0, 256.0, "wav")
        while sum(m.address == "/dawlink/render/progress" for m in client.heard) < 8:
            client.receive()
        busy = pings(own)
        client.send("/dawlink/status", "i", 8003)
        at_work = client.until_ended(8003).values[2]
        assert at_work == 2, f"{at_work} renders were running at the end"
        begun = time.perf_counter()
        client.send("/dawlink/cancel", "ii", 8004, jobs[0])
        client.until("/dawlink/cancelled")
        cancelled = 1000 * (time.perf_counter() - begun)
    return [
        Figure("ping, idle: p99", float(np.quantile(idle, 0.99)), "ms"),
        Figure("ping, two renders running: median", float(np.median(busy)), "ms"),
        Figure("ping, two renders running: p99", float(np.quantile(busy, 0.99)), "ms", "< 20"),
        Figure("cancel of a running render", cancelled, "ms"),
    ]


def audition(folder: Path) -> list[Figure]:
    """An audition that was never made and is not made ahead, in three fresh daemons."""
    library = sounding_library(folder / "library")
    vocal = write_demo_vocal(folder)
    fresh = []
    for _ in range(3):
        with serving(library, folder) as running, running.client() as client:
            for file in (library / "cache" / "auditions").glob("*.wav"):
                file.unlink()
            clip, stems = introduced(client, vocal)
            time.sleep(2.0)  # models are loaded
            begun = time.perf_counter()
            done = client.ask("/dawlink/audition", "ssfi", stems, clip, 8.0, 0)
            fresh.append(time.perf_counter() - begun)
            assert Path(str(done.values[1])).is_file()
            begun = time.perf_counter()
            client.ask("/dawlink/audition", "ssfi", stems, clip, 8.0, 0)
            cached = 1000 * (time.perf_counter() - begun)
    return [
        Figure(
            "first audition, 8 bars of two stems, median of 3",
            float(np.median(fresh)),
            "s",
            "< 1.5",
        ),
        Figure("the same from the cache", cached, "ms"),
    ]


def hostile(folder: Path) -> list[Figure]:
    """200 000 hostile datagrams, from somebody who knows a clip and a stem."""
    library = sounding_library(folder / "library", songs=2)
    vocal = write_demo_vocal(folder)
    rng = random.Random(1)
    with serving(library, folder) as running, running.client() as client, running.client() as bad:
        client.ask("/dawlink/hello", "ssiis", "bench", "1", 1, 0, "")
        clip, stems = introduced(bad, vocal)
        known = Known(str(vocal), clip, stems.split(" ")[0])
        before = files_in(folder)
        held = 0.0
        begun = time.perf_counter()
        for number, data in enumerate(datagrams(rng, HOSTILE, known)):
            bad.send_bytes(data)
            if number % 100 == 0:
                pong(client)
                if number <= HOSTILE // 20:  # then what is bounded is full
                    held = max(held, memory_mb(running, *OWN_MEMORY))
        took = time.perf_counter() - begun
        grown = memory_mb(running, *OWN_MEMORY) - held
        status = client.ask("/dawlink/status", "")
        assert status.values[1] == "ready", status
        new = {path for path in files_in(folder) - before if "jobs.sqlite" not in path.name}
        allowed = (library, running.output)
        written = {path for path in new if not any(map(path.is_relative_to, allowed))}
    return [
        Figure(f"{HOSTILE:,} hostile datagrams: memory grew by", grown, "MB", "< 20"),
        Figure(
            f"{HOSTILE:,} hostile datagrams: files written outside library and output folder",
            float(len(written)),
            "",
            "0",
        ),
        Figure("hostile datagrams a second", HOSTILE / took, "1/s"),
    ]


def crowd(folder: Path) -> list[Figure]:
    """50 clients × 20 requests at once, as a client does that sends again what stays unanswered."""
    library = sounding_library(folder / "library", songs=6)
    vocal = write_demo_vocal(folder)
    wrong: list[str] = []
    with serving(library, folder) as running:
        with running.client() as client:
            introduced(client, vocal)
        begun = time.perf_counter()
        threads = [
            threading.Thread(target=one_of_many, args=(running.port, vocal, seed, wrong))
            for seed in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
    for line in wrong[:5]:
        print(line, file=sys.stderr)
    total = CLIENTS * REQUESTS_EACH
    return [
        Figure(
            f"{total} requests of {CLIENTS} clients: not ended exactly once", len(wrong), "", "0"
        ),
        Figure(f"{total} requests of {CLIENTS} clients: time", took, "s"),
    ]


def one_of_many(port: int, vocal: Path, seed: int, wrong: list[str]) -> None:
    """One client: twenty requests at once, sent again while unanswered; counts their ends."""
    rng = random.Random(seed)
    with OscClient(port) as client:
        clip, stems = introduced(client, vocal)
        asked: dict[int, bytes] = {}
        for req in range(1000, 1000 + REQUESTS_EACH):
            kind = rng.choice(("suggest", "suggest", "status", "clip", "audition", "get"))
            made = {
                "suggest": ("/dawlink/suggest", "isis", req, clip, rng.randrange(1, 8), "*"),
                "status": ("/dawlink/status", "i", req),
                "clip": ("/dawlink/clip", "isiffif", req, str(vocal), 0, 0.0, 9.0, 0, 0.0),
                "audition": ("/dawlink/audition", "issfi", req, stems, clip, 1.0, 0),
                "get": ("/dawlink/suggest/get", "iii", req, 2, 1),
            }[kind]
            address, tags, *values = made
            asked[req] = packed(str(address), str(tags), *values)
        ends = dict.fromkeys(asked, 0)
        for data in asked.values():
            client.send_bytes(data)
        patience = 0
        while patience < 20 and (not all(ends.values()) or patience < 1):
            try:
                message = client.receive(3.0)
            except TimeoutError:
                patience += 1
                for req in (req for req, count in ends.items() if not count):
                    client.send_bytes(asked[req])
                continue
            last = message.address.endswith(("/done", "/end", "/error", "/cancelled"))
            if last and message.values[0] in ends:
                ends[int(message.values[0])] += 1
        wrong += [
            f"client {seed}: request {req} ended {n} times" for req, n in ends.items() if n != 1
        ]


class Popped:
    """A daemon that is not waited for: how long it takes to answer is what counts."""

    def __init__(self, library: Path, folder: Path, port: int) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dawlink",
                "--library",
                str(library),
                "serve",
                "--port",
                str(port),
            ],
            env=environment(folder),
            stdout=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def serving(library: Path, folder: Path) -> Iterator[Running]:
    """A daemon with its library open."""
    running = start(library, folder)
    try:
        with running.client() as client:
            client.ask("/dawlink/hello", "ssiis", "bench", "1", 1, 0, "")
            client.ask("/dawlink/bye", "")
        yield running
    finally:
        running.stop()


def large_library(folder: Path) -> Path:
    """10 000 stems that answer a question, without sound; kept between runs where told to."""
    kept = os.environ.get("DAWLINK_BENCH_LIBRARY")
    library = Path(kept) if kept else folder / "library"
    if not library.exists():
        synthetic_library(library, songs=STEMS // 4)
    return library


def sounding_library(folder: Path, songs: int = 12) -> Path:
    """Songs of stereo noise at several tempi: sound that costs what music costs to stretch."""
    rng = np.random.default_rng(4)
    with Library.open(folder) as library:
        for number in range(songs):
            bpm = 96.0 + 3.1 * number
            grid = BeatGrid(60 / bpm * np.arange(4 * SONG_BARS + 1))
            frames = round(float(grid.beats_s[-1]) * RATE)
            noise = (0.05 * rng.standard_normal((2, frames))).astype(np.float32)
            audio = {"harmonic": Waveform(noise, RATE), "drums": Waveform(0.7 * noise, RATE)}
            add_song(library, rng, f"Noise {number}", grid, audio)  # type: ignore[arg-type]
    return folder


def introduced(client: OscClient, vocal: Path) -> tuple[str, str]:
    """A clip id and the stems of the second rank."""
    client.send("/dawlink/set/tempo", "f", 112.0)
    about = (str(vocal), 0, 0.0, 0.0, 0, 0.0)
    clip = str(client.ask("/dawlink/clip", "siffif", *about).values[1])
    before = len(client.heard)
    client.ask("/dawlink/suggest", "sis", clip, 4, "*")
    hits = [m for m in client.heard[before:] if m.address == "/dawlink/suggest/hit"]
    return clip, " ".join(str(hit.values[2]) for hit in hits if hit.values[1] == 2)


def pings(client: OscClient) -> list[float]:
    """Milliseconds of so many pings, one after the other."""
    times = []
    for number in range(PINGS):
        begun = time.perf_counter()
        client.send("/dawlink/ping", "i", number)
        client.receive()
        times.append(1000 * (time.perf_counter() - begun))
        time.sleep(0.004)
    return times


def pong(client: OscClient) -> Received:
    """What came before this ping was read."""
    client.send("/dawlink/ping", "i", 31337)
    while True:
        message = client.receive()
        if message.address == "/dawlink/pong" and message.values[0] == 31337:
            return message


def first_pong(client: OscClient) -> float:
    """The moment of the first pong; a ping every 10 ms."""
    client.door.settimeout(0.01)
    while True:
        client.send("/dawlink/ping", "i", 0)
        try:
            data = client.door.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.005)
            continue
        assert unpacked(data).address == "/dawlink/pong"
        return time.perf_counter()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def files_in(folder: Path) -> set[Path]:
    """Every file below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
