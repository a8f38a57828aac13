"""The Remote Script in the fake Live, against the real engine, over real UDP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fake_live import studio
from tests.fake_live.clips import Clip
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import select_vocal
from tests.max4live.remote_script.live_script import (
    ON_GRID_MS,
    TEMPO,
    Start,
    command,
    made_clips,
    suggest,
    until,
    worst_ms,
)
from tests.recordings import needs_recordings


@pytest.mark.parametrize("version", ["11.3.25", "12.0.5", "12.2.0"])
def test_a_session_clip_gets_loops_with_exact_markers(
    tmp_path: Path, script_in: Start, version: str
) -> None:
    live = LiveSet(version, tempo=TEMPO, path=str(studio.project(tmp_path)))
    vocal = select_vocal(live, studio.synthesised())
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        clips = made_clips(live)
        assert [clip.length for clip in clips] == [16.0, 16.0]
        assert all(clip.looping and clip.warping for clip in clips)
        for clip, role in zip(clips, ("harmonic", "percussion"), strict=True):
            assert role in clip.name
            assert role in Path(clip.file_path).stem
        assert all(
            clip.canonical_parent is clip._track.clip_slots[2] for clip in clips
        )  # the vocal's own scene
        assert worst_ms(live, clips, fewest=10) < ON_GRID_MS
        live.song.tempo = 91.0  # warped: they follow, as the vocal does
        assert worst_ms_at_new_tempo(clips) < 1e-3
        assert vocal.alive


def worst_ms_at_new_tempo(clips: list[Clip]) -> float:
    """How far the files' beats are from whole beats of the set, by the clips' maps [beats]."""
    beats = np.arange(16)
    return max(abs(clip.beat_in_set(beat * 60 / TEMPO) - beat) for clip in clips for beat in beats)


def test_an_arrangement_clip_gets_its_stems_at_its_own_place(
    script_in: Start, live: LiveSet
) -> None:
    select_vocal(live, studio.synthesised(), arranged_at=32.0)
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        clips = made_clips(live)
        assert [clip.start_time for clip in clips] == [32.0, 32.0]
        assert [clip.end_time for clip in clips] == pytest.approx([48.0, 48.0], abs=1e-3)
        assert worst_ms(live, clips, 32.0, fewest=10) < ON_GRID_MS


def test_a_clip_that_was_moved_gets_its_stems_where_it_lies(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised(), arranged_at=32.0)
    with script_in(live) as surface:
        suggest(surface)
        vocal._start_time = 64.0
        command(surface, "insert")
        until(surface, "Inserted.")
        assert [clip.start_time for clip in made_clips(live)] == [64.0, 64.0]


def test_a_start_marker_moved_in_a_looped_clip_moves_the_stems(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised(), arranged_at=32.0)
    vocal.looping = True
    with script_in(live) as surface:
        suggest(surface)
        vocal.start_marker = 2.0
        vocal.gain = 0.5
        command(surface, "insert")
        until(surface, "Inserted.")
        assert [clip.start_time for clip in made_clips(live)] == [30.0, 30.0]


def test_an_odd_metre_is_told_and_bends_no_bar(script_in: Start, live: LiveSet) -> None:
    """The clip begins in the middle of a bar, at the start of the song."""
    vocal = select_vocal(live, studio.synthesised(), arranged_at=0.0, from_beat=2.0)
    vocal.end_marker = 12.0
    live.song._signature = (7, 8)
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted. In 7/8 dawlink counts bars of 4 quarters.")
        assert [clip.start_time for clip in made_clips(live)] == [2.0, 2.0]


def test_bars_of_an_unwarped_clip_keep_their_seconds_at_a_new_tempo(
    script_in: Start, live: LiveSet, tmp_path: Path
) -> None:
    named = tmp_path / "Vocal take 110bpm.wav"
    shutil.copyfile(studio.synthesised().vocal, named)
    vocal = select_vocal(live, replace(studio.synthesised(), vocal=named), arranged_at=32.0)
    vocal.warping = False
    vocal.start_marker = 0.6
    with script_in(live) as surface:
        suggest(surface)
        offset_s = surface.script._work.found[0].offset_beats * 60 / TEMPO
        assert offset_s != 0.0
        live.song.tempo = 100.0
        command(surface, "insert")
        until(surface, "Inserted. This clip is not warped: it does not follow the set's tempo.")
        for clip in made_clips(live):
            assert (clip.start_time - 32.0) * 60 / 100 == pytest.approx(offset_s, abs=1e-3)


@pytest.mark.parametrize("from_beat", [2.0, -2.0])
def test_loops_launched_with_their_clip_stay_under_it(
    script_in: Start, live: LiveSet, from_beat: float
) -> None:
    """The clip loops over all its 16 beats, and is launched two beats into or before them."""
    vocal = select_vocal(live, studio.synthesised(), from_beat=from_beat)
    vocal.looping = True
    vocal.loop_end = 16.0
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        clips = made_clips(live)
        for clip in [vocal, *clips]:
            clip._slot.fire()
        for beat in (1.0, 21.0, 70.5):
            live.song._time = beat
            heard = vocal.playing_position % 16.0
            assert [clip.playing_position % 16.0 for clip in clips] == pytest.approx([heard] * 2)


@pytest.mark.parametrize("from_beat", [2.0, 3.5])
def test_bars_begin_where_the_clips_own_bars_do(
    script_in: Start, live: LiveSet, from_beat: float
) -> None:
    """The clip's beat 0 would lie on beat 32 of the set; it plays from within that bar on."""
    select_vocal(live, studio.synthesised(), arranged_at=32.0 + from_beat, from_beat=from_beat)
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        clips = made_clips(live)
        bars = [(clip.start_time - 32.0) / 4 for clip in clips]
        assert bars == pytest.approx(np.round(bars), abs=1e-4)
        assert worst_ms(live, clips, 32.0, fewest=6) < ON_GRID_MS


