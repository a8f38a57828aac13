"""Several files that appear together or not at all.

They are made in a hidden folder beside their destination, named after process and machine, and
moved to their names when all of them are whole. Whatever stops a process before leaves nothing but
that folder, which the next run into the same place removes. Whether a process of another machine
lives cannot be seen from here: its folder goes when it is old.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from engine.errors import UnwritableOutput
from engine.parallel.processes import is_alive

__all__ = ["publish", "staging_folder", "sweep_staging"]

_PREFIX: Final = ".dawlink-part-"
#: No render takes this long; a folder of another machine that is older is left over [s].
_OLD_S: Final = 24 * 3600.0


@contextlib.contextmanager
def staging_folder(out: Path) -> Iterator[Path]:
    """A hidden folder inside ``out`` that is gone afterwards, as are those of dead processes.

    Raises:
        UnwritableOutput: it cannot be made, or the disk refuses what is written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        sweep_staging(out)
        prefix = f"{_PREFIX}{os.getpid()}-{_own_machine()}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=out))
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        yield folder
    except OSError as error:  # what reads has errors of its own: this is the disk
        raise _unwritable(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_staging(out: Path, *, idle: bool = False) -> None:
    """Remove what killed renders left behind in a folder.

    Args:
        out: the folder.
        idle: neither this process nor a machine that works for it is rendering into it, so what
            bears their names is left over too.
    """
    for folder in out.glob(f"{_PREFIX}*"):
        pid, machine = [*folder.name.removeprefix(_PREFIX).split("-"), ""][:2]
        if machine == _own_machine():
            own = idle and pid == str(os.getpid())
            over = own or not (pid.isdecimal() and is_alive(int(pid)))
        else:
            over = idle or _is_old(folder)
        if over:
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _own_machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime >= _OLD_S
    except OSError:
        return False


def publish(folder: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Move staged files to their names, in order; put everything back if one cannot be moved.

    Args:
        folder: the staging folder, which holds a file or folder of each name.
        files: where they go, all into one folder.
        overwrite: replace files that are there.

    Raises:
        UnwritableOutput: a file or folder is in the way, or the disk refuses.
    """
    replaced = folder / "replaced"
    moved: list[Path] = []
    try:
        replaced.mkdir()
        for path in files:
            if path.exists():
                _require_replaceable(path, folder / path.name, overwrite=overwrite)
                path.replace(replaced / path.name)
            moved.append(path)
            (folder / path.name).replace(path)
    except (OSError, UnwritableOutput) as error:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for before in replaced.glob("*"):
            before.replace(files[0].parent / before.name)
        if isinstance(error, UnwritableOutput):
            raise
        raise _unwritable(files[0].parent, error) from error


def _require_replaceable(path: Path, staged: Path, *, overwrite: bool) -> None:
    if path.is_dir() != staged.is_dir():
        here, comes = ("folder", "file") if path.is_dir() else ("file", "folder")
        raise UnwritableOutput(
            f"{path} is a {here}, a {comes} has to go there.",
            hint="Move it away, or choose another --out.",
        )
    if not overwrite:
        raise UnwritableOutput(
            f"Another program created {path} in the meantime.",
            hint="Add --overwrite to replace it.",
            code="exists",
        )


def _unwritable(out: Path, error: OSError) -> UnwritableOutput:
    if error.errno == errno.ENOSPC:
        return UnwritableOutput(
            f"The disk is full; nothing of this render was written to {out}.",
            hint="Free some space and run the same command again.",
            code="disk_full",
        )
    return UnwritableOutput(
        f"{out} cannot be written: {error.strerror or error}.",
        hint="Choose another --out, or make this folder writable.",
    )
