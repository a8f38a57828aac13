"""What a model can do that was published on whole songs: embed them, and embed every moment.

The evaluation asks for it where the published test does; other models answer window by window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.models.audio_source import Sound
from engine.theory import Role

__all__ = ["SongReader", "no_audio", "sound_of"]


@runtime_checkable
class SongReader(Protocol):
    """A model of whole songs."""

    name: str
    #: Seconds of music in a column of :meth:`song_columns`.
    column_s: float

    def song_scores(
        self, queries: Sequence[tuple[Sound, Role]], items: Sequence[Sound]
    ) -> NDArray[np.float64]:
        """(queries, items) how well each stem answers each mix that lacks a stem of that role.

        Raises:
            UnusableInput: the audio cannot be read.
        """
        ...

    def song_columns(self, sound: Sound, role: Role | None = None) -> NDArray[np.float32]:
        """(columns, values) of length 1: a stem moment by moment, or what a mix asks for.

        Args:
            sound: read in its own tempo and key.
            role: of the stem that the mix lacks; None when ``sound`` is a stem.

        Raises:
            UnusableInput: the audio cannot be read.
        """
        ...


class _WithSound(Protocol):
    @property
    def sound(self) -> Sound | None: ...


def sound_of(heard: _WithSound) -> Sound:
    """The audio of a clip or passage, for a model that must hear it.

    Raises:
        UnusableInput: there are only features.
    """
    if heard.sound is None:
        raise no_audio()
    return heard.sound


def no_audio() -> UnusableInput:
    """There are only features."""
    return UnusableInput(
        "This model listens, and there is no audio to listen to here.",
        hint="Choose a model that works on features, like --model automashupper.",
        code="no_audio",
    )
