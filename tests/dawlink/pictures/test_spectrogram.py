from __future__ import annotations

import numpy as np
import pytest

from dawlink.pictures.envelopes import AudioReader
from dawlink.pictures.spectrogram import FLOOR_DB, Spectrogram, measure_spectrogram
from engine.audio.waveform import Waveform

RATE = 16000


def spectrogram_of(signal: np.ndarray, columns: int) -> Spectrogram:
    samples = np.asarray(signal, dtype=np.float32)[np.newaxis]
    audio = AudioReader(
        samples.shape[1],
        RATE,
        lambda first, frames: Waveform(samples[:, first : first + frames], RATE),
    )
    return measure_spectrogram(audio, columns)


@pytest.mark.parametrize("seconds", [0.2, 2.0, 60.0])
@pytest.mark.parametrize("hz", [110.0, 440.0, 3520.0])
def test_a_sine_is_loudest_in_its_own_band(hz: float, seconds: float) -> None:
    times = np.arange(round(seconds * RATE)) / RATE
    found = spectrogram_of(np.sin(2 * np.pi * hz * times), 50)
    loudest = int(found.level_db[:, 25].argmax())
    assert found.edges_hz[loudest] / 1.04 <= hz <= found.edges_hz[loudest + 1] * 1.04
    assert found.level_db.max() == 0


def test_a_click_is_in_its_own_column_only() -> None:
    signal = np.zeros(40 * RATE)
    signal[round(30.5 * RATE)] = 1.0
    level_db = spectrogram_of(signal, 40).level_db
    assert level_db[80].argmax() == 30
    assert (np.delete(level_db, 30, axis=1) == FLOOR_DB).all()


def test_silence_is_the_floor_everywhere() -> None:
    found = spectrogram_of(np.zeros(RATE), 20)
    assert found.level_db.shape == (160, 20)
    assert (found.level_db == FLOOR_DB).all()
    assert found.edges_hz[-1] == pytest.approx(RATE / 2)
