"""A loop to listen to before anything is rendered: the first bars of a suggestion, summed.

It begins on the clip's first bar line like every render, is exactly so many bars long, and holds
the stems at the gains of a render, so that the DAW can play it under the clip. It is a draft (one
window length of Rubber Band instead of three): made in half the time, attacks within 4 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from engine.audio.stretch import Stretcher
from engine.audio.waveform import Waveform
from engine.rendering.renderer import Session, Track, mix_tracks, render_track
from engine.rendering.tracks import clip_track, stem_track
from engine.suggestions import SuggestedStem, Suggestion, SuggestReply

__all__ = ["audition", "grouped"]

#: A sum that goes over this is turned down as a whole: nothing is limited in a draft.
_HIGHEST_PEAK: Final = 0.98

#: Runs pieces of work, perhaps several at once, and returns their results in order.
Spread = Callable[[Callable[[Track], Waveform], Sequence[Track]], Iterable[Waveform]]


def grouped(reply: SuggestReply, stem_ids: Sequence[str]) -> Suggestion | None:
    """The suggestion of ``reply`` made of these stems, else one put together from several.

    A stem that several suggestions share is taken from the best of them. None when a stem is in
    no suggestion.
    """
    wanted = frozenset(stem_ids)
    for suggestion in reply.suggestions:
        if wanted == {stem.placement.stem_id for stem in suggestion.stems}:
            return suggestion
    found: dict[str, tuple[Suggestion, SuggestedStem]] = {}
    for suggestion in reply.suggestions:
        for stem in suggestion.stems:
            found.setdefault(stem.placement.stem_id, (suggestion, stem))
    if not wanted or not wanted <= found.keys():
        return None
    best = min((found[stem_id][0] for stem_id in wanted), key=lambda made: made.rank)
    return replace(best, stems=tuple(found[stem_id][1] for stem_id in dict.fromkeys(stem_ids)))


def audition(
    reply: SuggestReply,
    suggestion: Suggestion,
    session: Session,
    *,
    with_clip: bool,
    stretcher: Stretcher,
    spread: Spread = lambda work, tracks: map(work, tracks),
) -> Waveform:
    """``session.frames`` of the suggestion, with or without the clip.

    Raises:
        UnusableInput: a source cannot be read.
    """
    tracks = [_stem(stem, session.bars) for stem in suggestion.stems]
    if with_clip:
        tracks.append(_cut(clip_track(reply.clip, reply.options.transpose), session.beats))
    rendered = spread(lambda track: render_track(track, session, stretcher), tracks)
    total = mix_tracks(list(rendered))
    peak = float(np.abs(total.samples).max(initial=0.0))
    if peak <= _HIGHEST_PEAK:
        return total
    return Waveform(total.samples * np.float32(_HIGHEST_PEAK / peak), total.sample_rate)


def _stem(stem: SuggestedStem, bars: int) -> Track:
    """The stem's track, with no more of its source than ``bars`` need."""
    placement = stem.placement
    if bars < placement.bars:
        loop_bars = min(placement.loop_bars, bars)
        placement = replace(placement, bars=bars, loop_bars=loop_bars)
    return stem_track(replace(stem, placement=placement))


def _cut(track: Track, beats: int) -> Track:
    return replace(track, warp=tuple(point for point in track.warp if point.beat <= beats))
