"""The one form that audio has inside the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Waveform"]


@dataclass(frozen=True, eq=False)
class Waveform:
    """Samples and their rate.

    Args:
        samples: (channels, frames) float32, full scale is [-1, 1] but may be exceeded.
        sample_rate: frames per second [Hz].
    """

    samples: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ValueError(
                f"a waveform is float32 (channels, frames), got {self.samples.dtype} "
                f"{self.samples.shape}"
            )
        if self.sample_rate <= 0:
            raise ValueError(f"sample rate {self.sample_rate} Hz is not positive")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def frames(self) -> int:
        """Number of frames (samples per channel)."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    def mono(self) -> NDArray[np.float32]:
        """(frames,) mean of the channels."""
        mixed: NDArray[np.float32] = self.samples.mean(axis=0, dtype=np.float32)
        return mixed
