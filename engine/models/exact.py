"""The second stage of a search: chosen stems placed from each of their bars in turn.

The stems lie end to end in one array of bars, so that every term of the score is a handful of
array operations for all stems, start bars and transpositions together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.mashup.placement import loop_bars_for
from engine.models.alignment import fold_bars, loop_weights, rolled, slide, slide_sum, widened
from engine.models.clip_query import ONSET_SCALE, ClipQuery, safe_ratio
from engine.models.pool import RolePool
from engine.models.ranker import Fit, FitParts

__all__ = [
    "Rules",
    "StemBars",
    "best_starts",
    "by_pool",
    "place_exactly",
    "placed_rows",
    "places_tried",
    "rule_scores",
    "smaller_first",
]


@dataclass(frozen=True)
class Rules:
    """Weights of the terms.

    Args:
        harmony: weight of the chroma term.
        rhythm: weight of the onset term.
        balance: weight of the three-band term.
        whole_norm: divide the chroma correlation by the norms of both whole sections, as
            AutoMashUpper's open tool does, instead of averaging over the beats the clip sounds in.
        harmony_of_drums: let drums take part in the chroma term, as the open tool does.
    """

    harmony: float
    rhythm: float
    balance: float
    whole_norm: bool = False
    harmony_of_drums: bool = False


@dataclass(frozen=True, eq=False)
class StemBars:
    """Whole bars of some stems, one stem after another.

    Args:
        chroma: (bars, beats * 12); no columns where pitch is not asked for.
        onsets: (bars, steps * 3) in [0, 1].
        power: (bars, 3) mean power of the bands.
        first: (stems + 1,) first bar of each stem.
    """

    chroma: NDArray[np.float32]
    onsets: NDArray[np.float32]
    power: NDArray[np.float32]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, pool: RolePool, indices: NDArray[np.int64], *, pitched: bool = True) -> StemBars:
        """The bars of the stems ``indices`` of ``pool``, with or without their chroma."""
        first = np.concatenate([[0], np.cumsum(pool.bars[indices])]).astype(np.int64)
        beats = first * pool.beats_per_bar
        shift = np.repeat(pool.offsets[indices] - beats[:-1], np.diff(beats))
        return cls._at(pool, shift + np.arange(beats[-1]), first, pitched=pitched)

    @classmethod
    def placed(cls, pool: RolePool, fits: Sequence[Fit], bars: int) -> StemBars:
        """The bars that sound under a clip of ``bars`` bars, so many of each of ``fits``."""
        first = bars * np.arange(len(fits) + 1, dtype=np.int64)
        return cls._at(pool, placed_rows(pool, fits, bars).reshape(-1), first, pitched=True)

    @classmethod
    def _at(
        cls, pool: RolePool, rows: NDArray[np.int64], first: NDArray[np.int64], *, pitched: bool
    ) -> StemBars:
        """The bars that ``rows`` of ``pool`` make up."""
        beat = pool.beats_per_bar
        bars = rows.size // beat
        onsets = pool.onsets[rows].reshape(bars, -1).astype(np.float32)
        onsets *= ONSET_SCALE
        chroma = pool.chroma[rows] if pitched else pool.chroma[:0]
        power = np.square(widened(pool.bands[rows]))
        return cls(
            chroma=widened(chroma).reshape(bars, beat * 12 if pitched else 0),
            onsets=onsets,
            power=power.reshape(bars, beat, 3).mean(axis=1),
            first=first,
        )


def placed_rows(pool: RolePool, fits: Sequence[Fit], bars: int) -> NDArray[np.int64]:
    """(fits, beats) rows of ``pool`` that sound under each beat of a clip of ``bars`` bars."""
    beat = pool.beats_per_bar
    stem, start, loop = np.array([(f.index, f.start_bar, f.loop_bars) for f in fits], np.int64).T
    bar = start[:, None] + np.arange(bars) % loop[:, None]
    rows = (pool.offsets[stem][:, None] + bar * beat)[:, :, None] + np.arange(beat)
    placed: NDArray[np.int64] = rows.reshape(len(fits), bars * beat)
    return placed


def by_pool(members: Sequence[tuple[RolePool, Fit]]) -> dict[RolePool, list[int]]:
    """Numbers of the members of each pool: folded stems lie in another one than the rest."""
    numbers: dict[RolePool, list[int]] = {}
    for number, (pool, _) in enumerate(members):
        numbers.setdefault(pool, []).append(number)
    return numbers


def smaller_first(semitones: tuple[int, ...]) -> NDArray[np.float32]:
    """(variants, 1) to take off scores: a tie goes to the smaller transposition.

    It is less than any real difference.
    """
    distance = np.abs(np.array(semitones, dtype=np.float32))[:, None]
    penalty: NDArray[np.float32] = np.float32(1e-5) * distance
    return penalty


def best_starts(
    ranked: NDArray[np.float32], first: NDArray[np.int64], *, loop_bars: int, start_step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where every stem scores best: the earliest such bar, then the first such variant.

    Args:
        ranked: (variants, bars) scores from every start bar of all stems.
        first: (stems + 1,) first bar of each stem.
        loop_bars: bars that must be left from a start on.
        start_step: starts are on every ``start_step``-th bar of a stem.

    Returns:
        (stems,) variants and (stems,) bars of the stem.
    """
    peaks = ranked.max(axis=0)
    ends = first[1:] - loop_bars + 1
    bars = np.array(
        [
            int(peaks[low:high:start_step].argmax()) * start_step
            for low, high in zip(first[:-1].tolist(), ends.tolist(), strict=True)
        ],
        dtype=np.int64,
    )
    return ranked[:, first[:-1] + bars].argmax(axis=0), bars


