"""Loudness against the calibration of EBU Tech 3341; the limiter against its promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from engine.audio.limiter import limit, oversampled_peaks
from engine.audio.loudness import integrated_lufs, master, true_peak_db
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from tests.engine.audio.signals import sines

RATE = 48000


def band(seconds: float = 12.0, level: float = 0.1) -> Waveform:
    """Kicks over a tone and noise: something with the crest factor of music."""
    random = np.random.default_rng(5)
    time_s = np.arange(int(seconds * RATE)) / RATE
    pad = np.sin(2 * np.pi * 220 * time_s) + 0.5 * np.sin(2 * np.pi * 331 * time_s)
    noise = 0.2 * random.standard_normal((2, time_s.size))
    samples = 0.5 * pad + noise
    since_s = time_s % 0.5
    samples += 4 * np.exp(-since_s / 0.05) * np.sin(2 * np.pi * 60 * since_s)
    return Waveform((level * samples).astype(np.float32), RATE)


def reference_peak_db(waveform: Waveform) -> float:
    """Eightfold oversampling of everything."""
    return float(20 * np.log10(np.abs(resample_poly(waveform.samples, 8, 1, axis=1)).max()))


@pytest.mark.parametrize("level_db", [-23.0, -33.0])
def test_a_stereo_sine_of_1_khz_measures_its_level(level_db: float) -> None:
    tone = sines((1000.0,), 5, RATE, channels=2).samples / 0.6 * 10 ** (level_db / 20)
    assert integrated_lufs(Waveform(tone.astype(np.float32), RATE)) == pytest.approx(
        level_db, abs=0.1
    )


def test_silence_has_no_loudness_and_stays_silence() -> None:
    silence = Waveform(np.zeros((2, RATE), np.float32), RATE)
    assert integrated_lufs(silence) == -np.inf
    assert true_peak_db(silence) == -np.inf
    mastered = master(silence)
    assert mastered.lufs == -np.inf
    assert not mastered.waveform.samples.any()


@pytest.mark.parametrize("frames", [1, 100, RATE // 3])
def test_material_shorter_than_a_block_is_measured(frames: int) -> None:
    tone = sines((1000.0,), 1, RATE, channels=2)
    assert np.isfinite(integrated_lufs(tone))
    short = Waveform(tone.samples[:, 50 : 50 + frames], RATE)
    assert integrated_lufs(short) < integrated_lufs(tone)


def test_true_peak_finds_what_lies_between_samples() -> None:
    # A quarter of the rate, sampled 45 degrees off its peaks: samples at 0.707, peaks at 1.
    tone = np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4).astype(np.float32)
    tone *= np.hanning(RATE).astype(np.float32)
    assert np.abs(tone).max() < 0.71
    assert true_peak_db(Waveform(tone[np.newaxis], RATE)) == pytest.approx(0.0, abs=0.1)


def test_skipping_quiet_parts_changes_no_peak_over_the_floor() -> None:
    samples = band(3).samples
    exact = oversampled_peaks(samples)
    quick = oversampled_peaks(samples, floor=0.4)
    assert np.array_equal(exact[exact > 0.4], quick[exact > 0.4])


@pytest.mark.parametrize("level", [0.002, 0.1, 0.5])
@pytest.mark.parametrize("target_lufs", [-14.0, -23.0, -10.0])
def test_music_lands_on_its_loudness_under_the_ceiling(level: float, target_lufs: float) -> None:
    mastered = master(band(level=level), target_lufs=target_lufs, ceiling_db=-1.0)
    assert mastered.lufs == pytest.approx(target_lufs, abs=0.5)
    assert mastered.lufs == pytest.approx(integrated_lufs(mastered.waveform), abs=0.05)
    assert mastered.true_peak_db <= -1.0
    assert reference_peak_db(mastered.waveform) < -0.9


def test_a_dc_offset_costs_no_loudness() -> None:
    music = band(level=0.05)
    shifted = Waveform(music.samples + np.float32([[0.8], [-0.3]]), RATE)
    plain, found = master(music), master(shifted)
    assert found.lufs == pytest.approx(-14, abs=0.5)
    assert found.reduction_db == pytest.approx(plain.reduction_db, abs=0.1)
    np.testing.assert_allclose(
        found.waveform.samples.mean(axis=1), plain.waveform.samples.mean(axis=1), atol=0.01
    )


def test_without_need_the_limiter_does_nothing_but_gain() -> None:
    music = band(level=0.05)
    mastered = master(music, target_lufs=-30.0)
    assert mastered.reduction_db == 0
    factor = 10 ** (mastered.gain_db / 20)
    assert np.allclose(mastered.waveform.samples, music.samples * factor, rtol=1e-5)


def test_the_limiter_moves_both_channels_alike_smoothly_and_in_time() -> None:
    samples = np.full((2, RATE), 0.25, np.float32)
    samples[1] = 0.125
    samples[0, RATE // 2] = 1.0
    limited, reduction_db = limit(samples, RATE, -6.0)
    gain = limited / samples
    assert np.allclose(gain[0], gain[1])
    assert reduction_db == pytest.approx(6.0, abs=0.3)
    assert np.abs(np.diff(gain[0])).max() < 0.01
    assert gain[0, : RATE // 2 - RATE // 50] == pytest.approx(1.0, abs=1e-3)
    assert gain[0, RATE // 2 + RATE // 2 - 10] == pytest.approx(1.0, abs=1e-2)
    assert limited[0, RATE // 2] < 10 ** (-6 / 20)


def test_lone_clicks_are_not_crushed_to_reach_a_loudness() -> None:
    clicks = np.zeros((1, 10 * RATE), np.float32)
    clicks[0, :: RATE // 2] = 0.5
    mastered = master(Waveform(clicks, RATE), target_lufs=-14.0)
    assert mastered.lufs < -15
    assert mastered.true_peak_db <= -1.0
    assert mastered.reduction_db <= 12.1


@pytest.mark.parametrize(("target", "ceiling"), [(3.0, -1.0), (float("nan"), -1.0), (-14.0, 2.0)])
def test_targets_that_cannot_be_meant_are_refused(target: float, ceiling: float) -> None:
    with pytest.raises(UsageError, match="outside"):
        master(band(1), target_lufs=target, ceiling_db=ceiling)
