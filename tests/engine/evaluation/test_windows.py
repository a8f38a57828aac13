from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.analysis.features import beat_features
from engine.audio.waveform import Waveform
from engine.evaluation.corpus import Passage
from engine.evaluation.windows import (
    at_tempo,
    bars_rotated,
    chroma_of,
    harmonic_stillness,
    looped_at,
    starts_of,
    transposed,
    window_at,
    windows_of,
)
from engine.grid import BeatGrid
from engine.models.audio_source import Recording, Sound
from tests.engine.evaluation.material import passage

RATE = 22050


def read_nothing(start_s: float, end_s: float, sample_rate: int) -> NDArray[np.float32]:
    raise AssertionError((start_s, end_s, sample_rate))


def chords(bars: int = 6) -> Passage:
    """Two-beat chords at 120 BPM, analysed from sound, with an attack on each."""
    wave, grid = chords_sound(bars)
    rows = beat_features(wave, grid)
    return Passage("s", "g", "other", 4, rows, np.ones(rows.size, dtype=np.bool_))


def chords_sound(bars: int) -> tuple[Waveform, BeatGrid]:
    """The sound of :func:`chords`, and its beats."""
    rng = np.random.default_rng(1)
    time_s = np.arange(RATE) / RATE  # a chord lasts a second
    sound = []
    for _ in range(2 * bars):
        notes = 60 + rng.choice(12, 3, replace=False)
        voices = [np.sin(2 * np.pi * 440 * 2 ** ((n - 69) / 12) * time_s) for n in notes]
        sound.append(0.2 * np.sum(voices, axis=0) * np.exp(-time_s))
    wave = Waveform(np.concatenate(sound)[None].astype(np.float32), RATE)
    return wave, BeatGrid.constant(120.0, end_s=bars * 2.0)


def test_chroma_folded_from_the_spectrogram_is_that_of_the_analysis() -> None:
    rows = chords().rows
    loudest = int(rows["logfreq"][..., 12:72].max())
    again = chroma_of(rows["logfreq"], loudest=loudest)
    likeness = (again * rows["chroma"].astype(np.float64)).sum(axis=1)
    assert likeness.min() > 0.999


def test_a_shift_by_half_a_beat_is_what_analysis_of_shifted_bars_gives() -> None:
    """The features read half a beat late equal those measured on a grid half a beat later."""
    stem = chords()
    late = window_at(stem, 1, 4, late_quarters=2)
    whole = window_at(stem, 1, 4)
    steps = whole.rows["onsets"].reshape(-1, 3)
    moved = late.rows["onsets"].reshape(-1, 3)
    assert np.array_equal(moved[:-6], steps[6:])
    frames = whole.rows["logfreq"].reshape(-1, 96)
    assert np.array_equal(late.rows["logfreq"].reshape(-1, 96)[:-2], frames[2:])
    inside = np.arange(0, 16, 2)  # chords change on even beats: these half-late beats hold one
    likeness = (late.rows["chroma"] * whole.rows["chroma"]).astype(np.float64).sum(axis=1)
    assert likeness[inside].min() > 0.98


def test_a_shift_by_whole_beats_reads_other_beats() -> None:
    stem = passage("s", bars=8)
    late = window_at(stem, 2, 2, late_quarters=12)
    assert np.array_equal(late.rows, stem.rows[11:19])
    early = window_at(stem, 2, 2, late_quarters=-4)
    assert np.array_equal(early.rows, stem.rows[7:15])


def test_outside_the_music_is_silence() -> None:
    early = window_at(passage("s", bars=4), 0, 2, late_quarters=-8)
    assert not early.rows["bands"][:2].any()
    assert not early.active[:2].any()
    assert early.active[2:].all()


def test_a_passage_in_the_tempo_of_what_it_is_heard_with_is_the_window() -> None:
    stem = chords()
    same = at_tempo(stem, 1, 4, ratio=1.0)
    whole = window_at(stem, 1, 4)
    for name in ("logfreq", "onsets"):
        assert np.array_equal(same.rows[name], whole.rows[name])
    assert np.allclose(same.rows["bands"], whole.rows["bands"], rtol=2e-3)
    assert np.array_equal(same.active, whole.active)


