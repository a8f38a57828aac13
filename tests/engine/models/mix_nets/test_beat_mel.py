from __future__ import annotations

import numpy as np
import pytest

from engine.models.audio_source import Sound
from engine.models.mix_nets.beat_mel import (
    FLOOR_DB,
    FRAMES_PER_BEAT,
    LEVEL_DB,
    BeatMels,
    added_up,
    from_half_decibels,
    half_decibels,
    levelled,
)
from tests.engine.recordings_made import sound

NOTES = [440.0, 0.0, 880.0, 1760.0] * 8  # sixteen seconds: more than one chunk


def loudest(plane: np.ndarray) -> list[int]:
    """The strongest bin in the middle of every beat."""
    return [int(b) for b in plane[FRAMES_PER_BEAT // 2 :: FRAMES_PER_BEAT].argmax(axis=1)]


def test_a_plane_is_the_same_in_every_tempo() -> None:
    mels = BeatMels()
    slow, fast = (mels.of(sound(NOTES, f"{bpm}", tempo_bpm=bpm)) for bpm in (90.0, 130.0))
    assert slow.shape == fast.shape == (32 * FRAMES_PER_BEAT, 128)
    middles = slice(FRAMES_PER_BEAT // 2, None, FRAMES_PER_BEAT)
    sounding = np.array(NOTES) > 0
    np.testing.assert_allclose(
        slow[middles][sounding].max(axis=1), fast[middles][sounding].max(axis=1), atol=1.0
    )
    assert loudest(slow)[2:4] == loudest(fast)[2:4]
    assert slow[middles][1].max() < slow[middles][0].max() - 30


def test_transposed_is_as_if_it_had_been_played_so() -> None:
    mels = BeatMels()
    up = mels.of(sound(NOTES, "a").transposed(5))
    played = mels.of(sound([hz * 2 ** (5 / 12) for hz in NOTES], "b"))
    assert np.abs(np.subtract(loudest(up), loudest(played)))[[0, 2, 3]].max() <= 1


def test_order_and_lateness_of_beats_are_heard() -> None:
    mels, whole = BeatMels(), sound(NOTES, "a")
    turned = mels.of(whole.at(np.arange(31, -1, -1)))
    # a beat borders on another one now, so its edges may differ by half a window
    assert loudest(turned) == loudest(mels.of(whole))[::-1]
    late = mels.of(whole.window(1, 8))
    np.testing.assert_allclose(
        late, mels.of(whole)[FRAMES_PER_BEAT : 9 * FRAMES_PER_BEAT], atol=1e-3
    )


def counted_reads(whole: Sound) -> list[float]:
    """Beginnings of what is read of a sound from now on [s]."""
    reads: list[float] = []
    read = whole.recording.read

    def counted(start_s: float, end_s: float, rate: int) -> np.ndarray:
        reads.append(start_s)
        return read(start_s, end_s, rate)

    object.__setattr__(whole.recording, "read", counted)
    return reads


def test_near_transpositions_are_made_together() -> None:
    whole = sound(NOTES, "a")
    reads = counted_reads(whole)
    mels = BeatMels(most_semitones=2)
    mels.of(whole.transposed(1))
    made = len(reads)
    for semitones in (-2, -1, 0, 2):
        mels.of(whole.transposed(semitones))
    assert len(reads) == made
    far = mels.of(whole.transposed(3))
    assert len(reads) > made
    np.testing.assert_array_equal(far, BeatMels().of(whole.transposed(3)))


def test_what_is_forgotten_is_read_again() -> None:
    whole = sound(NOTES, "a")
    reads = counted_reads(whole)
    mels = BeatMels(kept_chunks=16)
    first = mels.of(whole)
    made = len(reads)
    mels.of(whole)
    assert len(reads) == made
    mels.of(whole.transposed(1))
    np.testing.assert_array_equal(mels.of(whole), first)
    assert len(reads) > made


def test_levels() -> None:
    rng = np.random.default_rng(0)
    plane = rng.uniform(-70, -30, (96, 128)).astype(np.float32)
    for moved in (plane - 10, plane + 10):
        power = 10 ** (levelled(moved) / 10)
        assert 10 * np.log10(power.sum(axis=1).mean()) == pytest.approx(LEVEL_DB, abs=0.1)
    silent = levelled(np.full((96, 128), -100, dtype=np.float32))
    assert (silent == FLOOR_DB).all()
    np.testing.assert_array_equal(added_up([plane]), plane)
    twice = added_up([levelled(plane), levelled(plane)])
    np.testing.assert_allclose(twice, levelled(plane), atol=0.1)


def test_a_byte_holds_half_decibels() -> None:
    plane = np.linspace(-100, 27, 999, dtype=np.float32)
    np.testing.assert_allclose(from_half_decibels(half_decibels(plane)), plane, atol=0.25)
