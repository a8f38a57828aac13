from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.bootstrap import SongBootstrap


def test_queries_of_one_song_count_as_one_draw() -> None:
    """Ten songs of a hundred equal queries are as uncertain as ten queries, not as a thousand."""
    by_song = np.arange(10) % 2.0
    songs = [f"g{i}" for i in range(10)]
    few = SongBootstrap(songs).mean(by_song)
    many = SongBootstrap([s for s in songs for _ in range(100)]).mean(np.repeat(by_song, 100))
    assert many.low == pytest.approx(few.low, abs=0.05)
    assert many.high == pytest.approx(few.high, abs=0.05)
    assert few.high - few.low > 0.4


def test_the_interval_has_the_width_that_statistics_predict() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=400)
    found = SongBootstrap([str(i) for i in range(400)]).mean(values)
    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_one_song_has_no_interval() -> None:
    one = SongBootstrap(["g"] * 4)
    values = np.array([0.0, 1.0, 1.0, 0.0])
    assert not one.mean(values).is_known
    assert not one.median(values).is_known
    assert SongBootstrap(["g", "g", "h", "h"]).mean(values).is_known


def test_the_median_of_redrawn_songs_is_one_of_the_values() -> None:
    values = np.array([0.3, 0.1, 0.2, 0.9, 0.8])
    found = SongBootstrap([str(i) for i in range(5)]).median(values)
    assert {found.low, found.high} <= set(values.tolist())
    assert found.low <= 0.3 <= found.high


def test_the_interval_of_the_median_has_the_bounds_that_statistics_predict() -> None:
    """Ranks 50 ± 1.96 √101 / 2 of 101 songs in order (binomial)."""
    values = np.random.default_rng(2).permutation(101).astype(np.float64)
    found = SongBootstrap([str(i) for i in range(101)]).median(values)
    assert (found.low, found.high) == pytest.approx((40, 60), abs=2)


def test_the_same_seed_gives_the_same_interval() -> None:
    songs, values = [str(i) for i in range(6)], np.arange(6.0)
    assert SongBootstrap(songs, seed=3).mean(values) == SongBootstrap(songs, seed=3).mean(values)


def test_nothing_cannot_be_redrawn() -> None:
    with pytest.raises(ValueError, match="nothing"):
        SongBootstrap([])
