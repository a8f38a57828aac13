"""Batches in processes of their own: several lines at once, interrupted and killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dawlink.batch.state import STATE_NAME
from tests.busy_folders import paths_below, waves_below
from tests.dawlink.batch.conftest import Batch, Music, outputs, write_plan

CHECKOUT = Path(__file__).parents[3]
KILLS = 2

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")


def make_plan(music: Music, folder: Path, *, lines: int) -> Path:
    tempos = range(100, 100 + lines)
    line = {"clip": str(music.clip), "roles": "drums", "render_clip": False}
    return write_plan(folder / "plan.jsonl", [{**line, "tempo": tempo} for tempo in tempos])


@contextlib.contextmanager
def started(plan: Path, out: Path, music: Music, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dawlink", "--library", str(music.library), "batch"]
    command += [str(plan), "--out", str(out), "--jobs", "2", "--json", *options]
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_files(process: subprocess.Popen[str], out: Path, *, more_than: int) -> None:
    """Until the batch has begun to write more than was there."""
    deadline = time.monotonic() + 60
    while process.poll() is None and len(waves_below(out)) <= more_than:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def leftovers(out: Path) -> list[Path]:
    return [path for path in paths_below(out) if "part-" in path.name]


def test_killed_at_any_moment_it_goes_on_and_every_output_is_there_once(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    plan, out = make_plan(music, tmp_path, lines=5), tmp_path / "out"
    moments = random.Random(11)
    for _ in range(KILLS):
        with started(plan, out, music) as process:
            wait_for_files(process, out, more_than=len(waves_below(out)))
            time.sleep(moments.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
    ran = batch(plan, out, "--json")
    assert ran.code == 0, ran.stderr
    assert leftovers(out) == []
    straight = batch(plan, tmp_path / "straight", "--json")
    assert straight.statuses == ["done"] * 5
    assert outputs(out) == outputs(tmp_path / "straight")
    assert batch(plan, out, "--json").statuses == ["skipped"] * 5


def test_ctrl_c_ends_everything_at_once_and_keeps_what_is_done(
    batch: Batch, music: Music, tmp_path: Path
) -> None:
    plan, out = make_plan(music, tmp_path, lines=4), tmp_path / "out"
    with started(plan, out, music) as process:
        assert process.stdout is not None
        assert '"status": "done"' in process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to every process
        printed, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "error: Interrupted.\n"
    assert '"summary"' not in printed
    assert leftovers(out) == []
    assert (out / STATE_NAME).is_file()
    ran = batch(plan, out, "--json")
    assert ran.code == 0
    assert "skipped" in ran.statuses


def test_a_killed_worker_costs_only_a_second_try(music: Music, tmp_path: Path) -> None:
    plan, out = make_plan(music, tmp_path, lines=2), tmp_path / "out"
    with started(plan, out, music) as process:
        wait_for_files(process, out, more_than=0)
        folder = next(path for path in out.glob("*/.dawlink-part-*"))
        pid = folder.name.removeprefix(".dawlink-part-").split("-")[0]
        os.kill(int(pid), signal.SIGKILL)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert printed.count('"status": "done"') == 2
    assert leftovers(out) == []