@pytest.mark.parametrize("ratio", [0.9, 1.1])
def test_a_tempo_of_its_own_is_what_analysis_on_other_beats_gives(ratio: float) -> None:
    """Chords at 120 BPM on the beats of a session that is slower or faster."""
    stem = chords(7)
    heard = at_tempo(stem, 1, 4, ratio=ratio)
    wave, _ = chords_sound(7)
    beats_s = 2.0 + 0.5 * ratio * np.arange(17)  # bar 1 begins at 2 s
    rows = beat_features(wave, BeatGrid(beats_s))
    assert heard.rows.size == rows.size == 16
    attacks = np.flatnonzero(heard.rows["onsets"].reshape(-1, 3).max(axis=1) > 128)
    measured = np.flatnonzero(rows["onsets"].reshape(-1, 3).max(axis=1) > 128)
    assert attacks.tolist() == pytest.approx(measured.tolist(), abs=1)
    assert attacks[0] == 0  # the downbeat is common
    assert np.diff(attacks) == pytest.approx(24 / ratio, abs=1)  # two beats of its own
    likeness = (heard.rows["chroma"] * rows["chroma"]).astype(np.float64).sum(axis=1)
    assert likeness.min() > 0.9
    assert np.median(likeness) > 0.99
    assert heard.rows["bands"] == pytest.approx(rows["bands"], rel=0.2, abs=0.01)


def test_a_sound_in_a_tempo_of_its_own_is_read_so_much_faster() -> None:
    edges = np.arange(33) * 0.5
    sound = Sound(Recording("r", read_nothing), np.stack([edges[:-1], edges[1:]], axis=1))
    stem = replace(passage("s", bars=8), sound=sound)
    heard = at_tempo(stem, 2, 4, ratio=1.1).sound
    assert heard is not None
    assert heard.spans_s[0, 0] == 4.0
    assert np.diff(heard.spans_s, axis=1) == pytest.approx(0.55)
    assert heard.runs() == ((0, 16),)


def test_transposing_moves_every_pitch_and_back_again() -> None:
    stem = chords(2)
    up = transposed(stem, 3)
    assert np.array_equal(up.rows["chroma"], np.roll(stem.rows["chroma"], 3, axis=1))
    assert np.array_equal(up.rows["logfreq"][..., 3:], stem.rows["logfreq"][..., :-3])
    back = transposed(up, -3)
    assert np.array_equal(back.rows["logfreq"][..., :-3], stem.rows["logfreq"][..., :-3])
    assert np.array_equal(back.rows["onsets"], stem.rows["onsets"])


def test_rotation_keeps_the_bars_and_changes_their_order() -> None:
    stem = passage("s", bars=4)
    turned = bars_rotated(stem, 1)
    assert np.array_equal(turned.rows[:12], stem.rows[4:])
    assert np.array_equal(turned.rows[12:], stem.rows[:4])


def test_a_short_stem_begins_again() -> None:
    stem = passage("s", bars=2)
    window = looped_at(stem, 1, 4)
    assert np.array_equal(window.rows, np.concatenate([stem.rows, stem.rows, stem.rows])[4:20])


def test_silent_windows_are_left_out() -> None:
    stem = passage("s", bars=6)
    active = np.ones(24, dtype=np.bool_)
    active[8:16] = False
    found = [w.id for w in windows_of(replace(stem, active=active), 2)]
    assert found == ["s@0:2", "s@4:2"]


@pytest.mark.parametrize(("room", "starts"), [(0, [0, 3, 6]), (1, [1, 4]), (2, [2, 5])])
def test_windows_leave_room_at_both_ends(room: int, starts: list[int]) -> None:
    assert list(starts_of(passage("s", bars=10), 3, room=room)) == starts


@pytest.mark.parametrize(
    ("quarters", "powers", "active"), [(1, (1, 3), [2]), (2, (2, 2), [2]), (3, (3, 1), [1])]
)
def test_a_beat_that_is_read_late_takes_its_share_of_the_next(
    quarters: int, powers: tuple[int, int], active: list[int]
) -> None:
    """Of a passage in which beat 2 alone sounds, with power 4."""
    stem = passage("s", bars=2)
    stem.rows["bands"] = np.where(np.arange(8) == 2, 2.0, 0.0)[:, None]
    late = window_at(replace(stem, active=np.arange(8) == 2), 0, 1, late_quarters=quarters)
    np.testing.assert_allclose(
        np.square(late.rows["bands"][:, 0].astype(np.float64)), [0, *powers, 0], rtol=1e-3
    )
    assert np.flatnonzero(late.active).tolist() == active


def test_altered_windows_have_names_of_their_own() -> None:
    window = window_at(passage("s", bars=8), 2, 2)
    late = window_at(passage("s", bars=8), 2, 2, late_quarters=1)
    names = {window.id, late.id, transposed(window, 1).id, bars_rotated(window, 1).id}
    assert len(names) == 4


@pytest.mark.parametrize(("bars", "low", "high"), [(1, 0.999, 1.0), (8, 0.3, 0.9)])
def test_stillness_tells_one_chord_from_many(bars: int, low: float, high: float) -> None:
    stem = passage("s", bars=bars, seed=4)
    rows = np.tile(stem.rows, 8 // bars)
    still = Passage("s", "g", "other", 4, rows, np.ones(rows.size, dtype=np.bool_))
    assert low <= harmonic_stillness(still) <= high
