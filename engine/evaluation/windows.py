"""Windows of passages on the beat grid, read where they are or altered along one axis.

Everything happens on features. A shift by part of a beat is read in quarter beats, which three
onset steps and one log-frequency frame fill exactly; the chroma of a beat that straddles two is
folded anew from its log-frequency frames (the weighted mean of two chromas would be smoother than
any measured one, and score better for it), and its levels are weighted means of power. A stem in
another tempo is read so too: the frame that sounds in the middle of each, attacks in the step they
are nearest to.
Transposition rolls chroma and moves log-frequency rows, so what an alteration costs is the music
and not a stretcher's artefact.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import (
    BEAT_ROW,
    LOGFREQ_FLOOR_DB,
    LOGFREQ_FRAMES,
    STEPS_PER_BEAT,
)
from engine.evaluation.corpus import Passage
from engine.models.audio_source import Sound

__all__ = [
    "QUARTERS_PER_BEAT",
    "at_tempo",
    "bars_rotated",
    "chroma_of",
    "harmonic_stillness",
    "looped_at",
    "starts_of",
    "transposed",
    "window_at",
    "windows_of",
]

#: Resolution of shifts: the finest that all fields of a row share.
QUARTERS_PER_BEAT: Final = LOGFREQ_FRAMES
_STEPS_PER_QUARTER: Final = STEPS_PER_BEAT // QUARTERS_PER_BEAT
#: How :mod:`engine.analysis.features` folds chroma: bins C2 to B6, compressed powers, and nothing
#: from beats more than 60 dB below the loudest cell.
_CHROMA_BINS: Final = slice(12, 72)
_CHROMA_COMPRESSION: Final = 100.0
_SILENT_SHARE: Final = 1e-6 * LOGFREQ_FRAMES
#: A window takes part when it sounds in this share of its beats or more.
LEAST_ACTIVITY: Final = 0.5


def starts_of(passage: Passage, bars: int, *, room: int = 0) -> range:
    """First bars of the consecutive windows of ``bars`` bars; a rest at the end is left out.

    With ``room`` there are so many bars before the first and after the last one too: a window that
    is read a little earlier or later is then music, and not told by the silence at its edge.
    """
    return range(room, passage.bars - bars - room + 1, bars)


def windows_of(passage: Passage, bars: int, *, room: int = 0) -> Iterator[Passage]:
    """Consecutive windows that sound for half of their beats or more (see :func:`starts_of`)."""
    for bar in starts_of(passage, bars, room=room):
        window = window_at(passage, bar, bars)
        if window.activity >= LEAST_ACTIVITY:
            yield window


def window_at(passage: Passage, bar: int, bars: int, *, late_quarters: int = 0) -> Passage:
    """``bars`` bars from ``bar`` on, read ``late_quarters`` quarter beats later.

    What lies before the passage's beginning or after its end is silent.
    """
    name = f"{passage.id}@{bar}:{bars}" + (f"{late_quarters:+d}q" if late_quarters else "")
    first, part = divmod(
        bar * passage.beats_per_bar * QUARTERS_PER_BEAT + late_quarters, QUARTERS_PER_BEAT
    )
    beats = bars * passage.beats_per_bar
    rows, active = _padded(passage, first, beats + 1)
    sound = passage.sound and passage.sound.window(first + part / QUARTERS_PER_BEAT, beats)
    if part == 0:
        return replace(passage, id=name, rows=rows[:beats], active=active[:beats], sound=sound)
    nearest = active[:-1] if 2 * part <= QUARTERS_PER_BEAT else active[1:]
    rows = _between(rows, part, loudest=_loudest_cell(passage))
    return replace(passage, id=name, rows=rows, active=nearest, sound=sound)


def at_tempo(passage: Passage, bar: int, bars: int, *, ratio: float) -> Passage:
    """``bars`` bars in which the passage, from its bar ``bar`` on, keeps a tempo of its own.

    Its downbeat is the first one; then it runs away, a beat every ``1 / (ratio - 1)`` beats. What
    lies after the passage's end is silent.

    Args:
        passage: whole bars.
        bar: of the passage.
        bars: that are heard.
        ratio: its tempo over that of what it is heard with.
    """
    first, beats = bar * passage.beats_per_bar, bars * passage.beats_per_bar
    rows, active = _padded(passage, first, math.ceil(beats * ratio) + 1)
    middles = ((np.arange(beats) + 0.5) * ratio).astype(np.int64)
    edges = first + ratio * np.arange(beats + 1, dtype=np.float64)
    return replace(
        passage,
        id=f"{passage.id}@{bar}:{bars}x{ratio:g}",
        rows=_resampled(rows, beats, ratio, loudest=_loudest_cell(passage)),
        active=active[middles],
        sound=passage.sound and _sound_at(passage.sound, edges),
    )


def looped_at(passage: Passage, bar: int, bars: int) -> Passage:
    """``bars`` bars from ``bar`` on of a passage that begins again whenever it ends."""
    beat = passage.beats_per_bar
    beats = np.arange(bar * beat, (bar + bars) * beat) % passage.rows.size
    name = f"{passage.id}@{bar}:{bars}"
    sound = passage.sound and passage.sound.at(beats)
    return replace(
        passage, id=name, rows=passage.rows[beats], active=passage.active[beats], sound=sound
    )


def chroma_of(logfreq: NDArray[np.uint8], *, loudest: int) -> NDArray[np.float64]:
    """(beats, 12) chroma folded from log-frequency frames, as the analysis folds it from audio.

    Args:
        logfreq: (beats, 4 frames, 96 semitones), see BEAT_ROW.
        loudest: the largest value of the whole stem between C2 and B6.
    """
    tonal = logfreq[..., _CHROMA_BINS].astype(np.float64)
    decibels = (tonal - loudest) * (-LOGFREQ_FLOOR_DB / 255.0)
    power = np.where(tonal > 0, 10.0 ** (decibels / 10.0), 0.0)
    compressed = np.log1p(_CHROMA_COMPRESSION * power).mean(axis=1)
    folded = compressed.reshape(compressed.shape[0], -1, 12).sum(axis=1)
    norm = np.linalg.norm(folded, axis=1, keepdims=True)
    sounding = power.sum(axis=(1, 2))[:, None] > _SILENT_SHARE
    unit: NDArray[np.float64] = np.divide(
        folded, norm, out=np.zeros_like(folded), where=sounding & (norm > 0)
    )
    return unit


def transposed(passage: Passage, semitones: int) -> Passage:
    """The passage ``semitones`` higher."""
    rows = np.array(passage.rows)
    rows["chroma"] = np.roll(rows["chroma"], semitones, axis=-1)
    moved = np.zeros_like(rows["logfreq"])
    bins = moved.shape[-1]
    low, high = max(semitones, 0), bins + min(semitones, 0)
    moved[..., low:high] = rows["logfreq"][..., low - semitones : high - semitones]
    rows["logfreq"] = moved
    sound = passage.sound and passage.sound.transposed(semitones)
    return replace(passage, id=f"{passage.id}{semitones:+d}st", rows=rows, sound=sound)


def bars_rotated(passage: Passage, bars: int) -> Passage:
    """The same bars in rotated order: the first ``bars`` of them come last."""
    beats = bars * passage.beats_per_bar
    return replace(
        passage,
        id=f"{passage.id}~{bars}",
        rows=np.roll(passage.rows, -beats),
        active=np.roll(passage.active, -beats),
        sound=passage.sound and passage.sound.at(np.roll(np.arange(passage.rows.size), -beats)),
    )


def harmonic_stillness(passage: Passage) -> float:
    """How little the harmony moves: mean cosine of each bar's chroma with the window's [0, 1].

    1 when every bar sounds the same pitch classes; bars without pitch do not count.
    """
    bars = passage.rows["chroma"].astype(np.float64).reshape(passage.bars, -1, 12).sum(axis=1)
    bars = bars[bars.any(axis=1)]
    if not bars.size:
        return 1.0
    whole = bars.sum(axis=0)
    cosines = bars @ whole / (np.linalg.norm(bars, axis=1) * np.linalg.norm(whole))
    return float(np.clip(cosines.mean(), 0.0, 1.0))


def _padded(passage: Passage, first: int, beats: int) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """Beats ``first`` to ``first + beats``, silent outside the passage."""
    rows = np.zeros(beats, dtype=BEAT_ROW)
    active = np.zeros(beats, dtype=np.bool_)
    low, high = max(first, 0), min(first + beats, passage.rows.size)
    if low < high:
        rows[low - first : high - first] = passage.rows[low:high]
        active[low - first : high - first] = passage.active[low:high]
    return rows, active


@functools.lru_cache(maxsize=64)
def _loudest_cell(passage: Passage) -> int:
    """The largest log-frequency value that chroma looks at, of the whole passage."""
    return int(passage.rows["logfreq"][..., _CHROMA_BINS].max())


def _between(rows: NDArray[np.void], part: int, *, loudest: int) -> NDArray[np.void]:
    """(beats - 1,) rows that begin ``part`` quarters after those given."""
    beats = rows.size - 1
    result = np.zeros(beats, dtype=BEAT_ROW)
    frames = rows["logfreq"].reshape(rows.size * LOGFREQ_FRAMES, -1)
    result["logfreq"] = frames[part : part + beats * LOGFREQ_FRAMES].reshape(
        beats, LOGFREQ_FRAMES, -1
    )
    steps = rows["onsets"].reshape(rows.size * STEPS_PER_BEAT, -1)
    late = part * _STEPS_PER_QUARTER
    result["onsets"] = steps[late : late + beats * STEPS_PER_BEAT].reshape(
        beats, STEPS_PER_BEAT, -1
    )
    share = part / QUARTERS_PER_BEAT
    result["chroma"] = chroma_of(result["logfreq"], loudest=loudest)
    power = np.square(rows["bands"].astype(np.float64))
    result["bands"] = np.sqrt((1 - share) * power[:-1] + share * power[1:])
    return result


def _resampled(
    rows: NDArray[np.void], beats: int, ratio: float, *, loudest: int
) -> NDArray[np.void]:
    """(beats,) rows of music that runs ``ratio`` times as fast."""
    result = np.zeros(beats, dtype=BEAT_ROW)
    frames = rows["logfreq"].reshape(rows.size * LOGFREQ_FRAMES, -1)
    middles = ((np.arange(beats * LOGFREQ_FRAMES) + 0.5) * ratio).astype(np.int64)
    result["logfreq"] = frames[middles].reshape(beats, LOGFREQ_FRAMES, -1)
    steps = rows["onsets"].reshape(rows.size * STEPS_PER_BEAT, -1)
    moved = _steps_moved(steps, beats * STEPS_PER_BEAT, ratio)
    result["onsets"] = moved.reshape(beats, STEPS_PER_BEAT, -1)
    result["chroma"] = chroma_of(result["logfreq"], loudest=loudest)
    power = np.square(rows["bands"].astype(np.float64))
    total = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0)])
    edges = np.arange(beats + 1) * ratio
    upto = [np.interp(edges, np.arange(rows.size + 1), band) for band in total.T]
    result["bands"] = np.sqrt(np.maximum(np.diff(upto, axis=1).T / ratio, 0.0))
    return result


def _steps_moved(steps: NDArray[np.uint8], count: int, ratio: float) -> NDArray[np.uint8]:
    """(count, bands) onsets, each in the step that it is nearest to now.

    Of two that meet the stronger counts; a step that none reaches is as quiet as its neighbours.
    """
    place = np.rint(np.arange(steps.shape[0]) / ratio).astype(np.int64)
    kept = place < count
    moved = np.zeros((count, steps.shape[1]), dtype=np.uint8)
    np.maximum.at(moved, place[kept], steps[kept])
    empty = np.setdiff1d(np.arange(1, count - 1), place)
    moved[empty] = np.minimum(moved[empty - 1], moved[empty + 1])
    return moved


def _sound_at(sound: Sound, edges: NDArray[np.float64]) -> Sound:
    """A sound whose beats begin and end at ``edges`` [its own beats]."""
    moments_s = np.array([sound.window(float(edge), 1).spans_s[0, 0] for edge in edges])
    return replace(sound, spans_s=np.stack([moments_s[:-1], moments_s[1:]], axis=1))
