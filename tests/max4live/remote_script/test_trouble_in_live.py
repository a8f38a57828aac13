"""The Remote Script in the fake Live, against the real engine: what is refused, lost or gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fake_live import studio
from tests.fake_live.song import LiveSet
from tests.fake_live.studio import select_vocal
from tests.max4live.remote_script.live_script import (
    TEMPO,
    Start,
    command,
    made_clips,
    suggest,
    until,
)
from tests.ports import free_port


def test_a_clip_that_is_another_one_now_has_to_be_asked_for_again(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised(), arranged_at=32.0)
    with script_in(live) as surface:
        suggest(surface)
        vocal._start, vocal._start_time = 2.0, 34.0  # its left edge was dragged
        command(surface, "insert")
        assert surface.messages == ["dawlink: The clip was changed. Press Suggest again."]
        suggest(surface)
        command(surface, "insert")
        until(surface, "Inserted.")
        bars = [(clip.start_time - 32.0) / 4 for clip in made_clips(live)]
        assert bars == pytest.approx(np.round(bars), abs=1e-4)


def test_stems_of_another_metre_than_the_set_now_has_are_not_inserted(
    script_in: Start, live: LiveSet
) -> None:
    select_vocal(live, studio.synthesised(), arranged_at=32.0)
    with script_in(live) as surface:
        suggest(surface)
        live.song._signature = (3, 4)
        command(surface, "insert")
        until(surface, "or its metre. Suggest again.")
        assert not made_clips(live)


def test_where_live_takes_no_more_tracks_free_slots_are_used(
    tmp_path: Path, script_in: Start
) -> None:
    live = LiveSet("12.2.0", tempo=TEMPO, path=str(studio.project(tmp_path)), max_tracks=2)
    select_vocal(live, studio.synthesised())
    own = live.song.create_audio_track(-1)
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "no more tracks")
        own.name = "dawlink"
        command(surface, "insert")
        until(surface, "Inserted.")
        assert [bool(slot.has_clip) for slot in own.clip_slots[:5]] == [
            False,
            False,
            True,
            True,
            False,
        ]


@pytest.mark.parametrize("version", ["11.0.0", "12.0.0"])
def test_a_live_that_takes_no_files_gets_one_to_drag(
    tmp_path: Path, script_in: Start, version: str
) -> None:
    live = LiveSet(version, tempo=TEMPO)
    folder = tmp_path / "Old Project" / "Samples" / "Imported"
    folder.mkdir(parents=True)
    vocal = Path(shutil.copy(studio.synthesised().vocal, folder))
    clip = live.drop_in_slot(live.song.create_audio_track(-1), 0, str(vocal))
    live.warp(clip, (0.0, 0.0), bpm=studio.synthesised().vocal_bpm)
    live.select(clip)
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        until(surface, "Drag this one in")
        path = Path(surface.messages[-1].split("in: ", 1)[1])
        assert path.is_file()
        assert tmp_path / "Old Project" in path.parents


def test_what_cannot_be_asked_for_has_its_sentence(script_in: Start, live: LiveSet) -> None:
    vocal = select_vocal(live, studio.synthesised())
    midi = live.midi_clip(live.song.create_midi_track(-1), 0)

    def record() -> None:
        live.record(vocal)
        live.select(vocal)

    with script_in(live) as surface:
        suggest(surface)
        cases: list[tuple[Callable[[], None], str]] = [
            (lambda: live.select(midi), "MIDI clip"),
            (lambda: live.select(None), "Select an audio clip"),
            (record, "being recorded"),
        ]
        for change, words in cases:
            change()
            command(surface, "suggest")
            assert words in surface.messages[-1]
        live.record(vocal, recording=False)
        suggest(surface)
        live.delete(vocal)
        command(surface, "insert")
        assert "was deleted" in surface.messages[-1]
        assert made_clips(live) == []


def test_a_clip_deleted_while_it_is_rendered_for_gets_nothing(
    script_in: Start, live: LiveSet
) -> None:
    vocal = select_vocal(live, studio.synthesised())
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        live.delete(vocal)
        until(surface, "was deleted")
        assert made_clips(live) == []
        assert len(live.song.tracks) == 1


def test_what_live_refuses_is_told_and_the_script_goes_on(
    script_in: Start, live: LiveSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_vocal(live, studio.synthesised())

    def refuse() -> None:
        raise RuntimeError("not now")

    with script_in(live) as surface:
        suggest(surface)
        with monkeypatch.context() as patch:
            patch.setattr(live.song, "begin_undo_step", refuse)
            command(surface, "insert")
            while not surface.errors:
                surface.run(0.1)
        assert "Log.txt" in surface.messages[-1]
        assert "not now" in surface.errors.pop()
        suggest(surface)


def test_an_unsaved_set_is_refused_before_anything_is_rendered(script_in: Start) -> None:
    live = LiveSet("12.2.0", tempo=TEMPO)
    select_vocal(live, studio.synthesised())
    with script_in(live) as surface:
        suggest(surface)
        command(surface, "insert")
        assert "Save the set first" in surface.messages[-1]
        assert made_clips(live) == []


def test_the_engine_may_come_go_and_come_again(
    tmp_path: Path, script_in: Start, live: LiveSet
) -> None:
    port = free_port()
    select_vocal(live, studio.synthesised())
    with script_in(live, port=port) as surface:
        command(surface, "suggest")
        assert "not running" in surface.messages[-1]
        for number in range(2):
            folder = tmp_path / f"engine{number}"
            with studio.daemon(studio.synthesised(), folder, "--port", str(port)):
                suggest(surface)
            until(surface, "The engine was stopped")


def test_an_engine_that_was_started_again_hears_of_the_clip_again(
    tmp_path: Path, script_in: Start, live: LiveSet
) -> None:
    port = free_port()
    select_vocal(live, studio.synthesised())
    with script_in(live, port=port) as surface:
        with studio.daemon(studio.synthesised(), tmp_path / "one", "--port", str(port)):
            suggest(surface)
        until(surface, "The engine was stopped")
        with studio.daemon(studio.synthesised(), tmp_path / "two", "--port", str(port)):
            until(surface, "Engine connected")
            command(surface, "insert")
            until(surface, "Inserted.")
            assert len(made_clips(live)) == 2
