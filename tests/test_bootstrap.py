from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Commands = list[list[str]]
Captured = pytest.CaptureFixture[str]
SOURCE = Path(__file__).parent.parent / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A fresh bootstrap whose checkout is tmp_path."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "stamp.json")
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    for name in ("constraints.txt", "pyproject.toml"):
        (tmp_path / name).write_text("torch==2.13.0\n", encoding="utf-8")
    for name in ("python", "dawlink"):
        module.executable(name).parent.mkdir(parents=True, exist_ok=True)
        module.executable(name).write_bytes(b"")
    return module


@pytest.fixture
def hidden(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Records the commands of the set-up in place of running them."""
    return record(bootstrap, monkeypatch, lambda command: False)


def record(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[[list[str]], bool],
) -> Commands:
    ran: Commands = []

    def run(command: list[str], environment: dict[str, str] | None = None) -> None:
        ran.append(command)
        if fails(command):
            raise bootstrap.SetupFailed("it exited with 1")

    monkeypatch.setattr(bootstrap, "run_hidden", run)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    return ran


def test_the_second_set_up_runs_nothing(bootstrap: ModuleType, hidden: Commands) -> None:
    bootstrap.set_up(developer=True)
    assert any("-e" in command for command in hidden)
    hidden.clear()
    bootstrap.set_up(developer=True)
    bootstrap.set_up(developer=False)
    assert hidden == []


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_a_changed_requirement_sets_up_again(
    bootstrap: ModuleType, hidden: Commands, tmp_path: Path, name: str
) -> None:
    bootstrap.set_up(developer=False)
    hidden.clear()
    (tmp_path / name).write_text("torch==2.14.0\n", encoding="utf-8")
    bootstrap.set_up(developer=False)
    assert hidden


def test_developer_tools_are_added_when_first_needed(
    bootstrap: ModuleType, hidden: Commands
) -> None:
    bootstrap.set_up(developer=False)
    assert not any("[dev]" in argument for command in hidden for argument in command)
    bootstrap.set_up(developer=True)
    assert any("[dev]" in argument for command in hidden for argument in command)


def test_every_install_is_held_to_the_constraints(bootstrap: ModuleType, hidden: Commands) -> None:
    bootstrap.set_up(developer=True)
    installs = [command for command in hidden if "pip" in command]
    assert installs
    assert all(str(bootstrap.CONSTRAINTS) in command for command in installs)


def test_no_compiler_is_one_line_and_no_failure(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    record(bootstrap, monkeypatch, lambda command: "madmom" in " ".join(command))
    bootstrap.set_up(developer=False)
    lines = [line for line in capsys.readouterr().err.splitlines() if "fallback" in line]
    assert len(lines) == 1
    assert bootstrap.stamp()


def test_a_necessary_step_that_fails_exits_with_4_and_leaves_no_stamp(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    record(bootstrap, monkeypatch, lambda command: "-e" in command)
    assert bootstrap.main(["demo"]) == 4
    assert "exited with 1" in capsys.readouterr().err
    assert bootstrap.stamp() == {}


@pytest.mark.parametrize(("developer", "asked"), [(False, 1), (True, 8)])
def test_missing_programs_are_installed_in_one_go(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, developer: bool, asked: int
) -> None:
    ran = record(bootstrap, monkeypatch, lambda command: False)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: name == "apt-get" or None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0, raising=False)
    bootstrap.set_up(developer=developer)
    installs = [command for command in ran if command[0] == "apt-get"]
    assert len(installs) == 1
    assert len(installs[0][4:]) == asked
    assert "rubberband-cli" in installs[0]


def test_programs_that_nobody_may_install_are_named_and_do_no_harm(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    ran = record(bootstrap, monkeypatch, lambda command: False)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    bootstrap.set_up(developer=True)
    assert not any(command[0] == "apt-get" for command in ran)
    missing = next(line for line in capsys.readouterr().err.splitlines() if "missing" in line)
    assert "rubberband" in missing
    assert "mujs" in missing
    assert bootstrap.stamp()


@pytest.mark.parametrize("failing", [[], ["mypy"], ["ruff", "pytest"]])
def test_every_check_runs_and_any_failure_counts(
    bootstrap: ModuleType,
    hidden: Commands,
    monkeypatch: pytest.MonkeyPatch,
    failing: list[str],
) -> None:
    ran: Commands = []

    def run_here(command: list[str], folder: Path | None = None) -> int:
        ran.append(command)
        return int(command[2] in failing)

    monkeypatch.setattr(bootstrap, "run_here", run_here)
    assert bootstrap.main(["test", "-x"]) == (1 if failing else 0)
    assert [command[2] for command in ran] == ["ruff", "ruff", "mypy", "pytest"]
    assert ran[-1][-1] == "-x"


def test_the_demo_runs_with_its_arguments_and_its_exit_code(
    bootstrap: ModuleType, hidden: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: Commands = []
    monkeypatch.setattr(bootstrap, "run_here", lambda command: ran.append(command) or 7)
    assert bootstrap.main(["demo", "--out", "here"]) == 7
    assert ran == [[str(bootstrap.executable("dawlink")), "demo", "--out", "here"]]


def test_an_older_python_is_told_what_to_do(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2, "final", 0))
    assert bootstrap.main(["demo"]) == 2
    message = capsys.readouterr().err
    assert "3.11" in message
    assert "3.9.2" in message


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["dmeo"], 2)])
def test_what_it_can_do_is_said(
    bootstrap: ModuleType, capsys: Captured, arguments: list[str], code: int
) -> None:
    assert bootstrap.main(arguments) == code
    assert "bootstrap.py demo" in capsys.readouterr().err


def test_a_failed_command_shows_the_end_of_its_output(bootstrap: ModuleType) -> None:
    script = "print('first'); print('x\\n' * 50); print('the reason'); raise SystemExit(3)"
    with pytest.raises(bootstrap.SetupFailed) as caught:
        bootstrap.run_hidden([sys.executable, "-c", script])
    assert "the reason" in str(caught.value)
    assert "first\n" not in str(caught.value).split(":\n", 1)[1]


def test_windows_programs_lie_elsewhere(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.os, "name", "nt")
    assert bootstrap.executable("dawlink").parts[-3:] == (".venv", "Scripts", "dawlink.exe")
