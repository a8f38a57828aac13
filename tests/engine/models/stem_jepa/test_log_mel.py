from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.stem_jepa.log_mel import EPSILON, SAMPLE_RATE, LogMel, MelStatistics, mel_filters


def test_filters_are_slaneys() -> None:
    import librosa

    wanted = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80, fmin=50.0, fmax=8000.0)
    np.testing.assert_allclose(mel_filters(), wanted, atol=1e-7)


def test_image_is_the_published_one() -> None:
    import librosa

    rng = np.random.default_rng(1)
    samples = (0.1 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32)
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=16_000,
        n_fft=400,
        hop_length=160,
        pad_mode="reflect",
        n_mels=80,
        fmin=50.0,
        fmax=8000.0,
    )
    wanted = (np.log(power + EPSILON) + 9.453) / 3.569
    image = LogMel(MelStatistics())(torch.from_numpy(samples)[None])[0].numpy()
    assert image.shape == (80, 100)
    np.testing.assert_allclose(image, wanted[:, :100], atol=1e-3)


def test_eight_seconds_are_800_columns() -> None:
    assert LogMel(MelStatistics())(torch.zeros(2, 128_000)).shape == (2, 80, 800)


def test_measured_statistics_normalise() -> None:
    samples = torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    statistics = LogMel(MelStatistics()).measure(samples)
    image = LogMel(statistics)(samples)
    assert float(image.mean()) == pytest.approx(0.0, abs=1e-4)
    assert float(image.std()) == pytest.approx(1.0, abs=1e-4)


def test_half_precision_around_it_changes_nothing() -> None:
    samples = torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    front_end = LogMel(MelStatistics())
    with torch.autocast("cpu", torch.bfloat16):
        inside = front_end(samples)
    assert torch.equal(inside, front_end(samples))


def test_statistics_check_themselves() -> None:
    with pytest.raises(ValueError, match="cannot normalise"):
        MelStatistics(std=0.0)
