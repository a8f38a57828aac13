"""What is said of stems that hold no sound and are therefore left out of a song.

These notes stay with the song when its stored stems are analysed again, which do not tell it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["silence_note", "still_true"]

_ENDING: Final = "is silent and was left out."


def silence_note(name: str) -> str:
    """The sentence about a silent file, or stem of a file."""
    return f"{name} {_ENDING}"


def still_true(notes: Iterable[str]) -> tuple[str, ...]:
    """Those of a song's notes that another analysis does not change."""
    return tuple(note for note in notes if note.endswith(_ENDING))
