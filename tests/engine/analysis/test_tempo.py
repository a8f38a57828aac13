import numpy as np
import pytest

from engine.analysis.beats import TrackedBeats
from engine.analysis.tempo import (
    NameHints,
    estimate_tempo,
    hints_from_name,
    settle_octave,
    tempo_preference,
)
from engine.grid import BeatGrid
from engine.theory import Key


def _tracked(period_s: float, levels: tuple[float, ...], seconds: float = 40.0) -> TrackedBeats:
    """Beats with these strengths in turn; nothing between them."""
    times = np.arange(1, int(seconds / period_s)) * period_s
    activation = np.zeros((int(seconds * 100) + 1, 2), dtype=np.float32)
    frames = np.rint(times * 100).astype(int)
    activation[frames, 0] = np.resize(levels, times.size)
    return TrackedBeats(times, np.arange(times.size) % 4, 4, 0.8, activation, "synthetic")


@pytest.mark.parametrize(
    ("name", "bpm", "key"),
    [
        ("loop_120bpm_Am", 120.0, Key(9, "minor")),
        ("Deep House 124 BPM F#min", 124.0, Key(6, "minor")),
        ("bpm90_drums", 90.0, None),
        ("vox 97.5bpm Bb_major", 97.5, Key(10, "major")),
        ("synth_140_G#", 140.0, Key(8, "major")),
        ("Lead_Cmaj", None, Key(0, "major")),
        ("01 - Intro", None, None),
        ("909beat01", None, None),
        ("take 2 of 120 at 44100", 120.0, None),
        ("999bpm", None, None),
        ("Am I wrong", None, None),
        ("04 絆ふぉーえばー – ű", None, None),
    ],
)
def test_names_give_hints(name: str, bpm: float | None, key: Key | None) -> None:
    assert hints_from_name(name) == NameHints(bpm, key)


def test_weak_every_second_beat_means_half_the_tempo() -> None:
    settled = settle_octave(_tracked(1 / 3, (0.2, 0.9)))
    assert 60 / np.median(np.diff(settled.beats_s)) == pytest.approx(90)
    strength = settled.activation[np.rint(settled.beats_s * 100).astype(int), 0]
    assert strength.min() > 0.8
    assert set(np.diff(settled.positions) % 4) == {1}


def test_strong_sounds_between_slow_beats_mean_twice_the_tempo() -> None:
    fast = _tracked(0.5, (0.9, 0.85))
    slow = TrackedBeats(
        fast.beats_s[::2], np.arange(fast.beats_s[::2].size) % 4, 4, 0.8, fast.activation, "x"
    )
    settled = settle_octave(slow)
    assert 60 / np.median(np.diff(settled.beats_s)) == pytest.approx(120)


def test_even_beats_are_left_alone_at_a_fast_tempo_too() -> None:
    tracked = _tracked(60 / 174, (0.9, 0.85))
    assert settle_octave(tracked) is tracked


def test_weights_add_up_and_are_sorted() -> None:
    tracked = _tracked(0.5, (0.9, 0.6))
    grid = BeatGrid.constant(120, end_s=40)
    tempo = estimate_tempo(grid, tracked.activation, steady=True)
    weights = [hypothesis.weight for hypothesis in tempo.hypotheses]
    assert sum(weights) == pytest.approx(1)
    assert weights == sorted(weights, reverse=True)
    assert {round(hypothesis.multiple, 2) for hypothesis in tempo.hypotheses} == {
        0.5, 0.67, 1.0, 1.5, 2.0,
    }  # fmt: skip
    chosen = next(h for h in tempo.hypotheses if h.multiple == 1.0)
    assert chosen.bpm == pytest.approx(120)
    assert tempo.confidence == pytest.approx(chosen.weight)
    assert tempo.hypotheses[0] == chosen


def test_a_stated_tempo_has_no_doubt_and_silence_has_nothing_but() -> None:
    grid = BeatGrid.constant(120, end_s=10)
    empty = np.zeros((0, 2), dtype=np.float32)
    assert estimate_tempo(grid, empty, steady=True, exact=True).confidence == 1.0
    doubtful = estimate_tempo(grid, empty, steady=True)
    assert doubtful.confidence == 0.0
    assert doubtful.bpm == pytest.approx(120)


def test_middle_tempi_are_preferred() -> None:
    assert tempo_preference(120) == 1.0
    assert tempo_preference(240) == pytest.approx(tempo_preference(60))
    assert tempo_preference(60) < tempo_preference(90)
