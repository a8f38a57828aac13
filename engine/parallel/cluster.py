"""Jobs on the workers of a Dask cluster: the same work as in processes of this machine.

The starter submits every job, answers what jobs ask and alone decides what is done; the scheduler
gives a job whose worker died to another one. Jobs that were with several workers that died are done
once more at the end, each on its own; one that takes its workers down again is reported as lost.
Before the first job every worker is asked who it is: one with another dawlink, or one that does not
find the files of the run, would fail or, worse, give other results.

A cluster trusts its network: whoever reaches the scheduler may run code on every worker.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from engine.errors import (
    DawlinkError,
    EngineUnreachable,
    LibraryUnusable,
    MissingDependency,
    UnusableInput,
)
from engine.parallel.cluster_work import (
    Done,
    GaveUp,
    Introduction,
    OtherBuild,
    Question,
    Raised,
    Report,
    Ticket,
    do_job,
    forget,
    introduce,
    own_build,
)
from engine.parallel.ground import Ground
from engine.parallel.workers import Finished, Work

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskCluster"]

Job = TypeVar("Job")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

_LOGGER = logging.getLogger(__name__)
#: How long the scheduler may take to answer, and a first worker to be there [s].
_CONNECT_S: Final = 10
#: How often the starter looks whether the cluster is still there [s].
_LOOK_S: Final = 1.0
#: A cluster without workers is told after this long [s].
_IDLE_S: Final = 15.0
_SHOWN_PATHS: Final = 3


class DaskCluster:
    """An :class:`~engine.parallel.workers.Executor` over the scheduler at ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address

    def run(
        self,
        work: Work[Job, Asked, Answer, Result],
        jobs: Sequence[Job],
        *,
        answer: Callable[[Job, Asked], Answer],
        group: Callable[[Job], str] = lambda _job: "",  # noqa: ARG002 — Dask places jobs itself
        ground: Ground = Ground(),  # noqa: B008 — frozen
    ) -> Generator[Finished[Job, Result], None, None]:
        """See :class:`~engine.parallel.workers.Executor`.

        Raises:
            MissingDependency: the package distributed is not installed, here or on a worker, or a
                worker has another dawlink.
            EngineUnreachable: no scheduler answers, or it has no workers, or it went away.
            LibraryUnusable: a worker on another machine cannot share the library.
            UnusableInput: a worker does not find a file of the run.
        """
        if not jobs:
            return
        with _connected(self._address) as client:
            _require_fit(client, self._address, ground)
            with contextlib.closing(_Run(client, self._address, work, answer).over(jobs)) as run:
                yield from run


