import numpy as np
import pytest

from engine.analysis.attacks import attack_function
from engine.analysis.refine import refine
from engine.errors import UnusableInput
from engine.grid import BeatGrid
from tests.engine.analysis.music import (
    as_tracked,
    drum_track,
    steady_beats,
    swinging_beats,
    without,
    worst_error_s,
)


def _inside(beats_s: np.ndarray, seconds: float) -> np.ndarray:
    return beats_s[(beats_s >= 0) & (beats_s < seconds - 0.3)]


def test_a_tempo_that_drifts_by_four_percent_is_followed_to_five_milliseconds() -> None:
    beats = swinging_beats(180, depth=0.04)
    sound = drum_track(beats, 180)
    found = refine(as_tracked(beats), [attack_function(sound.mono())], duration_s=180)
    assert not found.steady
    assert worst_error_s(found.grid.beats_s, _inside(beats, 180)) < 0.005
    assert worst_error_s(found.grid.downbeats_s, _inside(beats[::4], 180)) < 0.005


def test_faster_drift_and_noise_stay_within_five_milliseconds() -> None:
    beats = swinging_beats(60, bpm=96, depth=0.04, cycles=2)
    sound = drum_track(beats, 60, noise=0.02)
    found = refine(as_tracked(beats), [attack_function(sound.mono())], duration_s=60)
    assert worst_error_s(found.grid.beats_s, _inside(beats, 60)) < 0.005


def test_beats_without_sound_are_carried_by_their_neighbours() -> None:
    beats = swinging_beats(120, depth=0.04)
    sound = drum_track(beats, 120, silent=((60, 76), (120, 124)))
    found = refine(as_tracked(beats), [attack_function(sound.mono())], duration_s=120)
    assert worst_error_s(found.grid.beats_s, _inside(beats, 120)) < 0.008
    assert found.heard < 0.95


@pytest.mark.parametrize("bpm", [90.0, 124.0, 174.0, 127.37])
def test_a_steady_song_gets_one_exact_tempo(bpm: float) -> None:
    beats = steady_beats(bpm, 60, first_s=0.13)
    sound = drum_track(beats, 60)
    found = refine(as_tracked(beats), [attack_function(sound.mono())], duration_s=60)
    assert found.steady
    assert found.grid.tempo_bpm == pytest.approx(bpm, rel=0.0002)
    assert np.ptp(np.diff(found.grid.beats_s)) < 1e-9
    assert worst_error_s(found.grid.beats_s, _inside(beats, 60)) < 0.003
    assert worst_error_s(found.grid.downbeats_s, _inside(beats[::4], 60)) < 0.003


def test_an_exported_song_starts_at_zero_and_the_grid_covers_it() -> None:
    beats = steady_beats(120, 30)
    sound = drum_track(beats, 30)
    found = refine(as_tracked(beats), [attack_function(sound.mono())], duration_s=30)
    assert found.grid.beats_s[0] == 0.0
    assert found.grid.beats_s[-1] >= 30 - 1e-9


def test_missed_inserted_and_half_shifted_beats_of_a_steady_song_are_repaired() -> None:
    beats = steady_beats(124, 120, first_s=0.05)
    heard = beats.copy()
    heard[60:92] += 30 / 124  # a breakdown in which the tracker follows the off-beat
    tracked = without(as_tracked(heard), [20, 21, 110])
    sound = drum_track(beats, 120)
    found = refine(tracked, [attack_function(sound.mono())], duration_s=120)
    assert found.steady
    assert worst_error_s(found.grid.beats_s, _inside(beats, 120)) < 0.003
    assert worst_error_s(found.grid.downbeats_s, _inside(beats[::4], 120)) < 0.003


def test_attacks_are_asked_of_the_first_source_that_has_them() -> None:
    beats = steady_beats(120, 30)
    late = drum_track(beats + 0.02, 30)
    drums = drum_track(beats, 30, silent=((0, 8),))
    sources = [attack_function(sound.mono()) for sound in (drums, late)]
    found = refine(as_tracked(beats), sources, duration_s=30)
    assert worst_error_s(found.grid.beats_s, _inside(beats, 30)) < 0.003


def test_too_few_beats_are_refused_with_the_next_step() -> None:
    nothing = as_tracked(np.array([0.5, 1.0]))
    with pytest.raises(UnusableInput) as caught:
        refine(nothing, [attack_function(np.zeros(100, np.float32))], duration_s=5)
    assert caught.value.code == "no_beats"
    assert "--role" in caught.value.hint


def test_the_metre_is_kept() -> None:
    beats = steady_beats(150, 30)
    found = refine(
        as_tracked(beats, metre=3), [attack_function(drum_track(beats, 30).mono())], duration_s=30
    )
    assert found.grid.beats_per_bar == 3
    assert isinstance(found.grid, BeatGrid)
