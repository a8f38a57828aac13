import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.numbering import constant_beats, number_beats
from tests.engine.analysis.music import (
    as_tracked,
    steady_beats,
    swinging_beats,
    without,
    worst_error_s,
)


@given(
    bpm=st.floats(60, 180),
    dropped=st.sets(st.integers(5, 90), max_size=8),
    seed=st.integers(0, 100),
)
@settings(max_examples=30, deadline=None)
def test_numbers_skip_what_was_missed(bpm: float, dropped: set[int], seed: int) -> None:
    beats = steady_beats(bpm, 120)[:100]
    tracked = without(as_tracked(beats, seed=seed), sorted(dropped))
    numbered = number_beats(tracked.beats_s)
    assert np.array_equal(numbered.numbers, np.setdiff1d(np.arange(100), list(dropped)))


def test_a_half_beat_jump_in_drifting_music_keeps_the_count() -> None:
    beats = swinging_beats(120)[:200]
    heard = beats.copy()
    heard[80:101] = (beats[80:101] + beats[81:102]) / 2
    numbered = number_beats(heard)
    assert worst_error_s(numbered.beats_s, beats[102:]) < 0.01
    exact = np.interp(numbered.numbers, np.arange(200), beats)
    assert np.abs(exact - numbered.beats_s).max() < 0.06


def test_drifting_beats_have_no_constant_tempo_and_steady_ones_do() -> None:
    assert constant_beats(swinging_beats(180)) is None
    steady = steady_beats(128, 90)
    line = constant_beats(as_tracked(steady).beats_s)
    assert line is not None
    assert worst_error_s(line, steady) < 0.035
