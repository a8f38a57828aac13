from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from dawlink.cli import main as program
from dawlink.cli.empty_paths import PATH_METAVARS
from dawlink.cli.output import Documented, progress
from engine.errors import (
    DawlinkError,
    EngineUnreachable,
    LibraryUnusable,
    MissingDependency,
    SomeItemsFailed,
    UnusableInput,
    UnwritableOutput,
    UsageError,
)

HEAVY = ("torch", "librosa", "madmom", "scipy", "sqlalchemy", "numpy", "demucs", "soundfile")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Registers a function as the command ``probe``."""

    def register(action: Callable[[], None]) -> None:
        module = ModuleType("dawlink.cli.probe")
        module.app = typer.Typer()  # type: ignore[attr-defined]

        @module.app.command()  # type: ignore[attr-defined,untyped-decorator,unused-ignore]
        def probe(json: bool = False) -> None:
            action()

        monkeypatch.setitem(sys.modules, "dawlink.cli.probe", module)
        monkeypatch.setitem(program.COMMANDS, "probe", "A probe.")

    return register


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DawlinkError, 1),
        (UsageError, 2),
        (SomeItemsFailed, 3),
        (MissingDependency, 4),
        (EngineUnreachable, 5),
        (UnusableInput, 6),
        (LibraryUnusable, 6),
        (UnwritableOutput, 7),
    ],
)
def test_every_error_has_its_exit_code_and_one_sentence_on_stderr(
    command: Callable[[Callable[[], None]], None],
    capsys: Captured,
    kind: type[DawlinkError],
    code: int,
) -> None:
    command(raising(kind("It broke.", hint="Mend it.")))
    assert program.main(["probe"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: It broke.\nMend it.\n"


def test_with_json_an_error_is_a_document_on_stdout_too(
    command: Callable[[Callable[[], None]], None], capsys: Captured
) -> None:
    command(raising(UnusableInput("Silent.", hint="Sing.", code="silent")))
    assert program.main(["probe", "--json"]) == 6
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1,
        "error": {"code": "silent", "message": "Silent.", "hint": "Sing."},
    }


@pytest.mark.parametrize("told", [False, True])
def test_what_a_commands_own_document_tells_is_not_told_twice(
    command: Callable[[Callable[[], None]], None], capsys: Captured, *, told: bool
) -> None:
    def failing() -> None:
        error = SomeItemsFailed("2 of 3 failed.", hint="Go on.", code="some_failed")
        raise Documented(error) if told else error

    command(failing)
    assert program.main(["probe", "--json"]) == 3
    printed = capsys.readouterr()
    assert printed.err == "error: 2 of 3 failed.\nGo on.\n"
    wanted = {"code": "some_failed", "message": "2 of 3 failed.", "hint": "Go on."}
    assert [json.loads(line)["error"] for line in printed.out.splitlines()] == [wanted] * (not told)


def test_a_bug_is_called_one_and_traced_only_with_vv(
    command: Callable[[Callable[[], None]], None], capsys: Captured
) -> None:
    command(raising(ZeroDivisionError("division by zero")))
    assert program.main(["probe"]) == 1
    short = capsys.readouterr().err
    assert "a bug in dawlink" in short
    assert "Traceback" not in short
    assert program.main(["-vv", "probe"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_package_is_a_missing_dependency(
    command: Callable[[Callable[[], None]], None], capsys: Captured
) -> None:
    command(raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")))
    assert program.main(["probe"]) == 4
    assert "package torch is missing" in capsys.readouterr().err


def test_an_own_module_that_is_missing_is_a_bug(
    command: Callable[[Callable[[], None]], None],
) -> None:
    command(raising(ModuleNotFoundError("No module named 'engine.x'", name="engine.x")))
    assert program.main(["probe"]) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interrupt_exits_with_130(
    command: Callable[[Callable[[], None]], None], capsys: Captured, error: BaseException
) -> None:
    command(raising(error))
    assert program.main(["probe"]) == 130
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "error: Interrupted.\n")
    assert program.main(["probe", "--json"]) == 130
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == {"code": "interrupted", "message": "Interrupted.", "hint": ""}


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["config", "show", "--no-such-option"],
        ["-q", "-v", "config", "show"],
        ["--config", "no-such-file.toml", "config", "show"],
        ["config", "show", "surplus"],
    ],
)
def test_usage_errors_exit_with_2_and_are_json_when_asked(
    capsys: Captured, arguments: list[str]
) -> None:
    assert program.main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["message"]
    assert printed.err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["render", "vox.wav", "--out", ""], "--out"),
        (["render", "vox.wav", "--out="], "--out"),
        (["render", "--key", "Am", "", "--out", "made"], "CLIP"),
        (["render", "vox.wav", "--duck", "--into", "", "--out", "made"], "--into"),
        (["suggest", ""], "CLIP"),
        (["suggest", "--", ""], "CLIP"),
        (["batch", "", "--out", "made"], "PLAN"),
        (["batch", "plan.csv", "--out", ""], "--out"),
        (["add", "a.wav", "--stems", ""], "PATH"),
        (["evaluate", "--data", ""], "--data"),
        (["evaluate", "", "--protocol", "kway"], "DIR"),
        (["train", "fit", "--data", "songs", "--out", ""], "--out"),
        (["device", "build", "--out", ""], "--out"),
        (["device", "install", "--user-library="], "--user-library"),
        (["show", "g1", "--plot", ""], "--plot"),
        (["demo", "--out", ""], "--out"),
        (["--config", "", "list"], "--config"),
    ],
)
def test_an_empty_path_is_refused(
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(arguments) == 2
    assert f"error: {named} is an empty path." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_options_that_are_no_paths_may_be_empty(capsys: Captured, tmp_path: Path) -> None:
    clip = str(tmp_path / "none.wav")
    library = ["--library", str(tmp_path)]
    assert program.main([*library, "suggest", clip, "--key", "", "--clip-key="]) == 6
    assert "empty path" not in capsys.readouterr().err


def test_every_path_is_known_as_one() -> None:
    for name in program.COMMANDS:
        module = importlib.import_module(f"dawlink.cli.{name}")
        for command in module.app.registered_commands:
            hints = typing.get_type_hints(command.callback, include_extras=True)
            for hint in hints.values():
                given = str(typing.get_args(hint)[:1])
                if "pathlib" in given:
                    assert hint.__metadata__[0].metavar in PATH_METAVARS, (name, hint)


def test_a_mistyped_command_is_met_with_the_nearest(capsys: Captured) -> None:
    assert program.main(["docter"]) == 2
    assert "doctor" in capsys.readouterr().err


def test_json_after_a_double_dash_is_a_name(capsys: Captured) -> None:
    assert program.main(["config", "show", "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_without_a_command_the_help_lists_all_of_them(capsys: Captured) -> None:
    assert program.main([]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in program.COMMANDS)


def test_every_listed_command_can_be_loaded(capsys: Captured) -> None:
    for name in program.COMMANDS:
        assert program.main([name, "--help"]) == 0
        assert f"dawlink {name}" in capsys.readouterr().out


def test_version(capsys: Captured) -> None:
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dawlink ")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from dawlink.cli.main import main; main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "[]"


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-m", "dawlink", "config", "show", "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(write_end)
    assert result.returncode == 141
    assert result.stderr == b""


def test_warnings_of_other_packages_stay_inside_and_nothing_is_left_changed(
    command: Callable[[Callable[[], None]], None], capsys: Captured
) -> None:
    def noisy() -> None:
        warnings.warn("old numpy", DeprecationWarning, stacklevel=1)
        logging.getLogger("some.library").warning("be careful")
        logging.getLogger("engine.part").warning("a fallback is used")
        logging.getLogger("engine.part").info("details")

    before = (logging.getLogger().handlers[:], dict(os.environ), logging.getLogger("engine").level)
    command(noisy)
    assert program.main(["probe"]) == 0
    assert capsys.readouterr().err == "warning: a fallback is used\n"
    assert program.main(["-v", "probe"]) == 0
    assert "details" in capsys.readouterr().err
    assert program.main(["-q", "probe"]) == 0
    assert capsys.readouterr().err == ""
    assert program.main(["-vv", "probe"]) == 0
    everything = capsys.readouterr().err
    assert "be careful" in everything
    assert "old numpy" in everything
    after = (logging.getLogger().handlers[:], dict(os.environ), logging.getLogger("engine").level)
    assert before == after


def test_bars_are_not_drawn_off_a_terminal(
    command: Callable[[Callable[[], None]], None], capsys: Captured
) -> None:
    def work() -> None:
        with progress("working", total=2) as bar:
            bar.advance()
            bar.describe("still")

    command(work)
    assert program.main(["probe"]) == 0
    assert capsys.readouterr() == ("", "")
