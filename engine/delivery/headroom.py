"""Rendered audio below full scale, by the one gain that is stated.

Gains are chosen from the sources' peaks, before anything is rendered; a stretch then makes peaks of
its own, and a clip may be at full scale already. What comes out above the ceiling is turned down as
a whole, never clipped: all stems of a song by the same amount, and all stems by what the clip is
turned down, so that the balance stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from engine.audio.loudness import true_peak_db
from engine.audio.waveform import Waveform
from engine.mashup.levels import PEAK_CEILING_DB
from engine.suggestions import SuggestedStem, Suggestion

__all__ = ["excess_db", "turned_down", "with_headroom"]

#: No true peak is looked for in audio whose samples stay below this [linear, -4 dBFS].
_FAR_BELOW: Final = 10 ** (-4 / 20)


def with_headroom(
    suggestion: Suggestion, stems: Sequence[Waveform], *, lower_db: float = 0.0
) -> tuple[Suggestion, list[Waveform]]:
    """The suggestion with the gains that its stems can have, and the stems at these gains.

    Args:
        suggestion: what was rendered.
        stems: its stems as rendered, at the gains that the suggestion states.
        lower_db: what the clip was turned down by; all stems follow it.
    """
    songs: dict[str, float] = {}
    for stem, audio in zip(suggestion.stems, stems, strict=True):
        song = stem.placement.song_id
        songs[song] = max(songs.get(song, lower_db), excess_db(audio))
    lower = [songs[stem.placement.song_id] for stem in suggestion.stems]
    chosen = tuple(map(_by, suggestion.stems, lower))
    quieter = [turned_down(waveform, by_db) for waveform, by_db in zip(stems, lower, strict=True)]
    return replace(suggestion, stems=chosen), quieter


def excess_db(audio: Waveform) -> float:
    """How far the true peak is above the ceiling, in hundredths [0, ...)."""
    if float(np.abs(audio.samples).max(initial=0.0)) < _FAR_BELOW:
        return 0.0
    over = true_peak_db(audio) - PEAK_CEILING_DB
    return math.ceil(over * 100) / 100 if over > 0 else 0.0


def turned_down(audio: Waveform, by_db: float) -> Waveform:
    """The same audio, so many decibels lower."""
    if by_db == 0:
        return audio
    return Waveform(audio.samples * np.float32(10 ** (-by_db / 20)), audio.sample_rate)


def _by(stem: SuggestedStem, by_db: float) -> SuggestedStem:
    gain_db = round(stem.placement.gain_db - by_db, 2)
    return replace(stem, placement=replace(stem.placement, gain_db=gain_db))
