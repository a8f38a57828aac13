"""Rule-based fit on beat-grid features: what every hand-made mashability measure shares.

Three terms, each in [0, 1]:

- *harmony*: cosine of the clip's and the stem's chroma, beat by beat, over transpositions;
- *rhythm*: cosine of the onset patterns at twelve steps per beat;
- *balance*: one minus the standard deviation of the three-band spectrum of the sum.

The search has two stages. A coarse one compares four-bar windows of all stems with the clip in one
matrix product; the best stems are then placed exactly, from each of their bars in turn. A model
chooses weights and how harmony is normalised (:class:`Rules`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import STEPS_PER_BEAT
from engine.mashup.placement import loop_bars_for
from engine.models.alignment import (
    fold_bars,
    loop_weights,
    rolled,
    slide,
    slide_sum,
)
from engine.models.coarse import best_per_stem, clip_windows
from engine.models.pool import RolePool, window_vectors
from engine.models.ranker import ClipFeatures, Fit, FitParts, Search
from engine.theory import Role

__all__ = ["GridRules", "Rules"]

#: Share of a stated key's profile in the clip's chroma. A sung line touches few pitch classes, so
#: the key that a person states fills in what the voice leaves out.
KEY_PROFILE_WEIGHT: Final = 0.35
_ONSET_SCALE: Final = np.float32(1 / 255)


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
class _Clip:
    """The clip in the form the inner loops want; bars first."""

    chroma: NDArray[np.float32]  # (beats, 12), zero where the clip is silent
    onsets: NDArray[np.float32]  # (bars, steps * 3)
    bands: NDArray[np.float32]  # (3,) adds up to 1
    active_beats: float
    bars: int
    beats_per_bar: int


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
        query = _prepare(clip)
        allowed = pool.bars >= 1 if eligible is None else eligible & (pool.bars >= 1)
        chosen = np.flatnonzero(allowed)
        shifts = tuple(search.semitones) if pool.transposable else (0,)
        if chosen.size > search.keep:
            coarse = _coarse(query, pool, shifts)
            order = np.argsort(-coarse[chosen], kind="stable")[: search.keep]
            chosen = np.sort(chosen[order])
        fits = [self._place_one(query, pool, int(i), shifts) for i in chosen]
        return sorted(fits, key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`: the mean of all pairs (Huang et al. 2021)."""
        query = _prepare(clip)
        voices = [_voice_of_clip(query)]
        voices += [_voice(query, members, self.rules) for members in fits.values()]
        shape = tuple(len(members) for members in fits.values())
        pairs = list(itertools.combinations(range(len(voices)), 2))
        balance = _balance_of_group(voices, shape)
        score, harmony, rhythm = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        pitched_pairs = 0
        for a, b in pairs:
            groove = _outer(voices[a].onsets, voices[b].onsets, a, b, shape)
            rhythm += groove / len(pairs)
            pair = self.rules.rhythm * groove + self.rules.balance * balance
            weight = self.rules.rhythm + self.rules.balance
            if voices[a].pitched and voices[b].pitched:
                match = _outer(voices[a].chroma, voices[b].chroma, a, b, shape)
                harmony += match
                pitched_pairs += 1
                pair = pair + self.rules.harmony * match
                weight += self.rules.harmony
            score += pair / (weight * len(pairs))
        parts = {"rhythm": rhythm, "balance": balance}
        if pitched_pairs:
            parts["harmony"] = (harmony / pitched_pairs).astype(np.float32)
        return score, parts

    def _place_one(self, clip: _Clip, pool: RolePool, index: int, shifts: tuple[int, ...]) -> Fit:
        """Every start bar and transposition of one stem; the best wins, the earliest on a tie."""
        stem_bars = int(pool.bars[index])
        loop_bars = loop_bars_for(stem_bars, clip.bars)
        chroma, onsets, bands = _bars_of(pool, index)
        rhythm = _rhythm(clip, onsets, loop_bars)[:, None]
        balance = _balance(clip, bands, loop_bars)[:, None]
        total = self.rules.rhythm * rhythm + self.rules.balance * balance
        weight = self.rules.rhythm + self.rules.balance
        harmony = None
        if pool.transposable or self.rules.harmony_of_drums:
            harmony = self._harmony(clip, chroma, loop_bars, shifts)
            total = total + self.rules.harmony * harmony
            weight += self.rules.harmony
        total = np.broadcast_to(total, (total.shape[0], len(shifts)))[:: pool.start_step]
        start, variant = np.unravel_index(int(np.argmax(_prefer_small(total, shifts))), total.shape)
        bar = int(start) * pool.start_step
        return Fit(
            index=index,
            start_bar=bar,
            loop_bars=loop_bars,
            semitones=shifts[int(variant)],
            score=float(np.clip(total[start, variant] / weight, 0, 1)) if weight else 0.0,
            parts=FitParts(
                harmony=None if harmony is None else float(harmony[bar, variant]),
                rhythm=float(rhythm[bar, 0]),
                balance=float(balance[bar, 0]),
            ),
        )

    def _harmony(
        self, clip: _Clip, chroma: NDArray[np.float32], loop_bars: int, shifts: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """(starts, shifts) chroma similarity."""
        query = fold_bars(clip.chroma.reshape(clip.bars, -1), loop_bars)
        query = query.reshape(loop_bars, -1, 12)
        turned = rolled(query, shifts).reshape(loop_bars, -1, len(shifts))
        products = slide(chroma, turned)
        if not self.rules.whole_norm:
            return products / max(clip.active_beats, 1.0)
        sounding = np.square(chroma).sum(axis=1, keepdims=True)
        counts = slide_sum(sounding, loop_weights(clip.bars, loop_bars))
        return _safe_ratio(products, np.sqrt(counts * clip.active_beats))


@dataclass(frozen=True, eq=False)
class _Voice:
    """The clip, or all candidates of one role, laid out over the clip's beats."""

    chroma: NDArray[np.float32]  # (members, beats * 12), norm 1
    onsets: NDArray[np.float32]  # (members, steps), norm 1
    bands: NDArray[np.float32]  # (members, 3)
    pitched: bool


def _prepare(clip: ClipFeatures) -> _Clip:
    chroma = np.roll(clip.rows["chroma"].astype(np.float32), clip.transpose, axis=1)
    sounding = clip.active & (chroma.any(axis=1))
    if clip.key_profile is not None:
        chroma = chroma + KEY_PROFILE_WEIGHT * clip.key_profile
        chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    chroma = chroma * sounding[:, None]
    onsets = clip.rows["onsets"].astype(np.float32) * _ONSET_SCALE
    return _Clip(
        chroma=chroma.astype(np.float32),
        onsets=onsets.reshape(clip.bars, -1),
        bands=_spectrum(clip.rows["bands"].astype(np.float32)[clip.active]),
        active_beats=float(sounding.sum()),
        bars=clip.bars,
        beats_per_bar=clip.beats_per_bar,
    )


def _coarse(clip: _Clip, pool: RolePool, shifts: tuple[int, ...]) -> NDArray[np.float32]:
    """(stems,) rough score of each stem; -inf for stems without a bar."""
    windows = pool.windows

    def rhythm_products(lead: int) -> NDArray[np.float32]:
        del lead  # a mean bar does not change when the clip moves by whole bars
        products: NDArray[np.float32] = windows.rhythm @ _mean_bar(clip)
        return products[:, None, None]

    def harmony_products(lead: int) -> NDArray[np.float32]:
        columns = _clip_columns(clip, lead, shifts)
        return (windows.harmony @ columns.reshape(columns.shape[0], -1)).reshape(
            -1, *columns.shape[1:]
        )

    products = harmony_products if pool.transposable else rhythm_products
    return best_per_stem(products, windows, bars=clip.bars)


def _clip_columns(clip: _Clip, lead: int, shifts: tuple[int, ...]) -> NDArray[np.float32]:
    """(values, clip_windows, shifts) the clip's harmony, four bars at a time."""
    chroma = clip_windows(clip.chroma, bars=clip.bars, lead=lead)
    silent = np.zeros((chroma.shape[0], STEPS_PER_BEAT, 3), dtype=np.float32)
    harmony, _ = window_vectors(chroma, silent, clip.beats_per_bar)
    cells = rolled(harmony.reshape(harmony.shape[0], -1, 12), shifts)
    return cells.reshape(harmony.shape[0], -1, len(shifts)).transpose(1, 0, 2)


def _mean_bar(clip: _Clip) -> NDArray[np.float32]:
    """(values,) the clip's average onset pattern, norm 1."""
    return _unit_rows(clip.onsets.mean(axis=0, keepdims=True)).reshape(-1)


def _bars_of(
    pool: RolePool, index: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Whole bars of one stem: (bars, beats * 12), (bars, steps * 3), (bars, 3) power."""
    bars = int(pool.bars[index])
    low = int(pool.offsets[index])
    rows = slice(low, low + bars * pool.beats_per_bar)
    chroma = pool.chroma[rows].astype(np.float32).reshape(bars, -1)
    onsets = (pool.onsets[rows].astype(np.float32) * _ONSET_SCALE).reshape(bars, -1)
    power = np.square(pool.bands[rows].astype(np.float32))
    return chroma, onsets, power.reshape(bars, pool.beats_per_bar, 3).mean(axis=1)


def _rhythm(clip: _Clip, onsets: NDArray[np.float32], loop_bars: int) -> NDArray[np.float32]:
    """(starts,) cosine of onset patterns."""
    products = slide(onsets, fold_bars(clip.onsets, loop_bars)[:, :, None])[:, 0]
    energy = np.square(onsets).sum(axis=1, keepdims=True)
    energy = slide_sum(energy, loop_weights(clip.bars, loop_bars))[:, 0]
    norm = np.sqrt(np.maximum(energy, 0)) * np.linalg.norm(clip.onsets)
    return _safe_ratio(products, norm.astype(np.float32))


def _balance(clip: _Clip, power: NDArray[np.float32], loop_bars: int) -> NDArray[np.float32]:
    """(starts,) evenness of the three-band spectrum of clip and stem at equal loudness."""
    mean = slide_sum(power, loop_weights(clip.bars, loop_bars)) / clip.bars
    levels = np.sqrt(np.maximum(mean, 0))
    shares = _safe_ratio(levels, levels.sum(axis=1, keepdims=True))
    evenness: NDArray[np.float32] = 1 - ((shares + clip.bands) / 2).std(axis=1)
    return np.where(levels.any(axis=1), evenness, 0).astype(np.float32)


def _voice_of_clip(clip: _Clip) -> _Voice:
    return _Voice(
        chroma=_unit_rows(clip.chroma.reshape(1, -1)),
        onsets=_unit_rows(clip.onsets.reshape(1, -1)),
        bands=clip.bands[None],
        pitched=clip.active_beats > 0,
    )


def _voice(clip: _Clip, members: Sequence[tuple[RolePool, Fit]], rules: Rules) -> _Voice:
    chroma, onsets, bands = [], [], []
    for pool, fit in members:
        stem_chroma, stem_onsets, power = _bars_of(pool, fit.index)
        rows = fit.start_bar + np.arange(clip.bars) % fit.loop_bars
        moved = np.roll(stem_chroma[rows].reshape(-1, 12), fit.semitones, axis=1)
        chroma.append(moved.reshape(-1))
        onsets.append(stem_onsets[rows].reshape(-1))
        bands.append(np.sqrt(power[rows].mean(axis=0)))
    levels = np.stack(bands)
    return _Voice(
        chroma=_unit_rows(np.stack(chroma)),
        onsets=_unit_rows(np.stack(onsets)),
        bands=_safe_ratio(levels, levels.sum(axis=1, keepdims=True)),
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


def _prefer_small(total: NDArray[np.float32], shifts: tuple[int, ...]) -> NDArray[np.float32]:
    """Break ties towards the smaller transposition by less than any real difference."""
    penalty = np.float32(1e-5) * np.abs(np.array(shifts, dtype=np.float32))
    return (total - penalty).astype(np.float32)


def _spectrum(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) shares of three bands, adding up to 1; even when there is no sound."""
    if bands.size == 0:
        return np.full(3, 1 / 3, dtype=np.float32)
    levels = np.sqrt(np.square(bands).mean(axis=0))
    if not levels.any():
        return np.full(3, 1 / 3, dtype=np.float32)
    shares: NDArray[np.float32] = (levels / levels.sum()).astype(np.float32)
    return shares


def _unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return _safe_ratio(values, np.linalg.norm(values, axis=1, keepdims=True))


def _safe_ratio(top: NDArray[np.float32], bottom: NDArray[np.float32]) -> NDArray[np.float32]:
    """``top / bottom``, 0 where ``bottom`` is 0."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    result: NDArray[np.float32] = np.divide(
        top, bottom, out=np.zeros(shape, dtype=np.float32), where=bottom > 0
    )
    return result
