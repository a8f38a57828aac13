"""The script in an ES5 engine: auditions in time with Live, and clips put into the set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.max4live.engine_es5 import Played, needs_mujs, play

pytestmark = needs_mujs

PICKED = "connect(); understand(); hits(3, OFFSET); click('row', 1);"
RENDERED = """
    var req = sent("/dawlink/render")[0];
    hear("/dawlink/render/progress", req, 0.4, 2);
    hear("/dawlink/render/file", req, "wav", "/r/one.wav");
    hear("/dawlink/render/file", req, "wav", "/r/two.wav");
    var beats = Math.round(4 * sent("/dawlink/render")[4]);
    hear("/dawlink/render/done", req, 2, 1, 1, beats, set[1].values.tempo);
"""
LOOP_READY = """
    hear("/dawlink/audition/done", sent("/dawlink/audition")[0], "/cache/loop.wav"); loaded();
"""
ARRANGED = """
    set[20].values.is_arrangement_clip = 1; set[20].values.start_time = 64;
    set[20].path = "live_set tracks 0 arrangement_clips 0";
"""


def scenario(*parts: str, offset: float | str = 0) -> str:
    return " ".join(parts).replace("OFFSET", str(offset))


def made_clips(played: Played) -> list[dict[str, object]]:
    """Values of the clips that the script has made, in order."""
    found = [item for key, item in sorted(played.set.items()) if int(key) > 100]
    return [item["values"] for item in found if "file_path" in item["values"]]


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


def test_stems_become_loops_on_new_tracks_in_the_clips_scene(tmp_path: Path) -> None:
    played = play(scenario(PICKED, "click('insert');", RENDERED, offset=-1), tmp_path)
    (render,) = played.sent("/dawlink/render")
    assert render[1:] == ["s1 d1", "c7", pytest.approx(1), pytest.approx(8), "wav"]
    clips = made_clips(played)
    assert [clip["file_path"] for clip in clips] == ["/r/one.wav", "/r/two.wav"]
    for clip in clips:
        assert (clip["looping"], clip["loop_start"], clip["loop_end"]) == (1, 0, 32)
        assert clip["warping"] == 1
    assert [clip["name"] for clip in clips] == ["Song 1 (harmonic)", "Song 1 (percussion)"]
    assert played.sent("/dawlink/inserted")[0][1:] == [1, pytest.approx(120)]
    assert "Rendering. 40 %" in played.sentences()
    assert played.shown("message") == "Inserted."


def test_progress_is_told_in_few_different_texts(tmp_path: Path) -> None:
    progress = """
        var step;
        for (step = 0; step <= 200; step += 1) {
            hear("/dawlink/render/progress", sent("/dawlink/render")[0], step / 200, 2);
        }
    """
    played = play(scenario(PICKED, "click('insert');", progress), tmp_path)
    told = [text for text in played.sentences() if str(text).startswith("Rendering. ")]
    assert told == [f"Rendering. {10 * tenth} %" for tenth in range(11)]


LOST_FILE = """
    var req = sent("/dawlink/render")[0];
    hear("/dawlink/render/file", req, "wav", "/r/two.wav");
    var beats = Math.round(4 * sent("/dawlink/render")[4]);
    hear("/dawlink/render/done", req, 2, 1, 1, beats, set[1].values.tempo);
