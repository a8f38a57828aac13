"""The device's script: the parts of ``js/`` joined in the order of their names.

Max does not cache what ``require`` loads and ``v8`` is missing before Live 12.2, so the device
ships one ES5 file for ``js``.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

import dawlink

__all__ = ["SCRIPT_NAME", "script_parts", "script_text"]

SCRIPT_NAME: Final = "dawlink.js"
_VERSION_MARK: Final = "@VERSION@"


def script_parts() -> dict[str, str]:
    """File name to text, in the order in which they are joined."""
    folder = resources.files("max4live.device") / "js"
    parts = {item.name: item.read_text("utf-8") for item in folder.iterdir()}
    return {name: parts[name] for name in sorted(parts) if name.endswith(".js")}


def script_text() -> str:
    """The whole script, with dawlink's version in it."""
    joined = "\n".join(script_parts().values())
    return joined.replace(_VERSION_MARK, dawlink.__version__)
