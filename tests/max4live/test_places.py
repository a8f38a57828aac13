"""The script in an ES5 engine: where stems go, also when clip or set changed after the question."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.max4live.engine_es5 import needs_mujs, play
from tests.max4live.scenes import (
    ARRANGED,
    LOOP_READY,
    PICKED,
    RENDERED,
    UNWARPED,
    made_clips,
    scenario,
)

pytestmark = needs_mujs


def test_an_arrangement_clip_gets_its_stems_at_its_place_unwarped(tmp_path: Path) -> None:
    long = "liveReads = function () { return {bpm: 97, seconds: 24}; };"  # 12 bars at 120 BPM
    played = play(
        scenario(ARRANGED, long, PICKED, "click('insert');", RENDERED, offset=1), tmp_path
    )
    (render,) = played.sent("/dawlink/render")
    assert render[3:5] == pytest.approx([0, 12])
    for clip in made_clips(played):
        assert (clip["start_time"], clip["warping"]) == (69, 0)
    assert played.sent("/dawlink/inserted")[0][1:] == [1, pytest.approx(120)]


def test_a_clip_that_was_moved_meanwhile_gets_its_stems_where_it_lies(tmp_path: Path) -> None:
    long = "liveReads = function () { return {bpm: 97, seconds: 24}; };"
    moved = "set[20].values.start_time = 128;"
    text = scenario(ARRANGED, long, PICKED, moved, "click('insert');", RENDERED)
    assert {clip["start_time"] for clip in made_clips(play(text, tmp_path))} == {132}


def test_a_start_marker_moved_in_a_looped_clip_moves_the_stems(tmp_path: Path) -> None:
    long = "liveReads = function () { return {bpm: 97, seconds: 24}; };"
    moved = "set[20].values.start_marker = 2;"  # the loop, from beat 4 on, then starts at song 66
    for again in ("", "click('suggest'); understand(); hits(3); click('row', 1);"):
        text = scenario(ARRANGED, long, PICKED, moved, again, "click('insert');", RENDERED)
        assert {clip["start_time"] for clip in made_clips(play(text, tmp_path))} == {66}
    heard = scenario(ARRANGED, PICKED, moved, "click('audition', 1);", LOOP_READY)
    assert (66 + play(heard, tmp_path).sound()[1][3]) % 32 == pytest.approx(0)


@pytest.mark.parametrize("what", ["loop_end = 12", "loop_start = 6", "pitch_coarse = 1"])
@pytest.mark.parametrize("button", ["'insert'", "'audition', 1"])
def test_a_clip_that_is_another_one_now_has_to_be_asked_for_again(
    what: str, button: str, tmp_path: Path
) -> None:
    text = scenario(PICKED, f"set[20].values.{what}; click({button});")
    played = play(text, tmp_path)
    assert not played.sent("/dawlink/render")
    assert not played.sent("/dawlink/audition")
    assert played.shown("message") == "The clip was changed. Press Suggest again."
    assert played.shown("audition") == 0
    anew = "click('suggest'); understand(); hits(3); click('row', 1); click('insert');"
    assert len(play(text + anew, tmp_path).sent("/dawlink/render")) == 1


def test_a_gain_that_was_changed_meanwhile_is_told(tmp_path: Path) -> None:
    louder = "set[20].values.gain_display_string = '3.0 dB';"
    played = play(scenario(PICKED, louder, "click('insert');", RENDERED), tmp_path)
    assert played.sent("/dawlink/clip")[-1][6] == pytest.approx(3)
    assert played.shown("message") == "Inserted."


@pytest.mark.parametrize(("plays_from", "first"), [(4, 0), (6, 2), (0, 28)])
def test_a_loop_is_launched_in_the_middle_where_its_clip_is(
    plays_from: int, first: int, tmp_path: Path
) -> None:
    """The clip loops from beat 4 on. What it plays before that is the end of the stems' loop."""
    marker = f"set[20].values.start_marker = {plays_from};"
    text = scenario(marker, PICKED, "click('insert');", RENDERED)
    for clip in made_clips(play(text, tmp_path)):
        assert (clip["start_marker"], clip["loop_start"], clip["loop_end"]) == (first, 0, 32)
    half = "liveReads = function () { return {bpm: 45, seconds: 16}; };"
    for clip in made_clips(play(half + text, tmp_path)):
        assert (clip["warping"], clip["start_marker"]) == (0, first / 2)  # seconds at 120 BPM


