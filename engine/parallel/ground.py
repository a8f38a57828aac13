"""What the processes of a run must find, wherever they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.library.place import LibraryPlace, ServerPlace, files_of

__all__ = ["Ground", "ground_of"]


@dataclass(frozen=True)
class Ground:
    """What a run stands on.

    Args:
        paths: files and folders that each process must find.
        one_machine: why all of them must be on the starter's machine; empty when they need not.
    """

    paths: tuple[Path, ...] = ()
    one_machine: str = ""


def ground_of(place: LibraryPlace, paths: Iterable[Path]) -> Ground:
    """The ground of a run on a library and on these paths."""
    reason = "" if isinstance(place, ServerPlace) else "A library in a folder serves one machine"
    return Ground(tuple(dict.fromkeys([files_of(place), *paths])), reason)
