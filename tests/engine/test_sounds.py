from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import UnusableInput
from engine.evaluation.corpus import LibraryMixtures, load_songs
from engine.evaluation.gallery import clip_of, pool_of
from engine.evaluation.windows import bars_rotated, looped_at, transposed, window_at
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.models.audio_source import own_audio
from engine.models.ranker import Fit
from engine.pools import LibraryPools
from engine.sounds import file_recording, on_beats, stem_recording, sum_recording
from tests.engine.library.songs import RATE, song

FRAMES = 4 * RATE  # two bars at 120 BPM


@pytest.fixture
def library(tmp_path: Path) -> Library:
    with Library.open(tmp_path / "library") as opened:
        opened.add_song(song(1, roles=("bass", "drums", "vocals"), frames=FRAMES))
        yield opened


def whole(library: Library, role: str) -> np.ndarray:
    (stem,) = (s for s in library.stems() if s.role == role)
    return library.waveform(stem).mono()


def test_a_file_is_read_where_it_is_asked_and_silent_outside(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, FRAMES).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    recording = file_recording(tmp_path / "a.wav", "a", gain_db=6.0)
    np.testing.assert_allclose(
        recording.read(1.0, 1.5, RATE), samples[RATE : RATE + RATE // 2] * 10**0.3, atol=1e-5
    )
    edge = recording.read(3.9, 4.1, RATE)
    assert edge.size == RATE // 5
    np.testing.assert_allclose(edge[: RATE // 10], samples[-RATE // 10 :] * 10**0.3, atol=1e-5)
    assert not edge[RATE // 10 :].any()
    assert not recording.read(-0.5, -0.1, RATE).any()
    assert not recording.read(9.0, 9.5, RATE).any()
    assert recording.read(-0.5, 0.5, 2 * RATE).size == 2 * RATE
    with pytest.raises(UnusableInput):
        file_recording(tmp_path / "b.wav", "b").read(0.0, 1.0, RATE)


def test_a_stem_whose_file_is_gone_is_not_placed(library: Library) -> None:
    """Even if what it sounded like is still known somewhere."""
    pool = LibraryPools(library).get("bass", 4).pool
    (stem,) = library.stems(roles=["bass"])
    library.audio_path(stem).unlink()
    assert pool.sounds is not None
    with pytest.raises(UnusableInput, match="is missing"):
        pool.sounds.placed(pool, Fit(0, 0, 1, 0, 0.5), beats=4)


@pytest.mark.parametrize(("multiplier", "seconds"), [(1.0, 0.5), (2.0, 0.25), (0.5, 1.0)])
def test_a_stem_of_the_library_lies_under_a_clip(
    library: Library, multiplier: float, seconds: float
) -> None:
    pool = LibraryPools(library).get("bass", 4).pool
    pool = pool if multiplier == 1.0 else pool.folded(multiplier, np.array([0]))
    assert pool.sounds is not None
    placed = pool.sounds.placed(pool, Fit(0, 0, 1, 2, 0.5), beats=6)
    assert placed.semitones == 2
    assert placed.tuning_cents == -3.5
    np.testing.assert_allclose(np.diff(placed.spans_s, axis=1), seconds)
    # one bar repeats: the fifth beat is the first again
    np.testing.assert_allclose(placed.spans_s[4], placed.spans_s[0])
    heard = placed.recording.read(0.5, 1.0, RATE)
    np.testing.assert_allclose(heard, whole(library, "bass")[RATE // 2 : RATE], atol=1e-4)


def test_drums_keep_their_pitch(library: Library) -> None:
    pool = LibraryPools(library).get("percussion", 4).pool
    assert pool.sounds is not None
    placed = pool.sounds.placed(pool, Fit(0, 1, 1, 0, 0.5), beats=4)
    assert (placed.semitones, placed.tuning_cents) == (0, 0.0)
    assert placed.spans_s[0, 0] == pytest.approx(2.0)


def test_windows_and_sums_sound_as_their_features_say(library: Library, tmp_path: Path) -> None:
    (made,) = load_songs(library, [row.id for row in library.songs()])
    bass = made.stems["bass"]
    assert bass.sound is not None
    half = RATE // 2
    raw = whole(library, "bass")
    late = window_at(bass, 1, 1, late_quarters=1).sound
    assert late is not None
    start = 4 * half + RATE // 8
    np.testing.assert_allclose(own_audio(late, RATE)[:half], raw[start : start + half], atol=1e-4)
    turned = bars_rotated(bass, 1).sound
    assert turned is not None
    np.testing.assert_allclose(turned.spans_s[0, 0], 2.0)
    looped = looped_at(bass, 1, 2).sound
    assert looped is not None
    np.testing.assert_allclose(looped.spans_s[4], bass.sound.spans_s[0])
    raised = transposed(bass, -2).sound
    assert raised is not None
    assert raised.semitones == -2
    mixture = LibraryMixtures(library, tmp_path / "sums").of(made, ["bass", "vocals"])
    assert mixture.sound is not None
    np.testing.assert_allclose(
        mixture.sound.recording.read(0.0, 1.0, RATE),
        raw[:RATE] + whole(library, "vocals")[:RATE],
        atol=1e-4,
    )


def test_pools_and_questions_carry_the_sounds_of_their_passages(library: Library) -> None:
    (made,) = load_songs(library, [row.id for row in library.songs()])
    window = window_at(made.stems["bass"], 0, 2)
    pool = pool_of([window, window_at(made.stems["bass"], 0, 1)])
    assert pool.sounds is not None
    placed = pool.sounds.placed(pool, Fit(1, 0, 1, 1, 0.5), beats=8)
    assert placed.beats == 8
    assert placed.semitones == 1
    np.testing.assert_allclose(placed.spans_s[4], window.sound.spans_s[0])
    assert clip_of(window).sound is window.sound


def test_recordings_are_named_by_what_they_hold(library: Library) -> None:
    one, other, *_ = (stem_recording(library, stem) for stem in library.stems())
    assert one.key != other.key
    assert sum_recording([one, other]).key == sum_recording([other, one]).key
    grid = BeatGrid.constant(120.0, end_s=4.0)
    assert on_beats(one, grid, 8, 10.0, "drums").tuning_cents == 0.0
    assert on_beats(one, grid, 8, 10.0, "vocals").voice
