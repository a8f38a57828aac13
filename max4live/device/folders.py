r"""Where Live keeps what a person adds: the User Library, and the folders inside it.

Live notes the place of the User Library in ``Library.cfg`` (XML: ``UserLibrary``, ``ProjectPath``
and ``ProjectName``), one for each version of Live: on macOS below
``~/Library/Preferences/Ableton``, on Windows below ``%APPDATA%\Ableton`` in ``Preferences``. The
newest version's word counts. Without one it is where Live's installer puts it:
``~/Music/Ableton/User Library``, on Windows ``~/Documents/Ableton/User Library``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from xml.etree import ElementTree

from engine.errors import UnusableInput

__all__ = ["REMOTE_SCRIPT_NAME", "Machine", "UserLibrary", "find_user_library"]

_DEVICES: Final = ("Presets", "Audio Effects", "Max Audio Effect")
_REMOTE_SCRIPTS: Final = ("Remote Scripts",)
#: Name of the Remote Script as Live's settings list it.
REMOTE_SCRIPT_NAME: Final = "DawLink"
_NO_LIVE_HINT: Final = (
    "Start Live once, or give the folder that Live's browser shows as User Library: "
    "--user-library DIR."
)

System = Literal["macos", "windows", "other"]


@dataclass(frozen=True)
class Machine:
    """What the search depends on.

    Args:
        system: macOS, Windows, or one that Live does not run on.
        home: the person's home folder.
        app_data: ``%APPDATA%`` on Windows; None elsewhere.
    """

    system: System
    home: Path
    app_data: Path | None = None

    @classmethod
    def this(cls, platform: str, environment: Mapping[str, str]) -> Machine:
        """The machine that this process runs on.

        Args:
            platform: as ``sys.platform``.
            environment: as ``os.environ``.
        """
        named: dict[str, System] = {"darwin": "macos", "win32": "windows"}
        app_data = environment.get("APPDATA")
        return cls(named.get(platform, "other"), Path.home(), Path(app_data) if app_data else None)


@dataclass(frozen=True)
class UserLibrary:
    """The User Library and how it was found.

    Args:
        folder: the User Library.
        found_in: "option", "default", or the path of a ``Library.cfg``.
    """

    folder: Path
    found_in: str

    @property
    def device_folder(self) -> Path:
        """Where Live looks for Max audio effects."""
        return self.folder.joinpath(*_DEVICES)

    @property
    def remote_script_folder(self) -> Path:
        """Where Live looks for the Remote Script (Live 10.1.13 and later)."""
        return self.folder.joinpath(*_REMOTE_SCRIPTS, REMOTE_SCRIPT_NAME)


def find_user_library(machine: Machine, given: Path | None = None) -> UserLibrary:
    """The User Library of this person.

    Args:
        machine: where to look.
        given: the folder, when the person has named it.

    Raises:
        UnusableInput: there is none.
    """
    if given is not None:
        if not given.is_dir():
            raise UnusableInput(
                f"{given} is no folder, so it cannot be Live's User Library.",
                hint="Give the folder that Live's browser shows as User Library.",
                code="no_user_library",
            )
        return UserLibrary(given, "option")
    for notes in _notes(machine):
        folder = _noted_folder(notes)
        if folder is not None and folder.is_dir():
            return UserLibrary(folder, str(notes))
    default = _default_folder(machine)
    if default is not None and default.is_dir():
        return UserLibrary(default, "default")
    looked = f" ({default} is not there)" if default is not None else ""
    raise UnusableInput(
        f"Live's User Library was not found{looked}.", hint=_NO_LIVE_HINT, code="no_user_library"
    )


def _notes(machine: Machine) -> list[Path]:
    """Every ``Library.cfg``, the newest Live first."""
    if machine.system == "macos":
        found = (machine.home / "Library" / "Preferences" / "Ableton").glob("Live */Library.cfg")
    elif machine.system == "windows" and machine.app_data is not None:
        found = (machine.app_data / "Ableton").glob("Live */Preferences/Library.cfg")
    else:
        return []
    return sorted(found, key=_version, reverse=True)


def _version(notes: Path) -> tuple[int, ...]:
    folder = next(part for part in reversed(notes.parts) if part.startswith("Live "))
    return tuple(int(number) for number in re.findall(r"\d+", folder))


def _noted_folder(notes: Path) -> Path | None:
    try:
        root = ElementTree.fromstring(notes.read_bytes())
    except (OSError, ElementTree.ParseError):  # written by a Live that crashed: ask the next one
        return None
    library = next(root.iter("UserLibrary"), None)
    if library is None:
        return None
    path, name = (next(library.iter(tag), None) for tag in ("ProjectPath", "ProjectName"))
    if path is None or name is None:
        return None
    return Path(path.get("Value", "")) / name.get("Value", "")


def _default_folder(machine: Machine) -> Path | None:
    if machine.system == "other":
        return None
    music = "Music" if machine.system == "macos" else "Documents"
    return machine.home / music / "Ableton" / "User Library"
