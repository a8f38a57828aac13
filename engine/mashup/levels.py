"""How loud each stem should be under the clip.

Levels are matched at equal loudness, as AutoMashUpper does with ReplayGain, on the equal-loudness
weighted RMS that the beat-grid features already carry; so the gain is known before anything is
rendered, and it is that of the bars which are really used. Stems of one song share one gain: the
balance inside a song is its producer's. All levels are decibels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LevelledStem", "group_gains", "level_db"]

#: The accompaniment as a whole lies this far from the clip, which is how pop is usually mixed:
#: the band about as loud as the voice.
ACCOMPANIMENT_BELOW_CLIP_DB: Final = 0.0
#: A stem is never raised by more than this, so that noise does not become music.
MOST_GAIN_DB: Final = 18.0
#: Room that a raised stem leaves below full scale.
PEAK_CEILING_DB: Final = -0.3
SILENCE_DB: Final = -120.0


@dataclass(frozen=True)
class LevelledStem:
    """One stem of a group as the matching sees it."""

    stem_id: str
    song_id: str
    level_db: float
    peak_db: float


def level_db(bands: NDArray[np.float16], active: NDArray[np.bool_]) -> float:
    """Level of the beats that sound.

    Args:
        bands: (beats, 3) equal-loudness weighted RMS, linear.
        active: (beats,) beats that count; all of them when none is active.
    """
    power = np.square(bands.astype(np.float64)).sum(axis=1)
    used = power[active] if active.any() else power
    mean = float(used.mean()) if used.size else 0.0
    return 10 * math.log10(mean) if mean > 10 ** (SILENCE_DB / 10) else SILENCE_DB


def group_gains(clip_level_db: float, stems: Sequence[LevelledStem]) -> Mapping[str, float]:
    """The gain of each stem, by id: every song equally loud, all songs together as the clip."""
    songs: dict[str, list[LevelledStem]] = {}
    for stem in stems:
        songs.setdefault(stem.song_id, []).append(stem)
    share = 10 * math.log10(len(songs))
    target = clip_level_db + ACCOMPANIMENT_BELOW_CLIP_DB - share
    gains: dict[str, float] = {}
    for members in songs.values():
        together = 10 * math.log10(sum(10 ** (m.level_db / 10) for m in members))
        peak = max(m.peak_db for m in members)
        gain = min(target - together, MOST_GAIN_DB, PEAK_CEILING_DB - peak)
        gains.update({m.stem_id: round(gain, 2) for m in members})
    return gains
