"""The seam between ranking and the models that score fit.

A :class:`Ranker` sees a clip and the stems of one role as beat-grid features and says, for each
stem, where it fits best (:class:`Fit`); then it scores a whole group, the clip with one stem per
role. Everything is measured in grid beats, so no audio is stretched to score it. A published
system or a learned model is one more file that implements this protocol and one more line in
``engine.models.registry``.

Scores and their parts lie in [0, 1]. Transpositions are signed semitones applied to the stem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.models.audio_source import Sound
from engine.models.pool import RolePool
from engine.theory import Role

__all__ = ["ClipFeatures", "Fit", "FitParts", "Ranker", "Search"]


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """The clip on its own beats, transposed as the session hears it.

    Args:
        rows: (bars * beats_per_bar,) of :data:`~engine.analysis.records.BEAT_ROW`.
        active: (beats,) bool, beats in which the clip sounds.
        beats_per_bar: metre.
        transpose: semitones that the session applies to the clip; the rows are untransposed.
        key_profile: (12,) pitch-class weights of the session's key when a person stated it.
        sound: its audio, transposed as the session hears it; None where there are only features.
    """

    rows: NDArray[np.void]
    active: NDArray[np.bool_]
    beats_per_bar: int
    transpose: int = 0
    key_profile: NDArray[np.float32] | None = None
    sound: Sound | None = None

    def __post_init__(self) -> None:
        if self.rows.size == 0 or self.rows.size % self.beats_per_bar:
            raise ValueError(f"{self.rows.size} beats are not whole bars of {self.beats_per_bar}")
        if self.active.shape != self.rows.shape:
            raise ValueError("activity and features differ in length")

    @property
    def bars(self) -> int:
        """Whole bars that the clip fills."""
        return int(self.rows.size) // self.beats_per_bar


@dataclass(frozen=True)
class Search:
    """What may be tried: transpositions (ignored for drums) and how many stems to hand back.

    A model that listens to audio may open ``listen`` files for it, as many as it likes when None;
    it hands back no more than those.
    """

    semitones: Sequence[int] = (0,)
    keep: int = 64
    seed: int = 0
    listen: int | None = 24


@dataclass(frozen=True)
class FitParts:
    """Why a score is what it is; None where a model has no opinion."""

    harmony: float | None = None
    rhythm: float | None = None
    balance: float | None = None
    learned: float | None = None


@dataclass(frozen=True)
class Fit:
    """The best place of one stem under the clip.

    Args:
        index: the stem's position in its pool.
        start_bar: first bar of the stem, in session bars of the pool.
        loop_bars: bars of one pass (see ``engine.mashup.placement``).
        semitones: transposition of the stem.
        score: this stem alone against the clip.
    """

    index: int
    start_bar: int
    loop_bars: int
    semitones: int
    score: float
    parts: FitParts = field(default_factory=FitParts)


class Ranker(Protocol):
    """Scores stems, then groups of stems, under a clip."""

    name: str

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """The best place of each of the ``search.keep`` best stems, best first.

        Args:
            clip: the query.
            pool: stems of one role; its ``role`` says whether transposing makes sense.
            search: transpositions, number of stems, seed.
            eligible: (stems,) bool, stems that may be chosen; all when None.
        """
        ...

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """Score every combination of one fit per role.

        Returns:
            (n_1, …, n_r) scores in the order of ``fits``' roles, and the named parts in the same
            shape (``harmony``, ``rhythm``, ``balance``, ``learned``; those the model has).
        """
        ...
