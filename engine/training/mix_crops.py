"""Mashup examples as planes on disk: made once, read for as many epochs as wanted.

One file per example: uint8 (3, frames, mels) half decibels of vocals, harmony and drums
(:mod:`engine.mashup.example_audio`). Its name is the hash of everything that makes it (the example,
the content of its files, their beat maps, the spectrogram's settings), so an interrupted run finds
what it has made, and nothing stale is ever read. Eight bars take 0.15 MB.

What a network is trained on is varied anew in every epoch (:func:`varied`): the four bars, colour
and level of each stem, softened attacks, and which stems take part. Under a clip a single stem is
asked for as often as a pair, and a clip may hold more than a voice, so a part of the examples lacks
a plane or has two stems in one; never so that what makes a bad example bad is left out.
"""

from __future__ import annotations

import hashlib
import json
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
from engine.mashup.example_audio import MOST_SHIFT, example_planes
from engine.mashup.generation import Condition, Label, MashupExample
from engine.models.beat_mel import (
    FLOOR_DB,
    FRAMES_PER_BEAT,
    BeatMels,
    added_up,
    from_half_decibels,
)
from engine.models.mel import MEL

__all__ = ["CropSet", "make_crops", "varied"]

#: Raised when the same example would be read otherwise.
_CROP_VERSION: Final = 2
#: Memory for spectrograms while examples are made: 2.6 GB.
_KEPT_CHUNKS: Final = 40000
#: Crops begin on a bar of four beats.
_BAR_FRAMES: Final = 4 * FRAMES_PER_BEAT
#: How often all three stems take part as they are.
_WHOLE_SHARE: Final = 0.6
#: Which stems (0 vocal, 1 harmony, 2 drums) each plane holds otherwise.
_ARRANGEMENTS: Final[tuple[tuple[tuple[int, ...], ...], ...]] = (
    ((0,), (1,), ()),
    ((0, 2), (1,), ()),
    ((0,), (), (2,)),
    ((0, 1), (), (2,)),
    ((1,), (), (2,)),
)
#: With these a wrong key is still heard: voice and harmony in two planes.
_KEY_ARRANGEMENTS: Final = _ARRANGEMENTS[:2]
#: With these a wrong tempo is still heard: whatever does not belong together is in two planes.
_TEMPO_ARRANGEMENTS: Final = _ARRANGEMENTS[:3]
#: Colour: waves over the bins of this height, and level, standard deviations [dB].
_COLOUR_DB: Final = 3.0
_LEVEL_DB: Final = 3.0


