"""Negatives that break one axis only: what exactly does a model hear?

Pairs of a vocal window with the harmony or the drums of its own bars are compared with copies in
which one thing is wrong: the harmony a semitone up or down, either stem a part of a beat early or
late, or a beat or two, either stem in a tempo of its own from the common first downbeat on, and
the same bars of the same stem in rotated order, which leaves key, sound and groove as they are and
puts the wrong chords under the tune. Windows lie a bar or more inside their song, so no copy begins
or ends in silence. One score per pair; an axis is solved when
originals score higher (area under the ROC curve 1), not heard at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.bootstrap import SongBootstrap
from engine.evaluation.corpus import EvaluationSong, Passage
from engine.evaluation.gallery import Gallery, Stopwatch
from engine.evaluation.report import AxisResult
from engine.evaluation.windows import (
    LEAST_ACTIVITY,
    QUARTERS_PER_BEAT,
    at_tempo,
    bars_rotated,
    starts_of,
    transposed,
    window_at,
)
from engine.models.ranker import Ranker
from engine.theory import Role

__all__ = [
    "ROOM_BARS",
    "WINDOW_BARS",
    "Original",
    "auc_of",
    "axis_result",
    "originals_of",
    "single_axes",
]

WINDOW_BARS: Final = 8
#: Bars of the song before and after every window: nothing is moved further.
ROOM_BARS: Final = 1

#: Tempi of a stem over the vocal's: three beats off after eight bars. A fifth off, as the furthest
#: matched partners are before they are stretched, would need more bars than :data:`ROOM_BARS`.
_TEMPI: Final = (0.9, 1.1)

_Alteration = Callable[[EvaluationSong, Role, int], Passage]


def _late(quarters: int) -> _Alteration:
    return lambda song, role, bar: window_at(
        song.stems[role], bar, WINDOW_BARS, late_quarters=quarters
    )


def _moved(semitones: int) -> _Alteration:
    return lambda song, role, bar: transposed(
        window_at(song.stems[role], bar, WINDOW_BARS), semitones
    )


def _rotated(bars: int) -> _Alteration:
    return lambda song, role, bar: bars_rotated(window_at(song.stems[role], bar, WINDOW_BARS), bars)


def _unstretched(ratio: float) -> _Alteration:
    return lambda song, role, bar: at_tempo(song.stems[role], bar, WINDOW_BARS, ratio=ratio)


_TIMING: Final[dict[str, tuple[_Alteration, ...]]] = {
    "quarter beat": (_late(1), _late(-1)),
    "half beat": (_late(2), _late(-2)),
    "one beat": (_late(QUARTERS_PER_BEAT), _late(-QUARTERS_PER_BEAT)),
    "two beats": (_late(2 * QUARTERS_PER_BEAT), _late(-2 * QUARTERS_PER_BEAT)),
    "tempo": tuple(_unstretched(ratio) for ratio in _TEMPI),
}
#: Alterations by role and axis.
_AXES: Final[dict[Role, dict[str, tuple[_Alteration, ...]]]] = {
    "harmonic": {
        "semitone": (_moved(1), _moved(-1)),
        **_TIMING,
        "rotated bars": (_rotated(1), _rotated(2)),
    },
    "drums": {**_TIMING},
}


@dataclass(frozen=True, eq=False)
class Original:
    """A vocal window whose song has harmony and drums there."""

    song: EvaluationSong
    bar: int

    @property
    def vocal(self) -> Passage:
        """What the others are laid under."""
        return self.part("vocals")

    def part(self, role: Role) -> Passage:
        """The same bars of another stem."""
        return window_at(self.song.stems[role], self.bar, WINDOW_BARS)


def originals_of(song: EvaluationSong) -> list[Original]:
    """The vocal windows of a song in which harmony and drums sound too."""
    if "vocals" not in song.parts or not {"harmonic", "drums"} <= set(song.stems):
        return []
    starts = starts_of(song.stems["vocals"], WINDOW_BARS, room=ROOM_BARS)
    found = [Original(song, bar) for bar in starts]
    roles: tuple[Role, ...] = ("vocals", "harmonic", "drums")
    return [o for o in found if all(o.part(r).activity >= LEAST_ACTIVITY for r in roles)]


def single_axes(
    originals: Sequence[Original], ranker: Ranker, watch: Stopwatch, seed: int
) -> list[AxisResult]:
    """How one model does on every axis."""
    songs = tuple(original.song.id for original in originals)
    results = []
    for role, axes in _AXES.items():
        names = [axis for axis, alterations in axes.items() for _ in alterations]
        tables = []
        for number, original in enumerate(originals):
            altered = [
                alteration(original.song, role, original.bar)
                for alterations in axes.values()
                for alteration in alterations
            ]
            gallery = Gallery((original.part(role), *altered))
            tables.append(gallery.scores(original.vocal, ranker, seed=seed + number, watch=watch))
        table = np.stack(tables)
        for axis in axes:
            columns = [1 + i for i, name in enumerate(names) if name == axis]
            results.append(
                axis_result(f"{role}: {axis}", table[:, 0], table[:, columns], songs, seed)
            )
    return results


def axis_result(
    name: str,
    own: NDArray[np.float64],
    altered: NDArray[np.float64],
    songs: Sequence[str],
    seed: int,
) -> AxisResult:
    """(originals,) scores ``own`` against those of (originals, copies) ``altered``."""
    wins = (own[:, None] > altered) + 0.5 * (own[:, None] == altered)
    paired = wins.mean(axis=1)
    return AxisResult(
        axis=name,
        auc=auc_of(own, altered.ravel()),
        paired=float(paired.mean()),
        paired_ci95=SongBootstrap(songs, seed=seed).mean(paired),
        pairs=int(altered.size),
    )


def auc_of(originals: NDArray[np.float64], altered: NDArray[np.float64]) -> float:
    """Chance that a random original scores above a random altered one; ties are half."""
    ordered = np.sort(altered)
    below = np.searchsorted(ordered, originals, side="left")
    upto = np.searchsorted(ordered, originals, side="right")
    return float((below + upto).mean() / (2 * altered.size))
