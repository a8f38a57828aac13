"""Where real recordings for tests lie: they are never part of the project.

``DAWLINK_TEST_DATA`` names the folder; without it ``shared/data`` beside the checkout is tried.
Tests that need recordings carry :data:`needs_recordings` and are skipped, with this reason, where
there are none.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["needs_recordings", "recordings_dir"]


def recordings_dir() -> Path:
    """The folder of recordings, whether or not it is there."""
    named = os.environ.get("DAWLINK_TEST_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


needs_recordings = pytest.mark.skipif(
    not (recordings_dir() / "real_stems" / "index.csv").is_file(),
    reason="no recordings: set DAWLINK_TEST_DATA to a folder that has them",
)
