"""Refuses empty paths, which would otherwise count as the current folder.

An empty path is what a script hands over when its variable is not set (``--out "$OUT"``). What
takes a path is known by its metavar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from typer.core import TyperCommand, TyperGroup

from engine.errors import UsageError

__all__ = ["PATH_METAVARS", "refuse_empty_paths"]

#: What help calls options and arguments that are paths.
PATH_METAVARS: Final = frozenset({"CLIP", "DIR", "FILE", "PATH...", "PLAN", "SET", "[DIR...]"})
_HINT: Final = "Give a path; if it comes from a variable of the shell, that one is not set."


def refuse_empty_paths(command: TyperCommand | TyperGroup, arguments: Sequence[str]) -> None:
    """Refuse ``arguments`` of ``command`` in which a path is empty.

    Raises:
        UsageError: one is.
    """
    inner = getattr(command, "commands", {}).get(arguments[0] if arguments else "")
    if inner is not None:
        refuse_empty_paths(inner, arguments[1:])
        return
    for name in _empty(command, arguments):
        raise UsageError(f"{name} is an empty path.", hint=_HINT, code="empty_path")


def _empty(command: TyperCommand | TyperGroup, arguments: Sequence[str]) -> Iterator[str]:
    """Every path that is empty, as the user calls it."""
    paths = {name: param for param in command.params for name in param.opts if _is_path(param)}
    valued = {
        name
        for param in command.params
        for name in param.opts
        if name.startswith("-") and not getattr(param, "is_flag", False)
    }
    positional = next((p.metavar for p in paths.values() if p.param_type_name == "argument"), None)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for place, (before, text) in enumerate(pairwise(["", *arguments])):
        name, equals, value = text.partition("=")
        if place < end and before in valued and not text:
            if before in paths:
                yield before
        elif place < end and name in paths and equals and not value:
            yield name
        elif not text and positional:
            yield positional.strip("[].")


def _is_path(param: object) -> bool:
    return getattr(param, "metavar", None) in PATH_METAVARS
