from __future__ import annotations

import numpy as np
import pytest
import torch

import engine.training.stem_jepa.pictures as making
from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import MelStatistics
from engine.training.stem_jepa.draws import SongArray
from engine.training.stem_jepa.pictures import (
    SongPicture,
    draw_missing,
    draw_of_one_role,
    song_picture,
)

PLAIN = MelStatistics(0.0, 1.0)


def song(*pitches_hz: float, seconds: float = 3.0, period_s: float | None = None) -> SongArray:
    """One steady sine per role, silent where 0 is given; struck anew every period."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    struck = 1.0 if period_s is None else (t % period_s < period_s / 2).astype(np.float64)
    rows = [0.3 * struck * np.sin(2 * np.pi * hz * t) for hz in pitches_hz]
    return np.stack(rows).astype(np.float32)


def pictures(count: int) -> list[SongPicture]:
    rng = np.random.default_rng(3)
    return [song_picture(song(*rng.uniform(300, 2000, 4))) for _ in range(count)]


def test_a_picture_is_a_song_in_bands() -> None:
    picture = song_picture(song(440.0, 0.0, 880.0, 0.0))
    assert picture.powers.shape == (4, 92, 300)
    assert picture.peaks.shape == (4, 300)
    assert picture.powers[[0, 2], :, 100].argmax(dim=1).tolist() == [42, 54]  # 6 bands beyond
    np.testing.assert_array_equal(picture.peaks.max(axis=1) > 0.1, [True, False, True, False])


def test_a_batch_has_one_role_and_every_song_once() -> None:
    songs = [song_picture(song(220.0 + 40 * n, 0.0, 900.0, 0.0)) for n in range(5)]
    songs[2] = song_picture(song(300.0, 0.0, 0.0, 1100.0))
    roles = set()
    for number in range(20):
        mixes, stems, labels = draw_of_one_role(songs, PLAIN, batch=8, frames=64, seed=(0, number))
        role = set(labels.tolist())
        assert len(role) == 1
        roles |= role
        assert mixes.shape == stems.shape == (len(labels), 80, 64)
        assert len(labels) == {0: 5, 2: 4}[role.pop()]  # of 3 there is one song
    assert roles == {0, 2}
    small = draw_of_one_role(songs, PLAIN, batch=3, frames=64, seed=(0, 0))
    assert len(small[2]) == 3


def test_mix_and_stem_are_transposed_together() -> None:
    """An octave between them stays an octave; the keys differ from draw to draw."""
    songs = [song_picture(song(440.0, 0.0, 880.0, 0.0)) for _ in range(12)]
    mixes, stems, labels = draw_missing(songs, PLAIN, batch=40, frames=64, seed=(0, 1))
    high, low = (part[:, :, 30].argmax(dim=1) for part in (mixes, stems))
    apart = (high - low) * torch.where(labels == 0, 1, -1)
    assert apart.tolist() == [12] * 40
    assert len(set(low[labels == 0].tolist())) > 5


def test_mix_and_stem_change_their_tempo_together() -> None:
    songs = [song_picture(song(440.0, 0.0, 880.0, 0.0, period_s=0.3)) for _ in range(6)]
    mixes, stems, _ = draw_missing(songs, PLAIN, batch=12, frames=192, seed=(0, 2))
    periods = set()
    for mix, stem in zip(mixes, stems, strict=True):
        loud = [part.exp().sum(dim=0) for part in (mix, stem)]
        on = [(part > 0.25 * part.max()).int() for part in loud]
        assert int((on[0] != on[1]).sum()) <= 2 * 14  # the same strokes, an edge more or less
        starts = torch.nonzero(on[1].diff() == 1)[:, 0]
        periods.add(round(float(starts.diff().float().mean())))
    assert 25 <= min(periods) < 30 < max(periods) <= 35


def test_tone_and_level_are_drawn_for_each_side() -> None:
    """Two stems of the same sound come out unlike each other."""
    songs = [song_picture(song(440.0, 0.0, 440.0, 0.0)) for _ in range(2)]
    mixes, stems, _ = draw_missing(songs, PLAIN, batch=16, frames=32, seed=(0, 3))
    apart = (mixes - stems)[:, 30:60, 16].abs().max(dim=1).values
    assert float(apart.max()) > 0.5
    assert float(apart.max()) < (2 * 6 + 2 * 3) * np.log(10) / 10


def test_draws_depend_on_their_seed_alone() -> None:
    songs = pictures(4)
    one, two, other = (
        draw_missing(songs, PLAIN, batch=4, frames=32, seed=(0, number)) for number in (5, 5, 6)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0])


def test_a_short_song_ends_in_silence() -> None:
    short = [song_picture(song(440.0, 880.0, 0.0, 0.0, seconds=0.5))] * 2
    mixes, _, _ = draw_missing(short, PLAIN, batch=2, frames=80, seed=(0, 0))
    assert mixes.shape == (2, 80, 80)
    assert float(mixes[:, :, -10:].max()) < -12.0
    assert torch.isfinite(mixes).all()


def test_songs_without_two_stems_are_refused() -> None:
    alone = [song_picture(song(440.0, 0.0, 0.0, 0.0))] * 3
    for draw in (draw_missing, draw_of_one_role):
        with pytest.raises(UnusableInput, match="two songs"):
            draw(alone, PLAIN, batch=2, frames=32, seed=(0, 0))
    assert making.SEMITONES == 6
