"""The device's script in the fake Live, against the real engine, over real UDP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from max4live.device.script import script_text
from tests.dawlink.osc.daemon import Running
from tests.fake_live import studio
from tests.fake_live.clips import Clip
from tests.fake_live.es5 import engine_command
from tests.fake_live.max_api import Atom
from tests.fake_live.max_device import Device
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import off_grid_ms, select_vocal
from tests.ports import free_port
from tests.recordings import needs_recordings

pytestmark = pytest.mark.skipif(
    engine_command() is None, reason="no ES5 engine: install mujs, or dukpy 0.5"
)

#: Beats of what is inserted lie this near to the set's [ms].
ON_GRID_MS = 10.0
TEMPO = 118.0

Start = Callable[..., AbstractContextManager[Device]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with studio.daemon(studio.synthesised(), tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def device_in(tmp_path: Path, engine: Running) -> Start:
    """A device in a set, started."""

    @contextmanager
    def begin(live: LiveSet, *, port: int = 0, stored: Sequence[Atom] = ()) -> Iterator[Device]:
        script = tmp_path / "dawlink.js"
        script.write_text(script_text(), encoding="utf-8")
        with Device(live, [script], engine_port=port or engine.port) as device:
            if stored:
                device.send("restore", *stored)
            device.start()
            yield device
            device.check()

    return begin


@pytest.fixture
def live(tmp_path: Path) -> LiveSet:
    return LiveSet("12.2.0", tempo=TEMPO, path=str(studio.project(tmp_path)))


def message(device: Device, words: str) -> Callable[[], bool]:
    return lambda: words in device.shown("message")


def suggest(device: Device) -> None:
    device.until(lambda: device.shown("row 1 title") != "", timeout_s=60)


def insert(device: Device, row: int = 1) -> None:
    device.ui("row", row)
    device.ui("insert")
    device.until(message(device, "Inserted."), timeout_s=60)


def made_clips(live: LiveSet) -> list[Clip]:
    """What lies on the tracks after the first."""
    tracks = live.song.tracks[1:]
    in_slots = [slot.clip for track in tracks for slot in track.clip_slots if slot.clip]
    return in_slots + [clip for track in tracks for clip in track.arrangement_clips]


def worst_ms(live: LiveSet, clips: list[Clip], start: float = 0.0, *, fewest: int) -> float:
    """The farthest clear attack of all clips; at least so many attacks must be clear."""
    off = np.concatenate([off_grid_ms(live, clip, start) for clip in clips])
    assert off.size >= fewest
    return float(np.abs(off).max())


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


def test_an_unsaved_set_is_told_of(device_in: Start, engine: Running) -> None:
    live = LiveSet("12.2.0", tempo=TEMPO)
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        device.ui("row", 1)
        device.ui("insert")
        device.until(message(device, "not saved"), timeout_s=60)
        assert all(engine.output in Path(clip.file_path).parents for clip in made_clips(live))


def test_a_set_whose_folder_is_gone_is_told_of(device_in: Start, engine: Running) -> None:
    live = LiveSet("12.2.0", tempo=TEMPO, path="/not/there Project/Song.als")
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        device.ui("row", 1)
        device.ui("insert")
        device.until(message(device, "dawlink's output folder"), timeout_s=60)
        clips = made_clips(live)
        assert clips
        assert all(engine.output in Path(clip.file_path).parents for clip in clips)


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


def test_what_cannot_be_asked_for_has_its_sentence(device_in: Start, live: LiveSet) -> None:
    vocal = select_vocal(live, studio.synthesised())
    midi = live.midi_clip(live.song.create_midi_track(-1), 0)
    with device_in(live) as device:
        suggest(device)
        live.select(midi)
        device.until(message(device, "MIDI clip"))
        live.record(vocal)
        live.select(vocal)
        device.until(message(device, "being recorded"))
        live.record(vocal, recording=False)
        device.ui("suggest")
        suggest(device)
        live.delete(vocal)
        device.until(message(device, "was deleted"))
        assert device.shown("row 1 title") == ""


def test_a_clip_deleted_while_it_is_rendered_for_breaks_nothing(
    device_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        device.ui("row", 1)
        device.ui("insert")
        live.delete(vocal)
        device.until(message(device, "was deleted"))
        device.run(1.0)
        assert device.shown("row 1 title") == ""


def test_the_engine_may_come_go_and_come_again(
    tmp_path: Path, device_in: Start, live: LiveSet
) -> None:
    port = free_port()
    select_vocal(live, studio.synthesised())
    with device_in(live, port=port) as device:
        device.until(message(device, "The engine is not running"))
        for number in range(2):
            folder = tmp_path / f"engine{number}"
            with studio.daemon(studio.synthesised(), folder, "--port", str(port)):
                suggest(device)
            device.until(message(device, "The engine was stopped"))
        assert device.shown("row 1 title") == ""


def shown_titles(device: Device) -> list[set[str]]:
    """Of every row, whatever order the stems of one came in."""
    return [set(device.shown(f"row {row} title").split(" + ")) for row in range(1, 9)]


def test_lost_packets_cost_no_suggestion(device_in: Start, live: LiveSet) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with device_in(live) as whole:
        suggest(whole)
        titles = shown_titles(whole)
        live.select(None)
    once = ["/dawlink/clip/done", "/dawlink/suggest", "/dawlink/suggest/begin"]
    once += ["/dawlink/suggest/hit", "/dawlink/suggest/hit", "/dawlink/suggest/end"]

    def lose(address: str) -> bool:
        """Some packets, in either direction, the first time."""
        gone = address in once
        if gone:
            once.remove(address)
        return gone

    with device_in(live) as device:
        device.udp.lose = lose
        live.select(vocal)
        suggest(device)
        assert once == []
        assert shown_titles(device) == titles


def test_a_lost_file_line_costs_no_stem(device_in: Start, live: LiveSet) -> None:
    select_vocal(live, studio.synthesised())
    once = ["/dawlink/render/file"]

    def lose(address: str) -> bool:
        """The first file of the render, once."""
        gone = address in once
        if gone:
            once.remove(address)
        return gone

    with device_in(live) as device:
        suggest(device)
        device.udp.lose = lose
        insert(device)
        assert once == []
        clips = made_clips(live)
        for clip, role in zip(clips, ("harmonic", "percussion"), strict=True):
            assert role in clip.name
            assert role in Path(clip.file_path).stem


def test_the_sets_key_is_meant_only_where_live_says_so(device_in: Start, live: LiveSet) -> None:
    live.set_key(9, "Minor", in_key=False)
    select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        live.set_key(9, "Minor", in_key=True)
        device.until(lambda: ("/dawlink/set/key", [9, "Minor"]) in device.udp.sent)
        told = [atoms for address, atoms in device.udp.sent if address == "/dawlink/set/key"]
        assert told == [[-1, "Major"], [9, "Minor"]]


def test_selecting_and_progress_fill_no_symbol_table(device_in: Start, live: LiveSet) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with device_in(live) as device:
        suggest(device)
        before = len(device.api.symbols)
        for _ in range(5):
            live.select(None)
            device.until(message(device, "Select an audio clip"))
            live.select(vocal)
            suggest(device)
        assert len(device.api.symbols) - before <= 2
