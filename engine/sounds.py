"""The audio behind clips and stems, as :class:`~engine.models.audio_source.Sound` records.

Nothing is read here: a recording decodes the seconds that somebody asks for, at the rate that is
asked for. Levels are the true ones. Seconds are those of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import require_stem
from engine.errors import UnusableInput
from engine.grid import BeatGrid
from engine.models.audio_source import Recording, Sound
from engine.theory import Role

if TYPE_CHECKING:
    from engine.clips.clip import ClipAnalysis
    from engine.library.reading import LibraryReader
    from engine.library.rows import StemRow
    from engine.models.pool import RolePool
    from engine.models.ranker import Fit

__all__ = [
    "LibrarySounds",
    "clip_sound",
    "file_recording",
    "on_beats",
    "stem_recording",
    "sum_recording",
]

#: What sounds before and after the seconds that are asked for, for the resampler [s].
_ROLL_S = 0.02


class StemFinder(Protocol):
    """Knows the stems of a pool and the beat maps of their songs."""

    def stem(self, stem_id: str) -> StemRow: ...

    def grid(self, song_id: str) -> BeatGrid: ...

    def tuning_cents(self, song_id: str) -> float: ...


class LibrarySounds:
    """The sounds of a library's stems; see :class:`~engine.models.audio_source.AudioSource`."""

    def __init__(self, library: LibraryReader, finder: StemFinder) -> None:
        self._library = library
        self._finder = finder

    def placed(self, pool: RolePool, fit: Fit, *, beats: int) -> Sound:
        """See :class:`~engine.models.audio_source.AudioSource`."""
        stem = self._finder.stem(pool.stem_ids[fit.index])
        path = self._library.audio_path(stem)
        require_stem(path, "a stem")  # what was heard of it before may still be known
        start = round(fit.start_bar * pool.beats_per_bar / pool.multiplier)
        passed = np.arange(beats) % (fit.loop_bars * pool.beats_per_bar)
        first = start + passed / pool.multiplier
        grid = self._finder.grid(stem.song_id)
        edges = [grid.time_at(first), grid.time_at(first + 1 / pool.multiplier)]
        pitched = pool.transposable
        return Sound(
            stem_recording(self._library, stem),
            np.stack(edges, axis=1),
            semitones=fit.semitones if pitched else 0,
            tuning_cents=self._finder.tuning_cents(stem.song_id) if pitched else 0.0,
            voice=pool.role == "vocals",
        )


def clip_sound(clip: ClipAnalysis, transpose: int) -> Sound:
    """An analysed clip, transposed as the session hears it."""
    recording = file_recording(clip.request.path, clip.sha256)
    sound = on_beats(recording, clip.grid, clip.rows.size, clip.tuning_cents, "vocals")
    return sound.transposed(transpose)


def on_beats(
    recording: Recording, grid: BeatGrid, beats: int, tuning_cents: float, role: Role
) -> Sound:
    """The first ``beats`` beats of a recording on its own beat map."""
    edges = grid.beats_s[: beats + 1]
    return Sound(
        recording,
        np.stack([edges[:-1], edges[1:]], axis=1),
        tuning_cents=0.0 if role in ("drums", "percussion") else tuning_cents,
        voice=role == "vocals",
    )


def stem_recording(library: LibraryReader, stem: StemRow) -> Recording:
    """A stem of a library at its true level."""
    return file_recording(library.audio_path(stem), stem.audio.sha, gain_db=stem.audio.gain_db)


def file_recording(path: Path, key: str, *, gain_db: float = 0.0) -> Recording:
    """An audio file, ``gain_db`` louder than it is; ``key`` names its content."""

    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        from engine.audio.decode import decode
        from engine.audio.resample import resample

        frames = round((end_s - start_s) * sample_rate)
        result = np.zeros(frames, dtype=np.float32)
        first_s = max(start_s - _ROLL_S, 0.0)
        if end_s <= first_s:
            return result
        try:
            heard = resample(decode(path, start_s=first_s, end_s=end_s + _ROLL_S), sample_rate)
        except UnusableInput as error:
            if error.code == "too_short":  # all of it lies after the end
                return result
            raise
        samples = heard.mono() * np.float32(10 ** (gain_db / 20))
        skip = round((start_s - first_s) * sample_rate)
        into, samples = max(-skip, 0), samples[max(skip, 0) :]
        count = min(samples.size, frames - into)
        result[into : into + count] = samples[:count]
        return result

    return Recording(f"{key}{gain_db:+.2f}", read)


def sum_recording(recordings: Sequence[Recording]) -> Recording:
    """Recordings that start together, added up."""

    def read(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
        parts = [recording.read(start_s, end_s, sample_rate) for recording in recordings]
        total: NDArray[np.float32] = np.sum(parts, axis=0, dtype=np.float32)
        return total

    return Recording("+".join(sorted(recording.key for recording in recordings)), read)
