"""Why a role has nothing to offer under a clip, in a sentence that names the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.clips.clip import ClipAnalysis
from engine.errors import UnusableInput, UsageError
from engine.pools import LibraryState
from engine.ranking import SearchPool, SearchRules
from engine.theory import Role

if TYPE_CHECKING:
    from engine.suggestions import SuggestOptions

__all__ = ["no_stem_of", "require_stems", "why_none"]


def no_stem_of(role: Role) -> UnusableInput:
    """That the library has nothing that plays ``role``."""
    return UnusableInput(
        f"The library has no {role} stem.",
        hint="Add music first: dawlink add FOLDER.",
        code="empty_library",
    )


def require_stems(searched: Mapping[Role, SearchPool], options: SuggestOptions) -> None:
    """See that every asked role, and every stem asked for by name, is in the library.

    Raises:
        UnusableInput: a role has no stem.
        UsageError: there is no such stem.
    """
    for role, pool in searched.items():
        if not len(pool.pool):
            raise no_stem_of(role)
    known = [pool.pool.index_of for pool in searched.values()]
    unknown = sorted(s for s in options.only_stems if not any(s in stems for stems in known))
    if unknown:
        raise UsageError(
            f"There is no {' or '.join(options.roles)} stem {unknown[0]!r}.",
            hint="dawlink list --json shows the ids of all stems.",
            code="unknown_id",
        )


def why_none(
    role: Role,
    searched: SearchPool,
    clip: ClipAnalysis,
    state: LibraryState,
    rules: SearchRules,
    own: Set[str],
) -> str:
    """Why all stems of a role are left out."""
    asked = np.ones(len(searched.song_ids), dtype=np.bool_)
    if rules.only_stems:
        asked = np.array([stem in rules.only_stems for stem in searched.pool.stem_ids])
    usable = searched.usable & asked
    if not usable.any():
        metre, usual = clip.grid.beats_per_bar, _usual_metre(searched, asked, state)
        if clip.metre_known or usual is None:
            return (
                f"No {role} stem has {metre} beats in a bar, as the clip has; add music of that "
                "metre."
            )
        return (
            f"No {role} stem has {metre} beats in a bar, a guess at the clip's metre; "
            f"--clip-metre {usual} counts the clip in {usual}, as your music is."
        )
    songs = {searched.song_ids[stem] for stem in np.flatnonzero(usable)}
    if songs <= own:
        return f"The only {role} stems come from the clip's own song; --include-own allows them."
    if songs <= rules.exclude_songs:
        return f"All {role} stems are of the clip's own song or of songs that --exclude-song names."
    return f"No {role} stem reaches the session's tempo; widen --tempo-range or add music."


def _usual_metre(searched: SearchPool, asked: NDArray[np.bool_], state: LibraryState) -> int | None:
    """Beats in a bar of most of the stems that are asked for."""
    there = asked & np.isfinite(searched.tempo_bpm)  # others went away with their song
    songs = [state.song(searched.song_ids[stem]) for stem in np.flatnonzero(there)]
    counted = Counter(song.beats_per_bar for song in songs)
    return counted.most_common(1)[0][0] if counted else None