"""


def test_a_file_whose_message_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    played = play(scenario(PICKED, "click('insert');", LOST_FILE, RENDERED), tmp_path)
    first, again = played.sent("/dawlink/render")
    assert first == again  # the same number: nothing is rendered twice
    clips = [(clip["file_path"], clip["name"]) for clip in made_clips(played)]
    assert clips == [
        ("/r/one.wav", "Song 1 (harmonic)"),
        ("/r/two.wav", "Song 1 (percussion)"),
    ]
    assert played.shown("message") == "Inserted."


def test_a_file_that_stays_unnamed_is_told(tmp_path: Path) -> None:
    played = play(scenario(PICKED, "click('insert');", LOST_FILE * 9), tmp_path)
    assert len(played.sent("/dawlink/render")) == 5
    assert not made_clips(played)
    assert "Press Insert again" in str(played.shown("message"))


def test_an_insertion_that_breaks_leaves_the_device_usable(tmp_path: Path) -> None:
    broken = """
        var create = LiveAPI.prototype.call;
        LiveAPI.prototype.call = function () { throw new Error("no"); };
    """
    mended = "LiveAPI.prototype.call = create; flush(); click('insert');"
    text = scenario(PICKED, "click('insert');", broken, RENDERED, mended, RENDERED)
    played = play(text, tmp_path)
    assert len(played.posted) == 1
    assert len(made_clips(played)) == 2
    assert played.shown("message") == "Inserted."


def test_a_loop_that_live_misreads_is_unwarped_and_told(tmp_path: Path) -> None:
    half = "liveReads = function () { return {bpm: 45, seconds: 16}; };"
    played = play(scenario(half, PICKED, "click('insert');", RENDERED), tmp_path)
    clips = made_clips(played)
    assert [(clip["warping"], clip["end_marker"]) for clip in clips] == [(0, 16)] * 2
    assert played.sent("/dawlink/inserted")[0][1:] == [0, pytest.approx(45)]
    assert "Warp is off" in str(played.shown("message"))


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


UNWARPED = """
    set[20].values.is_arrangement_clip = 1; set[20].values.start_time = 64;
    set[20].path = "live_set tracks 0 arrangement_clips 0";
    set[20].values.warping = 0; set[20].values.looping = 0;
    set[20].values.start_marker = 1; set[20].values.end_marker = 19;
"""


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


def test_an_audition_of_an_unwarped_clip_begins_with_its_bar_at_a_new_tempo(tmp_path: Path) -> None:
    faster = "set[1].values.tempo = 160;"
    listen = scenario(UNWARPED, PICKED, faster, "click('audition', 1);", LOOP_READY, offset=1.5)
    phase = play(listen, tmp_path).sound()[1][3]
    assert (66 + phase) % 32 == pytest.approx(0)


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


def test_one_stem_may_go_into_the_next_free_slot_here(tmp_path: Path) -> None:
    here = "click('target', 1); click('insert');"
    played = play(scenario(PICKED, here, RENDERED), tmp_path)
    assert played.set["12"]["values"]["has_clip"] == 1
    assert played.set["13"]["values"]["has_clip"] == 0
    tracks = played.set["1"]["lists"]["tracks"]
    assert isinstance(tracks, list)
    assert len(tracks) == 2  # the second stem cannot share the track


@pytest.mark.parametrize(("slots", "scenes"), [("[]", 0), ("[11]", 1)])
def test_only_a_track_with_slots_gets_a_scene(slots: str, scenes: int, tmp_path: Path) -> None:
    """A return track has none; this track's only slot is taken."""
    here = f"""
        set[10].lists.clip_slots = [11, 12, 13];
        set[15] = {{path: "live_set return_tracks 0", info: "", lists: {{clip_slots: {slots}}},
            values: {{has_audio_input: 1, is_frozen: 0, is_foldable: 0}}}};
        set[3].lists.canonical_parent = [15];
        var call = LiveAPI.prototype.call;
        LiveAPI.prototype.call = function (name, one, two) {{
            if (name === "create_scene") {{ posted.push(name); }}
            return call.call(this, name, one, two);
        }};
        click('target', 1); click('insert');
    """
    played = play(scenario(PICKED, here, RENDERED), tmp_path)
    assert len(played.posted) == scenes
    assert played.shown("message") == "Inserted."
    assert len(made_clips(played)) == 2


