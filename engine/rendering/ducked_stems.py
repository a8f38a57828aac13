"""Rendered stems that step back together while the rendered clip sings.

One curve is measured of the clip against the sum of all stems, and every stem gets it, so the
balance inside the accompaniment stays as it was and the ducked stems still add up to the ducked
accompaniment. The curve is that of a trained mask network where one is given, or else the rule of
:mod:`engine.mashup.ducking`, band by band; docs/song-masher.md compares them. Depths are dB, above
0 downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.mashup.ducking import (
    ATTACK_S,
    BAND_EDGES_HZ,
    RELEASE_S,
    DuckNetwork,
    apply_ducking,
    ducking_gain,
)
from engine.rendering.renderer import mix_tracks

__all__ = ["Ducking", "duck_stems"]


@dataclass(frozen=True)
class Ducking:
    """What was done to the stems.

    Args:
        depth_db: the most that was allowed (0, 6].
        deepest_db: the most that was done in any band.
        mean_db: mean over the whole length, by band from low to high.
        share: part of the length in which anything was turned down [0, 1].
        checkpoint: names the mask network that made the curve; None when the rule did.
        attack_s: time constant of going down.
        release_s: time constant of coming back.
        band_edges_hz: between the bands.
    """

    depth_db: float
    deepest_db: float
    mean_db: tuple[float, ...]
    share: float
    checkpoint: str | None = None
    attack_s: float = ATTACK_S
    release_s: float = RELEASE_S
    band_edges_hz: tuple[float, ...] = BAND_EDGES_HZ

    @property
    def curve(self) -> Literal["network", "rule"]:
        """What made the curve."""
        return "rule" if self.checkpoint is None else "network"


def duck_stems(
    clip: Waveform,
    stems: Sequence[Waveform],
    *,
    depth_db: float,
    network: DuckNetwork | None = None,
) -> tuple[list[Waveform], Ducking]:
    """The stems, turned down under the clip, and what was done to them.

    Args:
        clip: the voice, at its level in the mix.
        stems: as long as the clip and of its rate, at their levels in the mix.
        depth_db: most reduction (0, 6].
        network: makes the curve; the rule does when None.
    """
    source = None if network is None else network.source
    gain = ducking_gain(clip, mix_tracks(list(stems)), network=source, depth_db=depth_db)
    told = _told(gain, depth_db, None if network is None else network.checkpoint)
    return [apply_ducking(stem, gain) for stem in stems], told


def _told(gain: NDArray[np.float32], depth_db: float, checkpoint: str | None) -> Ducking:
    down_db = np.abs(20 * np.log10(gain.astype(np.float64)))  # gains are 1 or less
    return Ducking(
        depth_db=depth_db,
        deepest_db=float(down_db.max()),
        mean_db=tuple(down_db.mean(axis=1).tolist()),
        share=float((down_db > 0).any(axis=0).mean()),
        checkpoint=checkpoint,
    )