def places_tried(
    pool: RolePool,
    indices: NDArray[np.int64],
    loop_bars: NDArray[np.int64] | int,
    semitones: Sequence[int],
) -> NDArray[np.int64]:
    """(stems,) from how many places the best one of each of the stems ``indices`` is chosen.

    They are the start bars of :func:`best_starts`, each in all transpositions of pitched stems.

    Args:
        pool: of the stems.
        indices: the stems.
        loop_bars: bars that must be left from a start on.
        semitones: the transpositions tried.
    """
    starts: NDArray[np.int64] = (pool.bars[indices] - loop_bars) // pool.start_step + 1
    return starts * len(semitones) if pool.transposable else starts


def place_exactly(
    clip: ClipQuery,
    pool: RolePool,
    indices: NDArray[np.int64],
    *,
    rules: Rules,
    semitones: tuple[int, ...],
) -> list[Fit]:
    """The best start bar and transposition of each of the stems ``indices``.

    Ties go to the smaller transposition, then to the earlier bar.
    """
    loops = np.array([loop_bars_for(int(pool.bars[i]), clip.bars) for i in indices])
    fits: list[Fit] = []
    for loop_bars in np.unique(loops):
        chosen = indices[loops == loop_bars]
        fits += _place_alike(clip, pool, chosen, int(loop_bars), rules, semitones)
    return fits


def rule_scores(
    clip: ClipQuery,
    stems: StemBars,
    loop_bars: int,
    *,
    rules: Rules,
    semitones: tuple[int, ...],
) -> NDArray[np.float32]:
    """(semitones, bars) the rules' score in [0, 1] of pitched stems from every start bar."""
    total = rules.harmony * _harmony(clip, stems, loop_bars, semitones, whole_norm=rules.whole_norm)
    total += rules.rhythm * _rhythm(clip, stems, loop_bars)
    total += rules.balance * _balance(clip, stems, loop_bars)
    weight = rules.harmony + rules.rhythm + rules.balance
    scores: NDArray[np.float32] = np.clip(total / np.float32(weight), 0, 1)
    return scores


