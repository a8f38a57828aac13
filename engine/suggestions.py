"""What is asked, and what is answered: accompaniments for a clip, placed and explained.

:func:`suggest` is the whole way from an analysed clip to a ranked list; it renders nothing. The
records here are what the command line, the daemon and the DAW writers share.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.analysis.records import KeyEstimate
from engine.clips.clip import ClipAnalysis
from engine.errors import LibraryUnusable, UnusableInput, UsageError
from engine.grid import BeatGrid
from engine.library.rows import StemRow
from engine.mashup.key_profiles import key_profile
from engine.mashup.levels import LevelledStem, group_gains, level_db
from engine.mashup.placement import Placement
from engine.missing_stems import require_stems, why_none
from engine.models.ranker import FitParts, Ranker
from engine.pools import LibraryChanged, LibraryPools, LibraryState
from engine.ranking import Member, RankedGroup, SearchPool, SearchRules, rank
from engine.sounds import clip_sound
from engine.theory import Key, Role, parse_role

if TYPE_CHECKING:
    from engine.library.library import Library

__all__ = [
    "SessionState",
    "SuggestOptions",
    "SuggestReply",
    "SuggestedStem",
    "Suggestion",
    "parse_roles",
    "suggest",
]

#: How often a question is asked again because the library has changed meanwhile.
_TRIES: Final = 5
#: Longer and longer before each of them, since whoever changes it may be at it for a while [s].
_PAUSE_S: Final = 0.05
DEFAULT_ROLES: Final[tuple[Role, ...]] = ("harmonic", "percussion")


@dataclass(frozen=True)
class SuggestOptions:
    """What a person asks for.

    Args:
        tempo_bpm: the session's tempo; the clip's own when None.
        key: the session's key; the clip's own when None.
        transpose: semitones that the DAW already applies to the clip.
        roles: one stem of each in every suggestion.
        limit: number of suggestions.
        max_semitones: largest transposition of a stem.
        tempo_range: lowest and highest output / source duration.
        exclude_songs: ids of songs to leave out.
        include_own: let the song take part that the clip itself comes from.
        only_stems: when not empty, nothing but these stems.
        seed: for models that draw.
    """

    tempo_bpm: float | None = None
    key: Key | None = None
    transpose: int = 0
    roles: tuple[Role, ...] = DEFAULT_ROLES
    limit: int = 10
    max_semitones: int = 3
    tempo_range: tuple[float, float] = (0.8, 1.25)
    exclude_songs: frozenset[str] = frozenset()
    include_own: bool = False
    only_stems: frozenset[str] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        if not -48 <= self.transpose <= 48:
            raise UsageError(
                f"A transposition of {self.transpose} semitones is outside -48..48.",
                hint="Give the semitones that the DAW applies to the clip.",
                code="bad_semitones",
            )
        if not self.roles:
            raise UsageError(
                "No role is named.", hint="Write --roles harmonic,percussion.", code="bad_role"
            )
        if len(set(self.roles)) != len(self.roles):
            raise UsageError(
                "Name each role only once.",
                hint="Write --roles harmonic,percussion.",
                code="bad_role",
            )


@dataclass(frozen=True)
class SessionState:
    """The session that everything is aligned to."""

    tempo_bpm: float
    key: Key | None
    beats_per_bar: int


@dataclass(frozen=True, eq=False)
class SuggestedStem:
    """One stem of a suggestion, with everything needed to render it.

    ``source_start_s`` and ``source_end_s`` are one pass through the source; it repeats after
    ``placement.loop_bars`` bars. ``ratio_out_in`` is output / source duration. ``tuning_cents`` is
    how far its song lies above A = 440 Hz, ``reference_cents`` where it is to lie. The file is
    stored ``storage_gain_db`` quieter or louder than the stem is.
    """

    placement: Placement
    title: str
    path: Path
    tempo_bpm: float
    key: KeyEstimate
    tuning_cents: float
    reference_cents: float
    ratio_out_in: float
    source_start_s: float
    source_end_s: float
    storage_gain_db: float
    grid: BeatGrid

    @property
    def off_cents(self) -> float:
        """How far it lies above where it is to lie."""
        return self.tuning_cents - self.reference_cents

    @property
    def offset_beats(self) -> float:
        """Beats between the clip's first downbeat and the stem's: they start together."""
        return 0.0


@dataclass(frozen=True, eq=False)
class Suggestion:
    """One stem per asked role, why, and how sure.

    ``confidence`` [0, 1] says how far the beat maps that the score rests on can be trusted.
    """

    rank: int
    score: float
    parts: FitParts
    confidence: float
    stems: tuple[SuggestedStem, ...]


@dataclass(frozen=True, eq=False)
class SuggestReply:
    """The answer: the clip as understood, the session, and the suggestions, best first."""

    model: str
    clip: ClipAnalysis
    options: SuggestOptions
    session: SessionState
    suggestions: tuple[Suggestion, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def parse_roles(text: str) -> tuple[Role, ...]:
    """``harmonic,percussion`` (commas or spaces) as roles.

    Raises:
        UsageError: an unknown role, or none.
    """
    return tuple(parse_role(part) for part in text.replace(",", " ").split())


def suggest(
    clip: ClipAnalysis,
    options: SuggestOptions,
    *,
    ranker: Ranker,
    pools: LibraryPools,
    library: Library,
) -> SuggestReply:
    """Rank accompaniments for ``clip``, all of it by one state of the library.

    Raises:
        UnusableInput: the library has no stem of an asked role.
        UsageError: a tempo or range that cannot be meant.
        LibraryUnusable: it is damaged, or others change it all the time.
    """
    for number in range(_TRIES):
        time.sleep(_PAUSE_S * number)
        state = pools.now()
        try:
            return _suggested(clip, options, ranker=ranker, state=state, library=library)
        except LibraryChanged:
            continue
        except UnusableInput:  # a file that went away with its song, or a real one
            if pools.now() is state:
                raise
    raise LibraryUnusable(
        f"The library was changed {_TRIES} times while the question was answered.",
        hint="Ask again when the other process is done.",
    )


def _suggested(
    clip: ClipAnalysis,
    options: SuggestOptions,
    *,
    ranker: Ranker,
    state: LibraryState,
    library: Library,
) -> SuggestReply:
    session = SessionState(
        tempo_bpm=options.tempo_bpm or round(clip.tempo_bpm, 3),
        key=options.key or _sounding_key(clip, options),
        beats_per_bar=clip.grid.beats_per_bar,
    )
    searched = {role: state.get(role, session.beats_per_bar) for role in options.roles}
    require_stems(searched, options)
    own = frozenset() if options.include_own else {source.song_id for source in clip.sources}
    rules = SearchRules(
        tempo_bpm=session.tempo_bpm,
        tempo_range=options.tempo_range,
        max_semitones=options.max_semitones,
        exclude_songs=options.exclude_songs | own,
        only_stems=options.only_stems,
        limit=options.limit,
        seed=options.seed,
    )
    profile = key_profile(options.key) if options.key else None
    features = replace(
        clip.features(transpose=options.transpose, key_profile=profile),
        sound=clip_sound(clip, options.transpose),
    )
    found = rank(features, searched, ranker=ranker, rules=rules)
    build = _Builder(clip, session, searched, state, library, _tuning_of(clip, state))
    empty = [role for role, count in found.considered.items() if not count]
    left_out = tuple(why_none(role, searched[role], clip, state, rules, own) for role in empty)
    return SuggestReply(
        model=ranker.name,
        clip=clip,
        options=options,
        session=session,
        suggestions=tuple(build.suggestion(i, g) for i, g in enumerate(found.groups, start=1)),
        notes=clip.notes + left_out + _notes(clip, options),
    )


def _sounding_key(clip: ClipAnalysis, options: SuggestOptions) -> Key | None:
    return clip.key.key.transposed(options.transpose) if clip.key.key else None


def _tuning_of(clip: ClipAnalysis, state: LibraryState) -> float:
    """The tuning that stems are brought to: that of the song that the clip was cut from, else A.

    What is measured of a voice alone is no tuning: of ten sung stems of songs at A = 440 Hz some
    seem to lie 15 and 27 cents below it.
    """
    known = (state.tuning_cents(source.song_id) for source in clip.sources)
    return next(known, 0.0)


def _notes(clip: ClipAnalysis, options: SuggestOptions) -> tuple[str, ...]:
    notes = []
    sounding = _sounding_key(clip, options)
    other = options.key and sounding and sounding.relative_major != options.key.relative_major
    if other and clip.key.confidence >= 0.7:
        notes.append(
            f"The clip sounds in {sounding}, the session is in {options.key}; "
            "--transpose moves the clip."
        )
    return tuple(notes)


@dataclass(frozen=True, eq=False)
class _Builder:
    """Turns ranked groups into suggestions."""

    clip: ClipAnalysis
    session: SessionState
    searched: Mapping[Role, SearchPool]
    state: LibraryState
    library: Library
    reference_cents: float

    def suggestion(self, number: int, group: RankedGroup) -> Suggestion:
        rows = {member.stem_id: self.state.stem(member.stem_id) for member in group.members}
        gains = self._gains(group, rows)
        stems = tuple(self._stem(m, rows[m.stem_id], gains[m.stem_id]) for m in group.members)
        return Suggestion(
            rank=number,
            score=round(group.score, 4),
            parts=group.parts,
            confidence=round(self._confidence(group), 4),
            stems=stems,
        )

    def _stem(self, member: Member, row: StemRow, gain_db: float) -> SuggestedStem:
        song = self.state.song(member.song_id)
        grid = self.state.grid(member.song_id)
        placement = Placement(
            stem_id=member.stem_id,
            song_id=member.song_id,
            role=member.role,
            start_beat=member.start_beat,
            bars=self.clip.bars,
            beats_per_bar=self.session.beats_per_bar,
            loop_bars=member.loop_bars,
            multiplier=member.multiplier,
            semitones=member.semitones,
            gain_db=gain_db,
        )
        start_s, end_s = placement.source_span_s(grid)
        beats = placement.loop_beats * 60.0 / self.session.tempo_bpm
        return SuggestedStem(
            placement=placement,
            title=song.title,
            path=self.library.audio_path(row),
            tempo_bpm=song.tempo.bpm,
            key=song.key,
            tuning_cents=song.tuning_cents,
            reference_cents=self.reference_cents,
            ratio_out_in=beats / (end_s - start_s),
            source_start_s=start_s,
            source_end_s=end_s,
            storage_gain_db=row.audio.gain_db,
            grid=grid,
        )

    def _gains(self, group: RankedGroup, rows: Mapping[str, StemRow]) -> Mapping[str, float]:
        clip_level = level_db(self.clip.rows["bands"], self.clip.active)
        levels = [
            LevelledStem(m.stem_id, m.song_id, self._level(m), rows[m.stem_id].true_peak_db)
            for m in group.members
        ]
        return group_gains(clip_level, levels)

    def _level(self, member: Member) -> float:
        """Level of the source bars that one pass uses."""
        pool = self.searched[member.role].pool
        stem = pool.rows(pool.index_of[member.stem_id])
        first = stem.start + member.start_beat
        beats = member.loop_bars * pool.beats_per_bar / member.multiplier
        rows = slice(first, min(first + int(np.ceil(beats)), stem.stop))
        return level_db(np.asarray(pool.bands[rows]), np.asarray(pool.active[rows]))

    def _confidence(self, group: RankedGroup) -> float:
        grids = [self.state.song(member.song_id).grid_confidence for member in group.members]
        return float(np.sqrt(self.clip.grid.confidence * min(grids)))
