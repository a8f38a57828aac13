"""The fit model as a ranker: a learned similarity on the beat grid, with the rules beside it.

The voice tower reads the clip, the stem tower every pitched stem (:mod:`engine.models.fit.towers`);
their similarity is linear over beats, so a stem is laid under the clip from each of its bars in
every transposition by the same sliding products as for the rules. A share of AutoMashUpper's score
is added; the sum is the evidence that the checkpoint's curves turn into a probability. In a large
pool four-bar windows of the embeddings choose the stems that are worth it.

Drums are placed by the rules; the rhythm towers compare them with the clip, and with a pitched stem
when groups are scored. The log odds of all pairs of a group add up
(:mod:`engine.models.fit.curves`), and the judge looks at the best groups as a whole
(:mod:`engine.models.fit.groups`). A key that a person states steers the rules' share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.mashup.placement import loop_bars_for
from engine.models.alignment import fold_bars, rolled, slide, widened
from engine.models.automashupper import automashupper
from engine.models.clip_query import ClipQuery, prepare
from engine.models.coarse import Windows
from engine.models.exact import (
    StemBars,
    best_starts,
    by_pool,
    placed_rows,
    places_tried,
    rule_scores,
    smaller_first,
)
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.coarse import coarse_scores, embedding_windows
from engine.models.fit.curves import probability
from engine.models.fit.embedding import Embedding, embed_pool
from engine.models.fit.groups import Members, judged
from engine.models.fit.towers import beat_input, pitch_tower, rhythm_tower
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, FitParts, Search
from engine.theory import Role

__all__ = ["FitRanker"]

#: The net looks closely at this many times the stems that are handed back.
_PRESELECTED_SHARE: Final = 2
#: Probabilities are kept this far from 0 and 1, so that their odds are finite.
_CERTAIN: Final = 1e-12


@dataclass(eq=False)
class _Known:
    """One pool under the model: its embedding, and windows of the stems asked for last."""

    embedding: Embedding
    chosen: dict[bytes, Windows] = field(default_factory=dict)


class FitRanker:
    """A :class:`~engine.models.ranker.Ranker` that was trained."""

    name = "fit"

    def __init__(self, model: FitModel) -> None:
        self._model = model
        self._rules = automashupper()
        self._known: WeakKeyDictionary[RolePool, _Known] = WeakKeyDictionary()

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
            return self._placed_drums(clip, pool, search, eligible)
        allowed = pool.bars >= 1 if eligible is None else eligible & (pool.bars >= 1)
        chosen = np.flatnonzero(allowed)
        query = self._query(clip)
        shifts = tuple(search.semitones)
        loops = np.array([loop_bars_for(int(pool.bars[i]), clip.bars) for i in chosen], np.int64)
        if chosen.size > _PRESELECTED_SHARE * search.keep:
            windows = self._windows(pool, chosen)
            coarse = coarse_scores(query, windows, shifts, beats_per_bar=pool.beats_per_bar)
            places = places_tried(pool, chosen, loops, shifts)
            rough = self._model.curves.of_role(pool.role).log_odds(coarse, clip.bars, places)
            best = np.sort(np.argsort(-rough, kind="stable")[: _PRESELECTED_SHARE * search.keep])
            chosen, loops = chosen[best], loops[best]
        asked = prepare(clip)
        fits: list[Fit] = []
        for loop_bars in np.unique(loops):
            alike = chosen[loops == loop_bars]
            fits += self._place_alike(query, asked, pool, alike, int(loop_bars), shifts)
        fits.sort(key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))
        return fits[: search.keep]

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`: the odds of all pairs, then the judge's."""
        _, parts = self._rules.score_groups(clip, fits)
        axes, curves = list(fits.values()), self._model.curves
        odds, reasons = self.pair_odds(clip, axes)
        opinion = self.opinions(clip, axes, odds) if curves.judge and odds.size else None
        if opinion is not None:
            reasons.append(opinion)
        roles = [members[0][0].role for members in axes]
        odds = curves.of_groups(roles, odds, opinion, clip.bars)
        if reasons:
            learned = np.mean([probability(reason) for reason in reasons], axis=0)
            parts = {**parts, "learned": learned.astype(np.float32)}
        return probability(odds).astype(np.float32), parts

    def pair_odds(
        self, clip: ClipFeatures, axes: Sequence[Members]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Summed log odds of every group's pairs, and those that were learned, each (n_1, …)."""
        shape = tuple(len(members) for members in axes)
        odds, learned = np.zeros(shape, np.float32), []
        for axis, members in enumerate(axes):
            own = _along([_log_odds(fit.score) for _, fit in members], axis, len(shape))
            odds = odds + own
            if members[0][0].transposable:
                learned.append(np.broadcast_to(own, shape))
        for a, beds in enumerate(axes):
            for b, drums in enumerate(axes):
                if beds[0][0].transposable and not drums[0][0].transposable:
                    groove = _over(self.grooves(beds, drums, clip.bars), a, b, len(shape))
                    odds = odds + groove
                    learned.append(np.broadcast_to(groove, shape))
        return odds, learned

    def opinions(
        self, clip: ClipFeatures, axes: Sequence[Members], odds: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        """The judge's log odds of every group; None where it has nothing to look at."""
        return judged(self._model.weights, clip, axes, odds, self._embedding)

    def _placed_drums(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        eligible: NDArray[np.bool_] | None,
    ) -> list[Fit]:
        fits = self._rules.place(clip, pool, search, eligible=eligible)
        if not fits:
            return []
        evidence = self._drum_evidence(clip, [(pool, fit) for fit in fits])
        index, loops = np.array([(fit.index, fit.loop_bars) for fit in fits], np.int64).T
        curve = self._model.curves.of_role(pool.role)
        places = places_tried(pool, index, loops, search.semitones)
        scores = probability(curve.log_odds(evidence, clip.bars, places))
        found = [replace(fit, score=float(s)) for fit, s in zip(fits, scores, strict=True)]
        found.sort(key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))
        return found

    def _drum_evidence(self, clip: ClipFeatures, drums: Members) -> NDArray[np.float32]:
        """(drums,) likeness of the clip's rhythm and that of drums as the rules placed them."""
        beats = beat_input(clip.rows, clip.active, beats_per_bar=clip.beats_per_bar)
        query = rhythm_tower(self._model.weights, "stem_rhythm", beats).reshape(1, -1)
        learned = _likeness(query, self._placed_rhythm(drums, clip.bars), clip.rows.size)[0]
        rules = np.array([fit.score for _, fit in drums], np.float32)
        evidence: NDArray[np.float32] = learned + self._model.curves.drum_rules * rules
        return evidence.astype(np.float32)

    def _query(self, clip: ClipFeatures) -> NDArray[np.float32]:
        """(bars, beats * values * 12) embedding of the clip, norm 1 or 0 as a whole."""
        beats = beat_input(
            clip.rows, clip.active, beats_per_bar=clip.beats_per_bar, transpose=clip.transpose
        )
        values = pitch_tower(self._model.weights, "voice", beats).transpose(0, 2, 1)
        norm = float(np.linalg.norm(values))
        unit = values / np.float32(norm) if norm else values
        return np.ascontiguousarray(unit).reshape(clip.bars, -1)

    def _place_alike(
        self,
        query: NDArray[np.float32],
        asked: ClipQuery,
        pool: RolePool,
        indices: NDArray[np.int64],
        loop_bars: int,
        semitones: tuple[int, ...],
    ) -> list[Fit]:
        """Stems that repeat after the same number of bars, or never."""
        folded = fold_bars(query, loop_bars).reshape(loop_bars, -1, 12)
        turned = rolled(folded, semitones).reshape(loop_bars, -1, len(semitones))
        bars = StemBars.of(pool, indices)
        evidence = slide(self._pitch_bars(pool, indices), turned)
        evidence /= np.float32(np.sqrt(query.shape[0] * pool.beats_per_bar))
        scores = rule_scores(asked, bars, loop_bars, rules=self._rules.rules, semitones=semitones)
        evidence += np.float32(self._model.curves.rules) * scores
        ranked = evidence - smaller_first(semitones)
        variants, starts = best_starts(
            ranked, bars.first, loop_bars=loop_bars, start_step=pool.start_step
        )
        found = evidence[variants, bars.first[:-1] + starts]
        places = places_tried(pool, indices, loop_bars, semitones)
        curve = self._model.curves.of_role(pool.role)
        placed = probability(curve.log_odds(found, query.shape[0], places)).tolist()
        shifts = [semitones[variant] for variant in variants.tolist()]
        return [
            Fit(index, start, loop_bars, shift, score, FitParts(learned=score))
            for index, start, shift, score in zip(
                indices.tolist(), starts.tolist(), shifts, placed, strict=True
            )
        ]

    def grooves(
        self,
        beds: Members,
        drums: Members,
        bars: int,
    ) -> NDArray[np.float32]:
        """(beds, drums) log odds that a bed and drums belong together, as they are placed."""
        rows = [self._placed_rhythm(members, bars) for members in (beds, drums)]
        evidence = _likeness(rows[0], rows[1], bars * beds[0][0].beats_per_bar)
        return self._model.curves.groove.log_odds(evidence, bars)

    @staticmethod
    def log_odds_of(fit: Fit) -> float:
        """The log odds behind the score of one placement."""
        return _log_odds(fit.score)

    def _placed_rhythm(self, members: Members, bars: int) -> NDArray[np.float32]:
        """(members, beats * values) of all members as they are placed."""
        rows: dict[int, NDArray[np.float16]] = {}
        for pool, numbers in by_pool(members).items():
            placed = placed_rows(pool, [members[number][1] for number in numbers], bars)
            rhythm = self._embedding(pool).rhythm[placed]
            rows.update(zip(numbers, rhythm, strict=True))
        together = np.stack([rows[number] for number in range(len(members))])
        return together.astype(np.float32).reshape(len(members), -1)

    def _pitch_bars(self, pool: RolePool, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """(bars, beats * values * 12) of some stems, one after another."""
        pitch = self._embedding(pool).pitch
        beats = np.concatenate([pitch[_whole_bars(pool, int(i))] for i in indices])
        return widened(beats).reshape(-1, pool.beats_per_bar * pitch.shape[1])

    def _windows(self, pool: RolePool, chosen: NDArray[np.int64]) -> Windows:
        """Coarse windows of some stems; the last answer is kept, sessions ask the same again."""
        key = chosen.tobytes()
        embedding = self._embedding(pool)
        known = self._known[pool].chosen
        if key not in known:
            known.clear()
            known[key] = embedding_windows(embedding, pool, chosen)
        return known[key]

    def _embedding(self, pool: RolePool) -> Embedding:
        """What is stored with the pool, or else made from its features now; kept."""
        if pool not in self._known:
            stored = pool.embeddings
            model = self._model
            self._known[pool] = _Known(stored.of(model) if stored else embed_pool(model, pool))
        return self._known[pool].embedding


def _likeness(
    queries: NDArray[np.float32], stems: NDArray[np.float32], beats: int
) -> NDArray[np.float32]:
    """(queries, stems) cosines; every sounding beat of a stem has norm 1."""
    norm = np.linalg.norm(queries, axis=1, keepdims=True)
    cosines: NDArray[np.float32] = queries / np.maximum(norm, 1e-9) @ stems.T
    return cosines / np.float32(np.sqrt(beats))


def _whole_bars(pool: RolePool, index: int) -> slice:
    first = pool.rows(index).start
    return slice(first, first + int(pool.bars[index]) * pool.beats_per_bar)


def _log_odds(score: float) -> float:
    inside = min(max(score, _CERTAIN), 1 - _CERTAIN)
    return float(np.log(inside / (1 - inside)))


def _along(values: Sequence[float], axis: int, axes: int) -> NDArray[np.float32]:
    shape = [1] * axes
    shape[axis] = len(values)
    return np.array(values, dtype=np.float32).reshape(shape)


def _over(table: NDArray[np.float32], a: int, b: int, axes: int) -> NDArray[np.float32]:
    """A table (members of axis a, members of axis b) laid out over all axes."""
    shape = [1] * axes
    shape[a], shape[b] = table.shape
    return (table if a < b else table.T).reshape(shape)
