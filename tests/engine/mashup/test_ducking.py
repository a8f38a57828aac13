from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.mashup.ducking import (
    BANDS,
    FRAME_S,
    MOST_REDUCTION_DB,
    apply_ducking,
    band_of_bins,
    ducking_gain,
)

RATE = 22_050
LEAST = 10 ** (-MOST_REDUCTION_DB / 20)


def tone(hz: float, *, seconds: float = 4.0, level: float = 0.2, rate: int = RATE) -> Waveform:
    t = np.arange(round(seconds * rate)) / rate
    return Waveform((level * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None], rate)


def sung(hz: float, start_s: float, end_s: float, *, level: float = 0.2) -> Waveform:
    """A tone that sounds for a while only."""
    voice = tone(hz, level=level).samples.copy()
    voice[:, : round(start_s * RATE)] = 0.0
    voice[:, round(end_s * RATE) :] = 0.0
    return Waveform(voice, RATE)


def noise(seconds: float = 4.0, *, level: float = 0.2, channels: int = 1) -> Waveform:
    samples = np.random.default_rng(0).standard_normal((channels, round(seconds * RATE)))
    return Waveform((level * samples).astype(np.float32), RATE)


def silence(seconds: float = 4.0) -> Waveform:
    return Waveform(np.zeros((1, round(seconds * RATE)), dtype=np.float32), RATE)


def at(gain: NDArray[np.float32], start_s: float, end_s: float) -> NDArray[np.float32]:
    return gain[:, round(start_s / FRAME_S) : round(end_s / FRAME_S)]


def test_follows_the_voice_in_its_band_and_comes_back() -> None:
    gain = ducking_gain(sung(250, 1.0, 2.0), tone(260, level=0.6))
    assert gain.shape == (BANDS, 400)
    assert gain.dtype == np.float32
    fundamentals = gain[1:2]
    np.testing.assert_allclose(at(fundamentals, 1.2, 1.9), LEAST, atol=0.01)
    np.testing.assert_array_equal(at(gain, 0.0, 0.9), 1.0)
    np.testing.assert_array_equal(at(gain, 3.8, 4.0), 1.0)
    np.testing.assert_array_equal(gain[3:], 1.0)


def test_goes_down_quickly_and_comes_back_slowly() -> None:
    gain = ducking_gain(sung(250, 1.0, 2.0), tone(260, level=0.6))[1]
    down, up = np.flatnonzero(gain < 0.75)[[0, -1]] * FRAME_S
    assert 0.95 <= down <= 1.03
    assert 2.1 <= up <= 2.3


def test_a_wide_voice_is_heard_as_loud_as_it_is() -> None:
    voice, bed = sung(250, 1.0, 2.0).samples[0], tone(260, level=0.6)
    narrow, wide = (Waveform(np.stack([voice, sign * voice]), RATE) for sign in (1, -1))
    np.testing.assert_array_equal(ducking_gain(wide, bed), ducking_gain(narrow, bed))
    assert ducking_gain(wide, bed).min() < 0.75


def test_a_voice_that_is_loud_enough_needs_no_room() -> None:
    gain = ducking_gain(sung(250, 1.0, 2.0, level=0.6), tone(260, level=0.15))
    np.testing.assert_array_equal(at(gain, 1.2, 1.8), 1.0)


@pytest.mark.parametrize("per_band", [True, False])
def test_silence_is_left_alone(per_band: bool) -> None:
    for vocal, band in ((silence(), noise()), (noise(), silence()), (silence(), silence())):
        np.testing.assert_array_equal(ducking_gain(vocal, band, per_band=per_band), 1.0)


def test_one_gain_for_all_frequencies() -> None:
    gain = ducking_gain(sung(250, 1.0, 2.0), noise(level=0.5), per_band=False)
    assert gain.shape == (1, 400)
    assert at(gain, 1.3, 1.9).max() < 0.6


