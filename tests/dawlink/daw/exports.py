"""Ardour as a listener: a session as a real DAW mixes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["exported_by_ardour", "needs_ardour"]

_PROGRAM = "ardour7-export"
_MOST_EXPORTS = 8

needs_ardour = pytest.mark.skipif(
    shutil.which(_PROGRAM) is None, reason="Ardour 7 is not installed"
)


def exported_by_ardour(session: Path, out: Path) -> Path:
    """``out``, in float: what Ardour plays of the session file ``session``.

    One export in six breaks Ardour's own heap: it aborts, and now and then a sample at the edge of
    a block is whatever lay there. Such an export says nothing of the session and is made again.
    """
    command = [_PROGRAM, "-b", "float", "-o", str(out), str(session.parent), session.stem]
    for _ in range(_MOST_EXPORTS):
        ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if ended.returncode == 0:
            return out
    pytest.fail(f"Ardour did not come to an end: {ended.stderr.decode()[-300:]}")