@dataclass(frozen=True, eq=False)
class CropSet:
    """Planes on disk and what is known about them.

    Args:
        paths: one file an example.
        labels: of the same length.
        conditions: of the same length.
        complete: False when the maker was stopped before the end.
        unusable: examples that could not be made.
    """

    paths: tuple[Path, ...]
    labels: tuple[Label, ...]
    conditions: tuple[Condition, ...]
    complete: bool = True
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def data_sha(self) -> str:
        """Hex SHA-256 that names these examples in this order."""
        text = "\n".join(f"{p.stem} {c}" for p, c in zip(self.paths, self.conditions, strict=True))
        return hashlib.sha256(text.encode()).hexdigest()

    def indices(self, labels: Sequence[Label]) -> NDArray[np.int64]:
        """Positions of the examples with one of these labels."""
        return np.array([i for i, label in enumerate(self.labels) if label in labels], dtype=int)

    def batch(
        self, indices: Sequence[int], frames: int, *, rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        """(batch, 3, ``frames``, mels) decibels of some examples.

        Args:
            indices: which.
            frames: how long; a shorter example is followed by silence.
            rng: decides where each crop begins and how it is varied; the middle, as it is, when
                None.
        """
        crops = [(_crop(self.paths[i], frames, rng), self.conditions[i]) for i in indices]
        return np.stack([p if rng is None else varied(p, c, rng=rng) for p, c in crops])


def make_crops(
    db: MashupDB,
    examples: Sequence[MashupExample],
    folder: Path,
    *,
    jobs: int = 1,
    stop: Callable[[], bool] = lambda: False,
    made_one: Callable[[], None] = lambda: None,
) -> CropSet:
    """Make what is not in ``folder`` yet.

    Args:
        db: the songs of the examples.
        examples: what to make.
        folder: where the files lie.
        jobs: examples made at once.
        stop: asked before each; True ends the work.
        made_one: told after each.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    named = [(example, folder / f"{_name_of(example, db)}.npy") for example in examples]
    made: list[tuple[MashupExample, Path]] = []
    looked_at = 0
    mels = BeatMels(kept_chunks=_KEPT_CHUNKS)
    with ThreadPoolExecutor(jobs) as pool:  # decoding and products let go of Python's lock
        for start in range(0, len(named), jobs):
            chunk = named[start : start + jobs]
            if not all(path.is_file() for _, path in chunk) and stop():
                break
            there = pool.map(lambda item: _ensure(item[0], item[1], db, mels), chunk)
            made += [item for item, usable in zip(chunk, there, strict=True) if usable]
            looked_at += len(chunk)
            for _ in chunk:
                made_one()
    return CropSet(
        paths=tuple(path for _, path in made),
        labels=tuple(example.label for example, _ in made),
        conditions=tuple(example.condition for example, _ in made),
        complete=looked_at == len(named),
        unusable=looked_at - len(made),
    )


def varied(
    planes: NDArray[np.float32], condition: Condition, *, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3, frames, mels) decibels of an example as it might have sounded too."""
    coloured = planes + _colours(planes.shape[2], rng)[:, None]
    for plane in coloured:
        if rng.random() < 0.5:
            plane[1:-1] = 0.5 * plane[1:-1] + 0.25 * (plane[:-2] + plane[2:])
    heard: NDArray[np.float32] = np.maximum(coloured, np.float32(FLOOR_DB))
    if rng.random() < _WHOLE_SHARE:
        return heard
    choices = _ARRANGEMENTS
    if condition == "unmatched-key":
        choices = _KEY_ARRANGEMENTS
    elif condition in ("unmatched-tempo", "unmatched-both"):
        choices = _TEMPO_ARRANGEMENTS
    arrangement = choices[int(rng.integers(len(choices)))]
    silent = np.full_like(heard[0], FLOOR_DB)
    return np.stack(
        [added_up([heard[i] for i in held]) if held else silent for held in arrangement]
    )


def _colours(mels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(3, mels) decibels: a level and two slow waves over the bins for each stem."""
    bins = np.linspace(0.0, 1.0, mels)
    waves = [
        np.cos(np.pi * (rng.uniform(0.5, 3.0, (3, 1)) * bins + rng.uniform(0, 2, (3, 1))))
        for _ in range(2)
    ]
    heights = rng.normal(0.0, _COLOUR_DB, (2, 3, 1))
    level = np.clip(rng.normal(0.0, _LEVEL_DB, (3, 1)), -6.0, 6.0)
    colours: NDArray[np.float64] = level + (heights * np.stack(waves)).sum(axis=0)
    return colours.astype(np.float32)


def _ensure(example: MashupExample, path: Path, db: MashupDB, mels: BeatMels) -> bool:
    """Make the file unless it is there; False when the example cannot be made."""
    if path.is_file():
        return True
    try:
        planes = example_planes(example, db, mels)
    except UnusableInput:
        return False
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, planes, allow_pickle=False)
    return True


def _crop(path: Path, frames: int, rng: np.random.Generator | None) -> NDArray[np.float32]:
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    bars = max(stored.shape[1] - frames, 0) // _BAR_FRAMES
    start = (bars // 2 if rng is None else int(rng.integers(bars + 1))) * _BAR_FRAMES
    part = from_half_decibels(np.array(stored[:, start : start + frames]))
    missing = frames - part.shape[1]
    if not missing:
        return part
    return np.pad(part, ((0, 0), (0, missing), (0, 0)), constant_values=FLOOR_DB)


def _name_of(example: MashupExample, db: MashupDB) -> str:
    """Hex SHA-256 of what the crop depends on."""
    songs = [db.by_id[use.song_id] for use in example.stems]
    record = {
        "version": _CROP_VERSION,
        "example": asdict(example),
        "stems": [s.stems[u.role].sha for s, u in zip(songs, example.stems, strict=True)],
        "grids": [hashlib.sha256(s.grid.beats_s.tobytes()).hexdigest() for s in songs],
        "tempos": [[s.tempo_bpm, s.tuning_cents] for s in songs],
        "frames_per_beat": FRAMES_PER_BEAT,
        "most_shift": MOST_SHIFT,
        "mel": asdict(MEL),
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
