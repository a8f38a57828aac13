"""The embeddings of a whole pool, end to end in a memory-mapped folder.

The folder's name holds a digest of exactly what went into it, so it is right or it is not used. It
appears in one rename, and may be deleted at any time. What the folder before it holds of the same
stems is taken over, so a change of the library costs what has changed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0

from engine.files import write_whole
from engine.library.blobs import PART_PREFIX
from engine.models.fit.embedding import Embedding

__all__ = ["earlier", "mapped", "write"]

_KEYS_FILE: Final = "keys.json"  # the model, and key and first beat of every stem


def mapped(tag: str, folder: Path, *, beats: int) -> Embedding | None:
    """The arrays of a folder; None when they are not there or do not fit."""
    try:
        pitch, rhythm = (
            np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            for name in ("pitch", "rhythm")
        )
    except (OSError, ValueError, EOFError):
        return None
    return Embedding(tag, pitch, rhythm) if len(pitch) == len(rhythm) == beats else None


def earlier(tag: str, folders: Iterator[Path]) -> dict[str, Embedding]:
    """Every stem that folders of the same model hold, by key."""
    found: dict[str, Embedding] = {}
    for folder in folders:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            listed = json.loads((folder / _KEYS_FILE).read_text(encoding="utf-8"))
            firsts = listed["offsets"]
            whole = mapped(tag, folder, beats=firsts[-1])
            if whole is None or listed["model"] != tag:
                continue
            for key, first, end in zip(listed["keys"], firsts, firsts[1:], strict=False):
                rows = slice(first, end)
                found[key] = Embedding(tag, whole.pitch[rows], whole.rhythm[rows])
    return found


def write(
    tag: str, folder: Path, parts: Iterator[Embedding], *, keys: Sequence[str], offsets: list[int]
) -> None:
    """Stream the parts, one for each key, into one file per array."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=folder.parent))
    try:
        with (
            (unfinished / "pitch.npy").open("wb") as pitch,
            (unfinished / "rhythm.npy").open("wb") as rhythm,
        ):
            for number, part in enumerate(parts):
                for stream, values in ((pitch, part.pitch), (rhythm, part.rhythm)):
                    if number == 0:
                        header = header_data_from_array_1_0(values[:0])
                        shape = (offsets[-1], values.shape[1])
                        write_array_header_1_0(stream, header | {"shape": shape})
                    stream.write(values.tobytes())
        listed = {"model": tag, "keys": list(keys), "offsets": offsets}
        write_whole(unfinished / _KEYS_FILE, json.dumps(listed))
        if folder.exists():  # it did not fit, so it is damaged
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
