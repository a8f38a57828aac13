"""A few of the kills of ``benchmarks/survival.py``, which does fifty."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from benchmarks.survival import Plan, survive_adds, survive_renders

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals"),
]


def test_a_daemon_killed_while_it_renders_loses_nothing(tmp_path: Path) -> None:
    toll = survive_renders(tmp_path, Plan(2, random.Random(3)))
    assert toll.kills == 2


def test_an_add_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    toll = survive_adds(tmp_path, Plan(2, random.Random(3)))
    assert toll.kills == 2
