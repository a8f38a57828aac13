"""What a person or a script sees: results on stdout; logs, progress and errors on stderr.

Colour goes to terminals only and never where ``NO_COLOR`` is set; bars are drawn on a terminal
only. A piped table is neither wrapped nor cut. JSON is UTF-8, begins with ``"schema": 1`` and has
null where a number is not finite (the loudness of silence). rich is imported on first use.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from engine.errors import DawlinkError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Bar",
    "Documented",
    "configure_logging",
    "contained",
    "emit_json",
    "emit_json_line",
    "emit_text",
    "error_fields",
    "print_error",
    "print_table",
    "progress",
]

#: Version of every JSON document; raised when a field changes its meaning or goes.
JSON_SCHEMA: Final = 1
#: Columns that a piped table may take: wide enough that nothing is wrapped.
PIPED_WIDTH: Final = 4000
OWN_LOGGERS: Final = ("dawlink", "engine")
_LEVELS: Final = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
_NAMES: Final = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.DEBUG: "debug: "}


class Bar(Protocol):
    """A running progress bar, or something that only looks like one."""

    def advance(self, steps: float = 1) -> None:
        """``steps`` more of the total are done."""

    def describe(self, text: str) -> None:
        """Say what is being done now."""


@runtime_checkable
class _ArrayLike(Protocol):
    def tolist(self) -> object: ...


def emit_json(document: Mapping[str, object]) -> None:
    """Print one JSON document, indented."""
    _write(_as_text(document, indent=2))


def emit_json_line(document: Mapping[str, object]) -> None:
    """Print one JSON document on one line, at once (``add`` and ``batch`` while running)."""
    _write(_as_text(document, indent=None))


def _as_text(document: Mapping[str, object], *, indent: int | None) -> str:
    """JSON in UTF-8, also where a path holds bytes that are no text: those are escaped."""
    text = json.dumps(_prepared(document), ensure_ascii=False, allow_nan=False, indent=indent)
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


class Documented(Exception):
    """An error that the command's own JSON document tells already; stderr is still to hear it."""

    def __init__(self, error: DawlinkError) -> None:
        super().__init__(error.message)
        self.error = error


def error_fields(error: DawlinkError) -> dict[str, object]:
    """An error as every JSON document shows it."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def emit_text(text: str) -> None:
    """Print one result for a person."""
    _console().print(printable(text), markup=False, highlight=False, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns that hold only numbers are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console = _console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(table)


def print_error(message: str, hint: str = "") -> None:
    """One sentence on stderr, and the next step below it."""
    with contextlib.suppress(BrokenPipeError):
        console = _console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(printable(message), markup=False, highlight=False, soft_wrap=True)
        if hint:
            console.print(printable(hint), markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def progress(description: str, *, total: float | None = None) -> Iterator[Bar]:
    """A bar on stderr while the block runs; nothing where stderr is no terminal, or with ``-q``.

    Args:
        description: what is being done.
        total: number of steps; None when it is not known.
    """
    console = _console(stderr=True)
    if not console.is_terminal or logging.getLogger(OWN_LOGGERS[0]).level >= logging.ERROR:
        yield _NoBar()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
    )
    with Progress(*columns, console=console, transient=True) as drawn:
        task = drawn.add_task(description, total=total)

        class _Drawn:
            def advance(self, steps: float = 1) -> None:
                drawn.advance(task, steps)

            def describe(self, text: str) -> None:
                drawn.update(task, description=printable(text))

        yield _Drawn()


def printable(text: str) -> str:
    """``text`` without control characters, which file names may hold and terminals obey."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def configure_logging(verbosity: int) -> None:
    """Send the records of ``dawlink`` and ``engine`` to stderr.

    Args:
        verbosity: −1 errors, 0 warnings, 1 information, 2 everything, other packages included.
    """
    handler = _StderrHandler()
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(_LEVELS[max(-1, min(2, verbosity))])
        if verbosity < 2:
            logging.getLogger(name).addHandler(handler)
    if verbosity >= 2:
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(True)
        warnings.simplefilter("default")


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Keep other packages' warnings off the terminal, and leave the process as it was found.

    Worker processes inherit the silence through their environment.
    """
    own = [logging.getLogger(name) for name in OWN_LOGGERS]
    root = logging.getLogger()
    before = [(logger, logger.level, list(logger.handlers)) for logger in (root, *own)]
    quiet = {"PYTHONWARNINGS": "ignore", "HF_HUB_VERBOSITY": "error"}
    if not sys.stderr.isatty():
        quiet["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    added = {name: value for name, value in quiet.items() if name not in os.environ}
    os.environ.update(added)
    root.addHandler(logging.NullHandler())  # else Python prints records that nobody handles
    _console.cache_clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _speak_utf8()
            yield
    finally:
        logging.captureWarnings(False)
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
        for name in added:
            os.environ.pop(name, None)


class _NoBar:
    def advance(self, steps: float = 1) -> None:
        """Nothing is drawn."""

    def describe(self, text: str) -> None:
        """Nothing is drawn."""


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = f"{_NAMES.get(record.levelno, '')}{record.getMessage()}"
        with contextlib.suppress(BrokenPipeError):
            _console(stderr=True).print(
                printable(text), markup=False, highlight=False, soft_wrap=True
            )


@functools.cache
def _console(stderr: bool = False) -> Console:  # one each, so bars and log lines do not collide
    from rich.console import Console

    piped = not (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=PIPED_WIDTH if piped else None)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _speak_utf8() -> None:
    """Names that are no valid Unicode are printed byte for byte instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            piped = not stream.isatty()
            stream.reconfigure(
                encoding="utf-8" if piped else None,
                errors="surrogateescape" if piped else "backslashreplace",
            )


def _prepared(document: Mapping[str, object]) -> dict[str, object]:
    plain = _plain(document)
    return {"schema": JSON_SCHEMA, **plain} if isinstance(plain, dict) else {}


def _plain(value: object) -> object:
    """Records, paths and arrays as the types that JSON has."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, _ArrayLike):  # numpy numbers and arrays, without importing numpy
        return _plain(value.tolist())
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
