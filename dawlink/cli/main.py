"""The entry point: the table of commands, and the one place where errors become exit codes.

A command is one line in :data:`COMMANDS` and one file ``dawlink/cli/<name>.py`` that holds a
``typer.Typer`` called ``app``. The file is imported when its command runs and not before, so
``--help`` needs neither torch nor the database.

Exit codes: 0 done, 1 a bug in dawlink, 2 usage, 3 some items failed, 4 something is missing,
5 engine unreachable, 6 unusable input, 7 unwritable output, 130 interrupted, 141 the reader of
stdout went away (as for any program in a shell's pipe).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

import dawlink
from dawlink.cli.context import Invocation
from dawlink.cli.empty_paths import refuse_empty_paths
from dawlink.cli.output import (
    Documented,
    configure_logging,
    contained,
    emit_json_line,
    emit_text,
    error_fields,
    print_error,
)
from engine.errors import DawlinkError, Interrupted, MissingDependency, UsageError
from engine.parallel.stop_signals import terminable

__all__ = ["COMMANDS", "command_line", "main"]

#: Command to what ``--help`` says about it, in the order of ``--help``.
COMMANDS: Final = {
    "demo": "Try everything with songs made on the spot.",
    "add": "Analyse audio into the library.",
    "list": "List the songs of the library.",
    "show": "Show one song of the library.",
    "remove": "Remove a song from the library.",
    "set": "Correct a song's tempo, key or bars.",
    "verify": "Check every file and row of the library.",
    "suggest": "Rank accompaniments for a clip.",
    "render": "Render aligned stems and a mix.",
    "batch": "Render a plan of many lines.",
    "serve": "Run the engine for the DAW.",
    "evaluate": "Compare the models on songs whose stems are known.",
    "train": "Train a model on your own music.",
    "device": "Build and install the device for Ableton Live.",
    "config": "Show settings and where each comes from.",
    "doctor": "Say what is installed, what is missing and what mends it.",
}

EXIT_BROKEN_PIPE: Final = 141
OWN_PACKAGES: Final = ("dawlink", "engine", "max4live")
_BUG_HINT: Final = "Please report it with the output of the same command run with -vv."


class _LazyCommand(TyperCommand):
    """A name and a sentence; the command behind them is imported when it is called."""

    def make_context(  # type: ignore[override]  # typer keeps its own context class private
        self,
        info_name: str | None,
        args: list[str],
        parent: typer.Context | None = None,
        **extra: object,
    ) -> typer.Context:
        module = importlib.import_module(f"dawlink.cli.{str(self.name).replace('-', '_')}")
        command = _built(module.app)
        refuse_empty_paths(command, args)
        return cast("typer.Context", command.make_context(info_name, args, parent, **extra))


app = typer.Typer(
    help="Ranks your own stems under a vocal and renders them into your DAW.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _built(application: typer.Typer) -> TyperCommand | TyperGroup:
    """The command behind a ``typer.Typer``, with plain help."""
    command = cast("TyperCommand | TyperGroup", typer.main.get_command(application))
    return _with_plain_help(command)


def _with_plain_help(command: TyperCommand | TyperGroup) -> TyperCommand | TyperGroup:
    """Help without rich's renderer, whose import alone takes longer than all the rest."""
    command.rich_markup_mode = None
    for inner in getattr(command, "commands", {}).values():
        _with_plain_help(inner)
    return command


def command_line() -> TyperGroup:
    """The program with all its commands, none of them imported yet."""
    group = cast("TyperGroup", _built(app))
    for name, text in COMMANDS.items():
        group.add_command(_LazyCommand(name, help=text))
    return group


def _print_version(wanted: bool) -> None:
    if wanted:
        emit_text(f"dawlink {dawlink.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _global_options(
    ctx: typer.Context,
    library: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the stem library, or postgresql://HOST/DB?files=FOLDER. "
            "Also DAWLINK_LIBRARY.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read settings from this file only.")
    ] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, show_default=False, help="Say more; -vv everything."
        ),
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only errors.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    if quiet and verbose:
        raise UsageError("-q and -v were both given.", hint="Leave one of them out.")
    verbosity = -1 if quiet else min(verbose, 2)
    configure_logging(verbosity)
    ctx.obj = Invocation(library, config, verbosity)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: arguments without the program's name; default those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with contained(), terminable():
        try:
            code = _run(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            code = EXIT_BROKEN_PIPE
        if code == EXIT_BROKEN_PIPE:
            _drop_stdout()
    return code


def _run(arguments: list[str]) -> int:
    try:
        program = command_line()
        refuse_empty_paths(program, arguments)
        result = program.main(arguments, prog_name="dawlink", standalone_mode=False)
        if result == Interrupted.exit_code:
            return _report(Interrupted("Interrupted."), arguments)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _report(Interrupted("Interrupted."), arguments)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except Exception as error:  # the outermost boundary: everything ends as a sentence and a code
        return _report(error, arguments)


def _report(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong on stderr, and on stdout as JSON where that was asked for."""
    if _wants_traceback(arguments) and not isinstance(error, Interrupted):
        traceback.print_exception(error)
    expected = _as_expected(error)
    if expected is None:
        described = f"{type(error).__name__}: {error}".rstrip(": ")
        expected = DawlinkError(f"This is a bug in dawlink: {described}.", hint=_BUG_HINT)
    print_error(expected.message, expected.hint)
    if _wants_json(arguments) and not isinstance(error, Documented):
        emit_json_line({"error": error_fields(expected)})
    return expected.exit_code


def _as_expected(error: Exception) -> DawlinkError | None:
    """The error in dawlink's own family; None for a bug."""
    if isinstance(error, Documented):
        return error.error
    if isinstance(error, DawlinkError):
        return error
    if isinstance(error, typer.TyperException):
        message = error.format_message().strip()
        return UsageError(_sentence(message), hint="Add --help to see what the command takes.")
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package and package not in OWN_PACKAGES:
            return MissingDependency(
                f"The Python package {package} is missing.", hint="Run: dawlink doctor"
            )
    return None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _wants_json(arguments: list[str]) -> bool:
    return "--json" in arguments[: _options_end(arguments)]


def _wants_traceback(arguments: list[str]) -> bool:
    options = arguments[: _options_end(arguments)]
    short = sum(len(text) - 1 for text in options if re.fullmatch("-v+", text))
    return short + options.count("--verbose") >= 2


def _options_end(arguments: list[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def _drop_stdout() -> None:
    """Nobody reads stdout any more: let the last flush at exit go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
