"""Batches on a cluster of two workers, one of which is killed half-way."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from dawlink.batch.state import STATE_NAME
from dawlink.cli.main import main
from tests.clusters import LocalCluster, wait_for
from tests.dawlink.batch.conftest import Batch, Music, outputs
from tests.dawlink.batch.test_killed import leftovers, make_plan, started
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")


def test_a_killed_worker_loses_nothing_and_nothing_is_rendered_twice(
    batch: Batch, music: Music, cluster: LocalCluster, tmp_path: Path
) -> None:
    plan, out = make_plan(music, tmp_path, lines=6), tmp_path / "out"
    with started(plan, out, music, "--cluster", cluster.address) as process:
        wait_for(lambda: list(out.glob("*/.dawlink-part-*")), seconds=120)
        folder = next(iter(out.glob("*/.dawlink-part-*")))
        pid = int(folder.name.removeprefix(".dawlink-part-").split("-")[0])
        assert pid in cluster.pids().values()
        os.kill(pid, signal.SIGKILL)
        printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    told = [json.loads(line) for line in printed.splitlines()]
    assert sorted(item["line"] for item in told[:-1]) == [1, 2, 3, 4, 5, 6]
    assert {item["status"] for item in told[:-1]} == {"done"}
    assert leftovers(out) == []
    events = [json.loads(line) for line in (out / STATE_NAME).read_text().splitlines() if line]
    done = [event["key"] for event in events if event["event"] == "done"]
    assert len(done) == len(set(done)) == 6

    straight = batch(plan, tmp_path / "straight", "--json")
    assert straight.statuses == ["done"] * 6
    assert outputs(out) == outputs(tmp_path / "straight")
    again = batch(plan, out, "--cluster", cluster.address, "--json")
    assert again.statuses == ["skipped"] * 6


def test_a_cluster_that_is_not_there_or_not_installed_is_told(
    batch: Batch, music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(music, tmp_path, lines=1)
    monkeypatch.setattr("engine.parallel.cluster._CONNECT_S", 2)
    silent = batch(plan, tmp_path / "out", "--cluster", f"tcp://127.0.0.1:{free_port()}", "--json")
    assert (silent.code, silent.documents[-1]["error"]["code"]) == (5, "cluster_unreachable")
    wrong = batch(plan, tmp_path / "out", "--cluster", "somewhere", "--json")
    assert (wrong.code, wrong.documents[-1]["error"]["code"]) == (2, "bad_setting")
    monkeypatch.setitem(sys.modules, "distributed", None)
    missing = batch(plan, tmp_path / "out", "--cluster", "tcp://127.0.0.1:1", "--json")
    error = missing.documents[-1]["error"]
    assert (missing.code, error["code"]) == (4, "no_distributed")
    assert "pip install" in error["hint"]


def test_the_address_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAWLINK_CLUSTER", "tcp://studio:8786")
    assert main(["config", "show", "--origin", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["cluster"] == "tcp://studio:8786"
    assert document["origin"]["cluster"] == "DAWLINK_CLUSTER"