def _place_alike(
    clip: ClipQuery,
    pool: RolePool,
    indices: NDArray[np.int64],
    loop_bars: int,
    rules: Rules,
    semitones: tuple[int, ...],
) -> list[Fit]:
    """Stems that repeat after the same number of bars, or never."""
    pitched = pool.transposable or rules.harmony_of_drums
    stems = StemBars.of(pool, indices, pitched=pitched)
    rhythm = _rhythm(clip, stems, loop_bars)
    balance = _balance(clip, stems, loop_bars)
    total = np.tile(rules.rhythm * rhythm + rules.balance * balance, (len(semitones), 1))
    weight = rules.rhythm + rules.balance
    harmony = None
    if pitched:
        harmony = _harmony(clip, stems, loop_bars, semitones, whole_norm=rules.whole_norm)
        total += rules.harmony * harmony
        weight += rules.harmony
    ranked = total - smaller_first(semitones)
    variants, starts = best_starts(
        ranked, stems.first, loop_bars=loop_bars, start_step=pool.start_step
    )
    at = stems.first[:-1] + starts
    scores = np.clip(total[variants, at] / weight, 0, 1) if weight else np.zeros(len(at))
    matches = None if harmony is None else harmony[variants, at]
    return [
        Fit(
            index=int(index),
            start_bar=int(starts[number]),
            loop_bars=loop_bars,
            semitones=semitones[int(variants[number])],
            score=float(scores[number]),
            parts=FitParts(
                harmony=None if matches is None else float(matches[number]),
                rhythm=float(rhythm[at[number]]),
                balance=float(balance[at[number]]),
            ),
        )
        for number, index in enumerate(indices)
    ]


def _harmony(
    clip: ClipQuery,
    stems: StemBars,
    loop_bars: int,
    semitones: tuple[int, ...],
    *,
    whole_norm: bool,
) -> NDArray[np.float32]:
    """(semitones, bars) chroma similarity."""
    query = fold_bars(clip.chroma.reshape(clip.bars, -1), loop_bars).reshape(loop_bars, -1, 12)
    turned = rolled(query, semitones).reshape(loop_bars, -1, len(semitones))
    products = slide(stems.chroma, turned)
    if not whole_norm:
        return (products / max(clip.active_beats, 1.0)).astype(np.float32)
    sounding = _row_energy(stems.chroma)
    counts = slide_sum(sounding, loop_weights(clip.bars, loop_bars))
    return safe_ratio(products, np.sqrt(counts * np.float32(clip.active_beats)))


def _rhythm(clip: ClipQuery, stems: StemBars, loop_bars: int) -> NDArray[np.float32]:
    """(bars,) cosine of onset patterns."""
    products = slide(stems.onsets, fold_bars(clip.onsets, loop_bars)[:, :, None])[0]
    energy = slide_sum(_row_energy(stems.onsets), loop_weights(clip.bars, loop_bars))[0]
    norm = np.sqrt(np.maximum(energy, 0)) * np.linalg.norm(clip.onsets)
    return safe_ratio(products, norm.astype(np.float32))


def _balance(clip: ClipQuery, stems: StemBars, loop_bars: int) -> NDArray[np.float32]:
    """(bars,) evenness of the mean of clip's and stem's three-band shares: both at one loudness."""
    mean = slide_sum(stems.power, loop_weights(clip.bars, loop_bars)) / clip.bars
    levels = np.sqrt(np.maximum(mean, 0))
    shares = safe_ratio(levels, levels.sum(axis=0, keepdims=True))
    evenness = 1 - ((shares + clip.bands[:, None]) / 2).std(axis=0)
    return np.where(levels.any(axis=0), evenness, 0).astype(np.float32)


def _row_energy(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, 1) sums of squares, without a copy of the squares."""
    energy: NDArray[np.float32] = np.einsum("ij,ij->i", values, values)[:, None]
    return energy
