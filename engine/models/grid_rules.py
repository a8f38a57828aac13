"""Rule-based fit on beat-grid features: what every hand-made mashability measure shares.

Three terms, each in [0, 1]:

- *harmony*: cosine of the clip's and the stem's chroma, beat by beat, over transpositions;
- *rhythm*: cosine of the onset patterns at twelve steps per beat;
- *balance*: one minus the standard deviation of the three-band spectrum of the sum.

The search has two stages: :mod:`engine.models.coarse` finds the stems that are worth placing,
:mod:`engine.models.exact` places them. A group scores the sum of the terms of all its pairs, as
a share of the most that sum can be.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import STEPS_PER_BEAT
from engine.models.clip_query import ClipQuery, prepare, safe_ratio, unit_rows
from engine.models.coarse import Windows, best_per_stem, clip_windows, phases, spectral
from engine.models.exact import Rules, StemBars, by_pool, place_exactly
from engine.models.pool import RolePool, window_vectors
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.theory import Role

__all__ = ["GridRules", "Rules"]


class GridRules:
    """A :class:`~engine.models.ranker.Ranker` that needs nothing but the stored features."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self.rules = rules

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """See :class:`~engine.models.ranker.Ranker`."""
        query = prepare(clip)
        allowed = pool.bars >= 1 if eligible is None else eligible & (pool.bars >= 1)
        chosen = np.flatnonzero(allowed)
        shifts = tuple(search.semitones) if pool.transposable else (0,)
        if chosen.size > search.keep:
            windows = pool.windows_of(chosen)
            coarse = _coarse(query, windows, shifts, pitched=pool.transposable)
            order = np.argsort(-coarse, kind="stable")[: search.keep]
            chosen = np.sort(chosen[order])
        fits = place_exactly(query, pool, chosen, rules=self.rules, semitones=shifts)
        return sorted(fits, key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`: the mean of all pairs (Huang et al. 2021)."""
        query = prepare(clip)
        voices = [_voice_of_clip(query)]
        voices += [_voice(query, members, self.rules) for members in fits.values()]
        shape = tuple(len(members) for members in fits.values())
        pairs = list(itertools.combinations(range(len(voices)), 2))
        balance = _balance_of_group(voices, shape)
        score, harmony, rhythm = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        weight, pitched_pairs = 0.0, 0
        for a, b in pairs:
            groove = _outer(voices[a].onsets, voices[b].onsets, a, b, shape)
            rhythm += groove / len(pairs)
            score += self.rules.rhythm * groove + self.rules.balance * balance
            weight += self.rules.rhythm + self.rules.balance
            if voices[a].pitched and voices[b].pitched:
                match = _outer(voices[a].chroma, voices[b].chroma, a, b, shape)
                harmony += match
                pitched_pairs += 1
                score += self.rules.harmony * match
                weight += self.rules.harmony
        score = (score / weight).astype(np.float32)
        parts = {"rhythm": rhythm, "balance": balance}
        if pitched_pairs:
            parts["harmony"] = (harmony / pitched_pairs).astype(np.float32)
        return score, parts


@dataclass(frozen=True, eq=False)
class _Voice:
    """The clip, or all candidates of one role, laid out over the clip's beats."""

    chroma: NDArray[np.float32]  # (members, beats * 12), norm 1
    onsets: NDArray[np.float32]  # (members, steps), norm 1
    bands: NDArray[np.float32]  # (members, 3)
    pitched: bool


def _coarse(
    clip: ClipQuery, windows: Windows, shifts: tuple[int, ...], *, pitched: bool
) -> NDArray[np.float32]:
    """(stems,) rough score of each stem; -inf for stems without a bar."""
    if pitched:

        def products(lead: int) -> NDArray[np.float32]:
            return spectral(_clip_cells(clip, lead), windows)

        return best_per_stem(products, windows, bars=clip.bars, turn=phases(shifts))

    # a mean bar does not change when the clip moves by whole bars
    rhythm = (windows.rhythm @ _mean_bar(clip))[None, None, :]
    return best_per_stem(lambda _lead: rhythm, windows, bars=clip.bars)


def _clip_cells(clip: ClipQuery, lead: int) -> NDArray[np.float32]:
    """(clip_windows, bars, 12) the clip's harmony, four bars at a time."""
    chroma = clip_windows(clip.chroma, bars=clip.bars, lead=lead)
    silent = np.zeros((chroma.shape[0], STEPS_PER_BEAT, 3), dtype=np.float32)
    harmony, _ = window_vectors(chroma, silent, clip.beats_per_bar)
    return harmony.reshape(harmony.shape[0], -1, 12)


def _mean_bar(clip: ClipQuery) -> NDArray[np.float32]:
    """(values,) the clip's average onset pattern, norm 1."""
    return unit_rows(clip.onsets.mean(axis=0, keepdims=True)).reshape(-1)


def _voice_of_clip(clip: ClipQuery) -> _Voice:
    return _Voice(
        chroma=unit_rows(clip.chroma.reshape(1, -1)),
        onsets=unit_rows(clip.onsets.reshape(1, -1)),
        bands=clip.bands[None],
        pitched=clip.active_beats > 0,
    )


def _voice(clip: ClipQuery, members: Sequence[tuple[RolePool, Fit]], rules: Rules) -> _Voice:
    count, bars = len(members), clip.bars
    chroma = np.empty((count, clip.chroma.size), np.float32)
    onsets = np.empty((count, clip.onsets.size), np.float32)
    levels = np.empty((count, 3), np.float32)
    for pool, numbers in by_pool(members).items():
        fits = [members[number][1] for number in numbers]
        stems = StemBars.placed(pool, fits, bars)
        shifts = np.array([fit.semitones for fit in fits])
        classes = (np.arange(12) - shifts[:, None]) % 12
        cells = stems.chroma.reshape(len(fits), -1, 12)
        moved = np.take_along_axis(cells, classes[:, None, :], axis=2)
        chroma[numbers] = moved.reshape(len(fits), -1)
        onsets[numbers] = stems.onsets.reshape(len(fits), -1)
        levels[numbers] = np.sqrt(stems.power.reshape(len(fits), bars, 3).mean(axis=1))
    return _Voice(
        chroma=unit_rows(chroma),
        onsets=unit_rows(onsets),
        bands=safe_ratio(levels, levels.sum(axis=1, keepdims=True)),
        pitched=members[0][0].transposable or rules.harmony_of_drums,
    )


def _outer(
    left: NDArray[np.float32], right: NDArray[np.float32], a: int, b: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Cosines of all members of voice ``a`` with all of voice ``b``, spread over ``shape``.

    Voice 0 is the clip and has no axis; voice ``v`` is axis ``v - 1``.
    """
    products = np.clip(left @ right.T, 0, 1)
    axes = [1] * len(shape)
    if a > 0:
        axes[a - 1] = left.shape[0]
    axes[b - 1] = right.shape[0]
    return np.broadcast_to(products.reshape(axes), shape)


def _balance_of_group(voices: Sequence[_Voice], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Evenness of the sum of all voices at equal loudness."""
    total = np.zeros((*shape, 3), dtype=np.float32)
    for number, voice in enumerate(voices):
        axes = [1] * len(shape)
        if number > 0:
            axes[number - 1] = voice.bands.shape[0]
        total = total + voice.bands.reshape(*axes, 3)
    evenness: NDArray[np.float32] = (1 - (total / len(voices)).std(axis=-1)).astype(np.float32)
    return evenness
