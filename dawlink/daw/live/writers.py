"""Project writers for Live: sets (``als``) and clips (``alc``).

A set lies in a project folder of its own with its samples, as Live makes them. Asked to go into
somebody's set, the writer makes a copy of that set with the tracks added; theirs is only read.
Every file is read back and checked before it is handed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from dawlink.daw.live.clip import crc_of
from dawlink.daw.live.own_set import faults_of, require_sound
from dawlink.daw.live.set_file import LiveSet, read_set, set_bytes
from dawlink.daw.live.sets import (
    CLIP_SAMPLES,
    SAMPLES,
    add_tracks,
    clip_set,
    new_set,
    rebase,
)
from dawlink.daw.project import Project
from dawlink.daw.writer import collect_audio
from engine.errors import UnwritableOutput
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
            UnusableInput: the set to add to cannot be read, or Live would refuse it.
            UnwritableOutput: what lies on the disk is not what was written.
        """
        entry = Path(self.entry(project.name))
        if self._into is None:
            live, name = new_set(project), project.name
        else:
            live = read_set(self._into)
            require_sound(live, self._into)
            rebase(live, self._into.resolve().parent)
            add_tracks(live, project)
            name = safe_name(f"{self._into.stem} + {project.name}")
        collect_audio(project, folder / entry / SAMPLES)
        (folder / entry / "Ableton Project Info").mkdir()
        samples = {f"{SAMPLES}/{audio.name}" for audio in project.files}
        _write_checked(folder / entry / f"{name}.als", live, samples)
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
            samples = {f"{CLIP_SAMPLES}/{audio.name}" for audio in alone.files}
            _write_checked(folder / name, clip_set(alone), samples)
            names.append(name)
        return tuple(names)


def _write_checked(path: Path, live: LiveSet, samples: Set[str]) -> None:
    """Write, read back, and look for what is not as it was meant or what Live would refuse.

    Args:
        path: of the set.
        live: the set.
        samples: the references to its new samples, which lie beside it already.

    Raises:
        UnwritableOutput: there is such a thing.
    """
    path.write_bytes(set_bytes(live))
    again = read_set(path)
    faults = faults_of(again) + list(_lost_samples(again, path.parent, samples))
    if tostring(again.root) != tostring(live.root):
        faults.append("it reads back as another set")
    if faults:
        raise UnwritableOutput(
            f"{path.name} is not as it should be: {', '.join(faults[:3])}.",
            hint="Try again, or another --out; if it stays, please report it.",
            code="bad_project_file",
        )


def _lost_samples(live: LiveSet, folder: Path, samples: Set[str]) -> Iterator[str]:
    """Which of ``samples`` the set does not refer to as they are."""
    tags = ("RelativePath", "OriginalFileSize", "OriginalCrc")
    known = {tuple(_value(ref, tag) for tag in tags) for ref in live.root.iter("FileRef")}
    for relative in sorted(samples):
        sample = folder / relative
        if (relative, str(sample.stat().st_size), str(crc_of(sample))) not in known:
            yield f"{relative} is another file than the set says"


def _value(parent: Element, tag: str) -> str:
    element = parent.find(tag)
    return element.get("Value", "") if element is not None else ""