def test_a_clip_deleted_without_a_word_gets_nothing(tmp_path: Path) -> None:
    """As with Follow off, when nobody looks at what is selected."""
    gone = "delete set[20]; set[11].lists.clip = [];"
    before = play(scenario(PICKED, gone, "click('insert');"), tmp_path)
    assert not before.sent("/dawlink/render")
    meanwhile = play(scenario(PICKED, "click('insert');", gone, RENDERED), tmp_path)
    assert not made_clips(meanwhile)
    for played in (before, meanwhile):
        assert played.shown("message") == "The clip was deleted. Select another one."


def test_a_render_of_other_beats_is_tied_to_those(tmp_path: Path) -> None:
    """The engine keeps its metre where Live's has no whole beats."""
    other = RENDERED.replace('Math.round(4 * sent("/dawlink/render")[4])', "16")
    reads = "liveReads = function () { return {bpm: 120, seconds: 8}; };"
    odd = "set[1].values.signature_numerator = 5; set[1].values.signature_denominator = 8;"
    played = play(scenario(reads, odd, PICKED, "click('insert');", other), tmp_path)
    assert {(clip["warping"], clip["loop_end"]) for clip in made_clips(played)} == {(1, 16)}
    assert played.shown("message") == "Inserted. In 5/8 dawlink counts bars of 4 quarters."


def test_a_loop_has_the_bars_that_the_engine_counts(tmp_path: Path) -> None:
    for first, quarters in ((4, 4), (3, 3), (13, 4)):  # 13/4 is too long for it
        counted = f"set[1].values.signature_numerator = {first}; {PICKED}"
        odd = """
            set[1].values.signature_numerator = 7; set[1].values.signature_denominator = 8;
            changed_in_live('signature_numerator');
            hear("/dawlink/error", 0, 1, "bad_signature", "7/8 is no metre.");
        """
        text = scenario(counted, odd, "click('audition', 1);", LOOP_READY)
        played = play(text, tmp_path)
        assert played.sound()[1][1] == 8 * quarters
        assert f"In 7/8 dawlink counts bars of {quarters} quarters." in str(played.shown("message"))


def test_an_odd_metre_is_told_with_the_suggestions(tmp_path: Path) -> None:
    odd = "set[1].values.signature_numerator = 7; set[1].values.signature_denominator = 8;"
    assert play(scenario(odd, PICKED), tmp_path).shown("message") == (
        "Pick one, then Audition or Insert. In 7/8 dawlink counts bars of 4 quarters."
    )


def test_a_tempo_that_changed_while_it_was_rendered_is_rendered_anew(tmp_path: Path) -> None:
    late = RENDERED.replace("set[1].values.tempo", "118")
    played = play(scenario(PICKED, "click('insert');", late, RENDERED), tmp_path)
    assert len(played.sent("/dawlink/render")) == 2
    # The tempo is told once more: the engine may not have heard of it.
    assert played.sent("/dawlink/set/tempo") == [[pytest.approx(120)]] * 2
    assert len(made_clips(played)) == 2
    assert played.shown("message") == "Inserted."


def test_a_tempo_that_the_engine_does_not_take_inserts_nothing(tmp_path: Path) -> None:
    fast = "set[1].values.tempo = 440;"
    slower = RENDERED.replace("set[1].values.tempo", "110")
    played = play(scenario(fast, PICKED, "click('insert');", slower, slower), tmp_path)
    assert len(played.sent("/dawlink/render")) == 2
    assert not made_clips(played)
    assert played.sent("/dawlink/inserted")[0][1] == 0
    assert "not at the set's tempo" in str(played.shown("message"))


def test_bars_of_an_unwarped_clip_keep_their_seconds_at_a_new_tempo(tmp_path: Path) -> None:
    # The first bar lies 1.5 beats at 120 BPM after the clip's start, which is at beat 64: 0.75 s.
    faster = "set[1].values.tempo = 160;"
    played = play(
        scenario(UNWARPED, PICKED, faster, "click('insert');", RENDERED, offset=1.5), tmp_path
    )
    assert [clip["start_time"] for clip in made_clips(played)] == [pytest.approx(66)] * 2


