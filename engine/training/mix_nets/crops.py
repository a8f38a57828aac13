"""Mashup examples as planes on disk: made once, measured as often as wanted.

One file per example: uint8 (3, frames, mels) half decibels of vocals, harmony and drums
(:mod:`.example_audio`). Its name is the hash of everything that makes it (the example, the content
of its files, their beat maps, the spectrogram's settings), so an interrupted run finds what it has
made, and nothing stale is ever read. A damaged file is made again. Sixteen bars take
0.15 MB.
"""

from __future__ import annotations

import hashlib
import json
import tokenize
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.files import atomic_path
from engine.mashup.database import MashupDB
from engine.mashup.generation import Condition, Label, MashupExample
from engine.models.mix_nets.beat_mel import (
    FRAMES_PER_BEAT,
    BeatMels,
    from_half_decibels,
)
from engine.models.mix_nets.mel import MEL
from engine.training.mix_nets.example_audio import MOST_SHIFT, example_planes

__all__ = ["CropSet", "make_crops"]

#: Raised when the same example would be read otherwise.
_CROP_VERSION: Final = 3
#: Memory for spectrograms while examples are made: 2.6 GB.
_KEPT_CHUNKS: Final = 40000


@dataclass(frozen=True, eq=False)
class CropSet:
    """Planes on disk and what is known about them.

    Args:
        paths: one file an example.
        labels: of the same length.
        conditions: of the same length.
        data_sha: names the songs that they were made of.
        complete: False when the maker was stopped before the end.
        unusable: examples that could not be made.
    """

    paths: tuple[Path, ...]
    labels: tuple[Label, ...]
    conditions: tuple[Condition, ...]
    data_sha: str = ""
    complete: bool = True
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    def planes(self, index: int) -> NDArray[np.float32]:
        """(3, frames, mels) decibels of an example."""
        return from_half_decibels(np.load(self.paths[index], allow_pickle=False))


def make_crops(
    db: MashupDB,
    examples: Sequence[MashupExample],
    folder: Path,
    *,
    jobs: int = 1,
    bleed_db: float | None = None,
    mels: BeatMels | None = None,
    stop: Callable[[], bool] = lambda: False,
    made_one: Callable[[], None] = lambda: None,
) -> CropSet:
    """Make what is not in ``folder`` yet.

    Args:
        db: the songs of the examples.
        examples: what to make.
        folder: where the files lie.
        jobs: examples made at once.
        bleed_db: level of the other stems of its song in every stem; None for clean stems.
        mels: reads them; who asks for examples with and without bleed reads each file once.
        stop: asked before each; True ends the work.
        made_one: told after each.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    named = [(example, folder / f"{_name_of(example, db, bleed_db)}.npy") for example in examples]
    made: list[tuple[MashupExample, Path]] = []
    looked_at = 0
    mels = BeatMels(kept_chunks=_KEPT_CHUNKS) if mels is None else mels
    with ThreadPoolExecutor(jobs) as pool:  # decoding and products let go of Python's lock
        for start in range(0, len(named), jobs):
            chunk = named[start : start + jobs]
            there = [_is_made(path, _shape_of(example, db)) for example, path in chunk]
            if not all(there) and stop():
                break
            usable = pool.map(
                lambda item, is_made: is_made or _make(item[0], item[1], db, mels, bleed_db),
                chunk,
                there,
            )
            made += [item for item, is_usable in zip(chunk, usable, strict=True) if is_usable]
            looked_at += len(chunk)
            for _ in chunk:
                made_one()
    return CropSet(
        paths=tuple(path for _, path in made),
        labels=tuple(example.label for example, _ in made),
        conditions=tuple(example.condition for example, _ in made),
        data_sha=db.data_sha,
        complete=looked_at == len(named),
        unusable=looked_at - len(made),
    )


def _shape_of(example: MashupExample, db: MashupDB) -> tuple[int, int, int]:
    """Planes, frames and mels of an example."""
    beats = example.bars * db.by_id[example.stems[0].song_id].grid.beats_per_bar
    return len(example.stems), beats * FRAMES_PER_BEAT, MEL.mels


def _is_made(path: Path, shape: tuple[int, int, int]) -> bool:
    """Whether a whole file of such planes is there; its values are not read."""
    try:
        planes = np.lib.format.open_memmap(path, mode="r")
    except (OSError, EOFError, ValueError, tokenize.TokenError):
        return False
    return planes.dtype == np.uint8 and planes.shape == shape


def _make(
    example: MashupExample, path: Path, db: MashupDB, mels: BeatMels, bleed_db: float | None
) -> bool:
    """Make the file; False when the example cannot be made."""
    try:
        planes = example_planes(example, db, mels, bleed_db=bleed_db)
    except UnusableInput:
        return False
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, planes, allow_pickle=False)
    return True


def _name_of(example: MashupExample, db: MashupDB, bleed_db: float | None) -> str:
    """Hex SHA-256 of what the crop depends on."""
    songs = [db.by_id[use.song_id] for use in example.stems]
    record = {
        "version": _CROP_VERSION,
        "example": asdict(example),
        "stems": [s.stems[u.role].sha for s, u in zip(songs, example.stems, strict=True)],
        "maps": [s.map_sha for s in songs],
        "frames_per_beat": FRAMES_PER_BEAT,
        "most_shift": MOST_SHIFT,
        "bleed_db": bleed_db,
        "mel": asdict(MEL),
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
