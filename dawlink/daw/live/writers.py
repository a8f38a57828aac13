"""Project writers for Live: sets (``als``) and clips (``alc``).

A set lies in a project folder of its own with its samples, as Live makes them. Asked to go into
somebody's set, the writer makes a copy of that set with the tracks added; theirs is only read.
Every file is read back and checked before it is handed over.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dawlink.daw.live.set_file import LiveSet, read_set, set_bytes
from dawlink.daw.live.sets import (
    CLIP_SAMPLES,
    SAMPLES,
    clip_set,
    faults_of,
    new_set,
    rebased,
    with_tracks,
)
from dawlink.daw.project import Project
from dawlink.daw.writer import collect_audio
from engine.errors import UnusableInput
from engine.naming import safe_name

__all__ = ["ClipWriter", "SetWriter"]


class SetWriter:
    """A :class:`~dawlink.daw.writer.ProjectWriter` for Live sets.

    Args:
        into: a set to copy and add to; a new one when None.
    """

    name = "als"
    warps = True

    def __init__(self, into: Path | None = None) -> None:
        self._into = into

    def entry(self, project_name: str) -> str:
        """See :class:`~dawlink.daw.writer.ProjectWriter`: Live's project folder."""
        return f"{project_name} Project"

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """See :class:`~dawlink.daw.writer.ProjectWriter`.

        Raises:
            UnusableInput: the set to add to cannot be read.
        """
        entry = Path(self.entry(project.name))
        if self._into is None:
            live, name = new_set(project), project.name
        else:
            own = read_set(self._into)
            live = with_tracks(rebased(own, self._into.resolve().parent), project)
            name = safe_name(f"{self._into.stem} + {project.name}")
        collect_audio(project, folder / entry / SAMPLES)
        (folder / entry / "Ableton Project Info").mkdir()
        _write_checked(folder / entry / f"{name}.als", live)
        return (entry / f"{name}.als",)


class ClipWriter:
    """A :class:`~dawlink.daw.writer.ProjectWriter` for Live clips: one per track."""

    name = "alc"
    warps = True

    def entry(self, project_name: str) -> str:
        """See :class:`~dawlink.daw.writer.ProjectWriter`: a folder of clips with their samples."""
        return f"{project_name} (Live clips)"

    def write(self, project: Project, folder: Path) -> tuple[Path, ...]:
        """See :class:`~dawlink.daw.writer.ProjectWriter`."""
        entry = Path(self.entry(project.name))
        collect_audio(project, folder / entry / CLIP_SAMPLES)
        names = []
        for number, track in enumerate(project.tracks, 1):
            name = entry / f"{number} {safe_name(track.name)}.alc"
            alone = replace(project, tracks=(replace(track, clips=track.clips[:1]),))
            _write_checked(folder / name, clip_set(alone))
            names.append(name)
        return tuple(names)


def _write_checked(path: Path, live: LiveSet) -> None:
    """Write, read back, and look for what Live would refuse.

    Raises:
        UnusableInput: the set that was copied has such faults already.
    """
    path.write_bytes(set_bytes(live))
    faults = faults_of(read_set(path))
    if faults:
        raise UnusableInput(
            f"The set cannot be extended: {', '.join(faults)}.",
            hint="Save it again in Live, or leave --into out to get a new set.",
            code="faulty_set",
        )
