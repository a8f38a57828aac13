"""The contract of every executor: processes of this machine, and the workers of a cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import DawlinkError, UnusableInput
from engine.parallel.cluster import DaskCluster
from engine.parallel.ground import Ground
from engine.parallel.workers import Executor, Finished, LocalProcesses
from tests.clusters import LocalCluster, wait_for
from tests.engine.parallel.test_workers import Counting, answer
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")


@pytest.fixture(params=["processes", "cluster"])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "processes":
        return LocalProcesses(2)
    running: LocalCluster = request.getfixturevalue("cluster")
    return DaskCluster(running.address)


def done(executor: Executor, jobs: list[str]) -> list[Finished[str, tuple[str, int, int]]]:
    return list(executor.run(Counting(), jobs, answer=answer))


def test_every_job_is_answered_and_done_once_elsewhere(executor: Executor) -> None:
    jobs = [f"job {number}" for number in range(8)]
    found = done(executor, jobs)
    assert sorted(finished.job for finished in found) == jobs
    results = {finished.job: finished.result for finished in found}
    assert all(result is not None and result[0] == job.upper() for job, result in results.items())
    processes = {result[2] for result in results.values() if result}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert max(result[1] for result in results.values() if result) > 1  # work is kept
    assert done(executor, []) == []


def test_an_error_of_the_work_ends_the_run_with_its_words(executor: Executor) -> None:
    with pytest.raises(UnusableInput) as caught:
        done(executor, ["raise", "a", "b"])
    assert (caught.value.code, caught.value.hint) == ("silent", "Sing.")
    assert [finished.result is not None for finished in done(executor, ["a", "b"])] == [True, True]


def test_a_process_that_dies_takes_only_its_own_job(executor: Executor, tmp_path: Path) -> None:
    once = f"die once {tmp_path / 'mark'}"
    found = done(executor, ["a", "die", once, "b"])
    assert sorted(finished.job for finished in found) == sorted(["a", "die", once, "b"])
    results = {finished.job: finished.result for finished in found}
    assert {job for job, result in results.items() if result is None} == {"die"}


def test_a_run_can_be_stopped(executor: Executor) -> None:
    run = executor.run(Counting(), [f"job {n}" for n in range(6)], answer=answer)
    next(run)
    run.close()
    assert len(done(executor, ["a", "b"])) == 2


class Slow:
    """Marks its beginning, works, asks whether it may publish, publishes."""

    def __call__(self, job: str, ask: object) -> int:
        assert callable(ask)
        folder = Path(job)
        (folder / f"begun {os.getpid()}").touch()
        while not (folder / "go on").exists():
            time.sleep(0.02)
        ask("publish?")
        (folder / f"published {os.getpid()}").touch()
        return os.getpid()


def names(folder: Path, kind: str) -> set[int]:
    return {int(path.name.split()[1]) for path in folder.glob(f"{kind} *")}


def test_a_worker_that_was_given_up_for_lost_does_not_publish(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    (tmp_path / "cluster").mkdir()
    with LocalCluster(tmp_path / "cluster", worker_ttl="3s", nannies=False) as running:
        run = DaskCluster(running.address).run(Slow(), [str(folder)], answer=lambda *_: True)
        thread = threading.Thread(target=lambda: list(run))
        thread.start()
        wait_for(lambda: names(folder, "begun"))
        (stopped,) = names(folder, "begun")
        os.kill(stopped, signal.SIGSTOP)
        try:
            wait_for(lambda: len(names(folder, "begun")) == 2, seconds=90)
            (folder / "go on").touch()
            thread.join(60)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert not thread.is_alive()
        (other,) = names(folder, "begun") - {stopped}
        time.sleep(2.0)
        assert names(folder, "published") == {other}


def refusal(cluster: DaskCluster, ground: Ground = Ground()) -> DawlinkError:  # noqa: B008
    with pytest.raises(DawlinkError) as caught:
        list(cluster.run(Counting(), ["a"], answer=answer, ground=ground))
    assert caught.value.hint
    return caught.value


def test_a_cluster_that_cannot_do_the_run_is_refused(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = DaskCluster(cluster.address)
    missing = refusal(here, Ground((tmp_path, tmp_path / "not shared")))
    assert (missing.code, missing.exit_code) == ("cluster_paths", 6)
    assert "not shared" in missing.message
    monkeypatch.setattr("engine.parallel.cluster.socket.gethostname", lambda: "elsewhere")
    alone = refusal(here, Ground(one_machine="A library in a folder serves one machine"))
    assert (alone.code, alone.exit_code) == ("library_not_shared", 6)
    monkeypatch.setattr("engine.parallel.cluster.own_build", lambda: "0123456789ab")
    other = refusal(here)
    assert (other.code, other.exit_code) == ("cluster_version", 4)
    silent = refusal(DaskCluster(f"tcp://127.0.0.1:{free_port()}"))
    assert (silent.code, silent.exit_code) == ("cluster_unreachable", 5)


def test_workers_without_dawlink_or_none_at_all_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.parallel.cluster._CONNECT_S", 3)
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("")
    with LocalCluster(tmp_path, workers=0) as running:
        wait_for(lambda: running.pids() == {})
        empty = refusal(DaskCluster(running.address))
        assert (empty.code, empty.exit_code) == ("no_workers", 5)
        assert f"dask worker {running.address}" in empty.hint
        running.start_worker("stranger", PYTHONPATH=str(tmp_path))
        wait_for(lambda: len(running.pids()) == 1)
        strange = refusal(DaskCluster(running.address))
        assert (strange.code, strange.exit_code) == ("cluster_version", 4)
