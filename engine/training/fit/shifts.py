"""Parts that come in early or late, as features of audio that was really moved would show them.

Moving a part by quarters of a beat moves its onsets by whole steps of the grid, and its chroma as
if every half beat sounded evenly throughout; the bar's phase stays where the session has it. That
is what a stem with a wrong downbeat, or one that was tracked off the beat, looks like.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import STEPS_PER_BEAT
from engine.models.fit.towers import PITCH_INPUTS, BeatInput

__all__ = ["moved"]

#: Quarters of a beat in which a part can be moved, and in each half of a beat.
_QUARTERS: Final = 4
_PER_HALF: Final = 2
_PATTERN: Final = 3 * STEPS_PER_BEAT
#: Where the context holds sounding and the three onset densities.
_DENSITY: Final = slice(1, 4)
_LEAST_NORM: Final = 1e-6


def moved(part: BeatInput, quarters: int) -> BeatInput:
    """A batch of parts that begin later; what comes in at the front is silence.

    Args:
        part: (windows, beats, …).
        quarters: quarter beats later, earlier when negative.
    """
    windows, beats = part.active.shape
    values = part.chroma.reshape(windows, beats, 12, PITCH_INPUTS)
    halves = values[..., 1:].transpose(0, 1, 3, 2).reshape(windows, 2 * beats, 12)
    frames = _later(np.repeat(halves, _PER_HALF, axis=1), quarters)
    heard = frames.reshape(windows, beats, 2, _PER_HALF, 12).mean(axis=3)
    sounding = _later(np.repeat(part.active, _QUARTERS, axis=1), quarters)
    active = sounding.reshape(windows, beats, _QUARTERS).max(axis=2)
    chroma = np.concatenate([_unit(heard.sum(axis=2))[:, :, None], _halved(heard)], axis=2)
    steps = quarters * STEPS_PER_BEAT // _QUARTERS
    hits = part.pattern[..., :_PATTERN].reshape(windows, beats * STEPS_PER_BEAT, 3)
    onsets = _later(hits, steps).reshape(windows, beats, _PATTERN)
    pattern, context = part.pattern.copy(), part.context.copy()
    pattern[..., :_PATTERN] = onsets
    shown = np.max(context[..., _DENSITY], axis=(1, 2), keepdims=True) > 0
    density = onsets.reshape(windows, beats, STEPS_PER_BEAT, 3).sum(axis=2)
    context[..., 0] = active
    context[..., _DENSITY] = np.minimum(density / 2, 2.0) * shown
    heard_now = chroma.transpose(0, 1, 3, 2) * active[:, :, None, None]
    return BeatInput(
        heard_now.reshape(windows, beats, -1).astype(np.float32), context, pattern, active
    )


def _later(frames: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(windows, frames, …) moved along axis 1, silence where nothing was."""
    result = np.zeros_like(frames)
    if count >= 0:
        result[:, count:] = frames[:, : frames.shape[1] - count]
    else:
        result[:, :count] = frames[:, -count:]
    return result


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = values / np.maximum(norm, _LEAST_NORM)
    return scaled


def _halved(halves: NDArray[np.float32]) -> NDArray[np.float32]:
    """(windows, beats, 2, 12) of norm 1 on average over both halves."""
    norm = np.sqrt(np.square(halves).sum(axis=(2, 3), keepdims=True) / 2)
    scaled: NDArray[np.float32] = halves / np.maximum(norm, _LEAST_NORM)
    return scaled
