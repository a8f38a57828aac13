"""The Remote Script in the fake Live: what a person does with it, and what it has made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from tests.fake_live.clips import Clip
from tests.fake_live.python_face import Surface
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import off_grid_ms

#: Beats of what is inserted lie this near to the set's [ms].
ON_GRID_MS = 10.0
TEMPO = 118.0

Start = Callable[..., AbstractContextManager[Surface]]


def until(surface: Surface, words: str) -> None:
    """Runs Live until the status line says so."""
    surface.until(lambda: any(words in said for said in surface.messages), timeout_s=60)


def command(surface: Surface, name: str, *values: object) -> None:
    surface.messages.clear()
    commands = surface.script._controls[0]._commands
    assert commands.run(name, values[0] if values else "")


def suggest(surface: Surface, roles: str = "") -> None:
    if not surface.script._engine.connected:
        until(surface, "Engine connected")
    command(surface, "suggest", roles)
    until(surface, "1 of ")


def made_clips(live: LiveSet) -> list[Clip]:
    tracks = [track for track in live.song.tracks if track.name.startswith("dawlink")]
    in_slots = [slot.clip for track in tracks for slot in track.clip_slots if slot.clip]
    return in_slots + [clip for track in tracks for clip in track.arrangement_clips]


def worst_ms(live: LiveSet, clips: list[Clip], start: float = 0.0, *, fewest: int) -> float:
    off = np.concatenate([off_grid_ms(live, clip, start) for clip in clips])
    assert off.size >= fewest
    return float(np.abs(off).max())
