"""Warp markers of new clips, set right where Live guessed wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fake_live.clips import Clip, WarpMarker
from tests.fake_live.song import LiveSet
from tests.max4live.remote_script.loading import part

warping = part("warping")
Tone = Callable[..., str]
TEMPO = 118.0


def new_clip(live: LiveSet, path: str) -> Clip:
    return live.drop_in_slot(live.song.create_audio_track(-1), 0, path)


@pytest.mark.parametrize("bars", [1, 3, 4, 6, 16, 23])
def test_every_length_gets_the_sessions_tempo(tone: Tone, bars: int) -> None:
    live = LiveSet(tempo=TEMPO)
    seconds = bars * 240 / TEMPO
    clip = new_clip(live, tone(seconds))
    bpm = warping.warp_exactly(clip, 4 * bars, WarpMarker)
    assert bpm == pytest.approx(TEMPO, rel=1e-4)
    for share in (0.0, 0.37, 1.0):
        assert clip.beat_in_set(share * seconds) == pytest.approx(4 * bars * share, abs=2e-3)


def test_markers_that_live_made_are_in_nobodys_way(tone: Tone) -> None:
    live = LiveSet(tempo=TEMPO)
    seconds = 6 * 240 / TEMPO
    clip = new_clip(live, tone(seconds))
    live.warp(clip, (0.7, 0.0), (3.0, 23.9), (5.0, 40.0), bpm=90.0)
    assert warping.warp_exactly(clip, 24, WarpMarker) == pytest.approx(TEMPO, rel=1e-4)
    assert clip.beat_in_set(seconds / 2) == pytest.approx(12.0, abs=1e-3)


def test_a_live_that_cannot_write_them_says_so(tone: Tone) -> None:
    live = LiveSet("11.0.0", tempo=TEMPO)
    clip = new_clip(live, tone(6 * 240 / TEMPO))
    assert warping.warp_exactly(clip, 24, WarpMarker) == 0.0


def test_a_live_that_refuses_in_silence_is_found_out(tone: Tone) -> None:
    live = LiveSet(tempo=TEMPO)
    clip = new_clip(live, tone(6 * 240 / TEMPO))
    clip._rewarp = lambda change: None  # as Max's face of it does
    assert warping.warp_exactly(clip, 24, WarpMarker) == 0.0


def test_the_whole_clip_plays(tone: Tone) -> None:
    live = LiveSet(tempo=TEMPO)
    clip = new_clip(live, tone(6 * 240 / TEMPO))
    warping.warp_exactly(clip, 24, WarpMarker)
    warping.play_whole(clip, 24, looped=True)
    assert (clip.looping, clip.loop_start, clip.loop_end) == (True, 0.0, 24.0)
    assert (clip.start_marker, clip.end_marker) == (0.0, 24.0)
    warping.play_whole(clip, 24, looped=False)
    assert not clip.looping


def test_an_unwarped_clip_plays_its_whole_file_in_a_slow_set(tone: Tone) -> None:
    live = LiveSet(tempo=48.0)
    clip = new_clip(live, tone(30.0))
    live.warp(clip, (0.0, 0.0), bpm=48.0)
    clip.looping, clip.end_marker = False, 24.0  # beats
    warping.play_unwarped(clip)
    assert not clip.warping
    assert clip.end_marker == pytest.approx(30.0)
    assert clip.beats_in_set == pytest.approx(24.0)


@pytest.mark.parametrize(("role", "mode"), [("drums", 0), ("percussion", 0), ("harmonic", 4)])
def test_drums_are_warped_in_beats_mode(tone: Tone, role: str, mode: int) -> None:
    clip = new_clip(LiveSet(), tone(4.0))
    warping.choose_mode(clip, role)
    assert clip.warp_mode == mode
