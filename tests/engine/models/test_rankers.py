from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.errors import MissingDependency, UsageError
from engine.evaluation.gallery import PassageSounds
from engine.models.audio_source import Sound
from engine.models.automashupper import automashupper
from engine.models.mix_nets.network import MixNet, NetSettings
from engine.models.mix_nets.ranker import MixRanker
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Ranker, Search
from engine.models.registry import MODEL_NAMES, load_ranker
from engine.theory import Role
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads
from tests.engine.recordings_made import sound

SHIFTS = Search(semitones=tuple(range(-3, 4)), keep=8)


@pytest.fixture(scope="module", params=MODEL_NAMES)
def ranker(request: pytest.FixtureRequest) -> Ranker:
    """Every model; the one that does not come with dawlink as it begins."""
    if request.param == "postmixnet":
        torch.manual_seed(1)
        return MixRanker(MixNet(NetSettings("postmixnet", width=1 / 16, bottleneck=2)))
    return load_ranker(request.param)


def song(seed: int, bars: int = 24):
    return rows(triads(bars, seed=seed), patterns(bars, seed=seed + 1000))


def melody(table: NDArray[np.void], key: str) -> Sound:
    """The strongest pitch class of every beat."""
    return sound((220 * 2 ** (table["chroma"][:, :12].argmax(axis=1) / 12)).tolist(), key)


def heard_pool(tables: Sequence[NDArray[np.void]], role: Role) -> RolePool:
    """A pool for models that listen, too."""
    sounds = tuple(melody(table, f"{role} {number}") for number, table in enumerate(tables))
    return replace(pool_of(list(tables), role=role), sounds=PassageSounds(sounds))


def heard_clip(table: NDArray[np.void]) -> ClipFeatures:
    return replace(clip_of(table), sound=melody(table, "clip"))


def test_every_ranker_keeps_the_contract(ranker: Ranker) -> None:
    pool = heard_pool([song(i, bars) for i, bars in enumerate((24, 3, 16, 9, 1, 12))], "harmonic")
    drums = heard_pool([song(100 + i, 12) for i in range(4)], "percussion")
    clip = heard_clip(song(7, 8))
    harmony = ranker.place(clip, pool, SHIFTS)
    rhythm = ranker.place(clip, drums, SHIFTS)
    assert {f.index for f in harmony} == set(range(6))
    assert [f.score for f in harmony] == sorted((f.score for f in harmony), reverse=True)
    assert all(0 <= f.score <= 1 and -3 <= f.semitones <= 3 for f in harmony)
    assert all(f.start_bar + f.loop_bars <= pool.bars[f.index] for f in harmony)
    assert all(f.semitones == 0 for f in rhythm)
    groups = {"harmonic": [(pool, f) for f in harmony], "percussion": [(drums, f) for f in rhythm]}
    scores, parts = ranker.score_groups(clip, groups)
    assert scores.shape == (6, 4)
    assert np.all((scores >= 0) & (scores <= 1))
    assert all(values.shape == scores.shape for values in parts.values())
    again = ranker.place(clip, pool, SHIFTS)
    assert [(f.index, f.start_bar, f.semitones) for f in again] == [
        (f.index, f.start_bar, f.semitones) for f in harmony
    ]
    assert [f.score for f in again] == pytest.approx([f.score for f in harmony], abs=1e-6)


def test_ineligible_stems_are_never_chosen(ranker: Ranker) -> None:
    pool = heard_pool([song(i, 8) for i in range(5)], "harmonic")
    eligible = np.array([False, True, False, True, False])
    fits = ranker.place(heard_clip(song(1, 8)), pool, SHIFTS, eligible=eligible)
    assert {fit.index for fit in fits} == {1, 3}


@pytest.mark.parametrize("name", ["automashupper", "automashupper-tool"])
@pytest.mark.parametrize("semitones", [-3, -1, 0, 2, 3])
def test_finds_the_transposed_excerpt(name: str, semitones: int) -> None:
    songs = [song(i) for i in range(30)]
    excerpt = songs[17][20 * 1 : 20 + 32]  # eight bars from bar 5
    sung = excerpt.copy()
    sung["chroma"] = np.roll(excerpt["chroma"], semitones, axis=1)
    best = load_ranker(name).place(clip_of(sung), pool_of(songs, role="harmonic"), SHIFTS)[0]
    assert (best.index, best.start_bar, best.semitones) == (17, 5, semitones)
    assert best.parts.harmony == pytest.approx(1.0, abs=1e-3)


def test_clip_transposition_moves_the_answer() -> None:
    songs = [song(i) for i in range(6)]
    clip = clip_of(songs[2][:32], transpose=2)
    best = automashupper().place(clip, pool_of(songs, role="harmonic"), SHIFTS)[0]
    assert (best.index, best.semitones) == (2, 2)


def test_the_coarse_search_does_not_lose_the_best() -> None:
    songs = [song(i) for i in range(200)]
    clip = clip_of(songs[123][16:48])  # from bar 4, on a four-bar step
    few = Search(semitones=SHIFTS.semitones, keep=4)
    best = automashupper().place(clip, pool_of(songs, role="harmonic"), few)[0]
    assert (best.index, best.start_bar) == (123, 4)


def test_a_pool_of_many_blocks_of_windows() -> None:
    few = [song(i, 20) for i in range(25)]
    songs = [few[i % 25] for i in range(900)]
    songs[777] = song(4242, 20)
    clip = clip_of(songs[777][16:48])
    best = automashupper().place(clip, pool_of(songs, role="harmonic"), SHIFTS)[0]
    assert (best.index, best.start_bar, best.semitones) == (777, 4, 0)


def test_short_stems_repeat() -> None:
    loop = song(3, 4)
    clip = clip_of(np.concatenate([loop, loop, loop]))
    pool = pool_of([song(8, 30), loop, song(9, 5)], role="harmonic")
    best = automashupper().place(clip, pool, SHIFTS)[0]
    assert (best.index, best.start_bar, best.loop_bars) == (1, 0, 4)
    assert best.parts.harmony == pytest.approx(1.0, abs=1e-3)


def test_drums_are_found_by_their_pattern() -> None:
    songs = [song(i) for i in range(20)]
    best = automashupper().place(clip_of(songs[11][32:64]), pool_of(songs, role="drums"), SHIFTS)[0]
    assert (best.index, best.start_bar, best.semitones) == (11, 8, 0)
    assert best.parts.harmony is None


def test_silent_bars_score_lower_than_sounding_ones() -> None:
    full, holed = song(4), song(4).copy()
    holed[16:] = np.zeros_like(holed[16:])
    fits = automashupper().place(clip_of(full[:64]), pool_of([holed, full], role="bass"), SHIFTS)
    assert fits[0].index == 1
    assert fits[0].score > fits[1].score + 0.2


def test_folding_reads_half_and_double_time() -> None:
    fast = song(5, 32)
    pool = pool_of([song(1), fast], role="harmonic")
    half = pool.folded(0.5, np.array([1]))
    assert half.bars.tolist() == [16]
    np.testing.assert_array_equal(
        half.onsets[:, 0], np.maximum(*fast["onsets"][::2, [0, 1]].swapaxes(0, 1))
    )
    double = half.folded(2.0, np.array([0]))
    assert double.bars.tolist() == [32]
    assert double.start_step == 2
    np.testing.assert_allclose(double.chroma[::2], half.chroma)


def test_unknown_and_untrained_models_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="no model 'magic'") as unknown:
        load_ranker("magic")
    assert "automashupper" in unknown.value.hint
    with pytest.raises(MissingDependency, match="no trained checkpoint"):
        load_ranker("postmixnet")
