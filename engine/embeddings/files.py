"""Embeddings of single stems as files, one for each stem and model.

They lie under ``<library>/embeddings/<model>`` and are named by their key. Machines that share the
library's folder share them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from engine.cached_files import DAMAGED_ARRAYS
from engine.files import atomic_path
from engine.library.sweeping import is_old
from engine.models.fit.embedding import Embedding

__all__ = ["EmbeddingFiles", "EmbeddingKeeper"]

_FOLDER: Final = "embeddings"


class EmbeddingKeeper(Protocol):
    """Where the embeddings of one model are kept by key; losing them costs time only."""

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that something is kept for, whole or damaged."""
        ...

    def several(self, keys: Sequence[str]) -> Iterator[tuple[str, Embedding]]:
        """What is kept whole, in any order."""
        ...

    def put(self, embeddings: Iterable[tuple[str, Embedding]]) -> None:
        """Keep embeddings; each is there as a whole or not at all.

        Raises:
            UnwritableOutput: this user may not, or there is no room.
        """
        ...

    def where(self, key: str, /) -> Path | None:
        """The file of an embedding; None where it is none."""
        ...

    def sweep(self, wanted: AbstractSet[str], older_than_s: float) -> int:
        """Remove what is old and not wanted, and that of other models; returns how many."""
        ...


class EmbeddingFiles:
    """An :class:`EmbeddingKeeper` in a library's folder."""

    def __init__(self, library: Path, tag: str) -> None:
        self._folder = library / _FOLDER
        self._tag = tag

    def known(self, keys: Sequence[str]) -> set[str]:
        """See :class:`EmbeddingKeeper`."""
        return {key for key in keys if self.where(key).is_file()}

    def several(self, keys: Sequence[str]) -> Iterator[tuple[str, Embedding]]:
        """See :class:`EmbeddingKeeper`; each file's archive checks its bytes."""
        for key in keys:
            with (
                contextlib.suppress(*DAMAGED_ARRAYS),
                self.where(key).open("rb") as stream,
                np.load(stream, allow_pickle=False) as arrays,
            ):
                yield key, Embedding(self._tag, arrays["pitch"], arrays["rhythm"])

    def put(self, embeddings: Iterable[tuple[str, Embedding]]) -> None:
        """See :class:`EmbeddingKeeper`."""
        for key, embedding in embeddings:
            with atomic_path(self.where(key)) as temporary, temporary.open("wb") as stream:
                np.savez(stream, pitch=embedding.pitch, rhythm=embedding.rhythm)

    def where(self, key: str, /) -> Path:
        """See :class:`EmbeddingKeeper`."""
        return self._folder / self._tag / f"{key}.npz"

    def sweep(self, wanted: AbstractSet[str], older_than_s: float) -> int:
        """See :class:`EmbeddingKeeper`."""
        removed = 0
        for path in self._folder.glob("*/*"):
            named = path.parent.name == self._tag and path.stem in wanted
            if not named and is_old(path, older_than_s):
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed += 1
        return removed
