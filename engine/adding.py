"""Music into the library: decode, separate, analyse, store, one song at a time or several at once.

Every song is worked on in one go and stored in one transaction, so a run that is killed loses the
songs it was busy with and nothing else; the next run recognises what is in by the hash of its
files, before decoding anything. A song that cannot be used is reported and the run goes on. With
several jobs each song is handled by one of several processes, which write to the library
themselves; each of them is kept to one thread.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal

from engine.errors import DawlinkError, UnusableInput
from engine.files import sha256_of
from engine.ingest import SourcePlan, plan_sources
from engine.library.library import Library
from engine.theory import Role

__all__ = ["AddOptions", "AddOutcome", "add_sources", "plan_all"]

_LOGGER = logging.getLogger(__name__)

AddStatus = Literal["added", "present", "failed"]
#: Threads of each numeric library in a worker: the processes are the parallelism.
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True)
class AddOptions:
    """What applies to every source.

    Args:
        separator: name of the separator for full mixes.
        stems: treat every folder as one multitrack song.
        role: treat every file as a stem of this role.
        jobs: songs worked on at once.
    """

    separator: str = "auto"
    stems: bool = False
    role: Role | None = None
    jobs: int = 1


@dataclass(frozen=True)
class AddOutcome:
    """What became of one source.

    Args:
        path: the file, or the folder of a multitrack song.
        title: for people.
        status: ``added``, ``present`` (was in already) or ``failed``.
        song_id: the song, when there is one.
        error: why it failed.
        notes: what a person should know: fallbacks, assumptions.
    """

    path: Path
    title: str
    status: AddStatus
    song_id: str = ""
    error: DawlinkError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Job:
    plan: SourcePlan
    library: Path
    options: AddOptions


def plan_all(
    paths: Iterable[Path], options: AddOptions
) -> tuple[list[SourcePlan], list[AddOutcome]]:
    """Everything that the paths hold, and the paths that hold nothing usable."""
    plans: list[SourcePlan] = []
    failures: list[AddOutcome] = []
    for path in paths:
        try:
            plans.extend(plan_sources([path], stems=options.stems, role=options.role))
        except DawlinkError as error:
            failures.append(AddOutcome(path, path.name, "failed", error=error))
    return plans, failures


def add_sources(
    plans: list[SourcePlan], library: Path, options: AddOptions
) -> Iterator[AddOutcome]:
    """Add every plan to the library at ``library``; yields outcomes as they come.

    Raises:
        LibraryUnusable, UnwritableOutput: the library itself cannot be used.
        MissingDependency: the asked separator is not there.
    """
    with Library.open(library) as opened:  # fails here, before any work, when it cannot be used
        opened.sweep()
    jobs = [_Job(plan, library, options) for plan in plans]
    if options.jobs <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield _work(job)
    else:
        yield from _in_processes(jobs, min(options.jobs, len(jobs)))


def _in_processes(jobs: list[_Job], workers: int) -> Iterator[AddOutcome]:
    """Each job in one of ``workers`` processes; a process that dies fails only its own job."""
    waiting = list(reversed(jobs))
    suspects: list[_Job] = []
    while waiting or suspects:
        # Whatever was running when a worker died runs again on its own, to tell who did it.
        alone = not waiting
        queue = suspects if alone else waiting
        pool = _new_pool(1 if alone else workers)
        running: dict[Future[AddOutcome], _Job] = {}
        try:
            while queue or running:
                while queue and len(running) < (1 if alone else workers):
                    job = queue.pop()
                    running[pool.submit(_work, job)] = job
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    del running[future]
        except BrokenProcessPool:
            if alone:
                yield from (_crashed(job) for job in running.values())
            else:
                suspects.extend(running.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _new_pool(workers: int) -> ProcessPoolExecutor:
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update({name: "1" for name in _THREAD_VARIABLES if before[name] is None})
    try:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        for _ in range(workers):  # processes start now, and inherit the environment as it is now
            pool.submit(int)
        return pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _crashed(job: _Job) -> AddOutcome:
    error = UnusableInput(
        f"The process that analysed {job.plan.title!r} died.",
        hint="The machine may have run out of memory; try --jobs 1.",
        code="crashed",
    )
    return AddOutcome(_path_of(job.plan), job.plan.title, "failed", error=error)


def _path_of(plan: SourcePlan) -> Path:
    first = plan.files[0].path
    return first.parent if plan.kind == "multitrack" else first


def _work(job: _Job) -> AddOutcome:
    """One source from file to row: the boundary where its failure becomes an outcome."""
    from engine.song_import import import_song

    path = _path_of(job.plan)
    try:
        shas = {file.path: _sha_of(file.path) for file in job.plan.files}
        with Library.open(job.library) as library:
            imported = import_song(job.plan, shas, library, separator=job.options.separator)
    except DawlinkError as error:
        return AddOutcome(path, job.plan.title, "failed", error=error)
    except Exception as error:  # a bug that one file brings out must not stop the others
        _LOGGER.exception("%s", path)
        described = DawlinkError(
            f"{path} brought out a bug in dawlink: {type(error).__name__}: {error}.",
            hint="Please report it with the output of the same command run with -vv.",
        )
        return AddOutcome(path, job.plan.title, "failed", error=described)
    status: AddStatus = "added" if imported.is_new else "present"
    return AddOutcome(path, job.plan.title, status, imported.song_id, notes=imported.notes)


def _sha_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UnusableInput(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Check that the file is still there and readable.",
            code="unreadable",
        ) from error
