import numpy as np
import pytest

from engine.analysis.attacks import attack_function
from tests.engine.analysis.music import drum_track, steady_beats


@pytest.mark.parametrize("noise", [0.001, 0.02])
def test_attacks_of_drums_are_found_to_two_milliseconds(noise: float) -> None:
    beats = steady_beats(120, 20, first_s=0.2)[:38]
    attacks = attack_function(drum_track(beats, 20, noise=noise).mono())
    asked = beats[:-1] + np.random.default_rng(1).normal(0, 0.01, beats.size - 1)
    picks = attacks.near(asked, reach_s=0.045, spread_s=0.02)
    error = np.abs(picks.times_s - beats[:-1])
    assert np.median(error) < 0.0007
    assert error.max() < 0.003
    assert picks.strength.min() > 30


def test_nothing_starts_in_silence_or_outside_the_signal() -> None:
    attacks = attack_function(np.zeros(44_100, dtype=np.float32))
    asked = np.array([-1.0, 0.5, 7.0])
    picks = attacks.near(asked, reach_s=0.02, spread_s=0.01)
    assert np.array_equal(picks.times_s, asked)
    assert not picks.strength.any()


def test_the_nearer_of_two_equal_attacks_is_taken() -> None:
    signal = np.zeros(44_100, dtype=np.float32)
    rng = np.random.default_rng(0)
    for start in (0.40, 0.46):
        first = round(start * 44_100)
        signal[first : first + 400] = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
    picks = attack_function(signal).near(np.array([0.45]), reach_s=0.06, spread_s=0.02)
    assert picks.times_s[0] == pytest.approx(0.46, abs=0.002)


def test_an_empty_signal_has_no_attacks() -> None:
    assert attack_function(np.zeros(0, dtype=np.float32)).rise_db.size == 0
