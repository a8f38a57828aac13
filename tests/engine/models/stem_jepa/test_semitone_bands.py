from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.stem_jepa.log_mel import LogMel, MelStatistics
from engine.models.stem_jepa.semitone_bands import semitone_filters


def sine(frequency_hz: float) -> torch.Tensor:
    t = np.arange(32_000) / 16_000
    return torch.from_numpy((0.3 * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32))[None]


def test_bands_are_a_semitone_apart() -> None:
    front_end = LogMel(MelStatistics(0.0, 1.0), bands="semitones")
    for number in (36, 48, 60, 79):
        image = front_end(sine(55.0 * 2 ** (number / 12)))[0]
        assert image.shape == (80, 200)
        assert int(image[:, 100].argmax()) == number


def test_bands_beyond_are_the_same_bands_shifted() -> None:
    wide = semitone_filters(beyond=6)
    assert wide.shape == (92, 1025)
    np.testing.assert_array_equal(wide[6:-6], semitone_filters())
    np.testing.assert_allclose(wide.sum(axis=1), 1 / 2048, rtol=1e-5)
    with pytest.raises(ValueError, match="beyond 8000 Hz"):
        semitone_filters(beyond=7)


def test_frames_at_given_moments_are_those_of_the_whole() -> None:
    front_end = LogMel(MelStatistics(), bands="semitones")
    samples = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    some = front_end.at(samples[0], torch.tensor([1600, 4800]))
    torch.testing.assert_close(some, front_end(samples)[0][:, [10, 30]], atol=1e-4, rtol=1e-4)
