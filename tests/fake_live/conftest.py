from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 8000


@pytest.fixture
def tone(tmp_path: Path) -> Callable[..., str]:
    """Writes a file of some seconds and says where."""

    def write(seconds: float, name: str = "tone.wav") -> str:
        times = np.arange(round(seconds * RATE)) / RATE
        path = tmp_path / name
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * 220 * times), RATE)
        return str(path)

    return write
