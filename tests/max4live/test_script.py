"""The script in an ES5 engine: a selected clip, suggestions, what is shown and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dawlink.osc import requests
from dawlink.osc.schema import REQUESTS
from tests.max4live.engine_es5 import Played, needs_mujs, play

pytestmark = needs_mujs
assert requests.__all__, "its import fills REQUESTS"


def test_nothing_happens_before_live_is_there(tmp_path: Path) -> None:
    played = play(
        'ui("roles", 1); restore("v1", 0); ticks(3); deferred("changed", "tempo"); ui("insert");',
        tmp_path,
    )
    assert not [atoms for atoms in played.out if atoms[0] == 0]
    assert not played.posted


def test_it_says_hello_with_a_port_that_it_has_heard_itself_on(tmp_path: Path) -> None:
    played = play("begin();", tmp_path)
    assert not played.sent("/dawlink/hello")
    played = play("connect();", tmp_path)
    (hello,) = played.sent("/dawlink/hello")
    assert hello[1:] == ["dawlink-device", "0.1.0", 1, 11111, "amxd es5"]
    assert played.shown("engine") == "Engine 0.1.0, port 11110, 12 songs"


def test_a_port_that_is_taken_is_passed_by(tmp_path: Path) -> None:
    played = play("begin(); ticks(7);", tmp_path)
    ports = [atoms[2] for atoms in played.out if atoms[:2] == [1, "port"]]
    assert ports == [11111, 11112]
    shared = "function Global() { this.port11111 = 1; this.port11112 = 1; }"
    played = play(f"{shared} begin();", tmp_path)
    assert [atoms[2] for atoms in played.out if atoms[:2] == [1, "port"]] == [11113]


def test_a_warped_clip_is_sent_in_beats_with_its_markers_and_again(tmp_path: Path) -> None:
    played = play("connect(); understand();", tmp_path)
    first, second = played.sent("/dawlink/clip")
    assert first[1:3] == ["/Users/me/a voice.wav", 1]
    assert first[3:] == pytest.approx([4, 20, -2, -6])
    assert second[1:] == first[1:]
    assert second[0] != first[0]
    markers = played.sent("/dawlink/clip/warp")
    assert {marker[0] for marker in markers} == {markers[0][0]}
    assert [marker[1:4] for marker in markers] == [["c7", index, 3] for index in range(3)]
    assert [marker[4:] for marker in markers] == [
        pytest.approx([0.5, 0]), pytest.approx([8.5, 16]), pytest.approx([8.515625, 16.03125]),
    ]  # fmt: skip
    assert (played.shown("tempo"), played.shown("clipkey")) == ("118.5 BPM", "A minor")


def test_an_unwarped_clip_is_sent_in_seconds_of_the_file(tmp_path: Path) -> None:
    scenario = """
        set[20].values.warping = 0; set[20].values.looping = 0;
        set[20].values.start_marker = 1.5; set[20].values.end_marker = 99;
        connect(); understand();
    """
    played = play(scenario, tmp_path)
    (clip,) = played.sent("/dawlink/clip")
    assert clip[2:5] == pytest.approx([0, 1.5, 20])
    assert not played.sent("/dawlink/clip/warp")
    assert played.sent("/dawlink/suggest")


@pytest.mark.parametrize(("tempo", "semitones"), [(120, 0), (90, -5), (135, 2), (20, -31)])
def test_in_re_pitch_the_clips_pitch_follows_the_tempo(
    tempo: float, semitones: int, tmp_path: Path
) -> None:
    re_pitch = f"set[20].values.warp_mode = 3; set[1].values.tempo = {tempo};"  # warped at 120
    played = play(re_pitch + "connect(); understand();", tmp_path)
    assert [clip[5] for clip in played.sent("/dawlink/clip")] == [semitones, semitones]


def test_a_clip_in_re_pitch_sounds_otherwise_at_another_tempo(tmp_path: Path) -> None:
    re_pitch = "set[20].values.warp_mode = 3; connect(); understand(); hits(2); click('row', 1);"
    faster = "set[1].values.tempo = 128; changed_in_live('tempo'); click('insert');"
    played = play(re_pitch + faster, tmp_path)
    assert not played.sent("/dawlink/render")
    assert played.shown("message") == "The clip was changed. Press Suggest again."


def test_the_set_is_told_once_and_again_when_it_changes(tmp_path: Path) -> None:
    scenario = """
        connect(); understand();
        set[1].values.tempo = 98.5; changed_in_live("tempo");
        set[1].values.scale_mode = 0; changed_in_live("scale_mode");
        click("key", 14);
    """
    played = play(scenario, tmp_path)
    assert [tempo for (tempo,) in played.sent("/dawlink/set/tempo")] == pytest.approx([120, 98.5])
    keys = played.sent("/dawlink/set/key")
    assert keys == [[9, "Minor"], [-1, "Major"], [1, "Minor"]]
    assert played.sent("/dawlink/set/signature") == [[4, 4]]
    assert played.sent("/dawlink/set/project") == [["/Users/me/Song Project"]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("set[20].values.is_audio_clip = 0;", "This is a MIDI clip. Select an audio clip."),
        (
            "set[20].values.is_recording = 1;",
            "This clip is being recorded. Stop, then press Suggest.",
        ),
        ('set[20].values.file_path = "";', "This clip has no file. Select another one."),
        ("set[2].lists.detail_clip = []; set[11].lists.clip = [];", "Select an audio clip."),
    ],
)
def test_a_clip_that_cannot_be_used_gets_its_sentence(
    change: str, sentence: str, tmp_path: Path
) -> None:
    played = play(f"{change} connect();", tmp_path)
    assert played.shown("message") == sentence
    assert not played.sent("/dawlink/clip")


def test_a_deleted_clip_gets_its_sentence(tmp_path: Path) -> None:
    scenario = """
        connect(); understand(); hits(2);
        delete set[20]; set[2].lists.detail_clip = []; set[11].lists.clip = [];
        changed_in_live("detail_clip");
    """
    played = play(scenario, tmp_path)
    assert played.shown("message") == "The clip was deleted. Select another one."
    assert played.shown("row", 1, "title") == " "


def test_without_an_engine_it_keeps_calling_and_says_how_to_start_one(tmp_path: Path) -> None:
    scenario = 'begin(); hear("/dawlink/probe", sent("/dawlink/probe")[0]); ticks(65);'
    played = play(scenario, tmp_path)
    assert len(played.sent("/dawlink/hello")) == 4
    assert len({hello[0] for hello in played.sent("/dawlink/hello")}) == 4
    assert "dawlink serve" in str(played.shown("message"))


def test_a_restarted_engine_gets_everything_again(tmp_path: Path) -> None:
    scenario = """
        connect(); understand(); hits(2); out = [];
        ticks(75);
        hear("/dawlink/welcome", sent("/dawlink/hello")[0], 1, "0.1.0", "suggest", 12);
        understand(); hits(2);
    """
    played = play(scenario, tmp_path)
    assert len({ping[0] for ping in played.sent("/dawlink/ping")}) <= 3
    assert played.sent("/dawlink/set/tempo")
    assert played.sent("/dawlink/clip")
    said = played.sentences()
    assert "The engine is not running. In a terminal: dawlink serve. Or set its port." in said
    assert said[-1] == "The engine was restarted; the clip was sent again."
    assert played.shown("row", 1, "title") == "Song 1"


def test_an_engine_that_stops_says_so_itself(tmp_path: Path) -> None:
    played = play('connect(); hear("/dawlink/event/shutdown");', tmp_path)
    assert played.shown("message") == "The engine was stopped. In a terminal: dawlink serve."
    assert played.shown("engine") == "No engine on port 11110"


def test_a_request_without_answer_is_repeated_with_its_number(tmp_path: Path) -> None:
    played = play("connect(); ticks(65);", tmp_path)
    clips = played.sent("/dawlink/clip")
    assert len(clips) == 3
    assert all(clip == clips[0] for clip in clips)


UNWARPED = """
    set[20].values.warping = 0; set[20].values.looping = 0;
    set[20].values.start_marker = 1; set[20].values.end_marker = 19;
    connect(); understand(); hits(1, 1);
