from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dawlink.pictures.envelopes import AudioReader, file_reader, measure_envelope, sum_of
from engine.audio.encode import write_audio
from engine.audio.waveform import Waveform

RATE = 8000


def reader(samples: np.ndarray, asked: list[int] | None = None) -> AudioReader:
    def read(first: int, frames: int) -> Waveform:
        if asked is not None:
            asked.append(frames)
        return Waveform(samples[:, first : first + frames], RATE)

    return AudioReader(samples.shape[1], RATE, read)


def test_every_column_holds_the_extremes_and_the_rms_of_its_frames() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, (2, 1000)).astype(np.float32)
    found = measure_envelope(reader(samples), 10)
    columns = samples.reshape(2, 10, 100)
    np.testing.assert_array_equal(found.lowest, columns.min(axis=(0, 2)))
    np.testing.assert_array_equal(found.highest, columns.max(axis=(0, 2)))
    np.testing.assert_allclose(found.rms, np.sqrt(np.square(columns).mean(axis=(0, 2))), rtol=1e-5)
    np.testing.assert_allclose(found.centres_s, (np.arange(10) + 0.5) * 100 / RATE)
    assert found.peak == pytest.approx(float(np.abs(samples).max()))


def test_long_audio_is_read_in_pieces_that_add_up() -> None:
    samples = np.zeros((1, 1_000_003), dtype=np.float32)
    samples[0, [0, 500_500, -1]] = (0.25, 1.0, -0.5)
    asked: list[int] = []
    found = measure_envelope(reader(samples, asked), 1000)
    assert sum(asked) == samples.shape[1]
    assert max(asked) < samples.shape[1] / 3
    assert (found.highest[0], found.highest[500], found.lowest[-1]) == (0.25, 1.0, -0.5)
    assert np.count_nonzero(found.rms) == 3


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_audio_shorter_than_the_picture_is_wide(frames: int) -> None:
    samples = np.full((1, frames), 0.5, dtype=np.float32)
    found = measure_envelope(reader(samples), 100)
    assert found.highest.size == max(frames, 1)
    assert found.peak == (0.5 if frames else 0.0)


def test_a_piece_past_the_edges_is_silence() -> None:
    audio = reader(np.ones((2, 10), dtype=np.float32))
    assert audio.piece(-3, 6)[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert audio.piece(8, 5)[1].tolist() == [1, 1, 0, 0, 0]
    assert audio.piece(20, 2).tolist() == [[0, 0]]


def test_a_file_is_read_frame_by_frame(tmp_path: Path) -> None:
    samples = np.linspace(-0.9, 0.9, 5001, dtype=np.float32)[np.newaxis]
    path = tmp_path / "ramp.wav"
    write_audio(path, Waveform(samples, 44100), bit_depth="32f")
    audio = file_reader(path)
    assert (audio.frames, audio.sample_rate) == (5001, 44100)
    for first, frames in ((0, 1), (1, 1000), (4999, 2)):
        np.testing.assert_array_equal(
            audio.piece(first, frames), samples[:, first : first + frames]
        )


def test_a_sum_is_as_long_as_the_longest() -> None:
    audio = sum_of(
        (reader(np.ones((2, 4), dtype=np.float32)), reader(np.full((1, 6), 0.5, np.float32)))
    )
    assert audio.piece(0, 6).tolist() == [[1.5, 1.5, 1.5, 1.5, 0.5, 0.5]]
