"""Songs for the mix networks whose planes are made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.mashup.database import MASHUP_ROLES, MashupRole
from engine.mashup.generation import StemUse
from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL
from engine.training.mix_nets.material import MixSong


class ToySongs:
    """Every song has a pattern over the bins that all its stems share and transposition rolls."""

    def __init__(self, count: int, *, seed: int = 0, keys: Sequence[int] = (0, 4)) -> None:
        self.songs: Sequence[MixSong] = [
            MixSong(
                f"{seed}-{i}",
                f"group {i}",
                keys[i % len(keys)],
                120.0,
                {role: np.arange(3) for role in MASHUP_ROLES},
            )
            for i in range(count)
        ]
        self.data_sha = hashlib.sha256(f"{seed} {count}".encode()).hexdigest()
        self.notes: Sequence[str] = ()
        self.asked: list[StemUse] = []
        self.bleeds: list[float | None] = []

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        del tempo_bpm
        self.asked.append(use)
        self.bleeds.append(bleed_db)
        rng = np.random.default_rng(sound)
        own = np.random.default_rng(int(use.song_id.split("-")[1]))
        pattern = own.normal(-40.0, 12.0, MEL.mels)
        times = np.arange(beats * FRAMES_PER_BEAT) % FRAMES_PER_BEAT < 2
        late = round(use.offset_s * 2 * FRAMES_PER_BEAT)
        plane = np.roll(pattern, use.semitones) + 20.0 * np.roll(times, late)[:, None]
        return (plane + rng.normal(0, 1, plane.shape)).astype(np.float32)


def roles_asked(songs: ToySongs) -> set[MashupRole]:
    """Which stems were looked at."""
    return {use.role for use in songs.asked}