"""


def test_an_unwarped_clip_counted_twice_as_fast_keeps_its_bar_line(tmp_path: Path) -> None:
    # 118.5 BPM estimated, 120 in the set; bar 1 one beat of the set after second 1: at 1.5 s.
    played = play(UNWARPED + 'click("double"); understand(); hits(1, 3.95);', tmp_path)
    beat_s = 60 / 237.0
    clip = played.sent("/dawlink/clip")[-1]
    assert clip[2:5] == pytest.approx([1, (1 - 1.5) / beat_s, (19 - 1.5) / beat_s])
    markers = [marker[4:] for marker in played.sent("/dawlink/clip/warp")]
    assert markers == [pytest.approx([1.5, 0]), pytest.approx([1.5 + 4 * beat_s, 4])]
    assert len(played.sent("/dawlink/suggest")) == 2


def test_the_offset_of_a_corrected_clip_is_told_in_beats_of_the_set(tmp_path: Path) -> None:
    # Half of 118.5 BPM: one of its beats lasts 120 / 59.25 beats of the set.
    scenario = UNWARPED + 'click("half"); understand(); hits(1, -2);'
    played = play(scenario + 'click("row", 1); click("insert");', tmp_path)
    assert played.sent("/dawlink/render")[0][3] == pytest.approx(2 * 120 / 59.25)


def test_a_bar_line_before_the_file_is_moved_into_it(tmp_path: Path) -> None:
    scenario = UNWARPED.replace("hits(1, 1)", "hits(1, -3)")  # bar 1 at -0.5 s
    played = play(scenario + 'click("double");' + "understand();", tmp_path)
    bar_s = 4 * 60 / 237.0
    markers = [marker[4:] for marker in played.sent("/dawlink/clip/warp")]
    assert markers == [
        pytest.approx([-0.5 + bar_s, 4]), pytest.approx([-0.5 + 2 * bar_s, 8]),
    ]  # fmt: skip


def test_a_warped_clips_tempo_is_lives_business(tmp_path: Path) -> None:
    played = play('connect(); understand(); click("double");', tmp_path)
    assert "clip view" in str(played.shown("message"))
    assert len(played.sent("/dawlink/clip")) == 2


def test_messages_on_the_wrong_inlet_do_nothing(tmp_path: Path) -> None:
    played = play('alive = true; inlet = 1; ready(); ui("roles", 1); tick();', tmp_path)
    assert not played.out
    scenario = """
        connect(); inlet = 0; messagename = "/dawlink/event/shutdown"; anything();
    """
    assert play(scenario, tmp_path).shown("engine") != "No engine on port 11110"


def test_an_error_of_the_engine_is_shown(tmp_path: Path) -> None:
    scenario = """
        connect();
        hear("/dawlink/error", sent("/dawlink/clip")[0], 3, "missing_file", "It is gone. Relink.");
    """
    assert play(scenario, tmp_path).shown("message") == "It is gone. Relink."


EVERYTHING = """
    connect(); understand(); hits(9, -1);
    click("row", 2); click("audition", 1); click("insert"); click("bars", 1); ticks(30);
    hear("/dawlink/render/file", sent("/dawlink/render")[0], "wav", "/r/a.wav");
    hear("/dawlink/render/done", sent("/dawlink/render")[0], 1, 1, 1, 1, 120);
    changed_in_live("tempo"); closing();