def test_a_live_that_cannot_make_clips_gets_a_file_to_drag(tmp_path: Path) -> None:
    old = "[10, 11, 12, 13].forEach(function (id) { set[id].info = 'function create_clip'; });"
    render = RENDERED.replace('"wav", "/r/two.wav"', '"alc", "/r/both.alc"')
    played = play(scenario(old, PICKED, "click('insert');", render), tmp_path)
    assert played.sent("/dawlink/render")[0][5] == "wav alc"
    assert played.shown("message") == "Live took no clip. Drag this file in: /r/both.alc"
    assert played.sent("/dawlink/inserted")[0][1] == 0
    assert not made_clips(played)


def test_a_live_that_lists_no_functions_is_tried(tmp_path: Path) -> None:
    silent = "[10, 11, 12, 13].forEach(function (id) { set[id].info = 'property x'; });"
    played = play(scenario(silent, PICKED, "click('insert');", RENDERED, RENDERED), tmp_path)
    assert [asked[5] for asked in played.sent("/dawlink/render")] == ["wav", "wav alc"]
    assert str(played.shown("message")).endswith("beside it: /r/one.wav")


def test_an_unsaved_set_is_told_where_its_files_are(tmp_path: Path) -> None:
    unsaved = "set[1].values.file_path = '';"
    played = play(scenario(unsaved, PICKED, "click('insert');", RENDERED), tmp_path)
    assert not played.sent("/dawlink/set/project")
    assert "not saved" in str(played.shown("message"))


def test_an_unsaved_set_puts_nothing_into_the_project_of_its_clip(tmp_path: Path) -> None:
    borrowed = "set[20].values.file_path = '/m/Other Project/Samples/Recorded/a.wav';"
    unsaved = "set[1].values.file_path = '';"
    played = play(scenario(borrowed, unsaved, PICKED, "click('insert');", RENDERED), tmp_path)
    assert not played.sent("/dawlink/set/project")
    assert "not saved" in str(played.shown("message"))
    silent = "set[1].info = 'property tempo function create_audio_track';"
    played = play(scenario(borrowed, silent, PICKED, "click('insert');", RENDERED), tmp_path)
    assert played.sent("/dawlink/set/project") == [["/m/Other Project"]]


def test_a_set_whose_folder_cannot_be_used_is_told_where_its_files_are(tmp_path: Path) -> None:
    refused = "hear('/dawlink/error', 0, 10, 'read_only_project', 'It cannot be written.');"
    text = scenario("connect();", refused)
    assert play(text, tmp_path).shown("message") == "It cannot be written."
    picked = PICKED.removeprefix("connect();")
    text = scenario("connect();", refused, picked, "click('insert');", RENDERED)
    assert "output folder" in str(play(text, tmp_path).shown("message"))
    moved = "set[1].values.file_path = '/other Project/B.als'; changed_in_live('tempo');"
    text = scenario("connect();", refused, moved, picked, "click('insert');", RENDERED)
    assert play(text, tmp_path).shown("message") == "Inserted."


def test_an_engine_lost_while_rendering_leaves_nothing_half_done(tmp_path: Path) -> None:
    text = scenario(PICKED, "click('insert'); ticks(160); click('insert');")
    played = play(text, tmp_path)
    assert len(played.sent("/dawlink/render")) <= 5
    assert "engine" in str(played.shown("message")) or "Pick" in str(played.shown("message"))
    assert not made_clips(played)
    assert not played.posted


