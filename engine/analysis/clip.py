"""The beat grid of an a-cappella clip: a voice without drums.

A voice tells the beat poorly: it enters late, holds over bar lines and pauses. So the grid is
always one constant tempo, and its tempo and phase are fitted together to the tracker's whole
activation instead of to single attacks: the comb whose teeth collect the most activation wins. A
stated tempo (the session's) is kept to 3 % and, where the comb is about as good at the stated
tempo itself, exactly. Without it the tempo octave of a voice is a guess, and the confidence says
so. Even then the voice may sit between the beats: phase and bar line are guesses too. How a bar is
counted is told by the same pulse: where that is not clear, the tracker's metre is chance, and the
usual one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.beats import (
    FEWEST_BEATS,
    HINT_TOLERANCE,
    SILENT_PEAK,
    BeatTracker,
    LibrosaTracker,
    TrackedBeats,
    check_tempo,
    default_tracker,
)
from engine.analysis.madmom_compat import ACTIVATION_FPS
from engine.analysis.records import TempoEstimate
from engine.analysis.tempo import estimate_tempo, settle_octave
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.grid import BeatGrid

__all__ = ["CLEAR_CONTRAST", "TrackedClip", "track_clip"]

#: Shortest clip with a beat to find [s]: about two bars.
SHORTEST_CLIP_S: Final = 2.0
#: Step of the tempo search: over a minute at 120 BPM the last beat moves by 15 ms.
TEMPO_STEP: Final = 0.0005
#: Tempo search around the tracked tempo; its own raster allows 1 %.
TRACKED_TOLERANCE: Final = 0.01
#: A comb at the stated tempo that reaches this share of the best one is believed.
STATED_SHARE: Final = 0.8
#: From this contrast on the tempo found in a voice is believed. Tuned on six regions of sung leads
#: (wrong tempi, 1.6 to 2.3) and twelve synthesised ones (right tempi, 2.4 to 3.9).
CLEAR_CONTRAST: Final = 2.35
#: Beats in a bar of a clip that tells neither its tempo nor its metre.
USUAL_METRE: Final = 4
#: Standard deviation of the blur that lets a tooth collect a slightly early or late entry [s].
BLUR_S: Final = 0.02


@dataclass(frozen=True, eq=False)
class TrackedClip:
    """A clip's grid.

    Args:
        grid: constant tempo, covering the clip; beat 0 is a (guessed) downbeat.
        tempo: with its octave doubts.
        confidence: [0, 1] of beats and tempo together.
        tracker: name of the tracker that was used.
        contrast: activation on the beats over the average activation; 1 is chance. Below about 2.4
            the tempo itself is a guess (see :data:`CLEAR_CONTRAST`).
    """

    grid: BeatGrid
    tempo: TempoEstimate
    confidence: float
    tracker: str
    contrast: float = 1.0

    @property
    def clear(self) -> bool:
        """The voice tells its tempo."""
        return _is_clear(self.contrast)


def track_clip(
    waveform: Waveform,
    *,
    tempo_hint_bpm: float | None = None,
    exact: bool = False,
    beats_per_bar: int | None = None,
    tracker: BeatTracker | None = None,
) -> TrackedClip:
    """The grid of a vocal clip.

    Args:
        waveform: the clip.
        tempo_hint_bpm: the session's tempo, believed to 3 %: only phase and bar line are found.
        exact: the hint is the tempo; nothing near it is looked for.
        beats_per_bar: the clip's metre, when known; else the tracker's where the clip tells its
            tempo, else :data:`USUAL_METRE`.
        tracker: by default :func:`~engine.analysis.beats.default_tracker`, with librosa behind it.

    Raises:
        UnusableInput: silent, shorter than two seconds, or without any beat and without a hint.
    """
    _check(waveform)
    if tempo_hint_bpm is not None:
        check_tempo(tempo_hint_bpm)
    tracked = (tracker or default_tracker()).track(waveform, tempo_hint_bpm=tempo_hint_bpm)
    if tracked.beats_s.size < FEWEST_BEATS:
        tracked = LibrosaTracker().track(waveform, tempo_hint_bpm=tempo_hint_bpm)
    if tempo_hint_bpm is None:
        tracked = settle_octave(tracked)
    if tracked.beats_s.size < FEWEST_BEATS and tempo_hint_bpm is None:
        raise UnusableInput(
            f"No beat was found in {waveform.duration_s:.1f} s of audio.",
            hint="Give the session's tempo with --tempo.",
            code="no_beats",
        )
    bpm, phase_s = _comb_fit(tracked, tempo_hint_bpm, exact=exact)
    contrast = _contrast(tracked, bpm)
    metre = beats_per_bar or (tracked.beats_per_bar if _is_clear(contrast) else USUAL_METRE)
    grid = _grid(bpm, phase_s, tracked, waveform.duration_s, metre)
    stated = tempo_hint_bpm is not None
    tempo = estimate_tempo(grid, tracked.activation, steady=True, exact=stated)
    confidence = grid.confidence * tempo.confidence
    return TrackedClip(grid, tempo, confidence, tracked.tracker, contrast)


def _is_clear(contrast: float) -> bool:
    return contrast >= CLEAR_CONTRAST


def _check(waveform: Waveform) -> None:
    if waveform.duration_s < SHORTEST_CLIP_S:
        raise UnusableInput(
            f"The clip is only {waveform.duration_s:.2f} s long; "
            f"at least {SHORTEST_CLIP_S:.0f} s are needed.",
            hint="Select a longer part; a few bars work best.",
            code="too_short",
        )
    if float(np.max(np.abs(waveform.samples), initial=0.0)) < SILENT_PEAK:
        raise UnusableInput(
            "The clip is silent.", hint="Select a part in which something sounds.", code="silent"
        )


def _comb_fit(
    tracked: TrackedBeats, stated_bpm: float | None, *, exact: bool
) -> tuple[float, float]:
    """(tempo, time of a beat) of the constant grid that collects the most activation."""
    centre = stated_bpm or 60.0 / _mean_period_s(tracked)
    tolerance = (0.0 if exact else HINT_TOLERANCE) if stated_bpm else TRACKED_TOLERANCE
    steps = round(tolerance / TEMPO_STEP)
    tempi = centre * (1 + TEMPO_STEP * np.arange(-steps, steps + 1))
    strength = _blurred(tracked.activation.sum(axis=1))
    if strength.size == 0 or not strength.any():
        return centre, 0.0
    fits = [_best_phase(strength, 60.0 / float(bpm)) for bpm in tempi]
    scores = np.array([score for score, _ in fits])
    best = int(np.argmax(scores))
    if stated_bpm and scores[steps] >= STATED_SHARE * scores[best]:
        best = steps
    return float(tempi[best]), fits[best][1]


def _contrast(tracked: TrackedBeats, bpm: float) -> float:
    """How far the comb at ``bpm`` stands out: mean activation on its teeth over that of all."""
    strength = _blurred(tracked.activation.sum(axis=1))
    average = float(strength.mean()) if strength.size else 0.0
    return _best_phase(strength, 60.0 / bpm)[0] / average if average > 0 else 1.0


def _mean_period_s(tracked: TrackedBeats) -> float:
    """Average beat period over the longest regular stretch: finer than the 10 ms raster."""
    period = float(np.median(np.diff(tracked.beats_s)))
    steps = np.rint(np.diff(tracked.beats_s) / period)
    number = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1))])
    slope, _ = np.polyfit(number, tracked.beats_s, 1)
    return float(slope) if abs(slope / period - 1) < 0.1 else period


def _blurred(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    reach = round(3 * BLUR_S * ACTIVATION_FPS)
    offset_s = np.arange(-reach, reach + 1) / ACTIVATION_FPS
    kernel = np.exp(-0.5 * (offset_s / BLUR_S) ** 2)
    if strength.size < kernel.size:
        return strength.astype(np.float64)
    return np.asarray(np.convolve(strength, kernel / kernel.sum(), mode="same"), dtype=np.float64)


def _best_phase(strength: NDArray[np.float64], period_s: float) -> tuple[float, float]:
    """(mean activation on the comb's teeth, time of its first tooth) of the best phase."""
    period = period_s * ACTIVATION_FPS
    starts = np.arange(0.0, period, 1.0)
    teeth = starts[:, None] + period * np.arange(max(int(strength.size / period), 1))[None, :]
    level = np.interp(teeth, np.arange(strength.size), strength, right=0.0).mean(axis=1)
    best = int(np.argmax(level))
    return float(level[best]), float(starts[best]) / ACTIVATION_FPS


def _grid(
    bpm: float, phase_s: float, tracked: TrackedBeats, duration_s: float, metre: int
) -> BeatGrid:
    """Constant beats, with the bar line where the tracker put most downbeats.

    In another metre than the tracker's, it is where downbeats were heard most strongly.
    """
    period_s = 60.0 / bpm
    number = np.rint((tracked.beats_s - phase_s) / period_s).astype(np.int64)
    if metre == tracked.beats_per_bar:
        votes = np.bincount((number - tracked.positions) % metre, minlength=metre)
    else:
        frames = np.rint(tracked.beats_s * ACTIVATION_FPS).astype(np.int64)
        heard = tracked.activation[np.minimum(frames, len(tracked.activation) - 1), 1]
        votes = np.bincount(number % metre, heard, minlength=metre)
    return BeatGrid.constant(
        bpm,
        downbeat_s=phase_s + period_s * int(np.argmax(votes)),
        end_s=duration_s,
        beats_per_bar=metre,
        confidence=tracked.confidence,
    )
