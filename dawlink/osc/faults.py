"""What goes wrong, as the numbers and words that clients see in ``/dawlink/error``."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.errors import DawlinkError

__all__ = ["ErrorCode", "Fault", "as_fault"]


class ErrorCode(IntEnum):
    """The codes of ``/dawlink/error``."""

    BAD_ARGUMENTS = 1
    UNKNOWN_ADDRESS = 2
    FILE_MISSING = 3
    UNREADABLE = 4
    NOT_ANALYSED = 5
    BUSY = 6
    CANCELLED = 7
    PROTOCOL = 8
    INTERNAL = 9
    NOT_ALLOWED = 10


class Fault(Exception):
    """A request that ends in ``/dawlink/error``: code, a stable word and one sentence."""

    def __init__(self, code: ErrorCode, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message


#: Stable words of the engine's errors that say more than their class does.
_BY_WORD: Final = {
    "missing_file": ErrorCode.FILE_MISSING,
    "missing": ErrorCode.FILE_MISSING,
    "empty_library": ErrorCode.NOT_ANALYSED,
    "no_library": ErrorCode.NOT_ANALYSED,
    "nothing_fits": ErrorCode.NOT_ANALYSED,
}


def as_fault(error: BaseException) -> Fault:
    """Any error as what the client is told; what nobody expected is code 9."""
    from engine.errors import DawlinkError, UnusableInput, UsageError

    if isinstance(error, Fault):
        return error
    if isinstance(error, OSError):
        return Fault(ErrorCode.INTERNAL, "system", f"The system refused: {error}.")
    if not isinstance(error, DawlinkError):
        described = f"{type(error).__name__}: {error}".rstrip(": ")
        return Fault(ErrorCode.INTERNAL, "internal", f"This is a bug in dawlink: {described}.")
    code = ErrorCode.INTERNAL
    if isinstance(error, UsageError):
        code = ErrorCode.BAD_ARGUMENTS
    elif isinstance(error, UnusableInput):
        code = ErrorCode.UNREADABLE
    return Fault(_BY_WORD.get(error.code, code), error.code, _sentence(error))


#: Next steps for somebody in a DAW, where the engine's own is one for the command line.
_HINTS: Final = {
    "unwritable": "Make that folder writable, or save the set elsewhere.",
}


def _sentence(error: DawlinkError) -> str:
    return f"{error.message} {_HINTS.get(error.code, error.hint)}".strip()
