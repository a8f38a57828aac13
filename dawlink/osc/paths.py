"""Which paths a client may name, and where renders go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dawlink.osc.faults import ErrorCode, Fault

__all__ = ["RENDERS", "clip_file", "project_folder", "render_folder"]

#: Where renders lie inside a Live project, beside what Live itself processes.
RENDERS: Final = Path("Samples", "Processed", "dawlink")
#: With the longest file name inside, the message that names a file has 1024 bytes.
_LONGEST_FOLDER: Final = 680


def clip_file(text: str) -> Path:
    """The audio file that a client names.

    Raises:
        Fault: not absolute, not there, or no file.
    """
    path = _absolute(text, "The clip's path")
    try:
        if path.is_file():
            return path
        there = path.exists()
    except OSError:
        there = False
    if there:
        raise Fault(
            ErrorCode.UNREADABLE, "not_a_file", f"{path} is not a file. Name an audio file."
        )
    raise Fault(
        ErrorCode.FILE_MISSING,
        "missing_file",
        f"{path} is not there. Save the set, or see whether the file was moved.",
    )


def project_folder(text: str) -> Path | None:
    """The project's folder that a client names; None for an empty text.

    Raises:
        Fault: not absolute, not there, no folder, not writable, or one that no project can be.
    """
    if not text:
        return None
    path = _absolute(text, "The project's folder")
    if ".." in path.parts or path.parent == path:
        raise Fault(
            ErrorCode.NOT_ALLOWED,
            "bad_project",
            f"{path} cannot be a project's folder. Name it without '..'.",
        )
    if not _is_folder(path):
        raise _missing_project(path)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise Fault(
            ErrorCode.NOT_ALLOWED,
            "read_only_project",
            f"The project folder {path} cannot be written. Save the set elsewhere.",
        )
    return path


def render_folder(project: Path | None, output: Path) -> Path:
    """Where renders go: inside the project, else the output folder of the settings.

    Raises:
        Fault: the project has gone, links inside it lead out of it, or no path of a file in it
            could be sent.
    """
    target = output if project is None else project / RENDERS
    length = len(os.fsencode(target))
    if length > _LONGEST_FOLDER:
        raise Fault(
            ErrorCode.NOT_ALLOWED,
            "too_long",
            f"The folder for renders has a path of {length} bytes, {_LONGEST_FOLDER} are possible. "
            "Save the set in a folder with a shorter path.",
        )
    if project is None:
        return output
    if not _is_folder(project):
        raise _missing_project(project)
    try:
        inside = target.resolve().is_relative_to(project.resolve())
    except (OSError, RuntimeError):  # a circle of links
        inside = False
    if not inside:
        raise Fault(
            ErrorCode.NOT_ALLOWED,
            "outside_project",
            f"{target} leads out of the project folder. Replace the link by a folder.",
        )
    return target


def _missing_project(path: Path) -> Fault:
    return Fault(
        ErrorCode.FILE_MISSING,
        "missing_project",
        f"The project folder {path} is not there. Save the set first.",
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _absolute(text: str, what: str) -> Path:
    if "\x00" in text or not text:
        raise Fault(ErrorCode.BAD_ARGUMENTS, "bad_path", f"{what} is no path.")
    path = Path(text)
    if not path.is_absolute():
        raise Fault(
            ErrorCode.BAD_ARGUMENTS, "bad_path", f"{what} must be absolute, {text[:200]!r} came."
        )
    return path
