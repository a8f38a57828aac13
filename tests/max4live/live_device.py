"""The device in the fake Live: what a person does with it, and what it has made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from tests.fake_live.clips import Clip
from tests.fake_live.max_device import Device
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import off_grid_ms

#: Beats of what is inserted lie this near to the set's [ms].
ON_GRID_MS = 10.0
TEMPO = 118.0

Start = Callable[..., AbstractContextManager[Device]]


def message(device: Device, words: str) -> Callable[[], bool]:
    return lambda: words in device.shown("message")


def suggest(device: Device) -> None:
    device.until(lambda: device.shown("row 1 title") != "", timeout_s=60)


def insert(device: Device, row: int = 1) -> None:
    device.ui("row", row)
    device.ui("insert")
    device.until(message(device, "Inserted."), timeout_s=60)


def made_clips(live: LiveSet) -> list[Clip]:
    """What lies on the tracks after the first."""
    tracks = live.song.tracks[1:]
    in_slots = [slot.clip for track in tracks for slot in track.clip_slots if slot.clip]
    return in_slots + [clip for track in tracks for clip in track.arrangement_clips]


def worst_ms(live: LiveSet, clips: list[Clip], start: float = 0.0, *, fewest: int) -> float:
    """The farthest clear attack of all clips; at least so many attacks must be clear."""
    off = np.concatenate([off_grid_ms(live, clip, start) for clip in clips])
    assert off.size >= fewest
    return float(np.abs(off).max())


def shown_titles(device: Device) -> list[set[str]]:
    """Of every row, whatever order the stems of one came in."""
    return [set(device.shown(f"row {row} title").split(" + ")) for row in range(1, 9)]
