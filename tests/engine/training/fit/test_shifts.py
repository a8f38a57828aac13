from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.records import STEPS_PER_BEAT
from engine.models.fit.towers import PITCH_INPUTS, BeatInput
from engine.training.fit.data import make_bank
from engine.training.fit.shifts import moved
from tests.engine.training.scores import made_up_song


@pytest.fixture(scope="module")
def beds() -> BeatInput:
    return make_bank([made_up_song(seed) for seed in range(4)], 6, seed=2).stem


def test_not_moving_changes_nothing(beds: BeatInput) -> None:
    same = moved(beds, 0)
    for name in ("context", "pattern", "active"):
        np.testing.assert_array_equal(getattr(same, name), getattr(beds, name))
    halves = same.chroma.reshape(*beds.active.shape, 12, PITCH_INPUTS)[..., 1:]
    expected = beds.chroma.reshape(*beds.active.shape, 12, PITCH_INPUTS)[..., 1:]
    np.testing.assert_allclose(halves, expected, atol=2e-3)


@pytest.mark.parametrize("beats", [-3, -1, 1, 2])
def test_whole_beats_move_everything_but_the_phase(beds: BeatInput, beats: int) -> None:
    late = moved(beds, 4 * beats)
    there = slice(max(0, -beats), beds.active.shape[1] - max(0, beats))
    here = slice(there.start + beats, there.stop + beats)
    np.testing.assert_allclose(late.active[:, here], beds.active[:, there])
    np.testing.assert_allclose(late.pattern[:, here, :-2], beds.pattern[:, there, :-2])
    np.testing.assert_array_equal(late.pattern[..., -2:], beds.pattern[..., -2:])
    np.testing.assert_array_equal(late.context[..., -2:], beds.context[..., -2:])
    silent = np.ones(beds.active.shape[1], np.bool_)
    silent[here] = False
    assert not late.active[:, silent].any()
    assert not late.chroma[:, silent].any()


def test_half_a_beat_moves_halves_and_onsets(beds: BeatInput) -> None:
    late = moved(beds, 2)
    shape = (*beds.active.shape, 12, PITCH_INPUTS)
    first, second = (beds.chroma.reshape(shape)[..., half] for half in (1, 2))
    both = np.linalg.norm(late.chroma.reshape(shape)[:, 1:, :, 1], axis=2)
    np.testing.assert_allclose(
        _directions(late.chroma.reshape(shape)[:, 1:, :, 1])[both > 0],
        _directions(second[:, :-1])[both > 0],
        atol=2e-3,
    )
    np.testing.assert_allclose(
        _directions(late.chroma.reshape(shape)[:, 1:, :, 2])[both > 0],
        _directions(first[:, 1:])[both > 0],
        atol=2e-3,
    )
    steps = beds.pattern[..., :-2].reshape(beds.active.shape[0], -1, 3)
    found = late.pattern[..., :-2].reshape(beds.active.shape[0], -1, 3)
    np.testing.assert_array_equal(found[:, STEPS_PER_BEAT // 2 :], steps[:, : -STEPS_PER_BEAT // 2])


def test_hidden_densities_stay_hidden(beds: BeatInput) -> None:
    context = beds.context.copy()
    context[0, :, 1:4] = 0
    late = moved(replace(beds, context=context), 3)
    assert not late.context[0, :, 1:4].any()
    assert late.context[1, :, 1:4].any()


def _directions(values: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.maximum(norm, 1e-6)
