"""The script in an ES5 engine: clips put into the set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.max4live.engine_es5 import needs_mujs, play
from tests.max4live.scenes import PICKED, RENDERED, made_clips, scenario

pytestmark = needs_mujs


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
