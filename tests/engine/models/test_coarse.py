"""The coarse search: transpositions by phases, and the best start of every stem."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.alignment import rolled
from engine.models.automashupper import automashupper
from engine.models.coarse import Windows, best_per_stem, clip_windows, phases, spectral
from engine.models.ranker import Search
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads

SEMITONES = (-5, -3, 0, 1, 6, 12)
CELLS = 8


def made_windows(bars: tuple[int, ...], seed: int = 4) -> Windows:
    rng = np.random.default_rng(seed)
    counts = np.maximum(np.array(bars) // 4, 1)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    harmony = rng.standard_normal((12 * CELLS, int(first[-1]))).astype(np.float32)
    nothing = np.zeros((harmony.shape[1], 0), np.float32)
    stem = np.repeat(np.arange(counts.size), counts)
    return Windows(harmony, nothing, first, stem, np.array(bars, dtype=np.int64))


def by_rolling(clip: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """(clip_windows, variants, windows), each transposition of the clip for itself."""
    turned = rolled(clip, SEMITONES).reshape(len(clip), -1, len(SEMITONES))
    return np.einsum("cvk,vw->ckw", turned, windows.harmony)


def test_phases_are_the_same_as_rolling_the_pitch_classes() -> None:
    windows = made_windows((9, 4, 17))
    clip = np.random.default_rng(5).standard_normal((3, CELLS, 12)).astype(np.float32)
    found = phases(SEMITONES) @ spectral(clip, windows)
    np.testing.assert_allclose(found, by_rolling(clip, windows), atol=1e-4)


@pytest.mark.parametrize("bars", [4, 6, 8, 16])
def test_every_stem_has_the_same_best_either_way(bars: int) -> None:
    windows = made_windows((8, 3, 18, 1, 30, 11))
    per_bar = np.random.default_rng(6).standard_normal((bars, 12 * CELLS // 4))

    def cells(lead: int) -> NDArray[np.float32]:
        padded = clip_windows(per_bar.astype(np.float32), bars=bars, lead=lead)
        return padded.reshape(-1, CELLS, 12)

    plain = best_per_stem(lambda lead: by_rolling(cells(lead), windows), windows, bars=bars)
    fast = best_per_stem(
        lambda lead: spectral(cells(lead), windows), windows, bars=bars, turn=phases(SEMITONES)
    )
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(fast, plain, atol=1e-4)


@pytest.mark.parametrize("bar", range(6))
def test_an_excerpt_is_found_from_whichever_bar_it_begins(bar: int) -> None:
    tables = [rows(triads(21, seed=n), patterns(21, seed=n)) for n in range(90)]
    pool = pool_of(tables, role="harmonic")
    clip = clip_of(tables[40][4 * bar : 4 * (bar + 8)])
    (best, *_) = automashupper().place(clip, pool, Search(semitones=(0,), keep=4))
    assert (best.index, best.start_bar) == (40, bar)
