"""Every error that dawlink raises on purpose.

    DawlinkError
    ├── UsageError            2  a flag, setting or argument that cannot be meant
    ├── SomeItemsFailed       3  a run went through, some of its items did not
    ├── MissingDependency     4  a model, program or package is not there, or is damaged
    ├── EngineUnreachable     5  the daemon or a server does not answer, or its port is taken
    ├── UnusableInput         6  missing, not audio, silent, too short, damaged
    │   └── LibraryUnusable   6  the library is damaged, locked or made by a newer dawlink
    ├── UnwritableOutput      7  a file cannot be written, or would be overwritten
    └── Interrupted         130  Ctrl-C, SIGTERM, SIGHUP; what was done so far is kept

``exit_code`` is the process's exit code, ``code`` a stable word for scripts, ``hint`` the next
step. The message is one sentence that says what came and what was expected. Only
``dawlink.cli`` turns these into text; nothing below it prints.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DawlinkError",
    "EngineUnreachable",
    "Interrupted",
    "LibraryUnusable",
    "MissingDependency",
    "SomeItemsFailed",
    "UnusableInput",
    "UnwritableOutput",
    "UsageError",
]


class DawlinkError(Exception):
    """Base of all expected errors: one sentence, a stable code and a next step."""

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip home from a worker process with hint and code intact."""
        return _rebuild, (type(self), self.message, self.hint, self.code)


class UsageError(DawlinkError):
    """The request itself cannot be meant: a tempo of 0, a key that does not exist."""

    exit_code = 2
    default_code = "usage"


class SomeItemsFailed(DawlinkError):
    """A run over many items went through to the end, but some items failed."""

    exit_code = 3
    default_code = "some_failed"


class MissingDependency(DawlinkError):
    """A model, program or package is missing or damaged."""

    exit_code = 4
    default_code = "missing"


class EngineUnreachable(DawlinkError):
    """The daemon, a database's server or a cluster does not answer, or a port is taken."""

    exit_code = 5
    default_code = "unreachable"


class UnusableInput(DawlinkError):
    """The input is missing, not audio, silent, too short or damaged."""

    exit_code = 6
    default_code = "unusable_input"


class LibraryUnusable(UnusableInput):
    """The library is damaged, locked by another process or made by a newer dawlink."""

    default_code = "library"


class UnwritableOutput(DawlinkError):
    """The output cannot be written: disk full, read-only, or it would overwrite a file."""

    exit_code = 7
    default_code = "unwritable"


class Interrupted(DawlinkError):
    """Somebody ended the work: Ctrl-C, SIGTERM, or a terminal that was closed."""

    exit_code = 130
    default_code = "interrupted"


def _rebuild(kind: type[DawlinkError], message: str, hint: str, code: str) -> DawlinkError:
    return kind(message, hint=hint, code=code)
