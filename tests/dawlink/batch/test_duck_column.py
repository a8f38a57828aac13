"""The column ``duck`` means what ``--duck`` means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawlink.batch.columns import read_values
from dawlink.batch.plan import read_plan
from dawlink.cli.context import Invocation
from engine.errors import UsageError
from engine.mashup.ducking import DEFAULT_DUCK_DB


@pytest.mark.parametrize(
    ("raw", "depth_db"),
    [
        ("", None),
        ("true", DEFAULT_DUCK_DB),
        (True, DEFAULT_DUCK_DB),
        ("yes", DEFAULT_DUCK_DB),
        ("no", None),
        (False, None),
        ("0", None),
        ("1", 1.0),
        ("2,5", 2.5),
        (6, 6.0),
    ],
)
def test_depths(raw: object, depth_db: float | None, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    line = {"clip": "a.wav", "duck": raw}
    (tmp_path / "plan.jsonl").write_text(json.dumps(line), encoding="utf-8")
    (read,) = read_plan(tmp_path / "plan.jsonl", tmp_path / "out", Invocation(tmp_path / "library"))
    assert read.writing.duck_db == depth_db


def test_what_is_no_depth_is_told() -> None:
    _, problems = read_values({"clip": "a.wav", "duck": "deep"})
    assert problems == ["duck is 'deep', expected true, false or decibels"]


def test_a_depth_out_of_range_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "plan.csv").write_text("clip,duck\na.wav,9\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"line 2: Ducking by 9 dB is outside the range"):
        read_plan(tmp_path / "plan.csv", tmp_path / "out", Invocation(tmp_path / "library"))
