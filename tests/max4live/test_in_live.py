"""The device's script in the fake Live, against the real engine, over real UDP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fake_live import studio
from tests.fake_live.es5 import engine_command
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import select_vocal
from tests.max4live.live_device import (
    ON_GRID_MS,
    TEMPO,
    Start,
    insert,
    made_clips,
    message,
    shown_titles,
    suggest,
    worst_ms,
)
from tests.recordings import needs_recordings

pytestmark = pytest.mark.skipif(
    engine_command() is None, reason="no ES5 engine: install mujs, or dukpy 0.5"
)


def test_select_suggest_audition_insert_in_the_session(device_in: Start, live: LiveSet) -> None:
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        assert device.shown("tempo") == "110.0 BPM"
        device.ui("row", 1)
        device.ui("audition", 1)
        device.until(lambda: ["play", 2] in device.sound, timeout_s=60)
        assert [said[0] for said in device.sound] == ["load", "loop", "play"]
        loop = Path(str(device.sound[0][1]))
        beats, beat_ms = device.sound[1][1:3]
        assert loop.is_file()
        assert float(beat_ms) == pytest.approx(60_000 / TEMPO)
        assert float(beats) == 16.0
        live.song.start_playing()
        device.until(lambda: ["play", 1] in device.sound)
        insert(device)
        clips = made_clips(live)
        assert [clip.length for clip in clips] == [16.0, 16.0]
        assert all(clip.looping and clip.warping for clip in clips)
        for clip, role in zip(clips, ("harmonic", "percussion"), strict=True):
            assert role in clip.name
            assert role in Path(clip.file_path).stem
        assert {clip.canonical_parent for clip in clips} == {
            track.clip_slots[2] for track in live.song.tracks[1:]
        }
        assert worst_ms(live, clips, fewest=10) < ON_GRID_MS
    assert live.world.console == []


def test_an_arrangement_clip_gets_its_stems_at_its_own_place(
    device_in: Start, live: LiveSet
) -> None:
    select_vocal(live, studio.synthesised(), arranged_at=32.0)
    with device_in(live) as device:
        suggest(device)
        insert(device)
        clips = made_clips(live)
        assert [clip.start_time for clip in clips] == [32.0, 32.0]
        assert [clip.end_time for clip in clips] == pytest.approx([48.0, 48.0], abs=1e-3)
        assert worst_ms(live, clips, 32.0, fewest=10) < ON_GRID_MS


def test_a_scene_made_above_the_clip_moves_its_stems_too(device_in: Start, live: LiveSet) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        live.song.create_scene(0)
        insert(device)
        rows = [list(clip._track.clip_slots).index(clip._slot) for clip in made_clips(live)]
        assert rows == [3, 3]
        assert vocal._track.clip_slots[3].clip is vocal


@pytest.mark.parametrize("from_beat", [2.0, -2.0])
def test_loops_launched_with_their_clip_stay_under_it(
    device_in: Start, live: LiveSet, from_beat: float
) -> None:
    """The clip loops over all its 16 beats, and is launched two beats into or before them."""
    vocal = select_vocal(live, studio.synthesised(), from_beat=from_beat)
    vocal.looping = True
    vocal.loop_end = 16.0
    with device_in(live) as device:
        suggest(device)
        insert(device)
        clips = made_clips(live)
        for clip in [vocal, *clips]:
            clip._slot.fire()
        for beat in (1.0, 21.0, 70.5):
            live.song._time = beat
            heard = vocal.playing_position % 16.0
            assert [clip.playing_position % 16.0 for clip in clips] == pytest.approx([heard] * 2)


@pytest.mark.parametrize("from_beat", [2.0, 3.5])
def test_bars_begin_where_the_clips_own_bars_do(
    device_in: Start, live: LiveSet, from_beat: float
) -> None:
    """The clip's beat 0 would lie on beat 32 of the set; it plays from within that bar on."""
    select_vocal(live, studio.synthesised(), arranged_at=32.0 + from_beat, from_beat=from_beat)
    with device_in(live) as device:
        suggest(device)
        insert(device)
        clips = made_clips(live)
        bars = [(clip.start_time - 32.0) / 4 for clip in clips]
        assert bars == pytest.approx(np.round(bars), abs=1e-4)
        assert worst_ms(live, clips, 32.0, fewest=6) < ON_GRID_MS


