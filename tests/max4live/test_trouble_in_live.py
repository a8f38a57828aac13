"""The device's script in the fake Live, against the real engine: what is refused, lost or gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dawlink.osc.daemon import Running
from tests.fake_live import studio
from tests.fake_live.es5 import engine_command
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import select_vocal
from tests.max4live.live_device import (
    TEMPO,
    Start,
    insert,
    made_clips,
    message,
    shown_titles,
    suggest,
)
from tests.ports import free_port

pytestmark = pytest.mark.skipif(
    engine_command() is None, reason="no ES5 engine: install mujs, or dukpy 0.5"
)


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
