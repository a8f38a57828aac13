"""Where every source frame goes: the maths behind time-stretching, without any audio library.

A warp is given by anchors, pairs ``(source_frame, target_frame)``: the output holds at
``target_frame`` what the source holds at ``source_frame``; in between the map is linear, and
outside the anchors it goes on with the slope of the nearest pair. A *slope* is target frames per
source frame: more than 1 is slower. Frames are counted from 0; inside a plan they are float64.

Rubber Band R3 does not put attacks exactly where the map says. It resets phases when an attack
enters the look-ahead of its windows, a fixed while before the attack reaches the window's centre,
and during that while time runs unstretched: attacks come early in stretched and late in squeezed
material. At 44.1 and 48 kHz the offset is a steady function of the slope alone, the same for
impulses, clicks, kicks, snares, hats and plucked chords (:data:`ATTACK_OFFSETS`), so the plan
subtracts it. At 88.2 and 96 kHz the engine's longer windows scatter attacks by up to 10 ms, each
kind of sound differently, and at 22.05 kHz by up to 5 ms; hence every warp runs at 44.1 or 48 kHz
and is resampled on both sides where the audio has another rate. ``benchmarks/stretch.py``
reproduces the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ATTACK_OFFSETS",
    "SLOPE_RANGE",
    "WarpMap",
    "WarpPlan",
    "attack_offset",
    "plan_warp",
    "working_rate",
]

#: Rates at which the R3 engine places attacks reproducibly [Hz].
_WORKING_RATES: Final = (44100, 48000)

#: (slope, frames by which attacks come late): median over six kinds of attack at 44.1 kHz.
ATTACK_OFFSETS: Final = (
    (0.5, 8.0), (0.6, 20.0), (0.7, 30.0), (0.8, 21.0), (0.9, 10.0), (0.95, 8.0), (1.0, 0.0),
    (1.03, -4.0), (1.1, -17.0), (1.2, -31.0), (1.3, -62.0), (1.4, -91.0), (1.5, -128.0),
    (1.6, -155.0), (1.8, -206.0), (2.0, -270.0),
)  # fmt: skip

#: Slopes that the engine takes; beyond them nothing musical is left.
SLOPE_RANGE: Final = (0.05, 20.0)

#: Source frames on either side of what is wanted: two of the engine's longest windows (4096).
_MARGIN_FRAMES: Final = 8192
#: The slope that decides about an attack is that over one window around it.
_HALF_WINDOW_FRAMES: Final = 2048.0


@dataclass(frozen=True, eq=False)
class WarpMap:
    """Strictly increasing piecewise linear map from source to target frames.

    Args:
        source: (points,) source frames, at least two.
        target: (points,) target frames.
    """

    source: NDArray[np.float64]
    target: NDArray[np.float64]

    @overload
    def target_at(self, source: float) -> float: ...
    @overload
    def target_at(self, source: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def target_at(self, source: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Target frame of a source frame."""
        return _interpolate(source, self.source, self.target)

    def source_at(self, target: float) -> float:
        """Source frame of a target frame."""
        return float(_interpolate(target, self.target, self.source))

    @property
    def slopes(self) -> NDArray[np.float64]:
        """(points - 1,) target frames per source frame."""
        steps: NDArray[np.float64] = np.diff(self.target) / np.diff(self.source)
        return steps


@dataclass(frozen=True, eq=False)
class WarpPlan:
    """What to cut out, how to warp it and what to keep.

    The clip is the source from ``first_frame`` on, ``clip_frames`` long, at its own rate, silence
    where the source has nothing. At ``rate`` it is warped along ``warp`` (clip frames to stretched
    frames) to ``stretched_frames``, taken as ``rate * resampled_pitch`` Hz, resampled to the
    source's rate, and cut to the output from ``lead_frames`` on.

    Args:
        engine_pitch: frequency ratio that the engine itself makes.
        resampled_pitch: frequency ratio that the resampling at the end makes.
    """

    rate: int
    first_frame: int
    clip_frames: int
    warp: WarpMap
    stretched_frames: int
    lead_frames: int
    engine_pitch: float
    resampled_pitch: float


