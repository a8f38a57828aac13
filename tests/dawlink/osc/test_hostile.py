"""Whatever comes in, the daemon goes on, stays small and writes nowhere else."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dawlink.osc.client import OscClient, bundle, packed
from tests.dawlink.osc.conftest import Music, suggested, warped_clip
from tests.dawlink.osc.daemon import OWN_MEMORY, Running, memory_mb, start
from tests.dawlink.osc.hostile import Known, datagrams

#: By then every bounded cache is full and everything is loaded: what grows from here on is lost.
SETTLED = 10_000
#: What is watched after that, and how often at most: on a busy machine work comes late, and its
#: memory with it; what is lost is lost in every round.
ROUND, ROUNDS = 5_000, 3
BATCH = 100


@pytest.fixture
def own_daemon(music: Music, tmp_path: Path) -> Iterator[Running]:
    running = start(music.library, tmp_path)
    yield running
    running.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_hostile_datagrams(own_daemon: Running, music: Music) -> None:
    rng = random.Random(11)
    with own_daemon.client() as client, own_daemon.client() as attacker:
        client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
        attacker.send("/dawlink/set/tempo", "f", 120.0)
        clip_id = warped_clip(attacker, music.clip)
        known = Known(str(music.clip), clip_id, suggested(attacker, clip_id)[1][0])
        _work_once(attacker, known)
        before = {path for path in own_daemon.folder.rglob("*") if path.is_file()}
        stream = datagrams(rng, SETTLED + ROUNDS * ROUND, known)

        def most_held(count: int) -> float:
            """The most memory while so many more are sent [MB]."""
            held = 0.0
            for number, data in enumerate(itertools.islice(stream, count)):
                attacker.send_bytes(data)
                if number % BATCH == 0:  # wait until it has read them, or the kernel drops them
                    _pong(client)
                    held = max(held, memory_mb(own_daemon, *OWN_MEMORY))
            return held

        levels = [most_held(SETTLED)]
        while len(levels) <= ROUNDS:
            levels.append(most_held(ROUND))
            if levels[-1] - levels[-2] < 20:
                break
        assert levels[-1] - levels[-2] < 20, levels
        client.send("/dawlink/status", "i", 123456)
        status = client.until_ended(123456)
        assert status.values[1] == "ready"
    assert own_daemon.stop() == 0
    after = {path for path in own_daemon.folder.rglob("*") if path.is_file()}
    written = {path for path in after - before if "jobs.sqlite" not in path.name}
    assert all(path.is_relative_to(own_daemon.output) for path in written)
    assert not any(".part-" in str(path) or ".dawlink-part-" in str(path) for path in after)


def test_noise_is_passed_over_in_silence(daemon: Running) -> None:
    with daemon.client() as client:
        client.send_bytes(b"")
        client.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        client.send_bytes(b"/dawlink/ping\0\0\0,i\0\0")
        deep = packed("/dawlink/ping", "i", 1)
        for _ in range(40):
            deep = bundle(deep)
        client.send_bytes(deep)
        client.send_bytes(packed("/dawlink/ping", "i", 1) + bytes(60_000))
        client.send("/dawlink/ping", "i", 2)
        assert client.receive().values[0] == 2
        assert client.silent(0.1)


def _work_once(client: OscClient, known: Known) -> None:
    """Everything that is loaded when it is first needed is loaded before memory is looked at."""
    about = (known.clip, 0, 0.0, 0.0, 0, 0.0)
    client.ask("/dawlink/clip", "siffif", *about)
    client.ask("/dawlink/audition", "ssfi", known.stem, known.clip_id, 4.0, 1)
    client.ask("/dawlink/render", "ssffs", known.stem, known.clip_id, 0.0, 4.0, "wav clip mix")


def _pong(client: OscClient) -> None:
    client.send("/dawlink/ping", "i", 987654)
    while True:
        message = client.receive()
        if message.address == "/dawlink/pong" and message.values[0] == 987654:
            return
