"""The measure of the whole-system tests: it must find what is off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fake_live.clips import Clip
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import off_grid_ms
from tests.sounds import drums

TEMPO = 124.0


@pytest.fixture
def live() -> LiveSet:
    return LiveSet(tempo=TEMPO)


def beaten(live: LiveSet, folder: Path, *, first_beat_s: float = 0.0) -> Clip:
    """Eight bars of drums at the set's tempo, from beat 8 of the arrangement on, unwarped."""
    beats = first_beat_s + np.arange(32) * 60 / TEMPO
    sound = drums(beats, 32 * 60 / TEMPO)
    path = folder / "drums.wav"
    soundfile.write(path, sound.samples.T, sound.sample_rate)
    clip = live.song.create_audio_track(-1).create_audio_clip(str(path), 8.0)
    clip.warping = False
    return clip


def test_drums_on_the_grid_are_found_there(live: LiveSet, tmp_path: Path) -> None:
    off = off_grid_ms(live, beaten(live, tmp_path), 8.0)
    assert off.size >= 24
    assert np.abs(off).max() < 3.0


@pytest.mark.parametrize("late_ms", [12.0, 20.0])
def test_late_drums_are_found_late(live: LiveSet, tmp_path: Path, late_ms: float) -> None:
    off = off_grid_ms(live, beaten(live, tmp_path, first_beat_s=late_ms / 1000), 8.0)
    assert np.median(off) == pytest.approx(late_ms, abs=2.0)


def test_a_clip_at_the_wrong_place_is_found(live: LiveSet, tmp_path: Path) -> None:
    clip = beaten(live, tmp_path)
    clip._start_time += 0.015 * TEMPO / 60
    assert np.median(off_grid_ms(live, clip, 8.0)) == pytest.approx(15.0, abs=2.0)


def test_a_clip_at_the_wrong_tempo_is_found(live: LiveSet, tmp_path: Path) -> None:
    clip = beaten(live, tmp_path)
    live.warp(clip, (0.0, 0.0), bpm=TEMPO * 1.001)
    clip.warping = True
    assert np.abs(off_grid_ms(live, clip, 8.0)).max() > 10.0
