from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.records import BEAT_ROW
from engine.models.fit.checkpoint import FitModel
from engine.models.fit.curves import FitCurves
from engine.models.fit.embedding import embed_pool
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import dense_weights
from engine.training.fit.calibration import drawn_songs, evidence, groove_evidence, logistic
from engine.training.fit.check import pool_of
from engine.training.fit.judge_calibration import judged_groups
from engine.training.fit.questions import ValidationSongs, bands
from engine.training.fit.towers import FitTowers
from tests.engine.training.scores import made_up_song
from tests.engine.training.tiny_fit import TINY

MODEL = FitModel(dense_weights(FitTowers(TINY, seed=4).weights()), TINY, FitCurves.plain(rules=0.2))
SONGS = drawn_songs([made_up_song(seed, bars=40) for seed in range(8)], seed=1)


@pytest.fixture(scope="module")
def asking() -> ValidationSongs:
    two = [replace(song, group=f"g{number // 2}") for number, song in enumerate(SONGS)]
    return ValidationSongs(MODEL, two)


def test_who_asks_does_not_hold_what_is_asked_for(asking: ValidationSongs) -> None:
    rng = np.random.default_rng(1)
    for role in ("vocals", "bass", "other", "drums"):
        found = list(asking.without(role, 8, rng))
        assert found
        assert not any(role in one.holds for one in found)
    for one in asking.without("harmonic", 8, rng):
        assert not one.holds & {"bass", "other"}


def test_an_excerpt_holds_the_bars_that_the_clip_was_taken_from(asking: ValidationSongs) -> None:
    rng = np.random.default_rng(2)
    lengths = set()
    for _ in range(4):
        for one in asking.voices(8, rng):
            question = asking.question(one, "vocals", rng)
            assert question is not None
            cut = question.pool
            lengths.add(int(cut.bars[question.own]))
            rows = cut.chroma[cut.rows(question.own)].reshape(-1, 4, 12)
            clip = one.clip.rows["chroma"].reshape(8, 4, 12)
            starts = range(len(rows) - 7)
            assert any(np.array_equal(rows[at : at + 8], clip) for at in starts)
    assert lengths == {8, 16, 32, 40}


def test_excerpts_are_embedded_by_themselves(asking: ValidationSongs) -> None:
    rng = np.random.default_rng(3)
    for one in itertools.islice(asking.voices(8, rng), 6):
        question = asking.question(one, "harmonic", rng)
        assert question is not None
        pool = question.pool
        assert pool.embeddings is not None
        found = pool.embeddings.of(MODEL)
        for index in (question.own, (question.own + 3) % len(pool)):
            rows = np.zeros(pool.rows(index).stop - pool.rows(index).start, BEAT_ROW)
            for name in ("chroma", "onsets", "bands"):
                rows[name] = getattr(pool, name)[pool.rows(index)]
            alone = embed_pool(MODEL, pool_of([rows], role="harmonic"))
            np.testing.assert_array_equal(found.rhythm[pool.rows(index)], alone.rhythm)
    with pytest.raises(ValueError, match="another model"):
        question.pool.embeddings.of(replace(MODEL, tag="other"))


def test_who_is_silent_where_the_clip_was_taken_from_does_not_answer() -> None:
    silent = {**SONGS[0].rows, "bass": np.zeros_like(SONGS[0].rows["bass"])}
    songs = ValidationSongs(MODEL, [replace(SONGS[0], rows=silent), *SONGS[1:]])
    assert songs.compositions("bass") == len(SONGS) - 1
    rng = np.random.default_rng(7)
    answered = [songs.question(one, "bass", rng) is not None for one in songs.voices(8, rng)]
    assert answered == [False] + [True] * (len(SONGS) - 1)