def test_lasts_as_long_as_the_accompaniment() -> None:
    assert ducking_gain(noise(1.0), noise(2.5)).shape == (BANDS, 250)
    assert ducking_gain(noise(2.5), noise(0.001)).shape == (BANDS, 1)
    np.testing.assert_array_equal(at(ducking_gain(noise(1.0), noise(4.0)), 3.0, 4.0), 1.0)


@settings(max_examples=10, deadline=None)
@given(
    st.floats(0.0, 6.0),
    st.floats(0.0, 0.2),
    st.floats(0.01, 1.0),
    st.floats(0.001, 3.0),
)
def test_never_raises_nor_takes_more_than_asked(
    depth: float, attack: float, release: float, level: float
) -> None:
    gain = ducking_gain(
        noise(0.5), noise(0.5, level=level), depth_db=depth, attack_s=attack, release_s=release
    )
    assert gain.max() <= 1.0
    assert gain.min() >= 10 ** (-depth / 20) - 1e-6


def test_deeper_than_six_db_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        ducking_gain(noise(0.1), noise(0.1), depth_db=12.0)


def test_bands_are_split_at_their_edges() -> None:
    frequencies = np.array([0.0, 149.0, 150.0, 999.0, 1000.0, 9000.0])
    assert band_of_bins(frequencies).tolist() == [0, 0, 1, 2, 3, 5]


class Heard:
    """A mask network that always hears the second song at half its level in the middle."""

    def masks(self, first: Waveform, second: Waveform) -> NDArray[np.float32]:
        weights = np.full((2, BANDS, 400), 0.8, dtype=np.float32)
        weights[1, 2, 150:250] = 0.6
        return weights


def test_a_network_decides_where_there_is_one_and_somebody_sings() -> None:
    gain = ducking_gain(noise(), noise(), network=Heard())
    np.testing.assert_allclose(at(gain[2:3], 1.8, 2.4), 0.75, atol=0.01)
    np.testing.assert_array_equal(gain[[0, 1, 3, 4, 5]], 1.0)
    assert np.flatnonzero(gain[2] < 1)[0] == 148  # 20 ms early: so long goes the attack
    for vocal, band in ((silence(), noise()), (noise(), silence())):
        np.testing.assert_array_equal(ducking_gain(vocal, band, network=Heard()), 1.0)


def test_applied_gain_is_heard_in_its_band_only() -> None:
    gain = np.ones((BANDS, 400), dtype=np.float32)
    gain[3] = 0.5  # 1000 to 2500 Hz
    inside, outside = (apply_ducking(tone(hz), gain).samples[0] for hz in (1581.0, 8000.0))
    middle = slice(RATE, 3 * RATE)
    np.testing.assert_allclose(inside[middle], 0.5 * tone(1581.0).samples[0, middle], atol=2e-3)
    np.testing.assert_allclose(outside[middle], tone(8000.0).samples[0, middle], atol=2e-3)


def test_samples_stay_as_they_are_where_nothing_is_taken() -> None:
    band = noise(channels=2)
    gain = np.ones((BANDS, 400), dtype=np.float32)
    np.testing.assert_array_equal(apply_ducking(band, gain).samples, band.samples)
    gain[:, 200:210] = 0.6
    ducked = apply_ducking(band, gain)
    assert ducked.samples.shape == band.samples.shape
    np.testing.assert_array_equal(ducked.samples[:, :RATE], band.samples[:, :RATE])
    np.testing.assert_array_equal(ducked.samples[:, 3 * RATE :], band.samples[:, 3 * RATE :])
    assert np.abs(ducked.samples - band.samples).max() > 0.05


def test_broadband_gain_is_exact() -> None:
    band = noise(1.0)
    ducked = apply_ducking(band, np.full((1, 100), 0.7, dtype=np.float32))
    np.testing.assert_allclose(ducked.samples, 0.7 * band.samples, atol=1e-5)
