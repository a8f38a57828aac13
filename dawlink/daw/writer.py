"""The seam between projects and file formats, and the formats by name.

A format is one file beside this one that implements :class:`ProjectWriter`, and one line in
:data:`FORMATS`. A writer makes one entry, a file or a folder of the project's name, inside a folder
that nobody else looks into yet; whoever called it moves the entry to its place when it is whole.
The same project gives the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from dawlink.daw.project import Project
from engine.errors import UsageError

__all__ = ["FORMATS", "ProjectWriter", "collect_audio", "parse_formats", "writer_for"]


class ProjectWriter(Protocol):
    """Writes projects in one format.

    ``warps`` says whether the format can play a file along a beat map, so that sources need not be
    rendered first.
    """

    name: str
    warps: bool

    def entry(self, project_name: str) -> str:
        """The name of the file or folder that :meth:`write` makes."""
        ...

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """Write the project with its audio.

        Args:
            project: what to write; its files are copied, never changed.
            folder: an existing folder that has no such entry.

        Returns:
            The files that the DAW opens, relative to ``folder``.
        """
        ...


def writer_for(name: str, *, into: Path | None = None) -> ProjectWriter:
    """The writer of a format.

    Args:
        name: of the format.
        into: a project to make a copy of and add to, where the format can.

    Raises:
        UsageError: there is no such format, or it cannot add to a project.
    """
    if name not in FORMATS:
        raise UsageError(
            f"There is no project format {name!r}.",
            hint=f"Choose from {', '.join(FORMATS)}.",
            code="bad_project",
        )
    if into is not None and name not in EXTENDS:
        raise UsageError(
            f"--into goes with --project {' or '.join(EXTENDS)}, not with {name}.",
            hint="Leave --into out to get a new project.",
            code="bad_project",
        )
    return FORMATS[name](into)


def parse_formats(text: str) -> tuple[str, ...]:
    """``als,dawproject`` (commas or spaces) as names, each once, in their order.

    Raises:
        UsageError: an unknown name, or none.
    """
    names = tuple(dict.fromkeys(text.replace(",", " ").lower().split()))
    if not names:
        raise UsageError("--project names no format.", hint=f"Choose from {', '.join(FORMATS)}.")
    for name in names:
        writer_for(name)
    return names


def collect_audio(project: Project, folder: Path) -> None:
    """Copy every file of the project into ``folder`` under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for audio in project.files:
        shutil.copyfile(audio.path, folder / audio.name)


def _live_set(into: Path | None) -> ProjectWriter:
    from dawlink.daw.live.writers import SetWriter

    return SetWriter(into)


def _live_clips(_into: Path | None) -> ProjectWriter:
    from dawlink.daw.live.writers import ClipWriter

    return ClipWriter()


def _dawproject(_into: Path | None) -> ProjectWriter:
    from dawlink.daw.dawproject import DawprojectWriter

    return DawprojectWriter()


def _reaper(_into: Path | None) -> ProjectWriter:
    from dawlink.daw.reaper import ReaperWriter

    return ReaperWriter()


def _ardour(_into: Path | None) -> ProjectWriter:
    from dawlink.daw.ardour import ArdourWriter

    return ArdourWriter()


#: Formats by the name that ``--project`` takes.
FORMATS: Final[Mapping[str, Callable[[Path | None], ProjectWriter]]] = {
    "als": _live_set,
    "alc": _live_clips,
    "dawproject": _dawproject,
    "rpp": _reaper,
    "ardour": _ardour,
}
#: Those that can add to a copy of somebody's own project.
EXTENDS: Final = ("als",)
