"""Jobs in several processes, each of which lives on from job to job.

:class:`Executor` is the seam: processes of this machine, or the workers of a cluster
(:mod:`engine.parallel.cluster`). What follows is about the processes.

A process works on one job at a time, so when one dies it is known which job it was: that job runs
once more on its own after all others (perhaps memory ran out), and is reported as lost if its
process dies again. Processes start afresh ("spawn") with one thread for each numeric library,
leave Ctrl-C to the process that started them, write nothing to stdout, and end when it ends,
however that happens.

Work can ask its starter something on the way; it goes on when that is answered, and never does when
nobody is left to answer. What is asked before a step that cannot be taken back is therefore known
to the starter before it happens.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection as connections
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Final, Generic, Protocol, TypeVar, cast

from engine.parallel.ground import Ground

__all__ = ["Ask", "Executor", "Finished", "LocalProcesses", "Work", "run_jobs"]

Job = TypeVar("Job")
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

#: Threads of each numeric library in a worker: the processes are the parallelism.
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: How long a process may take to leave before it is killed [s].
_PATIENCE_S: Final = 5.0

Ask = Callable[[Question], Answer]
#: Does one job. Pickled once for each process, so it may keep what it opens from job to job.
Work = Callable[[Job, Ask[Question, Answer]], Result]


@dataclass(frozen=True)
class Finished(Generic[Job, Result]):
    """A job and what became of it; ``result`` is None when its process died twice."""

    job: Job
    result: Result | None


class Executor(Protocol):
    """Does jobs somewhere; every job ends in exactly one :class:`Finished`."""

    def run(
        self,
        work: Work[Job, Question, Answer, Result],
        jobs: Sequence[Job],
        *,
        answer: Callable[[Job, Question], Answer],
        group: Callable[[Job], str] = ...,
        ground: Ground = ...,
    ) -> Generator[Finished[Job, Result], None, None]:
        """Do every job.

        Args:
            work: does one job; what it raises is raised here, and ends the run.
            jobs: what is to be done.
            answer: answers here what a job asks.
            group: jobs of the same group share something that a process keeps.
            ground: what every process must find.

        Returns:
            what became of the jobs, in the order in which they end. Close it to stop.
        """
        ...


@dataclass(frozen=True)
class LocalProcesses:
    """An :class:`Executor` with this many processes of this machine."""

    workers: int = 1

    def run(
        self,
        work: Work[Job, Question, Answer, Result],
        jobs: Sequence[Job],
        *,
        answer: Callable[[Job, Question], Answer],
        group: Callable[[Job], str] = lambda _job: "",
        ground: Ground = Ground(),  # noqa: ARG002, B008 — they see what the starter sees
    ) -> Generator[Finished[Job, Result], None, None]:
        """See :class:`Executor`."""
        return run_jobs(work, jobs, workers=self.workers, answer=answer, group=group)


def run_jobs(
    work: Work[Job, Question, Answer, Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    answer: Callable[[Job, Question], Answer],
    group: Callable[[Job], str] = lambda _job: "",
) -> Generator[Finished[Job, Result], None, None]:
    """Do every job, ``workers`` at once; in this process when there is only one of either.

    Args:
        work: does one job; what it raises is raised here, and ends the run.
        jobs: begun in this order as far as ``group`` lets them.
        workers: processes.
        answer: answers here what a job asks.
        group: jobs of the same group share something that a process keeps; a process prefers the
            group of its last job, and then one that no other process is busy with.

    Returns:
        what became of the jobs, in the order in which they end.
    """
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield Finished(job, work(job, partial(answer, job)))
        return
    lost: list[Job] = []
    for finished in _Crew(work, answer, group).run(jobs, workers):
        if finished.result is None:
            lost.append(finished.job)
        else:
            yield finished
    for job in lost:
        yield from _Crew(work, answer, group).run([job], 1)


@dataclass(frozen=True)
class _Asked(Generic[Question]):
    question: Question


@dataclass(frozen=True)
class _Raised:
    error: Exception


class _Crew(Generic[Job, Question, Answer, Result]):
    """The processes of one run."""

    def __init__(
        self,
        work: Work[Job, Question, Answer, Result],
        answer: Callable[[Job, Question], Answer],
        group: Callable[[Job], str],
    ) -> None:
        self._work = work
        self._answer = answer
        self._group = group
        self._processes: list[_Process[Job]] = []
        self._leaving: list[_Process[Job]] = []

    def run(self, jobs: Sequence[Job], workers: int) -> Iterator[Finished[Job, Result]]:
        """All jobs; ``result`` is None for one whose process died."""
        waiting = list(jobs)
        try:
            for _ in range(min(workers, len(waiting))):
                self._begin(_Process(self._work), waiting)
            while self._processes:
                by_connection = {process.connection: process for process in self._processes}
                for ready in connections.wait(list(by_connection)):
                    process = by_connection[cast("Connection", ready)]
                    finished = self._attend(process, waiting)
                    if finished is not None:
                        yield finished
        finally:
            for process in self._processes:
                process.stop()
            for process in (*self._processes, *self._leaving):
                process.await_end()

    def _begin(self, process: _Process[Job], waiting: list[Job]) -> None:
        """Give the process its next job."""
        others = {
            self._group(other.job)
            for other in self._processes
            if other is not process and other.job is not None
        }
        last = None if process.job is None else self._group(process.job)
        ranks = [
            0 if self._group(job) == last else 2 if self._group(job) in others else 1
            for job in waiting
        ]
        process.give(waiting.pop(ranks.index(min(ranks))))
        if process not in self._processes:
            self._processes.append(process)

    def _attend(self, process: _Process[Job], waiting: list[Job]) -> Finished[Job, Result] | None:
        """Take one message of a process; a finished or lost job makes room for the next."""
        job = cast("Job", process.job)
        try:
            message = process.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._dismiss(process)
            if waiting:
                self._begin(_Process(self._work), waiting)
            return Finished(job, None)
        if isinstance(message, _Asked):
            process.send(self._answer(job, message.question))
            return None
        if isinstance(message, _Raised):
            raise message.error
        if waiting:
            self._begin(process, waiting)
        else:
            self._dismiss(process)
        return Finished(job, cast("Result", message))

    def _dismiss(self, process: _Process[Job]) -> None:
        """Let a process end that has nothing more to do."""
        self._processes.remove(process)
        self._leaving.append(process)
        process.connection.close()


class _Process(Generic[Job]):
    """One process and the job that it is busy with."""

    def __init__(self, work: Work[Job, Question, Answer, Result]) -> None:
        self.job: Job | None = None
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _one_thread_each(), _interrupts_held():
            self._process.start()
        theirs.close()

    def give(self, job: Job) -> None:
        """Let it begin a job."""
        self.job = job
        self.send(job)

    def send(self, message: object) -> None:
        """Send a job or an answer; a process that is gone is noticed when it is heard next."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def stop(self) -> None:
        """End it in the middle of its job."""
        self._process.terminate()
        self.connection.close()

    def await_end(self) -> None:
        """Wait until it has ended; see to it that it does."""
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(connection: Connection, work: Work[Job, Question, Answer, Result]) -> None:
    """The life of a process: jobs until there are no more."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())  # results say what a person needs
    os.dup2(2, 1)

    def ask(question: Question) -> Answer:
        try:
            connection.send(_Asked(question))
            return cast("Answer", connection.recv())
        except (EOFError, OSError):
            raise SystemExit(1) from None

    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_outcome(work, connection.recv(), ask))


def _outcome(
    work: Work[Job, Question, Answer, Result], job: Job, ask: Ask[Question, Answer]
) -> Result | _Raised:
    try:
        return work(job, ask)
    except Exception as error:  # raised again where the job came from
        return _Raised(error)


def _end_with_parent() -> None:
    """Leave at once when the starting process is gone, whatever killed it."""
    parent = parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start now inherit one thread for each library, unless a person said more."""
    added = [name for name in _THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that start now never see Ctrl-C, not even before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
