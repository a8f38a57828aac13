"""The script in an ES5 engine: auditions in time with Live."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.max4live.engine_es5 import needs_mujs, play
from tests.max4live.scenes import ARRANGED, LOOP_READY, PICKED, UNWARPED, scenario

pytestmark = needs_mujs


def test_an_audition_is_loaded_then_locked_to_the_transport(tmp_path: Path) -> None:
    text = scenario("set[1].values.is_playing = 1;", PICKED, "click('audition', 1);", LOOP_READY)
    played = play(text, tmp_path)
    (asked,) = played.sent("/dawlink/audition")
    assert asked[1:] == ["s1 d1", "c7", pytest.approx(8), 0]
    assert played.sound() == [["load", "/cache/loop.wav"], ["loop", 32, 500, 0], ["play", 1]]


def test_without_transport_it_plays_freely_until_live_starts(tmp_path: Path) -> None:
    start = "set[1].values.is_playing = 1; changed_in_live('is_playing');"
    text = scenario(PICKED, "click('audition', 1);", LOOP_READY, start, "click('audition', 0);")
    assert play(text, tmp_path).sound()[2:] == [["play", 2], ["play", 1], ["play", 0]]


def test_a_windows_path_reaches_max_with_slashes(tmp_path: Path) -> None:
    path = LOOP_READY.replace("/cache/loop.wav", r"C:\\cache\\loop.wav")
    played = play(scenario(PICKED, "click('audition', 1);", path), tmp_path)
    assert played.sound()[0] == ["load", "C:/cache/loop.wav"]


def test_the_loop_begins_where_the_playing_clip_began(tmp_path: Path) -> None:
    # The region began 6.03 beats ago, at beat 41 of the song; its first bar one beat earlier.
    playing = """
        set[1].values.is_playing = 1; set[1].values.current_song_time = 47.02;
        set[20].values.is_playing = 1; set[20].values.playing_position = 10.05;
    """
    played = play(
        scenario(playing, PICKED, "click('audition', 1);", LOOP_READY, offset=-1), tmp_path
    )
    phase = played.sound()[1][3]
    assert (40 + phase) % 32 == pytest.approx(0)


def test_the_loop_of_an_arrangement_clip_begins_at_its_first_bar(tmp_path: Path) -> None:
    # Region from beat 4 of the clip, which plays from its beat 0 at song beat 64.
    text = scenario(ARRANGED, PICKED, "click('audition', 1);", LOOP_READY, offset=1)
    assert (69 + play(text, tmp_path).sound()[1][3]) % 32 == pytest.approx(0)


def test_a_new_tempo_makes_a_new_loop_once_it_rests(tmp_path: Path) -> None:
    moved = "set[1].values.tempo = 126; changed_in_live('tempo'); ticks(3); "
    text = scenario(PICKED, "click('audition', 1);", LOOP_READY, moved, moved)
    assert len(play(text, tmp_path).sent("/dawlink/audition")) == 1
    text = scenario(PICKED, "click('audition', 1);", LOOP_READY, moved, "ticks(3);")
    assert len(play(text, tmp_path).sent("/dawlink/audition")) == 2


def test_nothing_picked_is_said(tmp_path: Path) -> None:
    for button in ("'audition', 1", "'insert'", "'reject'", "'favourite', 1"):
        played = play(scenario(f"connect(); understand(); hits(2); click({button});"), tmp_path)
        assert played.shown("message") == "Pick a suggestion first."


def test_an_audition_of_an_unwarped_clip_begins_with_its_bar_at_a_new_tempo(tmp_path: Path) -> None:
    faster = "set[1].values.tempo = 160;"
    listen = scenario(UNWARPED, PICKED, faster, "click('audition', 1);", LOOP_READY, offset=1.5)
    phase = play(listen, tmp_path).sound()[1][3]
    assert (66 + phase) % 32 == pytest.approx(0)