"""


def test_everything_that_is_sent_is_as_the_engine_defines_it(tmp_path: Path) -> None:
    played = play(EVERYTHING, tmp_path)
    kinds = set()
    for atoms in played.out:
        if atoms[0] == 0 and str(atoms[1]).startswith("/") and atoms[1] != "/dawlink/probe":
            address, arguments = str(atoms[1]), atoms[2:]
            kinds.add(address)
            assert as_max_sends(arguments) == REQUESTS[address].tags, atoms
    assert {"/dawlink/ping", "/dawlink/inserted", "/dawlink/audition", "/dawlink/bye"} <= kinds


def as_max_sends(arguments: list[str | float]) -> str:
    return "".join(
        "s" if isinstance(value, str) else "i" if value == int(value) else "f"
        for value in arguments
    )


def test_no_scenario_ends_in_the_max_console(tmp_path: Path) -> None:
    played: Played = play(EVERYTHING, tmp_path)
    assert played.posted == []


def test_long_work_is_waited_for_while_the_engine_answers_pings(tmp_path: Path) -> None:
    scenario = """
        connect(); understand();
        var beat;
        for (beat = 0; beat < 40; beat += 1) {
            ticks(20);
            hear("/dawlink/pong", sent("/dawlink/ping")[0], "0.1.0", 1);
        }
        hits(2);
    """
    played = play(scenario, tmp_path)
    asked = played.sent("/dawlink/suggest")
    assert len(asked) > 20
    assert all(request == asked[0] for request in asked)
    assert played.shown("row", 1, "title") == "Song 1"
    assert len(played.sent("/dawlink/hello")) == 1


def test_a_device_loaded_twice_begins_once(tmp_path: Path) -> None:
    played = play("connect(); ready();", tmp_path)
    assert len([atoms for atoms in played.out if atoms[:2] == [1, "port"]]) == 1


def test_many_warp_markers_go_in_bursts(tmp_path: Path) -> None:
    scenario = """
        var many = [], i;
        for (i = 0; i < 300; i += 1) { many.push({sample_time: i / 2, beat_time: i}); }
        set[20].values.warp_markers = JSON.stringify({warp_markers: many});
        connect(); hear("/dawlink/clip/done", sent("/dawlink/clip")[0], "c7", 0, -1, "", 0);
    """
    assert len(play(scenario, tmp_path).sent("/dawlink/clip/warp")) == 128
    markers = play(f"{scenario} ticks(2);", tmp_path).sent("/dawlink/clip/warp")
    assert [marker[2] for marker in markers] == list(range(300))


def test_a_max_that_takes_ids_as_paths_and_tells_them_with_a_word(tmp_path: Path) -> None:
    other = """
        Object.defineProperty(LiveAPI.prototype, "id", {
            get: function () { return "id " + (set[this.at] ? this.at : 0); },
            set: function () {}
        });
        Object.defineProperty(LiveAPI.prototype, "path", {
            get: function () { return '"' + (set[this.at] ? set[this.at].path : "") + '"'; },
            set: function (path) { this.at = Number(path.replace("id ", "")); }
        });
    """
    played = play(other + "connect(); understand(); hits(2);", tmp_path)
    assert played.sent("/dawlink/clip")[0][1] == "/Users/me/a voice.wav"
    assert played.shown("row", 1, "title") == "Song 1"
    assert not played.posted
