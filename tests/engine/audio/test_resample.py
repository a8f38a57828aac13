from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio.resample import resample, resampled_frames, to_channels, to_stereo_or_mono
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from tests.engine.audio.signals import click_errors_s, click_train, frequency_hz, sines


@settings(max_examples=30, deadline=None)
@given(
    frames=st.integers(0, 5000),
    rate_in=st.sampled_from([8000, 22050, 44100, 48000, 96000, 192000]),
    rate_out=st.sampled_from([22050, 44100, 48000, 96000]),
)
def test_the_frame_count_is_exact(frames: int, rate_in: int, rate_out: int) -> None:
    waveform = Waveform(np.ones((2, frames), np.float32), rate_in)
    result = resample(waveform, rate_out)
    assert result.frames == round(frames * rate_out / rate_in)
    assert result.frames == resampled_frames(frames, rate_in, rate_out)
    assert (result.channels, result.sample_rate) == (2, rate_out)


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 48000), (96000, 44100), (22050, 48000)])
def test_pitch_level_and_position_survive(rate_in: int, rate_out: int) -> None:
    tone = resample(sines((441.0,), 2, rate_in), rate_out)
    assert frequency_hz(tone, 441.0) == pytest.approx(441.0, abs=0.01)
    assert tone.samples.std() == pytest.approx(0.6 / 2**0.5, rel=0.002)
    at = np.array([0.2, 1.1, 1.9])
    clicks = resample(click_train(at * rate_in, 2 * rate_in, rate_in), rate_out)
    assert np.abs(click_errors_s(clicks, at * rate_out)).max() < 0.0002


def test_the_same_rate_is_the_same_waveform() -> None:
    tone = sines((441.0,), 0.1, 44100)
    assert resample(tone, 44100) is tone


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="0 Hz"):
        resample(sines((441.0,), 0.1, 44100), 0)


def test_mono_and_stereo_become_each_other() -> None:
    stereo = Waveform(np.array([[0.5, 1.0], [0.1, 0.0]], np.float32), 44100)
    assert to_channels(stereo, 1).samples == pytest.approx(np.array([[0.3, 0.5]]))
    doubled = to_channels(to_channels(stereo, 1), 2).samples
    assert doubled == pytest.approx(np.array([[0.3, 0.5], [0.3, 0.5]]))
    assert to_channels(stereo, 2) is stereo
    with pytest.raises(UsageError, match="cannot become 6"):
        to_channels(stereo, 6)


def test_six_channels_mix_down_as_bs775_says() -> None:
    channels = np.eye(6, dtype=np.float32)  # one channel sounds per frame: L R C LFE Ls Rs
    half = 0.5**0.5
    assert to_stereo_or_mono(channels) == pytest.approx(
        np.array([[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]])
    )


@pytest.mark.parametrize("channels", [3, 4, 5, 7, 8, 11])
def test_any_channel_count_becomes_stereo_with_sides_kept_apart(channels: int) -> None:
    mixed = to_stereo_or_mono(np.eye(channels, dtype=np.float32))
    assert mixed.shape == (2, channels)
    assert mixed.dtype == np.float32
    assert mixed[0, 0] > 0
    assert mixed[0, 1] == 0
    assert mixed[1, 0] == 0
