from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL, mel_filters, power_spectrum
from engine.training.midi_corpus import NOTE
from engine.training.mix_nets.drawn_planes import Beats, drawn_drums, drawn_notes

BAR = Beats(first=0.0, count=4)


def notes(*rows: tuple[float, float, int]) -> NDArray[np.void]:
    return np.array([(start, end, pitch, 100, 0) for start, end, pitch in rows], NOTE)


def loudest(plane: NDArray[np.float32], bins: slice = slice(None)) -> NDArray[np.int64]:
    return np.asarray(plane[:, bins].argmax(axis=1))


def mean_plane(part: NDArray[np.void], beats: Beats, semitones: int = 0) -> NDArray[np.float32]:
    """Over many random sounds."""
    drawn = [
        drawn_notes([part], beats, semitones, np.random.default_rng(seed)) for seed in range(40)
    ]
    return np.mean(drawn, axis=0, dtype=np.float32)


@pytest.mark.parametrize("pitch", [57, 69, 76])
def test_a_drawn_note_lies_where_a_played_one_does(pitch: int) -> None:
    hz = 440.0 * 2 ** ((pitch - 69) / 12)
    t = np.arange(MEL.sample_rate) / MEL.sample_rate
    played = power_spectrum(np.sin(2 * np.pi * hz * t).astype(np.float32)) @ mel_filters()
    bin_of = int(played.mean(axis=0).argmax())
    drawn = mean_plane(notes((0.0, 4.0, pitch)), BAR)[6:18].mean(axis=0)
    below = drawn[: bin_of + 3]  # partials lie above
    assert abs(int(below.argmax()) - bin_of) <= 1


def test_transposition_and_time_are_those_of_the_session() -> None:
    part = notes((0.0, 2.0, 69), (2.0, 4.0, 76))
    plain, higher = mean_plane(part, BAR), mean_plane(part, BAR, 3)
    np.testing.assert_array_less(plain[8].argmax(), higher[8].argmax())
    moved = mean_plane(notes((0.0, 2.0, 72), (2.0, 4.0, 79)), BAR)
    assert abs(int(moved[8].argmax()) - int(higher[8].argmax())) <= 1
    late = Beats(first=0.0, count=4, late=1.0)
    again = mean_plane(part, late)
    lead = 2 * FRAMES_PER_BEAT
    changed = int(loudest(plain)[8]), int(loudest(plain)[lead + 8])
    assert changed[0] < changed[1]
    assert int(loudest(again)[lead + 2]) == changed[0]  # still the first note
    fast = Beats(first=0.0, count=4, speed=2.0)
    assert int(loudest(mean_plane(part, fast))[FRAMES_PER_BEAT + 4]) == changed[1]


def test_silence_before_a_late_entry() -> None:
    late = mean_plane(notes((2.0, 4.0, 69)), BAR)
    assert late[3].max() < late[2 * FRAMES_PER_BEAT + 4].max() - 20


def test_drums_sound_at_their_hits_and_kicks_below_hats() -> None:
    def heard(pitch: int) -> NDArray[np.float32]:
        rows = notes((1.0, 1.1, pitch), (3.0, 3.1, pitch))
        drawn = [drawn_drums(rows, BAR, np.random.default_rng(seed)) for seed in range(40)]
        return np.mean(drawn, axis=0, dtype=np.float32)

    kick, hat = heard(36), heard(42)
    for plane in (kick, hat):
        level = plane.max(axis=1)
        assert level[FRAMES_PER_BEAT] > level[: FRAMES_PER_BEAT - 2].max() + 10
    assert kick[FRAMES_PER_BEAT].argmax() < 20 < hat[FRAMES_PER_BEAT].argmax()


def test_every_draw_is_another_sound_and_a_seed_repeats() -> None:
    part = notes((0.0, 4.0, 60), (0.0, 4.0, 64))
    one, again, other = (
        drawn_notes([part], BAR, 0, np.random.default_rng(seed), voice=True) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 1.0
    assert one.shape == (4 * FRAMES_PER_BEAT, MEL.mels)
    assert np.isfinite(one).all()
