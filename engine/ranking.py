"""From a clip and a library's pools to ranked groups of stems, without rendering anything.

For every asked role the ranker places the stems whose tempo can reach the session's; then every
combination of the best placements is scored as a group, and the best groups are kept so that they
differ from each other. All of it is deterministic: ties are broken by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import MissingDependency, UsageError
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, FitParts, Ranker, Search
from engine.parallel.threads import one_blas_thread
from engine.theory import Role

__all__ = ["Member", "RankedGroup", "Ranking", "SearchPool", "SearchRules", "rank"]

#: A list of suggestions is made for a multiple of so many.
LIST_STEP: Final = 10
#: Placements per role whose combinations are scored as groups.
_GROUPED_PER_ROLE: Final = {1: 256, 2: 40, 3: 16, 4: 10}
_SLOWEST_BPM, _FASTEST_BPM = 20.0, 400.0


@dataclass(frozen=True, eq=False)
class SearchPool:
    """A pool with what decides whether a stem may be used.

    Args:
        pool: the stems' features.
        tempo_bpm: (stems,) tempo of each stem's song.
        usable: (stems,) bool, False for stems that can never be chosen (another metre).
        song_ids: (stems,) the song of each stem.
    """

    pool: RolePool
    tempo_bpm: NDArray[np.float64]
    usable: NDArray[np.bool_]
    song_ids: tuple[str, ...]

    @cached_property
    def of_song(self) -> Mapping[str, list[int]]:
        """The stems of every song."""
        stems: dict[str, list[int]] = {}
        for index, song_id in enumerate(self.song_ids):
            stems.setdefault(song_id, []).append(index)
        return stems


@dataclass(frozen=True)
class SearchRules:
    """What the person allows.

    Args:
        tempo_bpm: the session's tempo.
        tempo_range: lowest and highest ``ratio_out_in`` after reading a song at ×2 or ÷2.
        max_semitones: largest transposition either way [0, 12].
        exclude_songs: ids of songs that are left out.
        only_stems: when not empty, nothing but these stems is considered.
        limit: groups to return.
        seed: for rankers that draw.
    """

    tempo_bpm: float
    tempo_range: tuple[float, float] = (0.8, 1.25)
    max_semitones: int = 3
    exclude_songs: frozenset[str] = frozenset()
    only_stems: frozenset[str] = frozenset()
    limit: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not _SLOWEST_BPM <= self.tempo_bpm <= _FASTEST_BPM:
            raise UsageError(
                f"A tempo of {self.tempo_bpm:g} BPM is outside "
                f"{_SLOWEST_BPM:g}..{_FASTEST_BPM:g} BPM.",
                hint="Give the session's tempo in beats per minute, like --tempo 120.",
                code="bad_tempo",
            )
        low, high = self.tempo_range
        if not 0 < low <= high <= 4:
            raise UsageError(
                f"A tempo range of {low:g},{high:g} is not valid.",
                hint="Give output/source durations around 1, like --tempo-range 0.8,1.25.",
                code="bad_tempo_range",
            )
        if not 0 <= self.max_semitones <= 12:
            raise UsageError(
                f"{self.max_semitones} semitones are outside 0..12.",
                hint="The default is --max-semitones 3.",
                code="bad_semitones",
            )
        if self.limit < 1:
            raise UsageError(
                f"A limit of {self.limit} is not valid; it must be 1 or more.", code="bad_limit"
            )


@dataclass(frozen=True)
class Member:
    """One stem of a group: which, where, and how it is read.

    ``multiplier`` is grid beats per source beat; ``start_beat`` counts the source's own beats.
    """

    role: Role
    stem_id: str
    song_id: str
    start_beat: int
    loop_bars: int
    multiplier: float
    semitones: int
    score: float


@dataclass(frozen=True)
class RankedGroup:
    """One stem per role with the score of the whole group and its reasons."""

    score: float
    parts: FitParts
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Ranking:
    """Groups, best first, and how many stems of each role were in reach."""

    groups: tuple[RankedGroup, ...]
    considered: dict[Role, int]


def rank(
    clip: ClipFeatures,
    pools: Mapping[Role, SearchPool],
    *,
    ranker: Ranker,
    rules: SearchRules,
) -> Ranking:
    """Rank groups of one stem per role under ``clip``.

    Args:
        clip: the query on its own beats.
        pools: one per asked role, all of the clip's metre.
        ranker: the model.
        rules: what may be used.
    """
    with one_blas_thread():
        return _rank(clip, pools, ranker, rules)


def _rank(
    clip: ClipFeatures, pools: Mapping[Role, SearchPool], ranker: Ranker, rules: SearchRules
) -> Ranking:
    placed = {role: _place(clip, pool, ranker, rules) for role, pool in pools.items()}
    considered = {role: count for role, (count, _) in placed.items()}
    candidates = {role: found for role, (_, found) in placed.items()}
    if not candidates or not all(candidates.values()):
        return Ranking((), considered)
    kept = _GROUPED_PER_ROLE.get(len(candidates), 6)
    candidates = {role: found[:kept] for role, found in candidates.items()}
    fits = {role: [(c.view, c.fit) for c in found] for role, found in candidates.items()}
    scores, parts = ranker.score_groups(clip, fits)
    if not np.isfinite(scores).all():
        raise MissingDependency(
            f"The model {ranker.name} returned invalid scores (NaN); its checkpoint is damaged.",
            hint="Remove it from the folder models of the library, or choose another --model.",
            code="checkpoint_damaged",
        )
    chosen = _diverse(scores, list(candidates.values()), rules.limit)
    groups = tuple(_group(index, scores, parts, candidates) for index in chosen)
    return Ranking(groups, considered)


@dataclass(frozen=True, eq=False)
class _Candidate:
    view: RolePool
    fit: Fit
    member: Member


def _place(
    clip: ClipFeatures, searched: SearchPool, ranker: Ranker, rules: SearchRules
) -> tuple[int, list[_Candidate]]:
    """Candidates of one role, best first, and how many stems were in reach."""
    shifts = tuple(range(-rules.max_semitones, rules.max_semitones + 1))
    search = Search(semitones=shifts, seed=rules.seed)
    found: list[_Candidate] = []
    reach = 0
    for multiplier, mask in _in_reach(searched, rules).items():
        chosen = np.flatnonzero(mask)
        if not chosen.size:
            continue
        reach += int(chosen.size)
        if multiplier == 1.0:
            view, eligible, origin = searched.pool, mask, np.arange(len(searched.pool))
        else:
            view, eligible, origin = searched.pool.folded(multiplier, chosen), None, chosen
        for fit in ranker.place(clip, view, search, eligible=eligible):
            song_id = searched.song_ids[int(origin[fit.index])]
            member = _member(view, fit, song_id, multiplier)
            found.append(_Candidate(view, fit, member))
    found.sort(key=lambda c: (-c.fit.score, c.member.stem_id))
    return reach, found


def _in_reach(searched: SearchPool, rules: SearchRules) -> dict[float, NDArray[np.bool_]]:
    """Which stems can reach the session's tempo when read at ×1, ×2 or ÷2; each at most once."""
    allowed = searched.usable.copy()
    if rules.only_stems:
        number = searched.pool.index_of
        only = [number[stem] for stem in rules.only_stems if stem in number]
        allowed &= np.isin(np.arange(allowed.size), only)
    for song in rules.exclude_songs:
        allowed[searched.of_song.get(song, [])] = False
    multipliers = (1.0, 2.0, 0.5)
    ratios = np.stack([searched.tempo_bpm * m / rules.tempo_bpm for m in multipliers])
    nearest = np.argmin(np.abs(np.log2(ratios)), axis=0)
    low, high = rules.tempo_range
    within = (ratios >= low - 1e-9) & (ratios <= high + 1e-9)
    return {m: allowed & within[i] & (nearest == i) for i, m in enumerate(multipliers)}


