"""Where the set's project lies, and which files may be put into the set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .clip import Refused

if TYPE_CHECKING:
    from .shapes import Song

#: Where the engine renders to inside a project.
RENDERS = ("Samples", "Processed", "dawlink")
_IN_PROJECT = re.compile(r"^(.* Project)[/\\]Samples[/\\]")


def project_folder(song: Song, clip_path: str) -> Path:
    """The folder of the set; where this Live does not tell it, of the project of the clip's file.

    A set that was never saved may play a file of another project, where nothing must be put.

    Raises:
        Refused: the set was never saved.
    """
    if getattr(song, "file_path", ""):
        return Path(str(song.file_path)).parent
    found = None if hasattr(song, "file_path") else _IN_PROJECT.match(clip_path)
    if found:
        return Path(found.group(1))
    raise Refused("Save the set first: accompaniments are put into its project folder.")


def checked_render(text: str, project: Path) -> Path:
    """The path of a render that may be put into the set.

    Raises:
        Refused: not there, or outside the folder that renders go into, links followed.
    """
    root = project.joinpath(*RENDERS).resolve()
    path = Path(text).resolve()
    if root not in path.parents:
        raise Refused("The engine named a file outside the project; it was not taken.")
    if not path.is_file():
        raise Refused("The rendered file is not there any more. Insert again.")
    return path
