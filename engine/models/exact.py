"""The second stage of a search: chosen stems placed from each of their bars in turn.

The stems lie end to end in one array of bars, so that every term of the score is a handful of
array operations for all stems, start bars and transpositions together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.mashup.placement import loop_bars_for
from engine.models.alignment import fold_bars, loop_weights, rolled, slide, slide_sum
from engine.models.clip_query import ONSET_SCALE, ClipQuery, safe_ratio
from engine.models.pool import RolePool
from engine.models.ranker import Fit, FitParts

__all__ = ["Rules", "StemBars", "place_exactly"]


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
        chroma: (bars, beats * 12).
        onsets: (bars, steps * 3) in [0, 1].
        power: (bars, 3) mean power of the bands.
        first: (stems + 1,) first bar of each stem.
    """

    chroma: NDArray[np.float32]
    onsets: NDArray[np.float32]
    power: NDArray[np.float32]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, pool: RolePool, indices: NDArray[np.int64]) -> StemBars:
        """The bars of the stems ``indices`` of ``pool``."""
        counts = pool.bars[indices]
        beat = pool.beats_per_bar
        rows = np.concatenate(
            [
                np.arange(pool.offsets[i], pool.offsets[i] + n * beat)
                for i, n in zip(indices, counts, strict=True)
            ]
        )
        bars = rows.size // beat
        power = np.square(pool.bands[rows].astype(np.float32))
        return cls(
            chroma=pool.chroma[rows].astype(np.float32).reshape(bars, -1),
            onsets=(pool.onsets[rows].astype(np.float32) * ONSET_SCALE).reshape(bars, -1),
            power=power.reshape(bars, beat, 3).mean(axis=1),
            first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )


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


def _place_alike(
    clip: ClipQuery,
    pool: RolePool,
    indices: NDArray[np.int64],
    loop_bars: int,
    rules: Rules,
    semitones: tuple[int, ...],
) -> list[Fit]:
    """Stems that repeat after the same number of bars, or never."""
    stems = StemBars.of(pool, indices)
    rhythm = _rhythm(clip, stems, loop_bars)
    balance = _balance(clip, stems, loop_bars)
    total = np.tile(rules.rhythm * rhythm + rules.balance * balance, (len(semitones), 1))
    weight = rules.rhythm + rules.balance
    harmony = None
    if pool.transposable or rules.harmony_of_drums:
        harmony = _harmony(clip, stems, loop_bars, semitones, whole_norm=rules.whole_norm)
        total += rules.harmony * harmony
        weight += rules.harmony
    # a tie goes to the smaller transposition, by less than any real difference
    ranked = total - 1e-5 * np.abs(np.array(semitones, dtype=np.float32))[:, None]
    fits = []
    for number, index in enumerate(indices):
        low, high = int(stems.first[number]), int(stems.first[number + 1]) - loop_bars + 1
        part = ranked[:, low : high : pool.start_step]
        variant, step = np.unravel_index(int(np.argmax(part.T)), part.T.shape)[::-1]
        bar = int(step) * pool.start_step
        fits.append(
            Fit(
                index=int(index),
                start_bar=bar,
                loop_bars=loop_bars,
                semitones=semitones[int(variant)],
                score=float(np.clip(total[variant, low + bar] / weight, 0, 1)) if weight else 0.0,
                parts=FitParts(
                    harmony=None if harmony is None else float(harmony[variant, low + bar]),
                    rhythm=float(rhythm[low + bar]),
                    balance=float(balance[low + bar]),
                ),
            )
        )
    return fits


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
    sounding = np.square(stems.chroma).sum(axis=1, keepdims=True)
    counts = slide_sum(sounding, loop_weights(clip.bars, loop_bars))
    return safe_ratio(products, np.sqrt(counts * np.float32(clip.active_beats)))


def _rhythm(clip: ClipQuery, stems: StemBars, loop_bars: int) -> NDArray[np.float32]:
    """(bars,) cosine of onset patterns."""
    products = slide(stems.onsets, fold_bars(clip.onsets, loop_bars)[:, :, None])[0]
    energy = np.square(stems.onsets).sum(axis=1, keepdims=True)
    energy = slide_sum(energy, loop_weights(clip.bars, loop_bars))[0]
    norm = np.sqrt(np.maximum(energy, 0)) * np.linalg.norm(clip.onsets)
    return safe_ratio(products, norm.astype(np.float32))


def _balance(clip: ClipQuery, stems: StemBars, loop_bars: int) -> NDArray[np.float32]:
    """(bars,) evenness of the three-band spectrum of clip and stem at equal loudness."""
    mean = slide_sum(stems.power, loop_weights(clip.bars, loop_bars)) / clip.bars
    levels = np.sqrt(np.maximum(mean, 0))
    shares = safe_ratio(levels, levels.sum(axis=0, keepdims=True))
    evenness = 1 - ((shares + clip.bands[:, None]) / 2).std(axis=0)
    return np.where(levels.any(axis=0), evenness, 0).astype(np.float32)
