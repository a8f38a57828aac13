from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dawlink.cli.output import (
    emit_json,
    emit_json_line,
    emit_text,
    print_error,
    print_table,
    printable,
)

Captured = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Record:
    path: Path
    levels: tuple[float, ...]


def test_documents_begin_with_the_schema_and_hold_plain_values(capsys: Captured) -> None:
    emit_json(
        {
            "record": Record(Path("ű/04 絆.wav"), (-14.0, float("-inf"), float("nan"))),
            "array": np.array([1.5, np.inf]),
            "number": np.float32(0.5),
            "count": np.int64(3),
            "none": None,
            "flag": True,
        }
    )
    text = capsys.readouterr().out
    assert "絆" in text
    document = json.loads(text)
    assert next(iter(document)) == "schema"
    assert document == {
        "schema": 1,
        "record": {"path": str(Path("ű/04 絆.wav")), "levels": [-14.0, None, None]},
        "array": [1.5, None],
        "number": 0.5,
        "count": 3,
        "none": None,
        "flag": True,
    }


def test_a_line_is_one_line(capsys: Captured) -> None:
    emit_json_line({"text": "two\nlines"})
    emit_json_line({"text": "next"})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["two\nlines", "next"]


def test_what_has_no_json_form_is_a_bug_and_not_a_string() -> None:
    with pytest.raises(TypeError, match="object"):
        emit_json({"thing": object()})


def test_a_piped_table_is_neither_cut_nor_wrapped(capsys: Captured) -> None:
    long = "x" * 500
    print_table(["id", "title"], [("s1", long), ("s2", "[bold]brackets[/]")])
    printed = capsys.readouterr().out
    assert long in printed
    assert "[bold]brackets[/]" in printed
    assert "\x1b" not in printed


def test_numbers_are_aligned_to_the_right(capsys: Captured) -> None:
    print_table(["n"], [(5,), (1000,)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "   5" in lines
    assert "1000" in lines


def test_control_characters_never_reach_the_terminal(capsys: Captured) -> None:
    print_error("no \x1b[31mcolour\x07", "a [hint]")
    emit_text("bell\x07")
    printed = capsys.readouterr()
    assert "\x1b" not in printed.err
    assert "\x07" not in printed.err + printed.out
    assert "a [hint]" in printed.err


def test_surrogates_of_undecodable_names_are_shown_as_a_replacement() -> None:
    assert printable("a\udcffb") == "a\N{REPLACEMENT CHARACTER}b"
