"""The Remote Script's folder, and its modules that need no Live."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[3] / "max4live" / "remote_script" / "DawLink"


def part(name: str) -> ModuleType:
    """One module of the script, loaded as a part of a package of another name."""
    package = "dawlink_remote_script_parts"
    if package not in sys.modules:
        made = ModuleType(package)
        made.__path__ = [str(FOLDER)]
        sys.modules[package] = made
    return importlib.import_module(f"{package}.{name}")
