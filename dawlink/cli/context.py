"""What the global options said, as every command finds it in ``ctx.obj``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dawlink.settings import Settings, load_settings

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.library.library import Library
    from engine.parallel.workers import Executor

__all__ = ["Invocation", "executor_of", "invocation", "open_engine", "open_library"]


@dataclass(frozen=True)
class Invocation:
    """The options before the command.

    Args:
        library: ``--library``, or None.
        config: ``--config``, or None.
        verbosity: −1 quiet, 0 normal, 1 informative, 2 everything.
    """

    library: str | None = field(default=None, repr=False)  # may hold a password
    config: Path | None = None
    verbosity: int = 0

    def settings(self, **flags: object) -> Settings:
        """All settings; ``flags`` are this command's own options, None where not given.

        Raises:
            UsageError: a source holds an unknown key or an unusable value.
        """
        return load_settings({"library": self.library, **flags}, config=self.config)


def invocation(ctx: typer.Context) -> Invocation:
    """The global options of the running command."""
    found = ctx.find_object(Invocation)
    return found if found is not None else Invocation()


def executor_of(settings: Settings) -> Executor:
    """Where jobs are done: on the cluster of the settings, else in processes here."""
    if settings.cluster:
        from engine.parallel.cluster import DaskCluster

        return DaskCluster(settings.cluster)
    from engine.parallel.workers import LocalProcesses

    return LocalProcesses(settings.workers)


def open_library(settings: Settings) -> Library:
    """The library for reading: one that is there, even on a disk that cannot be written.

    Raises:
        LibraryUnusable: there is none, or it is damaged or made by a newer dawlink.
    """
    from engine.errors import UnwritableOutput
    from engine.library.library import Library

    try:
        return Library.open(settings.library, create=False)
    except UnwritableOutput:
        return Library.open(settings.library, create=False, read_only=True)


def open_engine(settings: Settings) -> Engine:
    """An engine on the library, for asking and rendering.

    Raises:
        LibraryUnusable: see :func:`open_library`.
        MissingDependency: the chosen stretcher is not there.
    """
    from engine.audio.stretch import RubberBandInProcess, RubberBandProgram, Stretcher
    from engine.engine import Engine

    stretcher: Stretcher | None = None  # the engine finds one when it needs one
    if settings.stretcher != "auto":
        in_process = settings.stretcher == "pylibrb"
        stretcher = RubberBandInProcess() if in_process else RubberBandProgram()
    return Engine(open_library(settings), stretcher=stretcher)
