"""The fit model as a ranker: a learned similarity on the beat grid, with the rules beside it.

The voice tower reads the clip, the stem tower every pitched stem (:mod:`engine.models.fit_net`);
their similarity is linear over beats, so a stem is laid under the clip from each of its bars in
every transposition by the same sliding products as for the rules, and becomes a probability by the
checkpoint's curve. In a large pool the rules choose the stems that are worth it. A voice alone says
little about drums: drums are placed by the rules, and the learned rhythm towers judge them together
with a pitched stem when groups are scored. Stems' embeddings are kept while their pool lives.

A group scores the mean of its pairs. A key that a person states steers the choice of stems only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.mashup.placement import loop_bars_for
from engine.models.alignment import fold_bars, rolled, slide
from engine.models.automashupper import automashupper
from engine.models.fit_checkpoint import FitModel
from engine.models.fit_net import BeatInput, beat_context, pitch_tower, rhythm_tower
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, FitParts, Search
from engine.theory import Role

__all__ = ["FitRanker"]

#: The net looks at this many times the stems that are handed back, and at no fewer than this.
_PRESELECTED_SHARE: Final = 4
_PRESELECTED_LEAST: Final = 256
#: Embeddings that are kept per pool [stems]: about 20 kB each for a three-minute song.
_KEPT_STEMS: Final = 4096

Embedding = NDArray[np.float16]


@dataclass(eq=False)
class _Embedded:
    """Embeddings of some stems of one pool, by index."""

    pitch: dict[int, Embedding] = field(default_factory=dict)
    rhythm: dict[int, Embedding] = field(default_factory=dict)


class FitRanker:
    """A :class:`~engine.models.ranker.Ranker` that was trained."""

    name = "fit"

    def __init__(self, model: FitModel) -> None:
        self._model = model
        self._rules = automashupper()
        self._known: WeakKeyDictionary[RolePool, _Embedded] = WeakKeyDictionary()

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """See :class:`~engine.models.ranker.Ranker`; drums are placed by the rules."""
        if not pool.transposable:
            return self._rules.place(clip, pool, search, eligible=eligible)
        allowed = pool.bars >= 1 if eligible is None else eligible & (pool.bars >= 1)
        chosen = np.flatnonzero(allowed)
        many = max(_PRESELECTED_SHARE * search.keep, _PRESELECTED_LEAST)
        if chosen.size > many:
            wide = Search(search.semitones, keep=many, seed=search.seed)
            found = self._rules.place(clip, pool, wide, eligible=eligible)
            chosen = np.sort(np.array([fit.index for fit in found]))
        query = self._query(clip)
        fits: list[Fit] = []
        loops = np.array([loop_bars_for(int(pool.bars[i]), clip.bars) for i in chosen])
        for loop_bars in np.unique(loops):
            alike = chosen[loops == loop_bars]
            fits += self._place_alike(query, pool, alike, int(loop_bars), tuple(search.semitones))
        fits.sort(key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))
        return fits[: search.keep]

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`: the mean of all pairs that can be judged."""
        _, parts = self._rules.score_groups(clip, fits)
        shape = tuple(len(members) for members in fits.values())
        total, learned = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        pairs = judged = 0
        for axis, members in enumerate(fits.values()):
            own = _along([fit.score for _, fit in members], axis, len(shape))
            total, pairs = total + own, pairs + 1
            if members[0][0].transposable:
                learned, judged = learned + own, judged + 1
        for a, beds in enumerate(fits.values()):
            for b, drums in enumerate(fits.values()):
                if beds[0][0].transposable and not drums[0][0].transposable:
                    groove = _over(self._grooves(beds, drums, clip.bars), a, b, len(shape))
                    total, pairs = total + groove, pairs + 1
                    learned, judged = learned + groove, judged + 1
        if judged:
            parts = {**parts, "learned": (learned / judged).astype(np.float32)}
        return (total / pairs).astype(np.float32), parts

    def _query(self, clip: ClipFeatures) -> NDArray[np.float32]:
        """(bars, beats * values * 12) embedding of the clip, norm 1 or 0 as a whole."""
        chroma = np.roll(clip.rows["chroma"].astype(np.float32), clip.transpose, axis=1)
        beats = beat_context(
            chroma, clip.rows["onsets"], clip.active, beats_per_bar=clip.beats_per_bar
        )
        values = pitch_tower(self._model.weights, "voice", beats).transpose(0, 2, 1)
        norm = float(np.linalg.norm(values))
        unit = values / np.float32(norm) if norm else values
        return np.ascontiguousarray(unit).reshape(clip.bars, -1)

    def _place_alike(
        self,
        query: NDArray[np.float32],
        pool: RolePool,
        indices: NDArray[np.int64],
        loop_bars: int,
        semitones: tuple[int, ...],
    ) -> list[Fit]:
        """Stems that repeat after the same number of bars, or never."""
        folded = fold_bars(query, loop_bars).reshape(loop_bars, -1, 12)
        turned = rolled(folded, semitones).reshape(loop_bars, -1, len(semitones))
        first = np.concatenate([[0], np.cumsum(pool.bars[indices])])
        bars = [self._pitch(pool, int(i)).reshape(int(pool.bars[i]), -1) for i in indices]
        products = slide(np.concatenate(bars).astype(np.float32), turned)
        products /= np.float32(np.sqrt(query.shape[0] * pool.beats_per_bar))
        # a tie goes to the smaller transposition, by less than any real difference
        ranked = products - 1e-5 * np.abs(np.array(semitones, dtype=np.float32))[:, None]
        fits = []
        for number, index in enumerate(indices):
            low, high = int(first[number]), int(first[number + 1]) - loop_bars + 1
            part = ranked[:, low : high : pool.start_step]
            variant, step = np.unravel_index(int(np.argmax(part.T)), part.T.shape)[::-1]
            bar = int(step) * pool.start_step
            score = float(self._model.harmony(products[variant, low + bar]))
            shift = semitones[int(variant)]
            fits.append(Fit(int(index), bar, loop_bars, shift, score, FitParts(learned=score)))
        return fits

    def _grooves(
        self,
        beds: Sequence[tuple[RolePool, Fit]],
        drums: Sequence[tuple[RolePool, Fit]],
        bars: int,
    ) -> NDArray[np.float32]:
        """(beds, drums) probability that a bed and drums belong together, as they are placed."""
        rows = [
            np.stack([self._placed_rhythm(pool, fit, bars) for pool, fit in members])
            for members in (beds, drums)
        ]
        norm = np.linalg.norm(rows[0], axis=1, keepdims=True)
        query = rows[0] / np.maximum(norm, 1e-9)
        length = np.float32(np.sqrt(bars * beds[0][0].beats_per_bar))
        return self._model.rhythm(query @ rows[1].T / length)

    def _placed_rhythm(self, pool: RolePool, fit: Fit, bars: int) -> NDArray[np.float32]:
        per_bar = self._rhythm(pool, fit.index).reshape(int(pool.bars[fit.index]), -1)
        placed = per_bar[fit.start_bar + np.arange(bars) % fit.loop_bars]
        return placed.astype(np.float32).reshape(-1)

    def _pitch(self, pool: RolePool, index: int) -> Embedding:
        """(beats, values, 12) of one stem."""
        known = self._embedded(pool).pitch
        if index not in known:
            values = pitch_tower(self._model.weights, "stem", _beats(pool, index))
            _keep(known, index, values.transpose(0, 2, 1))
        return known[index]

    def _rhythm(self, pool: RolePool, index: int) -> Embedding:
        """(beats, values) of one stem."""
        known = self._embedded(pool).rhythm
        if index not in known:
            tower = "stem_rhythm" if pool.transposable else "drum_rhythm"
            _keep(known, index, rhythm_tower(self._model.weights, tower, _beats(pool, index)))
        return known[index]

    def _embedded(self, pool: RolePool) -> _Embedded:
        return self._known.setdefault(pool, _Embedded())


def _keep(known: dict[int, Embedding], index: int, values: NDArray[np.float32]) -> None:
    if len(known) >= _KEPT_STEMS:
        known.pop(next(iter(known)))
    known[index] = np.ascontiguousarray(values, dtype=np.float16)


def _beats(pool: RolePool, index: int) -> BeatInput:
    rows = pool.rows(index)
    rows = slice(rows.start, rows.start + int(pool.bars[index]) * pool.beats_per_bar)
    return beat_context(
        pool.chroma[rows].astype(np.float32),
        pool.onsets[rows],
        pool.active[rows],
        beats_per_bar=pool.beats_per_bar,
    )


def _along(scores: Sequence[float], axis: int, axes: int) -> NDArray[np.float32]:
    shape = [1] * axes
    shape[axis] = len(scores)
    return np.array(scores, dtype=np.float32).reshape(shape)


def _over(table: NDArray[np.float32], a: int, b: int, axes: int) -> NDArray[np.float32]:
    """A table (members of axis a, members of axis b) laid out over all axes."""
    shape = [1] * axes
    shape[a], shape[b] = table.shape
    return (table if a < b else table.T).reshape(shape)
