"""Looking into folders in which another process works: what vanishes meanwhile is not there."""

from __future__ import annotations

import os
from pathlib import Path


def paths_below(folder: Path) -> list[Path]:
    """Every file and folder below; unlike `Path.rglob`, a folder removed on the way is no error."""
    return [
        Path(parent, name)
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def waves_below(folder: Path) -> list[Path]:
    return [path for path in paths_below(folder) if path.suffix == ".wav"]