class _Run(Generic[Job, Asked, Answer, Result]):
    """All jobs of one run."""

    def __init__(
        self,
        client: Client,
        address: str,
        work: Work[Job, Asked, Answer, Result],
        answer: Callable[[Job, Asked], Answer],
    ) -> None:
        self._client = client
        self._address = address
        self._work = pickle.dumps(work)
        self._answer = answer
        self._run = uuid.uuid4().hex
        self._events: queue.SimpleQueue[Question | Report | Future] = queue.SimpleQueue()
        self._jobs: dict[str, tuple[Job, Future]] = {}
        self._suspects: list[Job] = []  # killed workers, or only waited beside one that did
        self._alone = False

    def over(self, jobs: Sequence[Job]) -> Generator[Finished[Job, Result], None, None]:
        """What becomes of the jobs, in the order in which they end."""
        with self._listening():
            try:
                for job in jobs:
                    self._submit(job)
                yield from self._until_done()
                self._alone = True
                for job in self._suspects:
                    self._submit(job)
                    yield from self._until_done()
            finally:
                self._end()

    def _until_done(self) -> Iterator[Finished[Job, Result]]:
        while self._jobs:
            event = self._next()
            if isinstance(event, Question):
                self._reply(event)
                continue
            reported = isinstance(event, Report)
            finished = self._reported(event) if reported else self._ended(event)
            if finished is not None:
                yield finished

    def _submit(self, job: Job) -> None:
        ticket = Ticket(self._run, f"dawlink-{uuid.uuid4().hex}", own_build())
        future = self._client.submit(
            do_job, ticket, self._work, pickle.dumps(job), key=ticket.key, pure=False
        )
        self._jobs[ticket.key] = job, future
        future.add_done_callback(self._events.put)

    def _next(self) -> Question | Report | Future:
        """What happens next; sees to it that something still can."""
        waited_s = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=_LOOK_S)
            if self._client.status != "running":
                raise _gone(self._address)
            waited_s += _LOOK_S
            if waited_s % _IDLE_S == 0:
                self._look()

    def _look(self) -> None:
        """After a long silence: nobody may be there, or a report may have got lost."""
        if not self._client.nthreads():
            _LOGGER.warning("The cluster at %s has no workers; waiting for one.", self._address)
        for key, (job, future) in list(self._jobs.items()):
            if future.status == "finished":
                del self._jobs[key]
                self._submit(job)

    def _ended(self, future: Future) -> Finished[Job, Result] | None:
        """A job that Dask has done with; only one without a report is news."""
        from distributed.scheduler import KilledWorker

        if str(future.key) not in self._jobs or future.status == "finished":
            return None
        if future.status != "error":
            raise _gone(self._address)
        job, _ = self._jobs.pop(str(future.key))
        error = future.exception()
        if isinstance(error, KilledWorker) and not self._alone:
            self._suspects.append(job)
            return None
        if isinstance(error, KilledWorker):
            return Finished(job, None)
        raise _in_words(error)

    def _reported(self, report: Report) -> Finished[Job, Result] | None:
        """The outcome of a job, the first time that it is told."""
        if report.key not in self._jobs:
            return None
        outcome = pickle.loads(report.pickled)
        if isinstance(outcome, GaveUp):  # another worker has the job
            return None
        job, future = self._jobs.pop(report.key)
        future.release()
        if isinstance(outcome, Raised):
            raise outcome.error
        if isinstance(outcome, OtherBuild):
            raise _other_dawlink(outcome.host)
        assert isinstance(outcome, Done)
        return Finished(job, cast("Result", outcome.result))

    def _reply(self, question: Question) -> None:
        """Answer a job, or have a worker give up that the scheduler has given up for lost."""
        from distributed import Queue

        known = self._jobs.get(question.key)
        wanted = question.key in self._client.processing().get(question.worker, ())
        reply = b""
        if known is not None and wanted:
            asked = cast("Asked", pickle.loads(question.pickled))
            reply = pickle.dumps(self._answer(known[0], asked))
        replies = Queue(question.replies, client=self._client)
        replies.put(reply)
        replies.close()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """What workers say becomes events; an empty message ends it."""
        from distributed import Queue

        questions = Queue(Ticket(self._run, "", "").questions, client=self._client)

        def listen() -> None:
            with contextlib.suppress(Exception):  # the loop of events sees that the cluster is gone
                while message := questions.get():
                    self._events.put(pickle.loads(message))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                questions.put(b"")
                thread.join(_LOOK_S)
                questions.close()

    def _end(self) -> None:
        """Take back what is not done; workers let go of what they opened."""
        with contextlib.suppress(Exception):  # a cluster that is gone needs nothing more
            self._client.cancel([future for _, future in self._jobs.values()])
            self._client.run(forget, self._run, on_error="ignore")


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingDependency(
            f"A cluster needs the package distributed, which cannot be used ({error}).",
            hint=f'Run: {sys.executable} -m pip install "distributed>=2025.1"',
            code="no_distributed",
        ) from error
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False, name="dawlink")
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineUnreachable(
            f"No Dask scheduler answers at {address}.",
            hint="Start one with `dask scheduler`, and look at the address and the network.",
            code="cluster_unreachable",
        ) from error
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=_CONNECT_S)


def _require_fit(client: Client, address: str, ground: Ground) -> None:
    """Refuse a cluster that cannot do this run."""
    deadline = time.monotonic() + _CONNECT_S
    while not client.nthreads():
        if time.monotonic() > deadline:
            raise EngineUnreachable(
                f"The Dask scheduler at {address} has no workers.",
                hint=f"Start some on each machine: dask worker {address} --nthreads 1 "
                "--nworkers CORES",
                code="no_workers",
            )
        time.sleep(0.1)
    paths = tuple(str(path) for path in ground.paths)
    try:
        said = client.run(introduce, paths, on_error="return")
    except Exception as error:  # Dask wraps what a worker cannot even read
        raise _in_words(error) from error
    for worker, found in said.items():
        if not isinstance(found, Introduction):
            raise _in_words(found if isinstance(found, BaseException) else None, worker)
        if found.build != own_build():
            raise _other_dawlink(found.host)
        if ground.one_machine and found.host != socket.gethostname():
            raise LibraryUnusable(
                f"{ground.one_machine}, and the worker {worker} is on {found.host}.",
                hint="Use a library on a server (docs/studio.md), or workers on this machine only.",
                code="library_not_shared",
            )
        if found.missing:
            shown = ", ".join(found.missing[:_SHOWN_PATHS])
            raise UnusableInput(
                f"The worker {worker} on {found.host} does not find {shown}.",
                hint="Share the folders, under the same paths on every machine.",
                code="cluster_paths",
            )


def _other_dawlink(host: str) -> MissingDependency:
    return MissingDependency(
        f"A worker on {host} has another dawlink than this machine.",
        hint="Install the same version on every machine, and start the workers again.",
        code="cluster_version",
    )


def _in_words(error: BaseException | None, worker: str = "") -> Exception:
    """What went wrong outside the work itself."""
    if isinstance(error, ImportError | AttributeError) or "No module named" in str(error):
        where = f"The worker {worker}" if worker else "A worker"
        return MissingDependency(
            f"{where} does not have this dawlink ({error}).",
            hint="Install the same version on every machine, and start the workers from there.",
            code="cluster_version",
        )
    if isinstance(error, Exception):
        return error
    return DawlinkError(f"The worker {worker} did not answer.", hint="Look at its log.")


def _gone(address: str) -> EngineUnreachable:
    return EngineUnreachable(
        f"The Dask scheduler at {address} went away.",
        hint="What is done is kept: run the same command again when the cluster is back.",
        code="cluster_unreachable",
    )
