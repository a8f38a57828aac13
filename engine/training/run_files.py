"""The files of a run: its checkpoint, and what lies beside it while it is unfinished."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Final

__all__ = ["has_earlier_run", "is_unfinished", "resume_path", "state_files", "sweep"]

#: A file that was begun so long ago is nobody's any more.
_ABANDONED_S: Final = 3600.0
#: Networks that are trained after the named one, into files of their own.
_PARTS: Final = ("phase", "mask")


def resume_path(out: Path) -> Path:
    """Where the state of an unfinished run lies."""
    return out.with_name(f"{out.stem}.resume.safetensors")


def has_earlier_run(out: Path) -> bool:
    """Whether a checkpoint of that name, or anything of an unfinished run of it, is there."""
    return out.is_file() or is_unfinished(out)


def is_unfinished(out: Path) -> bool:
    """Whether the state of an unfinished run of ``out`` is there, or of a part of it."""
    parts = [out, *(out.with_name(f"{out.stem}-{part}{out.suffix}") for part in _PARTS)]
    return any(state_files(part) for part in parts)


def state_files(out: Path) -> list[Path]:
    """What lies beside a checkpoint while its run is unfinished, of whatever seed."""
    named = re.compile(
        re.escape(out.stem) + r"\.((teacher-\d+|run)(\.run)?(\.resume)?|resume)\.safetensors"
    )
    files = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    return [path for path in files if named.fullmatch(path.name)]


def sweep(folder: Path) -> None:
    """Remove what killed runs had half written, hundreds of megabytes each."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".part-*.safetensors"):
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