def _member(view: RolePool, fit: Fit, song_id: str, multiplier: float) -> Member:
    start_beat = round(fit.start_bar * view.beats_per_bar / multiplier)
    return Member(
        role=view.role,
        stem_id=view.stem_ids[fit.index],
        song_id=song_id,
        start_beat=start_beat,
        loop_bars=fit.loop_bars,
        multiplier=multiplier,
        semitones=fit.semitones,
        score=fit.score,
    )


def _diverse(
    scores: NDArray[np.float32], candidates: Sequence[list[_Candidate]], limit: int
) -> list[tuple[int, ...]]:
    """The best groups that share few stems, best first.

    The first role's stems appear once each and the others' about evenly; when that leaves too few
    groups, repeats fill up. A list is made for a multiple of :data:`LIST_STEP` and cut to
    ``limit``, so that a rank means the same group in a shorter list.
    """
    size = -(-limit // LIST_STEP) * LIST_STEP
    order = [int(flat) for flat in np.argsort(-scores.ravel(), kind="stable")]
    place = list(zip(*(axis.tolist() for axis in _axes(scores.shape)), strict=True))
    even = [1] + [-(-size // len(found)) + 1 for found in candidates[1:]]
    chosen: set[int] = set()
    for quota in (even, [size] * len(candidates)):
        used = [Counter(place[flat][axis] for flat in chosen) for axis in range(len(candidates))]
        for flat in order:
            if len(chosen) == size:
                break
            index = place[flat]
            if flat in chosen or any(c[i] >= q for c, i, q in zip(used, index, quota, strict=True)):
                continue
            chosen.add(flat)
            for counter, i in zip(used, index, strict=True):
                counter[i] += 1
    return [place[flat] for flat in order if flat in chosen][:limit]


def _axes(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], ...]:
    """The position along every axis of each element of a flattened array."""
    return np.unravel_index(np.arange(int(np.prod(shape))), shape)


def _group(
    index: tuple[int, ...],
    scores: NDArray[np.float32],
    parts: Mapping[str, NDArray[np.float32]],
    candidates: Mapping[Role, list[_Candidate]],
) -> RankedGroup:
    reasons = {name: float(np.clip(values[index], 0, 1)) for name, values in parts.items()}
    return RankedGroup(
        score=float(np.clip(scores[index], 0, 1)),
        parts=FitParts(**reasons),
        members=tuple(found[i].member for i, found in zip(index, candidates.values(), strict=True)),
    )
