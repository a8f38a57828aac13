"""Suggested stems and clips as tracks for the renderer, and a stretch of such a track."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from engine.audio.checks import require_stem
from engine.audio.stretch import Stretcher
from engine.audio.waveform import Waveform
from engine.clips.clip import ClipAnalysis
from engine.mashup.placement import WarpPoint
from engine.rendering.renderer import ReadSpan, Session, Track, render_track
from engine.rendering.spans import decoded_span
from engine.suggestions import SuggestedStem

__all__ = ["clip_track", "render_from", "stem_track"]


def render_from(
    track: Track,
    session: Session,
    start_beat: float,
    stretcher: Stretcher,
    *,
    read: ReadSpan = decoded_span,
) -> Waveform:
    """``session.frames`` of the track, from beat ``start_beat`` [0, ...) of its first pass on."""
    if start_beat == 0:
        return render_track(track, session, stretcher, read=read)
    bars = session.bars + ceil(start_beat / session.beats_per_bar)
    whole = render_track(track, replace(session, bars=bars), stretcher, read=read)
    first = session.frame_of(start_beat)
    part = whole.samples[:, first : first + session.frames]
    missing = session.frames - part.shape[1]  # a frame, where two roundings meet
    return Waveform(np.pad(part, ((0, 0), (0, missing))), session.sample_rate)


def clip_track(clip: ClipAnalysis, transpose: int) -> Track:
    """The clip along its own beat map, as the session plays it."""
    warp = tuple(WarpPoint(time_s, beat) for time_s, beat in clip.warp)
    return Track(
        path=clip.request.path,
        role="vocals",
        warp=warp,
        semitones=transpose,
        gain_db=clip.request.gain_db,
        bounds_s=(clip.request.start_s, clip.end_s),
    )


def stem_track(stem: SuggestedStem) -> Track:
    """A suggested stem along its song's beat map.

    Raises:
        UnusableInput: its audio is not in the library any more.
    """
    require_stem(stem.path, stem.title)
    return Track(
        path=stem.path,
        role=stem.placement.role,
        warp=stem.placement.warp(stem.grid),
        semitones=stem.placement.semitones,
        tuning_cents=stem.off_cents,
        gain_db=stem.placement.gain_db,
        storage_gain_db=stem.storage_gain_db,
    )
