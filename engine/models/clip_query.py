"""The clip in the form that the inner loops of the rule-based rankers want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.ranker import ClipFeatures

__all__ = ["ONSET_SCALE", "ClipQuery", "prepare", "safe_ratio", "unit_rows"]

#: Share of a stated key's profile in the clip's chroma. A sung line touches few pitch classes, so
#: the key that a person states fills in what the voice leaves out.
KEY_PROFILE_WEIGHT: Final = 0.35
#: Stored onset strengths as numbers in [0, 1].
ONSET_SCALE: Final = np.float32(1 / 255)


@dataclass(frozen=True, eq=False)
class ClipQuery:
    """A clip, transposed as the session hears it.

    Args:
        chroma: (beats, 12) norm 1, zero where the clip is silent.
        onsets: (bars, steps * 3) in [0, 1].
        bands: (3,) shares of the three-band spectrum, adding up to 1.
        active_beats: number of beats with chroma.
        bars: whole bars.
        beats_per_bar: metre.
    """

    chroma: NDArray[np.float32]
    onsets: NDArray[np.float32]
    bands: NDArray[np.float32]
    active_beats: float
    bars: int
    beats_per_bar: int


def prepare(clip: ClipFeatures) -> ClipQuery:
    """Chroma, onsets and spectrum of a clip, ready for matrix products."""
    chroma = np.roll(clip.rows["chroma"].astype(np.float32), clip.transpose, axis=1)
    sounding = clip.active & (chroma.any(axis=1))
    if clip.key_profile is not None:
        chroma = chroma + KEY_PROFILE_WEIGHT * clip.key_profile
        chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    chroma = chroma * sounding[:, None]
    onsets = clip.rows["onsets"].astype(np.float32) * ONSET_SCALE
    return ClipQuery(
        chroma=chroma.astype(np.float32),
        onsets=onsets.reshape(clip.bars, -1),
        bands=_spectrum(clip.rows["bands"].astype(np.float32)[clip.active]),
        active_beats=float(sounding.sum()),
        bars=clip.bars,
        beats_per_bar=clip.beats_per_bar,
    )


def _spectrum(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) shares of three bands, adding up to 1; even when there is no sound."""
    if bands.size == 0:
        return np.full(3, 1 / 3, dtype=np.float32)
    levels = np.sqrt(np.square(bands).mean(axis=0))
    if not levels.any():
        return np.full(3, 1 / 3, dtype=np.float32)
    shares: NDArray[np.float32] = (levels / levels.sum()).astype(np.float32)
    return shares


def unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to norm 1; silent rows stay 0."""
    return safe_ratio(values, np.linalg.norm(values, axis=1, keepdims=True))


def safe_ratio(top: NDArray[np.float32], bottom: NDArray[np.float32]) -> NDArray[np.float32]:
    """``top / bottom``, 0 where ``bottom`` is 0."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    result: NDArray[np.float32] = np.divide(
        top, bottom, out=np.zeros(shape, dtype=np.float32), where=bottom > 0
    )
    return result
