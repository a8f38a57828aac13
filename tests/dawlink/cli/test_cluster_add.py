"""``add --cluster``: songs analysed by two workers into one library, a worker killed half-way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.library.library import Library
from engine.library.place import parse_place
from tests.clusters import CHECKOUT, LocalCluster, wait_for
from tests.dawlink.cli.sounds import drum_part, write
from tests.servers import Postgres

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
_TEMPOS = (100, 110, 120, 130)


def test_every_song_is_in_once_though_a_worker_is_killed(
    postgres: Postgres, cluster: LocalCluster, tmp_path: Path
) -> None:
    for tempo in _TEMPOS:
        write(tmp_path / "loops" / f"{tempo}.wav", drum_part(3.0, tempo_bpm=tempo))
    address = postgres.address(tmp_path / "studio")
    command = [sys.executable, "-m", "dawlink", "--library", address, "add", "loops"]
    command += ["--role", "drums", "--cluster", cluster.address, "--json"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(cluster.busy, seconds=120)
        os.kill(cluster.busy()[0], signal.SIGKILL)
        printed, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    *told, summary = [json.loads(line) for line in printed.splitlines()]
    assert sorted(item["title"] for item in told) == sorted(map(str, _TEMPOS))
    assert {item["status"] for item in told} <= {"added", "present"}  # present: at the second try
    assert summary["summary"]["songs"] == 4
    with Library.open(parse_place(address), create=False) as library:
        assert sorted(song.title for song in library.songs()) == sorted(map(str, _TEMPOS))
        assert len(library.stems()) == 4
        assert library.verify() == []
