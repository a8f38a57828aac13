"""Crops of songs as pictures in memory, transposed and at another tempo without a stretcher.

A song is heard once, as powers in semitone bands; every crop is cut out of that. A transposition
by s semitones reads the bands s rows away, another tempo reads the frames closer together or
further apart, for mix and stem alike. A mix is the sum of its stems' powers: what the phases do to
a sum is left out. So 123 songs are heard in 13 keys and any tempo 16 % about their own.

What would give away one song and no music is drawn for each side by itself: the tone (a curve of
6 dB about five points) and the level of every stem.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import EPSILON, HOP_SAMPLES, MEL_BANDS, LogMel, MelStatistics
from engine.models.stem_jepa.network import JEPA_ROLES
from engine.training.stem_jepa.draws import ACTIVE_PEAK, REDRAWS, SongArray

__all__ = [
    "SongPicture",
    "draw_missing",
    "draw_of_one_role",
    "song_picture",
]

#: Bands kept beyond the 80, and so the largest transposition.
SEMITONES: Final = 6
#: Tempi reach from the song's own over this to the song's own times this.
TEMPO_RATIO: Final = 2**0.22
#: Level of a stem in a mix, and of the tone at each of its points [dB].
_LEVEL_DB: Final = 3.0
_TONE_DB: Final = 6.0
_TONE_POINTS: Final = 5
_NOTHING: Final = UnusableInput(
    "No two songs have stems that sound together.",
    hint="Give multitrack songs whose stems peak above -20 dB.",
)

#: Mixes, stems (batch, 80, frames), normalised, and labels (batch,).
Drawn = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class SongPicture:
    """A song as it is kept.

    Args:
        powers: (4, 92, frames) natural logarithms, half precision.
        peaks: (4, frames) of the waveforms [full scale].
    """

    powers: Tensor
    peaks: NDArray[np.float32]


def song_picture(song: SongArray) -> SongPicture:
    """The picture of (4, samples) at 16 kHz."""
    frames = song.shape[1] // HOP_SAMPLES
    samples = np.asarray(song[:, : frames * HOP_SAMPLES], dtype=np.float32)
    peaks = np.abs(samples).reshape(len(samples), frames, HOP_SAMPLES).max(axis=2)
    front_end = LogMel(MelStatistics(), bands="semitones", beyond=SEMITONES)
    return SongPicture(front_end.raw(torch.from_numpy(samples)).half(), peaks)


def draw_of_one_role(
    songs: Sequence[SongPicture],
    statistics: MelStatistics,
    *,
    batch: int,
    frames: int,
    seed: tuple[int, int],
) -> Drawn:
    """Pairs of different songs whose stems all have one role, drawn too.

    Args:
        songs: to draw from, each once at most.
        statistics: that normalise.
        batch: pairs; fewer when fewer songs have the role.
        frames: length of a crop.
        seed: of the run, and the number of the draw in it.

    Raises:
        UnusableInput: no role has two songs.
    """
    rng = np.random.default_rng(seed)
    for label in rng.permutation(len(JEPA_ROLES)).tolist():
        found = _pairs(songs, rng, label, frames)
        drawn = [pair for pair, _ in zip(found, range(batch), strict=False)]
        if len(drawn) > 1:
            return _stacked(drawn, statistics)
    raise _NOTHING


def draw_missing(
    songs: Sequence[SongPicture],
    statistics: MelStatistics,
    *,
    batch: int,
    frames: int,
    seed: tuple[int, int],
) -> Drawn:
    """As :func:`draw_of_one_role`, but of any roles, and a song may come twice.

    Raises:
        UnusableInput: no song has two stems that sound together.
    """
    rng = np.random.default_rng(seed)
    drawn: list[_Pair] = []
    while len(drawn) < batch:
        before = len(drawn)
        drawn += _pairs(songs, rng, None, frames)
        if len(drawn) == before:
            raise _NOTHING
    return _stacked(drawn[:batch], statistics)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Powers (80, frames) of a mix and a stem, and the stem's label."""

    mix: Tensor
    stem: Tensor
    label: int


def _pairs(
    songs: Sequence[SongPicture], rng: np.random.Generator, label: int | None, frames: int
) -> Iterator[_Pair]:
    """One of every song that has one, songs in a drawn order."""
    for number in rng.permutation(len(songs)).tolist():
        pair = _pair(songs[number], rng, label, frames)
        if pair is not None:
            yield pair


def _pair(
    song: SongPicture, rng: np.random.Generator, label: int | None, frames: int
) -> _Pair | None:
    """A crop of a song with the stem ``label``, or any; None when ten crops had none."""
    for _ in range(REDRAWS):
        reach = math.log2(TEMPO_RATIO)
        moments = np.round(np.arange(frames) * 2.0 ** rng.uniform(-reach, reach)).astype(np.int64)
        semitones = int(rng.integers(-SEMITONES, SEMITONES + 1))
        span = int(moments[-1]) + 1
        start = int(rng.integers(max(song.peaks.shape[1] - span, 0) + 1))
        active = np.flatnonzero(song.peaks[:, start : start + span].max(axis=1) > ACTIVE_PEAK)
        wanted = active if label is None else active[active == label]
        if active.size < 2 or wanted.size < 1:
            continue
        chosen = int(rng.choice(wanted))
        others = active[active != chosen]
        size = int(rng.integers(1, others.size + 1))
        stems = [chosen, *rng.choice(others, size=size, replace=False).tolist()]
        lowest = SEMITONES - semitones
        window = song.powers[:, lowest : lowest + MEL_BANDS, start : start + span]
        powers = _read(window, stems, moments)
        powers *= _from_db(rng.uniform(-_LEVEL_DB, _LEVEL_DB, len(stems)))[:, None, None]
        return _Pair(_toned(powers[1:].sum(dim=0), rng), _toned(powers[0], rng), chosen)
    return None


def _read(window: Tensor, stems: Sequence[int], moments: NDArray[np.int64]) -> Tensor:
    """(stems, 80, frames) powers; silence beyond the end of a short song."""
    inside = torch.from_numpy(moments[moments < window.shape[2]])
    rows = [window[stem].index_select(1, inside).float().exp_() for stem in stems]
    powers = torch.stack(rows)
    return torch.nn.functional.pad(powers, (0, len(moments) - len(inside)), value=EPSILON)


def _toned(powers: Tensor, rng: np.random.Generator) -> Tensor:
    """Powers behind an equaliser."""
    points_db = rng.uniform(-_TONE_DB, _TONE_DB, _TONE_POINTS)
    places = np.linspace(0, MEL_BANDS - 1, _TONE_POINTS)
    return powers * _from_db(np.interp(np.arange(MEL_BANDS), places, points_db))[:, None]


def _from_db(values_db: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy((10.0 ** (values_db / 10.0)).astype(np.float32))


def _stacked(pairs: Sequence[_Pair], statistics: MelStatistics) -> Drawn:
    mixes, stems = (
        (torch.log(torch.stack(part) + EPSILON) - statistics.mean) / statistics.std
        for part in ([pair.mix for pair in pairs], [pair.stem for pair in pairs])
    )
    return mixes, stems, torch.tensor([pair.label for pair in pairs])
