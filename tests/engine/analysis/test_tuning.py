import numpy as np
import pytest
import soxr

from engine.analysis.tuning import PITCH_RATE_HZ, is_pitched, spectral_peaks, tuning_cents
from engine.audio.waveform import Waveform
from tests.engine.analysis.music import RATE, chord_track, drum_track, steady_beats


def _low_rate(sound: Waveform) -> np.ndarray:
    return np.asarray(soxr.resample(sound.mono(), RATE, PITCH_RATE_HZ))


@pytest.mark.parametrize("cents", [-45.0, -20.0, 0.0, 10.0, 30.0, 45.0])
def test_the_tuning_of_chords(cents: float) -> None:
    sound = chord_track([(57, 61, 64), (62, 66, 69), (59, 62, 66)], 2.0, cents=cents)
    peaks = spectral_peaks(_low_rate(sound))
    assert tuning_cents(peaks) == pytest.approx(cents, abs=3)
    assert is_pitched(peaks)


def test_a_sine_is_one_peak_at_its_pitch() -> None:
    t = np.arange(2 * PITCH_RATE_HZ) / PITCH_RATE_HZ
    peaks = spectral_peaks(np.sin(2 * np.pi * 450.0 * t).astype(np.float32))
    loudest = peaks.pitch[np.argmax(peaks.magnitude)]
    assert loudest == pytest.approx(69 + 12 * np.log2(450 / 440), abs=0.02)
    assert peaks.peakiness > 0.5


def test_drums_and_noise_have_no_pitch_and_no_tuning() -> None:
    drums = spectral_peaks(_low_rate(drum_track(steady_beats(120, 8), 8)))
    rng = np.random.default_rng(0)
    noise = spectral_peaks(rng.standard_normal(4 * PITCH_RATE_HZ).astype(np.float32))
    for peaks in (drums, noise):
        assert not is_pitched(peaks)
        assert tuning_cents(peaks) == 0.0


def test_silence_and_scraps() -> None:
    for frames in (0, 10, 5000):
        peaks = spectral_peaks(np.zeros(frames, dtype=np.float32))
        assert peaks.pitch.size == 0
        assert tuning_cents(peaks) == 0.0
        assert not is_pitched(peaks)
