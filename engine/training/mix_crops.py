"""Mashup examples as spectrograms on disk: made once, read for as many epochs as wanted.

One file per example: float16 (4, frames, mels), the log-mel spectra of vocals, harmony, drums and
their sum. Its name is the hash of everything that makes it (the example, the content of its files,
the spectrogram's settings), so an interrupted run finds what it has made, and nothing stale is
ever read. 17 s take 0.9 MB.
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

from engine.audio.stretch import Stretcher
from engine.errors import UnusableInput
from engine.files import atomic_path
from engine.mashup.database import MashupDB
from engine.mashup.example_audio import FULL_DETOUR, SAMPLE_RATE, render_example
from engine.mashup.generation import Condition, Label, MashupExample
from engine.models.mel import MEL, log_mel

__all__ = ["CropSet", "make_crops", "render_crop"]

#: Raised when the same example would be rendered otherwise.
_CROP_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class CropSet:
    """Spectrograms on disk and what is known about them.

    Args:
        paths: one file an example.
        labels: of the same length.
        conditions: of the same length.
        complete: False when the maker was stopped before the end.
        unusable: examples that could not be rendered.
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
        """(batch, 4, ``frames``, mels) of some examples.

        Args:
            indices: which.
            frames: how long; a shorter example is followed by silence.
            rng: decides where each crop begins; the middle when None.
        """
        return np.stack([_crop(self.paths[i], frames, rng) for i in indices])


def make_crops(
    db: MashupDB,
    examples: Sequence[MashupExample],
    folder: Path,
    *,
    stretcher: Stretcher,
    jobs: int = 1,
    stop: Callable[[], bool] = lambda: False,
    made_one: Callable[[], None] = lambda: None,
) -> CropSet:
    """Render what is not in ``folder`` yet.

    Args:
        db: the songs of the examples.
        examples: what to render.
        folder: where the files lie.
        stretcher: the warping back end.
        jobs: examples rendered at once.
        stop: asked before each rendering; True ends the work.
        made_one: told after each.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    named = [(example, folder / f"{_name_of(example, db)}.npy") for example in examples]
    made: list[tuple[MashupExample, Path]] = []
    looked_at = 0
    with ThreadPoolExecutor(jobs) as pool:  # the stretcher lets go of Python's lock
        for start in range(0, len(named), jobs):
            chunk = named[start : start + jobs]
            if not all(path.is_file() for _, path in chunk) and stop():
                break
            there = pool.map(lambda item: _ensure(item[0], item[1], db, stretcher), chunk)
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


def render_crop(example: MashupExample, db: MashupDB, stretcher: Stretcher) -> NDArray[np.float16]:
    """(4, frames, mels) vocals, harmony, drums and their sum.

    Raises:
        UnusableInput: a file cannot be read, or a stem is silent there.
    """
    if MEL.sample_rate != SAMPLE_RATE:
        raise ValueError("examples are rendered at another rate than spectrograms are made at")
    stems = render_example(example, db, stretcher)
    tracks = [*stems, stems.sum(axis=0)]
    return np.stack([log_mel(track) for track in tracks]).astype(np.float16)


def _ensure(example: MashupExample, path: Path, db: MashupDB, stretcher: Stretcher) -> bool:
    """Make the file unless it is there; False when the example cannot be rendered."""
    if path.is_file():
        return True
    try:
        spectra = render_crop(example, db, stretcher)
    except UnusableInput:
        return False
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, spectra, allow_pickle=False)
    return True


def _crop(path: Path, frames: int, rng: np.random.Generator | None) -> NDArray[np.float32]:
    spectra = np.load(path, mmap_mode="r", allow_pickle=False)
    room = spectra.shape[1] - frames
    start = max(room, 0) // 2 if rng is None else int(rng.integers(max(room, 0) + 1))
    part = np.array(spectra[:, start : start + frames], dtype=np.float32)
    missing = frames - part.shape[1]
    if not missing:
        return part
    return np.pad(part, ((0, 0), (0, missing), (0, 0)), mode="edge")


def _name_of(example: MashupExample, db: MashupDB) -> str:
    """Hex SHA-256 of what the crop depends on."""
    songs = [db.by_id[use.song_id] for use in example.stems]
    record = {
        "version": _CROP_VERSION,
        "example": asdict(example),
        "stems": [s.stems[u.role].sha for s, u in zip(songs, example.stems, strict=True)],
        "grids": [hashlib.sha256(s.grid.beats_s.tobytes()).hexdigest() for s in songs],
        "tempos": [[s.tempo_bpm, s.tuning_cents] for s in songs],
        "detour": asdict(FULL_DETOUR),
        "mel": asdict(MEL),
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
