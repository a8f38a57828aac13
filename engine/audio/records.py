"""What decoding hands out besides waveforms: what a file says about itself, and its streams."""

from __future__ import annotations

from dataclasses import dataclass

from engine.audio.waveform import Waveform

__all__ = ["AudioInfo", "TitledWaveform"]


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself.

    ``titles`` has one entry per audio stream; a plain file has one stream. Rate, channels and
    duration are those of the first. ``notes`` are sentences about what is wrong but bearable.
    """

    duration_s: float
    sample_rate: int
    channels: int
    codec: str
    titles: tuple[str, ...] = ("",)
    notes: tuple[str, ...] = ()

    @property
    def streams(self) -> int:
        """Number of audio streams."""
        return len(self.titles)


@dataclass(frozen=True, eq=False)
class TitledWaveform:
    """One audio stream of a file and its title ("" where the file gives none)."""

    title: str
    waveform: Waveform