@pytest.mark.parametrize(
    ("tempo", "told"), [(120, True), (118.5, False), (118.9, False), (59.25, False), (237, False)]
)
def test_an_unwarped_clip_of_another_tempo_is_told(
    tempo: float, told: bool, tmp_path: Path
) -> None:
    """The engine hears 118.5 BPM in it."""
    at = f"set[1].values.tempo = {tempo}; "
    at += f"liveReads = function () {{ return {{bpm: 97, seconds: 48 * 60 / {tempo}}}; }};"
    for clip, sentence in ((UNWARPED, told), (ARRANGED, False)):
        played = play(scenario(at, clip, PICKED, "click('insert');", RENDERED), tmp_path)
        words = "Inserted." + sentence * (
            " This clip is not warped: it does not follow the set's tempo."
        )
        assert played.shown("message") == words


def test_a_tempo_that_changes_during_the_render_moves_the_place_too(tmp_path: Path) -> None:
    meanwhile = "set[1].values.tempo = 160; changed_in_live('tempo');"
    late = RENDERED.replace("set[1].values.tempo", "120")
    text = scenario(UNWARPED, PICKED, "click('insert');", meanwhile, late, RENDERED, offset=1.5)
    played = play(text, tmp_path)
    assert len(played.sent("/dawlink/render")) == 2
    assert [clip["start_time"] for clip in made_clips(played)] == [pytest.approx(66)] * 2


def test_an_empty_list_does_not_move_the_bar_line_of_a_corrected_tempo(tmp_path: Path) -> None:
    # The first bar lies 0.75 s after the clip's start, which is at second 1 of the file.
    emptied = "click('reject'); click('row', 1); click('reject'); click('row', 1); click('reject');"
    for before in ("", emptied):
        text = scenario(UNWARPED, PICKED, before, "click('half');", offset=1.5)
        text += "hear('/dawlink/clip/done', sent('/dawlink/clip')[0], 'c7', 59, 9, 'minor', 1);"
        first = play(text, tmp_path).sent("/dawlink/clip/warp")[0]
        assert first[4:] == pytest.approx([1.75, 0])


def test_an_unwarped_clip_plays_its_whole_file_in_a_slow_set(tmp_path: Path) -> None:
    # 12 bars at 48 BPM last 60 s; its end marker was beat 48 and would be second 48.
    slow = "set[1].values.tempo = 48; liveReads = function () { return {bpm: 48, seconds: 60}; };"
    played = play(scenario(ARRANGED, slow, PICKED, "click('insert');", RENDERED), tmp_path)
    clips = made_clips(played)
    assert [(clip["warping"], clip["end_marker"]) for clip in clips] == [(0, 60)] * 2
    assert played.shown("message") == "Inserted."


def test_bars_before_the_song_are_left_out(tmp_path: Path) -> None:
    early = "set[20].values.start_time = 0; set[20].values.loop_start = 0;"
    long = "liveReads = function () { return {bpm: 120, seconds: 22}; };"
    text = scenario(ARRANGED, early, long, PICKED, "click('insert');", RENDERED, offset=-2)
    played = play(text, tmp_path)
    assert played.sent("/dawlink/render")[0][3:5] == pytest.approx([4, 11])
    assert {clip["start_time"] for clip in made_clips(played)} == {2}
    assert played.shown("message") == "Inserted."


def test_a_bar_that_begins_before_the_song_loses_its_beginning(tmp_path: Path) -> None:
    early = "set[20].values.start_time = 0; set[20].values.loop_start = 0;"
    one = "liveReads = function () { return {bpm: 120, seconds: 2}; };"  # one bar
    text = scenario(ARRANGED, early, one, PICKED, "click('insert');", RENDERED, offset="-1.5, 1")
    played = play(text, tmp_path)
    assert played.sent("/dawlink/render")[0][3:5] == pytest.approx([1.5, 1])
    for clip in made_clips(played):
        assert (clip["start_time"], clip["end_marker"]) == (0, 1.25)  # 2.5 beats, as the clip's bar
    assert played.shown("message") == "Inserted."