def test_half_a_bar_at_the_start_of_the_song_keeps_its_beats(
    script_in: Start, live: LiveSet
) -> None:
    """Its bar line would lie two beats before the song."""
    vocal = select_vocal(live, studio.synthesised(), arranged_at=0.0, from_beat=2.0)
    vocal.end_marker = 4.0
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        clips = made_clips(live)
        assert [clip.start_time for clip in clips] == [0.0, 0.0]
        assert [clip.end_time for clip in clips] == pytest.approx([2.0, 2.0], abs=1e-3)
        assert worst_ms(live, clips, 0.0, fewest=1) < ON_GRID_MS


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize("made", [studio.recorded, studio.drifting])
def test_real_stems_under_a_real_voice_lie_on_the_grid(
    tmp_path: Path, script_in: Start, live: LiveSet, made: Callable[[], studio.Studio]
) -> None:
    """A steady voice, and one whose tempo drifts, with a warp marker on every beat."""
    live.song.tempo = 96.0
    with studio.daemon(made(), tmp_path / "engine") as running:
        select_vocal(live, made(), arranged_at=16.0)
        with script_in(live, port=running.port) as surface:
            suggest(surface, "percussion")
            command(surface, "insert")
            until(surface, "Inserted.")
            (clip,) = made_clips(live)
            assert clip.start_time == pytest.approx(16.0)
            assert worst_ms(live, [clip], 16.0, fewest=8) < ON_GRID_MS


def test_trying_plays_with_the_clip_and_goes_without_a_trace(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "try")
        until(surface, "Trying it")
        assert vocal.is_playing
        assert all(clip.is_playing for clip in made_clips(live))
        first = made_clips(live)
        command(surface, "next")
        command(surface, "try")
        until(surface, "Trying it")
        assert not any(clip.alive for clip in first)
        assert len(made_clips(live)) == 2
        command(surface, "remove")
        assert len(live.song.tracks) == 1
        command(surface, "try")
        until(surface, "Trying it")
        command(surface, "keep")
        command(surface, "remove")
        assert surface.messages == ["dawlink: Nothing was tried."]
        assert len(made_clips(live)) == 2


def test_trying_under_a_playing_clip_begins_together_with_it(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with script_in(live) as surface:
        suggest(surface)
        vocal._slot.fire()
        live.song._time = 5.0
        command(surface, "try")
        until(surface, "Trying it")
        live.song._time += 10.0
        assert vocal.playing_position < 16.0
        heard = [clip.playing_position for clip in made_clips(live)]
        assert heard == pytest.approx([vocal.playing_position] * 2)


def test_live_is_left_as_it_was_found(script_in: Start, live: LiveSet) -> None:
    with script_in(live) as surface:
        until(surface, "Engine connected")
        ports = surface.script.control_port
    with script_in(live) as again:  # the ports of the first are free again
        assert surface.script.disconnected
        assert ports
        until(again, "Engine connected")
