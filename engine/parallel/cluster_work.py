"""What a worker of a Dask cluster does with one job of a run.

A worker finds this module by name, so it needs the same dawlink as the starter of the run. A thread
keeps what its work opens from job to job of one run. What a job asks goes to the starter by way of
the scheduler. The starter answers only while the scheduler counts the job as that worker's, so a
worker that was given up for lost, and whose job another one does by now, gets no further.

The outcome goes the same way. Were it left in the worker's memory, as Dask does with results, it
would die with the worker, and the job would be done once more.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = [
    "Done",
    "GaveUp",
    "Introduction",
    "OtherBuild",
    "Question",
    "Raised",
    "Report",
    "Ticket",
    "do_job",
    "forget",
    "introduce",
    "own_build",
]

_PACKAGES: Final = ("engine", "dawlink")
_BUILD_DIGITS: Final = 12
#: How often a worker that waits for an answer looks whether it is still wanted [s].
_LOOK_S: Final = 5.0


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself: its dawlink, its machine, and the paths it does not find."""

    build: str
    host: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Ticket:
    """Which job of which run; ``key`` is the scheduler's name for it, ``build`` the starter's."""

    run: str
    key: str
    build: str

    @property
    def questions(self) -> str:
        """The queue on which the starter listens."""
        return f"dawlink-questions-{self.run}"


@dataclass(frozen=True)
class Question:
    """What a job asks: whose it is, who does it, and the queue on which the answer is waited for.

    ``pickled`` is the question itself; an answer is a pickle too, or empty for "give up".
    """

    key: str
    worker: str
    replies: str
    pickled: bytes


@dataclass(frozen=True)
class Report:
    """How a job ended: its key, and a pickled outcome."""

    key: str
    pickled: bytes


@dataclass(frozen=True)
class Done:
    """The job's result."""

    result: object


@dataclass(frozen=True)
class Raised:
    """What the work raised."""

    error: Exception


@dataclass(frozen=True)
class GaveUp:
    """Nobody wanted the job from this worker any more."""


@dataclass(frozen=True)
class OtherBuild:
    """The worker has another dawlink."""

    host: str


class _NotWanted(BaseException):
    """Ends a job from within a question, past everything that catches errors."""


@functools.cache
def own_build() -> str:
    """Names the code that runs here: a digest of all its source files."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        for folder in map(Path, folders):
            for path in sorted(folder.rglob("*.py"), key=lambda p: p.relative_to(folder).parts):
                digest.update("/".join((package, *path.relative_to(folder).parts)).encode())
                digest.update(path.read_text("utf-8").encode())  # whatever its line ends are
    return digest.hexdigest()[:_BUILD_DIGITS]


def introduce(paths: tuple[str, ...]) -> Introduction:
    """What the starter wants to know before it gives out jobs."""
    missing = tuple(path for path in paths if not Path(path).exists())
    return Introduction(own_build(), socket.gethostname(), missing)


def do_job(ticket: Ticket, work: bytes, job: bytes) -> None:
    """One job; its outcome goes to the starter as a :class:`Report`.

    Args:
        ticket: which one.
        work: pickled; does it.
        job: pickled.
    """
    from distributed import Queue, get_client

    outcome = _outcome(ticket, work, job)
    try:
        pickled = pickle.dumps(outcome)
    except Exception as error:  # an error or a result that cannot travel
        pickled = pickle.dumps(Raised(TypeError(f"{outcome!r} cannot be sent: {error}")))
    questions = Queue(ticket.questions, client=get_client())
    questions.put(pickle.dumps(Report(ticket.key, pickled)))
    questions.close()


def _outcome(ticket: Ticket, work: bytes, job: bytes) -> Done | Raised | GaveUp | OtherBuild:
    if ticket.build != own_build():  # this worker came after the others were asked
        return OtherBuild(socket.gethostname())
    try:
        return Done(_kept(ticket.run, work)(pickle.loads(job), functools.partial(_ask, ticket)))
    except _NotWanted:
        return GaveUp()
    except Exception as error:  # raised again where the job came from
        return Raised(error)


_Work = Callable[[object, Callable[[object], object]], object]
_LOCK: Final = threading.Lock()
_WORKS: Final[dict[tuple[str, int], _Work]] = {}


def _kept(run: str, work: bytes) -> _Work:
    """What does the jobs of a run in this thread."""
    mine = run, threading.get_ident()
    with _LOCK:
        if mine not in _WORKS:
            _WORKS[mine] = pickle.loads(work)
        return _WORKS[mine]


def forget(run: str) -> None:
    """Let go of what a run that is over has opened."""
    with _LOCK:
        over = [_WORKS.pop(key) for key in list(_WORKS) if key[0] == run]
    for work in over:
        if isinstance(work, contextlib.AbstractContextManager):
            work.__exit__(None, None, None)


def _ask(ticket: Ticket, question: object) -> object:
    """The starter's answer; ends the job when nobody waits for it any more."""
    from distributed import Queue, get_client, get_worker

    client, worker = get_client(), get_worker().address
    replies = f"dawlink-replies-{uuid.uuid4().hex}"
    asked = Question(ticket.key, worker, replies, pickle.dumps(question))
    answers, questions = Queue(replies, client=client), Queue(ticket.questions, client=client)
    try:
        while True:
            questions.put(pickle.dumps(asked))
            with contextlib.suppress(TimeoutError):
                answer = answers.get(timeout=_LOOK_S)
                break
            if ticket.key not in client.processing().get(worker, ()):
                raise _NotWanted
    finally:
        answers.close()
        questions.close()
    if not answer:
        raise _NotWanted
    return pickle.loads(answer)