def working_rate(sample_rate: int) -> int:
    """The rate at which audio of ``sample_rate`` is warped [Hz]: itself, or a simple relative."""
    for rate in _WORKING_RATES:
        if sample_rate % rate == 0 or rate % sample_rate == 0:
            return rate
    return _WORKING_RATES[-1]


def attack_offset(slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames by which the R3 engine puts attacks late (negative: early) at these slopes."""
    known, late = np.array(ATTACK_OFFSETS).T
    offset: NDArray[np.float64] = np.interp(slope, known, late)
    # Beyond the table the look-ahead is constant, so the offset goes on in a straight line.
    return offset + np.where(slope > known[-1], (known[-1] - slope) * 270.0, 0.0)


def plan_warp(
    anchors: tuple[tuple[int, int], ...],
    frames_out: int,
    *,
    sample_rate: int,
    pitch: float,
    engine_pitch: float,
) -> WarpPlan:
    """Plan a warp of audio at ``sample_rate`` with a frequency ratio ``pitch``.

    ``engine_pitch`` is the part of ``pitch`` that the engine makes itself (1 or ``pitch``).
    """
    points = np.array(anchors, dtype=np.float64)
    whole = WarpMap(points[:, 0], points[:, 1])
    rate = working_rate(sample_rate)
    in_factor, resampled_pitch = rate / sample_rate, pitch / engine_pitch
    out_factor = in_factor * resampled_pitch
    margin = ceil(_MARGIN_FRAMES / in_factor)
    first = floor(whole.source_at(0.0)) - margin
    clip_frames = ceil(whole.source_at(float(frames_out))) + margin - first
    lead = ceil(-whole.target_at(float(first)))
    local = _covering(whole, first, clip_frames)
    warp = WarpMap((local.source - first) * in_factor, (local.target + lead) * out_factor)
    total = whole.target_at(float(first + clip_frames)) + lead
    return WarpPlan(
        rate=rate,
        first_frame=first,
        clip_frames=clip_frames,
        warp=_corrected(warp, engine_pitch),
        stretched_frames=floor(total * out_factor),
        lead_frames=lead,
        engine_pitch=engine_pitch,
        resampled_pitch=resampled_pitch,
    )


def _covering(whole: WarpMap, first: int, frames: int) -> WarpMap:
    """The points inside ``[first, first + frames]`` and the two ends of that span."""
    inside = (whole.source > first) & (whole.source < first + frames)
    ends = np.array([first, first + frames], dtype=np.float64)
    source = np.concatenate((ends[:1], whole.source[inside], ends[1:]))
    return WarpMap(source, whole.target_at(source))


def _corrected(warp: WarpMap, engine_pitch: float) -> WarpMap:
    """The map to ask for, so that attacks land where ``warp`` says."""
    before = warp.target_at(warp.source - _HALF_WINDOW_FRAMES)
    after = warp.target_at(warp.source + _HALF_WINDOW_FRAMES)
    slope = (after - before) / (2 * _HALF_WINDOW_FRAMES)
    return WarpMap(warp.source, warp.target - attack_offset(slope * engine_pitch) / engine_pitch)


@overload
def _interpolate(
    value: float, known: NDArray[np.float64], wanted: NDArray[np.float64]
) -> float: ...
@overload
def _interpolate(
    value: NDArray[np.float64], known: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]: ...
def _interpolate(
    value: float | NDArray[np.float64], known: NDArray[np.float64], wanted: NDArray[np.float64]
) -> float | NDArray[np.float64]:
    x = np.asarray(value, dtype=np.float64)
    segment = np.clip(np.searchsorted(known, x, side="right") - 1, 0, known.size - 2)
    low, high = known[segment], known[segment + 1]
    result = wanted[segment] + (x - low) / (high - low) * (wanted[segment + 1] - wanted[segment])
    return float(result) if x.ndim == 0 else np.asarray(result, dtype=np.float64)
