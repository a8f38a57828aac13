"""Music into the library: decode, separate, analyse, store, one song at a time or several at once.

Every song is worked on in one go and stored in one transaction, so a run that is killed loses the
songs it was busy with and nothing else; the next run recognises what is in by the hash of its
files, before decoding anything. A song that cannot be used is reported and the run goes on. With
several jobs each song is handled by one of several processes, which write to the library
themselves; each of them is kept to one thread.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import DawlinkError, UnusableInput
from engine.files import sha256_of
from engine.ingest import SourcePlan, plan_sources
from engine.library.place import LibraryPlace
from engine.parallel.ground import ground_of
from engine.parallel.workers import Ask, Executor, LocalProcesses
from engine.theory import Role

__all__ = ["AddOptions", "AddOutcome", "add_sources", "path_of", "plan_all"]

_LOGGER = logging.getLogger(__name__)

AddStatus = Literal["added", "present", "failed"]


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
    library: LibraryPlace
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
    plans: list[SourcePlan],
    library: LibraryPlace,
    options: AddOptions,
    *,
    executor: Executor | None = None,
) -> Generator[AddOutcome, None, None]:
    """Add every plan to the library at ``library``; yields outcomes as they come.

    Args:
        plans: what is to be added.
        library: where to; made when there is none.
        options: what applies to every source.
        executor: where songs are worked on; ``options.jobs`` processes of this machine when None.

    A failure with :class:`~engine.errors.MissingDependency` is one that all songs will share.

    Raises:
        LibraryUnusable, UnwritableOutput: the library itself cannot be used.
        UsageError: no separator has this name.
    """
    from engine.analysis.separation import choose_separator
    from engine.embeddings.stems import sweep_embeddings
    from engine.library.library import Library

    if options.separator != "auto":  # a mistyped name ends the run before any work
        choose_separator(options.separator)
    with Library.open(library) as opened:  # fails here, before any work, when it cannot be used
        opened.sweep()
        sweep_embeddings(opened)
    jobs = [_Job(plan, library, options) for plan in plans]
    chosen = executor or LocalProcesses(options.jobs)
    ground = ground_of(library, [file.path.parent for plan in plans for file in plan.files])
    with contextlib.closing(chosen.run(_work, jobs, answer=_nothing, ground=ground)) as run:
        for finished in run:
            yield _crashed(finished.job) if finished.result is None else finished.result


def _nothing(_job: _Job, _question: None) -> None:
    """Songs ask nothing."""


def _crashed(job: _Job) -> AddOutcome:
    error = UnusableInput(
        f"The process that analysed {job.plan.title!r} died.",
        hint="The machine may have run out of memory; try --jobs 1.",
        code="crashed",
    )
    return AddOutcome(path_of(job.plan), job.plan.title, "failed", error=error)


def path_of(plan: SourcePlan) -> Path:
    """What outcomes call a source: the folder of its files, or the one file."""
    first = plan.files[0].path
    return first.parent if plan.kind == "multitrack" else first


def _work(job: _Job, _ask: Ask[None, None]) -> AddOutcome:
    """One source from file to row: the boundary where its failure becomes an outcome."""
    from engine.embeddings.stems import embed_song
    from engine.ingest.song_import import import_song
    from engine.library.library import Library

    path = path_of(job.plan)
    try:
        shas = {file.path: _sha_of(file.path) for file in job.plan.files}
        with Library.open(job.library) as library:
            imported = import_song(job.plan, shas, library, separator=job.options.separator)
            embed_song(library, imported.song_id)
    except DawlinkError as error:
        return AddOutcome(path, job.plan.title, "failed", error=error)
    except Exception as error:  # a bug that one file brings out must not stop the others
        _LOGGER.exception("%s", path)
        described = DawlinkError(
            f"{path} triggered a bug in dawlink: {type(error).__name__}: {error}.",
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
