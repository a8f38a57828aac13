"""How the daemon starts, ends, and is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import dawlink
from dawlink.osc.holder import named_holder
from engine.library.library import Library
from tests.busy_folders import waves_below
from tests.dawlink.osc.client import OscClient
from tests.dawlink.osc.conftest import Music, suggested, warped_clip
from tests.dawlink.osc.daemon import Running, command, environment, start
from tests.dawlink.osc.music import make_library


def test_shutdown_is_told_and_leaves_nothing(music: Music, tmp_path: Path) -> None:
    running = start(music.library, tmp_path)
    run_file = tmp_path / "run" / "dawlink" / f"engine-{running.port}.json"
    document = json.loads(run_file.read_text())
    assert (document["pid"], document["port"], document["protocol"]) == (
        running.process.pid,
        running.port,
        1,
    )
    with running.client() as client:
        client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
        clip_id = warped_clip(client, music.clip)
        stems = suggested(client, clip_id)[1][0]
        client.send("/dawlink/render", "issffs", 77, stems, clip_id, 0.0, 256.0, "wav")
        client.until("/dawlink/render/progress")
        running.process.send_signal(signal.SIGTERM)
        client.until("/dawlink/event/shutdown")
        last = client.until_ended(77)
        assert (last.address, last.values[1]) == ("/dawlink/error", 7)
    assert running.stop() == 0
    assert not run_file.exists()
    assert _states(running) == ["interrupted"]
    assert not [path for path in running.output.rglob("*") if path.is_file()]


def test_a_taken_port_names_its_holder(music: Music, tmp_path: Path) -> None:
    running = start(music.library, tmp_path)
    try:
        second = subprocess.run(
            command(music.library, "--port", str(running.port)),
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        running.stop()
    assert second.returncode == 5
    assert f"process id {running.process.pid}" in second.stderr


def test_a_port_that_another_program_has_names_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        ran = subprocess.run(
            command(tmp_path / "library", "--port", str(door.getsockname()[1])),
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 5
    named = f"(process id {os.getpid()})" if sys.platform == "linux" else "another program"
    assert named in ran.stderr


def test_an_engine_without_run_file_is_known_by_its_answer(music: Music, tmp_path: Path) -> None:
    running = start(music.library, tmp_path)
    shutil.rmtree(tmp_path / "run")
    try:
        holder = named_holder("127.0.0.1", running.port)
    finally:
        running.stop()
    assert holder.is_engine
    assert f"version {dawlink.__version__}" in holder.text


def test_shutdown_waits_for_no_analysis(music: Music, tmp_path: Path) -> None:
    """Of minutes of sound: it takes longer than anybody waits for a daemon to end."""
    rng = np.random.default_rng(1)
    noise = (0.1 * rng.standard_normal((240 * 44100, 2))).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, 44100)
    running = start(music.library, tmp_path)
    with running.client() as client:
        client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
        about = (str(tmp_path / "long.wav"), 0, 0.0, 0.0, 0, 0.0)
        client.send("/dawlink/clip", "isiffif", 77, *about)
        client.send("/dawlink/status", "i", 78)
        assert client.until_ended(78).values[2] == 1
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert client.until_ended(77).values[1:3] == (7, "shutdown")
    assert running.stop() == 0
    assert time.monotonic() - begun < 15
    assert not list((tmp_path / "run").rglob("*.json"))
    assert not list((music.library / "cache").rglob(".part-*"))


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--token", "two words")])
def test_an_open_door_needs_a_token(options: tuple[str, str], tmp_path: Path) -> None:
    ran = subprocess.run(
        command(tmp_path, "--port", "0", *options),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "token" in ran.stderr


def test_the_token_is_asked_for(music: Music, tmp_path: Path) -> None:
    running = start(music.library, tmp_path, "--token", "open")
    hello = ("/dawlink/hello", "ssiis", "test", "1", 1, 0)
    with running.client() as client:
        assert client.ask("/dawlink/ping", "").address == "/dawlink/pong"
        assert client.ask("/dawlink/status", "").values[1] == 10
        assert client.ask(*hello, "token=shut").values[1] == 10
        assert client.ask("/dawlink/status", "").values[1] == 10
        assert client.ask(*hello, "a token=open b").address == "/dawlink/welcome"
        assert client.ask("/dawlink/status", "").address == "/dawlink/status/done"
    assert running.stop() == 0


def test_a_library_that_comes_later_is_found(music: Music, tmp_path: Path) -> None:
    library = tmp_path / "later"
    running = start(library, tmp_path)
    with running.client() as client:
        assert client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "").values[4] == 0
        assert client.ask("/dawlink/status", "").values[1] == "no_library"
        clip = client.ask("/dawlink/clip", "siffif", str(music.clip), 0, 0.0, 0.0, 0, 0.0)
        assert (clip.address, clip.values[1]) == ("/dawlink/error", 5)
        make_library(library)
        client.until("/dawlink/event/library")
        clip_id = warped_clip(client, music.clip)
        assert suggested(client, clip_id)
    assert running.stop() == 0


def test_a_daemon_that_does_not_end_is_killed_and_its_output_closed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    deaf += "; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        Running(process, 0, tmp_path).stop(patience_s=0.2)
    assert process.stdout.closed
    assert process.returncode == -signal.SIGKILL


def test_killed_while_rendering_nothing_is_lost(tmp_path: Path, music: Music) -> None:
    rng = random.Random(5)
    for _ in range(2):
        running = start(music.library, tmp_path)
        with running.client() as client:
            clip_id = warped_clip(client, music.clip)
            stems = suggested(client, clip_id)[1][0]
            client.send("/dawlink/render", "issffs", 77, stems, clip_id, 0.0, 128.0, "wav")
            client.until("/dawlink/render/progress")
            time.sleep(rng.uniform(0.0, 0.5))
        running.process.kill()
        running.stop()
        assert _whole(running.output)
    running = start(music.library, tmp_path)
    with running.client() as client:
        _look(client)
    assert running.stop() == 0
    assert _states(running) == ["interrupted", "interrupted"]
    assert not list(running.output.rglob(".dawlink-part-*"))
    with Library.open(music.library) as library:
        assert not library.verify()


def _look(client: OscClient) -> None:
    """Until the library is open, and with it what killed engines left is cleared away."""
    client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")


def _states(running: Running) -> list[str]:
    with sqlite3.connect(running.jobs) as db:
        found = db.execute("SELECT state FROM jobs WHERE kind = 'render' ORDER BY id").fetchall()
    return [state for (state,) in found]


def _whole(folder: Path) -> bool:
    """Only files inside staging folders may be unfinished."""
    return all(
        any(part.startswith(".dawlink-part-") for part in path.parts)
        for path in waves_below(folder)
    )
