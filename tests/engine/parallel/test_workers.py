from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import UnusableInput
from engine.parallel.workers import Ask, Finished, run_jobs

CHECKOUT = Path(__file__).parents[3]


class Counting:
    """Says how many jobs its process has done, and which process that is."""

    def __init__(self) -> None:
        self.jobs = 0

    def __call__(self, job: str, ask: Ask[str, str]) -> tuple[str, int, int]:
        self.jobs += 1
        if job == "raise":
            raise UnusableInput("Silent.", hint="Sing.", code="silent")
        if job == "die":
            os._exit(9)
        if job.startswith("die once"):
            mark = Path(job.removeprefix("die once "))
            if not mark.exists():
                mark.touch()
                os._exit(9)
        print("this must not reach stdout")
        return ask(job), self.jobs, os.getpid()


def answer(job: str, question: str) -> str:
    assert job == question
    return question.upper()


def done(jobs: list[str], **options: object) -> list[Finished[str, tuple[str, int, int]]]:
    return list(run_jobs(Counting(), jobs, answer=answer, **options))  # type: ignore[arg-type]


def test_one_worker_or_one_job_stays_in_this_process() -> None:
    for jobs, workers in ((["a", "b"], 1), (["a"], 4)):
        results = [finished.result for finished in done(jobs, workers=workers)]
        assert results == [(job.upper(), i, os.getpid()) for i, job in enumerate(jobs, 1)]


def test_processes_live_on_and_jobs_of_one_group_stay_together(
    capfd: pytest.CaptureFixture[str],
) -> None:
    jobs = [f"{name}{number}" for number in range(4) for name in "xy"]
    found = done(jobs, workers=2, group=lambda job: job[0])
    by_job = {finished.job: finished.result for finished in found}
    assert sorted(by_job) == sorted(jobs)
    assert all(result is not None and result[0] == job.upper() for job, result in by_job.items())
    processes = {job[0]: {r[2] for j, r in by_job.items() if r and j[0] == job[0]} for job in jobs}
    assert os.getpid() not in processes["x"] | processes["y"]
    assert len(processes["x"] | processes["y"]) == 2
    first = [finished.result[1] for finished in found[:2] if finished.result]
    assert max(finished.result[1] for finished in found if finished.result) > max(first)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "must not reach" in printed.err


def test_a_process_that_dies_takes_only_its_own_job(tmp_path: Path) -> None:
    once = f"die once {tmp_path / 'mark'}"
    found = {f.job: f.result for f in done(["a", "die", once, "b", "c"], workers=2)}
    assert found["die"] is None
    assert {job for job, result in found.items() if result is None} == {"die"}
    assert found[once] == (once.upper(), 1, found[once][2])  # type: ignore[index]


def test_an_error_of_the_work_itself_ends_the_run() -> None:
    with pytest.raises(UnusableInput) as caught:
        done(["raise", "a", "b"], workers=2)
    assert (caught.value.code, caught.value.hint) == ("silent", "Sing.")


SLEEPER = """
import sys, time, os
from pathlib import Path
from engine.parallel.workers import run_jobs
def work(job, ask):
    Path(job).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
if __name__ == "__main__":
    for _ in run_jobs(work, sys.argv[1:], workers=2, answer=lambda *_: None):
        pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    marks = [tmp_path / "one", tmp_path / "two"]
    starter = subprocess.Popen(
        [sys.executable, str(script), *map(str, marks)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: all(mark.exists() and mark.read_text() for mark in marks))
        starter.send_signal(how)
        _, errors = starter.communicate(timeout=20)
    finally:
        starter.kill()
    wait_for(lambda: not any(alive(int(mark.read_text())) for mark in marks))
    assert errors.count("Traceback") == (how == signal.SIGINT)  # the starter's own and no more


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
