from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawlink.cli.main import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAWLINK_LIBRARY", raising=False)


def test_show_tells_value_and_origin(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "dawlink.toml").write_text("limit = 3", encoding="utf-8")
    monkeypatch.setenv("DAWLINK_PORT", "4000")
    assert main(["--library", "stems", "config", "show", "--origin", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["settings"]["limit"] == 3
    assert document["settings"]["library"] == str(tmp_path / "stems")
    assert document["origin"]["limit"] == str(tmp_path / "dawlink.toml")
    assert document["origin"]["port"] == "DAWLINK_PORT"
    assert document["origin"]["library"] == "--library"


def test_show_prints_a_row_for_every_setting(capsys: Captured) -> None:
    assert main(["config", "show", "--origin"]) == 0
    printed = capsys.readouterr().out
    assert "mix_lufs" in printed
    assert "default" in printed


def test_the_printed_default_file_is_accepted(capsys: Captured, tmp_path: Path) -> None:
    assert main(["config", "show", "--default"]) == 0
    text = capsys.readouterr().out.replace("# limit = 10", "limit = 4")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    assert main(["--config", "own.toml", "config", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["limit"] == 4


def test_the_default_file_is_one_document_with_json(capsys: Captured) -> None:
    assert main(["config", "show", "--default"]) == 0
    text = capsys.readouterr().out
    assert main(["config", "show", "--default", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": 1, "default": text}


@pytest.mark.parametrize("command", ["config", "device"])
def test_a_missing_command_is_one_sentence(capsys: Captured, command: str) -> None:
    assert main([command]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "error: Missing command.",
        "Add --help to see what the command takes.",
    ]


def test_a_bad_file_exits_with_2_and_names_it(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "dawlink.toml").write_text("limt = 3", encoding="utf-8")
    assert main(["config", "show"]) == 2
    assert "dawlink.toml" in capsys.readouterr().err
