r"""File names that say what is in them and that every file system takes.

Windows forbids ``< > : " / \\ | ? *``, control characters, trailing dots and spaces, and a list of
device names; macOS forbids ``/`` and ``:``. Names are kept short enough for a deep project folder
and are cut between characters, never inside one. Letters of any script stay (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from engine.theory import Key

__all__ = ["safe_name", "tempo_and_key", "without_tempo_and_key"]

_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
#: ``104bpm Am``, ``(98.5 BPM)``: a tempo, and a key right behind it.
_STATED: Final = re.compile(
    r"[\s_(\[-]*(?<![0-9A-Za-z])\d{2,3}(?:[.,]\d+)?[\s_-]*bpm(?![A-Za-z])"
    r"(?:[\s_-]+[A-G][#b]?(?:m|min|maj|minor|major)?(?![A-Za-z]))?[)\]]?",
    re.IGNORECASE,
)
#: Bytes of UTF-8 in one name; file systems allow 255 and a role and suffix are still to come.
MAX_BYTES: Final = 120


def safe_name(text: str, *, max_bytes: int = MAX_BYTES) -> str:
    """``text`` as the stem of a file name; ``untitled`` when nothing usable is left."""
    name = unicodedata.normalize("NFC", text)
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    name = re.sub(r"\s+", " ", _FORBIDDEN.sub("-", name)).strip(" .")
    encoded = name.encode("utf-8")[:max_bytes]
    name = encoded.decode("utf-8", errors="ignore").strip(" .")
    if not name:
        return "untitled"
    return f"{name}_" if _RESERVED.match(name) else name


def tempo_and_key(tempo_bpm: float, key: Key | None) -> str:
    """``120bpm Am``; the tempo with up to two decimals, the key left out when unknown."""
    tempo = f"{tempo_bpm:.2f}".rstrip("0").rstrip(".")
    return f"{tempo}bpm {key.short}" if key else f"{tempo}bpm"


def without_tempo_and_key(title: str) -> str:
    """``lead 104bpm Am`` as ``lead``: the source's tempo and key say nothing about a render."""
    return _STATED.sub("", title).strip(" _-") or title