def test_roles_that_few_songs_have_are_judged_by_what_is_there() -> None:
    without = {role: rows for role, rows in SONGS[0].rows.items() if role != "bass"}
    songs = [replace(song, rows=without) if n > 2 else song for n, song in enumerate(SONGS)]
    seen = judged_groups(MODEL, ValidationSongs(MODEL, songs), bars=8, seed=1)
    assert seen["bass"].odds.shape[0] >= 3
    assert seen["bass"].odds.shape[1] == 3  # its own bass and those of two others
    assert seen["harmonic"].odds.shape[1] == 8


def test_stems_of_one_composition_are_neither_true_nor_foreign(asking: ValidationSongs) -> None:
    rng = np.random.default_rng(4)
    for one in asking.voices(8, rng):
        question = asking.question(one, "harmonic", rng)
        assert question is not None
        assert question.own == one.song
        assert np.flatnonzero(~question.foreign).tolist() == [
            one.song // 2 * 2,
            one.song // 2 * 2 + 1,
        ]


def test_a_band_is_placed_under_every_voice(asking: ValidationSongs) -> None:
    found = list(bands(FitRanker(MODEL), asking, 8, np.random.default_rng(5)))
    assert len(found) == len(SONGS)
    assert all(len(bed.placed) == len(drums.placed) == len(SONGS) for bed, drums in found)


def test_evidence_tells_how_many_places_were_tried(asking: ValidationSongs) -> None:
    seen = evidence(MODEL, asking, bars=8, seed=1)["harmonic"]
    assert seen.true.size == seen.ranks.size >= len(SONGS)
    assert seen.foreign.size == 6 * seen.true.size
    tried = {int(n) for n in seen.foreign_places}
    starts = {1, 9, 25, 33}  # eight bars in 8, 16, 32 and 40
    assert tried <= {n * shifts for n in starts for shifts in (1, 3, 7, 12)}
    assert len(tried) > 4
    true, foreign = groove_evidence(MODEL, asking, bars=8, seed=1)
    assert (true.size, foreign.size) == (len(SONGS), 6 * len(SONGS))


def test_a_curve_learns_what_many_places_are_worth() -> None:
    rng = np.random.default_rng(6)
    places = np.array([1, 16, 256]).repeat(400)
    foreign = np.array([rng.normal(size=n).max() for n in places], np.float32)
    true = (rng.normal(size=places.size) + 4).astype(np.float32)
    found = logistic(true, foreign, (places, places))
    assert found is not None
    slope, offset, price = found
    assert -np.log(2) <= price < -0.2
    plain = logistic(true, foreign)
    assert plain is not None
    assert plain[2] == 0.0

    def loss(numbers: tuple[float, float, float]) -> float:
        log = np.log2(places)
        odds = [numbers[0] * x + numbers[1] + numbers[2] * log for x in (true, foreign)]
        return float(np.logaddexp(0, -odds[0]).mean() + np.logaddexp(0, odds[1]).mean())

    assert loss((slope, offset, price)) < loss(plain)
    assert found == logistic(true, foreign, (places, places))
    tiny = logistic(true / 1000, foreign / 1000, (places, places))  # no unit is better than another
    assert tiny is not None
    np.testing.assert_allclose(tiny, (1000 * slope, offset, price), rtol=1e-3)
    none = logistic(foreign, true, (places, places))  # evidence that misleads
    assert none is not None
    assert none[0] > 0
    assert logistic(true, true[:0]) is None


def test_few_pairs_that_nothing_mixes_have_finite_curves() -> None:
    """Newton's method alone ran away in twelve of these."""
    rng = np.random.default_rng(8)
    for _ in range(200):
        count = int(rng.integers(1, 6))
        true = rng.normal(rng.uniform(0, 4), 0.3, count).astype(np.float32)
        foreign = rng.normal(0, 0.3, 4 * count).astype(np.float32)
        places = tuple(rng.integers(1, 400, n) for n in (count, 4 * count))
        found = logistic(true, foreign, places)
        assert found is not None
        assert max(map(abs, found)) < 1e4
