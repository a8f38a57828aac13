"""Time-stretching and transposing along a warp map, with exact lengths.

Two implementations of one seam, :class:`Stretcher`, both on Rubber Band's R3 ("finer") engine:

- :class:`RubberBandInProcess` through ``pylibrb``. It steers the engine hop by hop in its
  real-time mode: before each hop it knows which source frame comes next and where the output has
  got to, and on every new segment it aims at the end of that segment from there. Offline mode
  takes up a new ratio only at the next ``process`` call and rounds the output hop once per call,
  which with large blocks drifts by 10 ms; hop by hop the drift stays under 3 frames, at the same
  speed.
- :class:`RubberBandProgram` through ``pyrubberband`` and the ``rubberband`` program, for machines
  where ``pylibrb`` is missing. The program reads blocks of 1024 frames, so key frames are put on
  block borders around every anchor. ``pyrubberband`` passes 16-bit files: the noise floor is
  90 dB below the clip's peak.

Both share the plan of :mod:`engine.audio.warp`, which also corrects the engine's bias on attacks.
Pitch is changed as in R3's offline mode: stretched by slope × pitch, then resampled (here by
soxr). Stereo is processed as a pair, which keeps the mono sum and the centre at a small cost to
the single channels. ``pylibrb`` lets go of Python's lock while it works, so renders may run in
parallel as threads. A warp that changes nothing is copied, bit for bit.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import resample_ratio
from engine.audio.steering import new_engine, put, steer
from engine.audio.warp import SLOPE_RANGE, WarpMap, WarpPlan, plan_warp
from engine.audio.waveform import Waveform
from engine.errors import MissingDependency, UsageError

__all__ = [
    "MAX_SEMITONES",
    "RubberBandInProcess",
    "RubberBandProgram",
    "StretchJob",
    "Stretcher",
    "default_stretcher",
]

#: Two octaves either way; beyond, nothing musical is left.
MAX_SEMITONES: Final = 24.0

#: Frames that the ``rubberband`` program reads and processes at a time.
_PROGRAM_BLOCK_FRAMES: Final = 1024
#: The program takes up a key frame at the first block that begins at most a hop after it [frames].
_PROGRAM_LEAD_FRAMES: Final = 128
#: Peak of what goes through 16-bit files: room for what stretching adds.
_PROGRAM_PEAK: Final = 0.5


@dataclass(frozen=True)
class StretchJob:
    """What becomes of a waveform.

    Args:
        anchors: pairs (source_frame, target_frame), two or more, strictly increasing in both. The
            output frame ``target_frame`` holds the source frame ``source_frame``; linear between
            anchors, the slopes of the ends go on outside. Frames may be negative.
        frames_out: exact length of the result [frames].
        semitones: transposition [-24, 24], fractions allowed.
        preserve_formants: keep the spectral envelope in place while transposing (voices).

    Raises:
        UsageError: anchors that do not increase, or slopes or semitones that cannot be meant.
    """

    anchors: tuple[tuple[int, int], ...]
    frames_out: int
    semitones: float = 0.0
    preserve_formants: bool = False

    def __post_init__(self) -> None:
        if len(self.anchors) < 2 or self.frames_out < 0:
            raise _unusable(f"{len(self.anchors)} anchors for {self.frames_out} frames")
        steps = np.diff(np.array(self.anchors, dtype=np.int64), axis=0)
        if np.any(steps <= 0):
            at = int(np.flatnonzero(np.any(steps <= 0, axis=1))[0])
            raise _unusable(f"anchors {self.anchors[at]} and {self.anchors[at + 1]}")
        if not isfinite(self.semitones) or abs(self.semitones) > MAX_SEMITONES:
            raise UsageError(
                f"A transposition of {self.semitones} semitones is outside ±{MAX_SEMITONES:g}.",
                hint="Give semitones, not cents or a frequency ratio.",
            )
        slopes = steps[:, 1] / steps[:, 0] * self.pitch
        if slopes.min() < SLOPE_RANGE[0] or slopes.max() > SLOPE_RANGE[1]:
            raise _unusable(f"slopes from {slopes.min():.3g} to {slopes.max():.3g}")

    @property
    def pitch(self) -> float:
        """Frequency ratio, 2 per octave."""
        return float(2.0 ** (self.semitones / 12.0))

    @property
    def shift_frames(self) -> int | None:
        """Target minus source frame when nothing is stretched or transposed, else None."""
        shifts = {target - source for source, target in self.anchors}
        return shifts.pop() if self.semitones == 0 and len(shifts) == 1 else None


def _unusable(what: str) -> UsageError:
    return UsageError(
        f"Audio cannot be warped along {what}.",
        hint="Anchors are two or more pairs (source frame, target frame), rising in both; "
        f"the tempo may change by a factor from {SLOPE_RANGE[0]:g} to {SLOPE_RANGE[1]:g}.",
        code="bad_warp",
    )


class Stretcher(Protocol):
    """Anything that warps audio."""

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        """``waveform`` after ``job``: the same channels and rate, exactly ``job.frames_out``.

        Audio before the first wanted frame is used as run-up where there is any; outside the
        source is silence.
        """
        ...


class RubberBandInProcess:
    """Rubber Band R3 inside this process (``pylibrb``).

    Args:
        draft: twice as fast and a little rougher, for listening: attacks stay within 4 ms.
        watch: told the share of a job that is done, hundreds of times a second; what it raises
            stops the job.

    Raises:
        MissingDependency: ``pylibrb`` cannot be imported.
    """

    def __init__(
        self, *, draft: bool = False, watch: Callable[[float], None] = lambda _share: None
    ) -> None:
        self._draft = draft
        self._watch = watch
        try:
            import pylibrb
        except ImportError as error:
            raise MissingDependency(
                f"The package pylibrb cannot be imported: {error}.",
                hint="Install it with: pip install pylibrb",
                code="pylibrb",
            ) from error
        pylibrb.set_default_logging_level(0)

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        """See :meth:`Stretcher.stretch`."""

        def warp(clip: NDArray[np.float32], plan: WarpPlan) -> NDArray[np.float32]:
            slope = float(plan.warp.slopes[0])
            engine = new_engine(
                clip.shape[0],
                plan.rate,
                slope,
                keep_formants=job.preserve_formants,
                draft=self._draft,
            )
            if job.preserve_formants:
                engine.formant_scale = 1.0 / plan.resampled_pitch
            return steer(engine, clip, plan.warp, plan.stretched_frames, watch=self._watch)

        return _run(waveform, job, warp, engine_pitch=1.0)


class RubberBandProgram:
    """Rubber Band R3 as the program ``rubberband``, called through ``pyrubberband``.

    Raises:
        MissingDependency: the package or the program is not there.
    """

    def __init__(self) -> None:
        if shutil.which("rubberband") is None:
            raise MissingDependency(
                "The program rubberband is not on the search path.",
                hint="Install rubberband-cli with the system's package manager.",
                code="rubberband",
            )
        if importlib.util.find_spec("pyrubberband") is None:
            raise MissingDependency(
                "The package pyrubberband is not installed.",
                hint="Install it with: pip install pyrubberband",
                code="pyrubberband",
            )

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        """See :meth:`Stretcher.stretch`."""
        # The program has no switch for the formants alone, so it must make that pitch itself.
        own_pitch = job.pitch if job.preserve_formants else 1.0
        options = {"--fine": "", "--centre-focus": "", "--ignore-clipping": ""}
        if job.preserve_formants:
            options |= {"--formant": "", "--pitch": f"{job.semitones:.6f}"}

        def warp(clip: NDArray[np.float32], plan: WarpPlan) -> NDArray[np.float32]:
            return _call_program(clip, plan, options)

        return _run(waveform, job, warp, engine_pitch=own_pitch)


def default_stretcher() -> Stretcher:
    """Rubber Band inside the process, or the program where ``pylibrb`` is missing.

    Raises:
        MissingDependency: neither is there.
    """
    try:
        return RubberBandInProcess()
    except MissingDependency as missing:
        try:
            return RubberBandProgram()
        except MissingDependency:
            raise missing from None


_Warp = Callable[[NDArray[np.float32], WarpPlan], NDArray[np.float32]]


def _run(waveform: Waveform, job: StretchJob, warp: _Warp, *, engine_pitch: float) -> Waveform:
    """Cut, bring to the working rate, warp, resample and cut: what both engines share."""
    shift = job.shift_frames
    if shift is not None or job.frames_out == 0:
        return Waveform(_span(waveform, -(shift or 0), job.frames_out), waveform.sample_rate)
    plan = plan_warp(
        job.anchors,
        job.frames_out,
        sample_rate=waveform.sample_rate,
        pitch=job.pitch,
        engine_pitch=engine_pitch,
    )
    clip = _span(waveform, plan.first_frame, plan.clip_frames)
    in_ratio = plan.rate / waveform.sample_rate
    if in_ratio != 1:
        clip = resample_ratio(clip, in_ratio, frames=round(plan.clip_frames * in_ratio))
    stretched = warp(clip, plan)
    out_ratio = 1.0 / (in_ratio * plan.resampled_pitch)
    if out_ratio != 1:
        wanted = plan.lead_frames + job.frames_out
        stretched = resample_ratio(stretched, out_ratio, frames=wanted)
    kept = stretched[:, plan.lead_frames : plan.lead_frames + job.frames_out]
    return Waveform(np.ascontiguousarray(kept), waveform.sample_rate)


def _span(waveform: Waveform, first: int, frames: int) -> NDArray[np.float32]:
    """(channels, frames) of the waveform from frame ``first``, silence outside of it."""
    result = np.zeros((waveform.channels, frames), dtype=np.float32)
    low, high = max(first, 0), min(first + frames, waveform.frames)
    if low < high:
        result[:, low - first : high - first] = waveform.samples[:, low:high]
    return result


def _call_program(
    clip: NDArray[np.float32], plan: WarpPlan, options: dict[str, str]
) -> NDArray[np.float32]:
    import subprocess

    import pyrubberband

    peak = float(np.abs(clip).max(initial=0.0))
    if peak == 0.0:
        return np.zeros((clip.shape[0], plan.stretched_frames), dtype=np.float32)
    gain = _PROGRAM_PEAK / peak
    time_map = _key_frames(plan.warp, clip.shape[1])
    try:
        made = pyrubberband.timemap_stretch(clip.T * gain, plan.rate, time_map, dict(options))
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise MissingDependency(
            f"The program rubberband failed: {error}.",
            hint="It must be version 3 or newer (rubberband --version); or install pylibrb.",
            code="rubberband",
        ) from error
    result = np.zeros((clip.shape[0], plan.stretched_frames), dtype=np.float32)
    put(result, made.reshape(made.shape[0], -1).T.astype(np.float32) / gain, 0)
    return result


def _key_frames(warp: WarpMap, clip_frames: int) -> list[tuple[int, int]]:
    """Key frames where the program can follow them: block borders around every anchor."""
    block = np.floor(warp.source[1:-1] / _PROGRAM_BLOCK_FRAMES)
    borders = np.union1d(block, block + 1) * _PROGRAM_BLOCK_FRAMES - _PROGRAM_LEAD_FRAMES
    inside = borders[(borders > 0) & (borders < clip_frames - _PROGRAM_BLOCK_FRAMES)]
    source = np.append(inside, float(clip_frames))
    target = np.round(warp.target_at(source)).astype(np.int64)
    return list(zip(source.astype(np.int64).tolist(), target.tolist(), strict=True))
