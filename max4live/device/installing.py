"""Puts the device, and the Remote Script for Lives without Max for Live, into the User Library.

Installing again replaces what an earlier dawlink put there; nothing else is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from engine.errors import MissingDependency
from engine.files import write_whole
from max4live.device.build import DEVICE_NAME, write_device
from max4live.device.folders import REMOTE_SCRIPT_NAME, UserLibrary

__all__ = ["Installed", "install", "remote_script_files"]

#: Endings of the Remote Script's files.
_SHIPPED: Final = (".py", ".html")


@dataclass(frozen=True)
class Installed:
    """What was written.

    Args:
        device: the device, or None when only the Remote Script was wanted.
        remote_script: the Remote Script's folder, or None.
        files: every file, in the order in which they were written.
    """

    device: Path | None
    remote_script: Path | None
    files: tuple[Path, ...]


def install(library: UserLibrary, *, remote_script: bool = False) -> Installed:
    """Install the device; with ``remote_script`` that one instead.

    Raises:
        UnwritableOutput: the User Library cannot be written.
        MissingDependency: this dawlink was installed without the Remote Script.
    """
    if not remote_script:
        device = library.device_folder / DEVICE_NAME
        write_device(device)
        return Installed(device, None, (device,))
    folder = library.remote_script_folder
    written: list[Path] = []
    for name, text in remote_script_files().items():
        path = folder / name
        write_whole(path, text)
        written.append(path)
    return Installed(None, folder, tuple(written))


def remote_script_files() -> dict[str, str]:
    """Path inside the Remote Script's folder to text.

    Raises:
        MissingDependency: there is no Remote Script in this installation.
    """
    root = resources.files("max4live") / "remote_script" / REMOTE_SCRIPT_NAME
    found = _shipped_files(root, "") if root.is_dir() else {}
    if "__init__.py" not in found:
        raise MissingDependency(
            "This installation of dawlink has no Remote Script.",
            hint="Install dawlink again.",
            code="no_remote_script",
        )
    return found


def _shipped_files(folder: Traversable, prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir() and item.name != "__pycache__":
            found |= _shipped_files(item, f"{prefix}{item.name}/")
        elif item.name.endswith(_SHIPPED):
            found[prefix + item.name] = item.read_text("utf-8")
    return found