def test_what_the_insertion_itself_selects_does_not_disturb(tmp_path: Path) -> None:
    selecting = """
        var call = LiveAPI.prototype.call;
        LiveAPI.prototype.call = function (name, one, two) {
            var answer = call.call(this, name, one, two);
            if (name === "create_audio_track") {
                set[2].lists.detail_clip = []; set[2].lists.highlighted_clip_slot = [];
                watchers.forEach(function (api) {
                    if (api.property === "detail_clip") { notifying = true; api.callback([]); }
                });
                notifying = false;
            }
            return answer;
        };
    """
    played = play(scenario(PICKED, selecting, "click('insert');", RENDERED, "flush();"), tmp_path)
    assert played.shown("message") == "Inserted."
    assert played.shown("row", 1, "title") == "Song 1"
    later = "set[20].values.loop_end = 12; set[2].lists.detail_clip = [20];"
    text = scenario(PICKED, selecting, "click('insert');", RENDERED, "flush();", later)
    played = play(text + "changed_in_live('detail_clip');", tmp_path)
    assert played.sent("/dawlink/clip")[-1][4] == pytest.approx(12)


def test_an_inserted_clip_that_is_selected_is_not_asked_for(tmp_path: Path) -> None:
    select = "set[2].lists.detail_clip = [Number(Object.keys(set).pop())];"
    text = scenario(PICKED, "click('insert');", RENDERED, "flush();", select)
    played = play(text + "changed_in_live('detail_clip');", tmp_path)
    assert {clip[1] for clip in played.sent("/dawlink/clip")} == {"/Users/me/a voice.wav"}


def test_several_files_to_drag_are_said_to_be_several(tmp_path: Path) -> None:
    old = "[10, 11, 12, 13].forEach(function (id) { set[id].info = 'function create_clip'; });"
    played = play(scenario(old, PICKED, "click('insert');", RENDERED), tmp_path)
    assert played.shown("message") == (
        "Live took no clip. Drag this file in, and the others beside it: /r/one.wav"
    )


def test_a_clip_deleted_while_its_stems_are_rendered_ends_the_render(tmp_path: Path) -> None:
    gone = """
        delete set[20]; set[2].lists.detail_clip = []; set[11].lists.clip = [];
        changed_in_live("detail_clip");
    """
    played = play(scenario(PICKED, "click('insert');", gone, RENDERED), tmp_path)
    assert played.sent("/dawlink/cancel")[-1][1] == played.sent("/dawlink/render")[0][0]
    assert not made_clips(played)
    assert played.shown("message") == "The clip was deleted. Select another one."


@pytest.mark.parametrize(
    ("bars", "loop"), [(1, 1), (2, 2), (3, 2), (8, 8), (12, 8), (16, 16), (40, 16)]
)
def test_a_loop_has_a_length_that_live_reads_rightly(bars: int, loop: int, tmp_path: Path) -> None:
    text = PICKED.replace("OFFSET", f"0, {bars}") + "click('insert');"
    assert play(text, tmp_path).sent("/dawlink/render")[0][4] == pytest.approx(loop)


def test_live_may_change_its_mind_once_it_has_analysed_the_file(tmp_path: Path) -> None:
    later = """
        Object.keys(set).forEach(function (id) {
            if (id > 100 && set[id].values.file_path) {
                set[id].values.warp_markers = '{"warp_markers": [' +
                    '{"sample_time": 0, "beat_time": 0}, {"sample_time": 16, "beat_time": 16}]}';
            }
        });
    """
    text = scenario(PICKED, "click('insert');", RENDERED, later)
    assert {clip["warping"] for clip in made_clips(play(text + "ticks(15);", tmp_path))} == {1}
    played = play(text + "ticks(25);", tmp_path)
    assert {clip["warping"] for clip in made_clips(played)} == {0}
    reports = [report[1:] for report in played.sent("/dawlink/inserted") if report[1] == 0]
    assert reports[0] == [0, pytest.approx(60)]
    assert "Warp is off" in str(played.shown("message"))


def test_a_loop_that_a_person_has_unwarped_meanwhile_is_left_alone(tmp_path: Path) -> None:
    later = "Object.keys(set).forEach(function (id) { set[id].values.warping = 0; }); ticks(25);"
    played = play(scenario(PICKED, "click('insert');", RENDERED, later), tmp_path)
    assert played.shown("message") == "Inserted."