def test_a_part_of_a_bar_at_the_start_of_the_song_keeps_its_beats(
    device_in: Start, live: LiveSet
) -> None:
    """Its bar line would lie a beat before the song."""
    vocal = select_vocal(live, studio.synthesised(), arranged_at=0.0, from_beat=1.0)
    vocal.end_marker = 4.0
    with device_in(live) as device:
        suggest(device)
        insert(device)
        clips = made_clips(live)
        assert [clip.start_time for clip in clips] == [0.0, 0.0]
        assert [clip.end_time for clip in clips] == pytest.approx([3.0, 3.0], abs=1e-3)
        assert worst_ms(live, clips, 0.0, fewest=1) < ON_GRID_MS


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize("arranged_at", [16.0, None])
@pytest.mark.parametrize("made", [studio.recorded, studio.drifting])
def test_real_stems_under_a_real_voice_lie_on_the_grid(
    tmp_path: Path,
    live: LiveSet,
    device_in: Start,
    made: Callable[[], studio.Studio],
    arranged_at: float | None,
) -> None:
    """A steady voice, and one whose tempo drifts, with a warp marker on every beat."""
    live.song.tempo = 96.0
    music = made()
    with studio.daemon(music, tmp_path / "engine") as running:
        select_vocal(live, music, arranged_at=arranged_at)
        with device_in(live, port=running.port) as device:
            device.ui("roles", 2)
            suggest(device)
            insert(device)
            (clip,) = made_clips(live)
            start = arranged_at or 0.0
            assert clip.start_time == pytest.approx(start)
            if arranged_at is None:
                assert clip.length == 4 * music.bars
            assert worst_ms(live, [clip], start, fewest=8) < ON_GRID_MS


@pytest.mark.parametrize("version", ["11.0.0", "12.0.0"])
def test_a_live_that_takes_no_files_gets_one_to_drag(
    tmp_path: Path, device_in: Start, version: str
) -> None:
    live = LiveSet(version, tempo=TEMPO)
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        device.ui("row", 1)
        device.ui("insert")
        device.until(message(device, "Drag this file in"), timeout_s=60)
        path = Path(device.shown("message").split(": ", 1)[1])
        assert path.is_file()
        assert made_clips(live) == []
    # Before 11.0.5 there is no sample rate to read; that it was looked for is all that may be said.
    assert all("sample_rate" in said for said in live.world.console)


@pytest.mark.parametrize("version", ["11.3.25", "12.0.5"])
def test_older_lives_that_take_files_get_clips(
    tmp_path: Path, device_in: Start, version: str
) -> None:
    live = LiveSet(version, tempo=TEMPO, path=str(studio.project(tmp_path)))
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        insert(device)
        assert len(made_clips(live)) == 2
    assert live.world.console == []


def test_on_its_own_track_it_overwrites_nothing(device_in: Start, live: LiveSet) -> None:
    clip = select_vocal(live, studio.synthesised(), arranged_at=8.0)
    with device_in(live) as device:
        device.ui("target", 1)
        suggest(device)
        insert(device)
        assert clip.alive
        assert clip.end_time == pytest.approx(24.0, abs=1e-3)
        assert len(made_clips(live)) == 2


def test_a_render_lies_in_the_project_and_only_there(device_in: Start, live: LiveSet) -> None:
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        insert(device)
    folder = Path(live.song.file_path).parent / "Samples" / "Processed" / "dawlink"
    assert all(folder in Path(clip.file_path).parents for clip in made_clips(live))


def test_favourites_and_rejected_last_as_long_as_the_set(device_in: Start, live: LiveSet) -> None:
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        kept = device.shown("row 1 title")
        titles = [titles for titles in shown_titles(device) if titles != {""}]
        device.ui("row", 1)
        device.ui("favourite", 1)
        device.ui("row", 2)
        device.ui("reject")
        stored = list(device.stored)
    with device_in(live, stored=stored) as device:  # the set is opened again
        suggest(device)
        assert device.shown("row 1 title") == f"* {kept}"
        left = [titles for titles in shown_titles(device)[1:] if titles != {""}]
        assert left == titles[2:]
        device.ui("row", 1)
        assert device.shown("favourite") == "1"
        device.ui("favourite", 0)
        assert device.shown("row 1 title") == kept
        assert device.stored[1] == 0


def test_the_sets_key_is_meant_only_where_live_says_so(device_in: Start, live: LiveSet) -> None:
    live.set_key(9, "Minor", in_key=False)
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        live.set_key(9, "Minor", in_key=True)
        device.until(lambda: ("/dawlink/set/key", [9, "Minor"]) in device.udp.sent)
        told = [atoms for address, atoms in device.udp.sent if address == "/dawlink/set/key"]
        assert told == [[-1, "Major"], [9, "Minor"]]
