"""Max's face of the set, seen by scripts in the ES5 engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fake_live.es5 import Es5, ScriptError, engine_command
from tests.fake_live.max_device import Device
from tests.fake_live.song import LiveSet
from tests.ports import free_port

Tone = Callable[..., str]

pytestmark = pytest.mark.skipif(
    engine_command() is None, reason="no ES5 engine: install mujs, or dukpy 0.5"
)

#: Answers `ask <expression>` on the picture outlet, as JSON.
ASKING = """
inlets = 2; outlets = 6;
function ready() { outlet(2, "ready", 1); }
function closing() {}
function tick() {}
function loaded() {}
function ui() {}
function deferred(what) { outlet(2, "deferred", what); }
function anything() { outlet(2, "came", messagename); }
function show(value) { outlet(2, "answer", JSON.stringify(value === undefined ? null : value)); }
"""


@contextmanager
def running(live: LiveSet, folder: Path, body: str, *, start: bool = True) -> Iterator[Device]:
    script = folder / "script.js"
    script.write_text(ASKING + body, encoding="utf-8")
    with Device(live, [script]) as device:
        if start:
            device.start()
        yield device


def answer(device: Device, name: str) -> object:
    device.send(name)
    return json.loads(str(device.picture["answer"][0]))


@pytest.mark.parametrize(
    "script",
    [
        "let a = 1;",
        "var f = (x) => x;",
        "var s = `text`;",
        "class A {}",
        "var {a} = {a: 1};",
        "for (var x of [1]) {}",
        "function f(a = 1) {}",
        "new Map();",
        "[1].includes(1);",
        "[1].find(function (x) { return x; });",
        "Object.assign({}, {});",
        "'a'.startsWith('a');",
        "Symbol('a');",
        "Math.trunc(1.5);",
    ],
)
def test_the_engine_takes_no_es6(tmp_path: Path, script: str) -> None:
    path = tmp_path / "new.js"
    path.write_text(script, encoding="utf-8")
    with Es5(lambda _name, _arguments: None) as engine, pytest.raises(ScriptError):
        engine.load(path)


def test_no_live_api_before_thisdevice(tmp_path: Path) -> None:
    body = "function early() { new LiveAPI(null, 'live_set'); }"
    with running(LiveSet(), tmp_path, body, start=False) as device:
        with pytest.raises(ScriptError, match=r"before live\.thisdevice"):
            device.send("early")
        with pytest.raises(AssertionError, match=r"before live\.thisdevice"):
            device.check()


def test_no_live_api_inside_a_notification_not_even_when_caught(tmp_path: Path) -> None:
    body = """
    var song;
    function watch() {
        song = new LiveAPI(null, 'live_set');
        var watcher = new LiveAPI(function (args) {
            if (args[0] === 'tempo') { try { song.get('tempo'); } catch (e) {} }
        }, 'live_set');
        watcher.property = 'tempo';
    }"""
    with running(LiveSet(), tmp_path, body) as device:
        device.send("watch")
        assert device.api.broken == ["get tempo: LiveAPI used inside a notification"]
        device.api.broken.clear()


def test_what_is_deferred_comes_back_after_the_notification(tmp_path: Path) -> None:
    body = """
    var watcher;
    function watch() {
        watcher = new LiveAPI(function (args) { outlet(4, args[0] + '=' + args[1]); }, 'live_set');
        watcher.property = 'tempo';
    }"""
    live = LiveSet()
    with running(live, tmp_path, body) as device:
        device.send("watch")
        live.song.tempo = 99.0
        device.run(0.01)
        assert device.picture["deferred"] == ["tempo=99"]
        device.check()


def test_values_come_as_max_gives_them(tmp_path: Path, tone: Tone) -> None:
    live = LiveSet()
    track = live.song.create_audio_track(-1)
    clip = live.drop_in_slot(track, 2, tone(4.0))
    clip.name = "2024"
    live.select(clip)
    body = """
    function values() {
        var view = new LiveAPI(null, 'live_set view');
        var clip = new LiveAPI(null, 'live_set view detail_clip');
        show({ clip: view.get('detail_clip'), name: clip.get('name'), id: typeof clip.id,
               slots: new LiveAPI(null, 'live_set tracks 0').getcount('clip_slots'),
               path: clip.path, by_id: new LiveAPI(null, 'id ' + clip.id).path,
               markers: JSON.parse(clip.get('warp_markers')[0]).warp_markers.length });
    }"""
    with running(live, tmp_path, body) as device:
        assert answer(device, "values") == {
            "clip": ["id", clip.lom_id],
            "name": [2024],
            "id": "string",
            "slots": 8,
            "path": '"live_set view detail_clip"',
            "by_id": '"live_set tracks 0 clip_slots 2 clip"',
            "markers": 2,
        }
        assert "2024" not in device.api.symbols


def test_a_missing_object_answers_a_bare_1(tmp_path: Path) -> None:
    body = """
    function missing() {
        var clip = new LiveAPI(null, 'live_set view detail_clip');
        show([clip.id, clip.get('name'), clip.set('name', 'x'), clip.call('fire')]);
    }"""
    with running(LiveSet(), tmp_path, body) as device:
        assert answer(device, "missing") == ["0", 1, 1, 1]


def test_set_never_says_that_it_failed(tmp_path: Path, tone: Tone) -> None:
    live = LiveSet()
    live.select(live.drop_in_slot(live.song.create_audio_track(-1), 0, tone(4.0)))
    body = """
    function fail() {
        var song = new LiveAPI(null, 'live_set');
        var clip = new LiveAPI(null, 'live_set view detail_clip');
        show([song.set('tempo', 5), song.get('tempo'), clip.set('file_path', '/x'),
              clip.set('pitch_coarse', 99), clip.get('pitch_coarse')]);
    }"""
    with running(live, tmp_path, body) as device:
        assert answer(device, "fail") == [None, [120], None, None, [0]]
        assert len(live.world.console) == 3


def test_warp_markers_cannot_be_written_and_it_says_nothing(tmp_path: Path, tone: Tone) -> None:
    live = LiveSet()
    clip = live.drop_in_slot(live.song.create_audio_track(-1), 0, tone(4.0))
    live.select(clip)
    before = clip.warp_markers
    body = """
    function write() {
        var clip = new LiveAPI(null, 'live_set view detail_clip');
        show(clip.call('add_warp_marker', '{"sample_time": 1.0, "beat_time": 3.0}'));
    }"""
    with running(live, tmp_path, body) as device:
        assert answer(device, "write") == [0]
        assert clip.warp_markers == before


@pytest.mark.parametrize(
    ("version", "there"), [("11.0.0", False), ("11.3.25", True), ("12.0.0", False), ("12.2", True)]
)
def test_info_lists_what_this_live_has(tmp_path: Path, version: str, there: bool) -> None:
    live = LiveSet(version)
    live.song.create_audio_track(-1)
    body = """
    function about() {
        var slot = new LiveAPI(null, 'live_set tracks 0 clip_slots 0');
        show([/function create_audio_clip/.test(slot.info), /function fire/.test(slot.info)]);
    }"""
    with running(live, tmp_path, body) as device:
        assert answer(device, "about") == [there, True]


def test_a_clip_is_created_and_read_back(tmp_path: Path, tone: Tone) -> None:
    live, path = LiveSet(), tone(4.0)
    live.song.create_audio_track(-1)
    body = f"""
    function create() {{
        var slot = new LiveAPI(null, 'live_set tracks 0 clip_slots 1');
        var track = new LiveAPI(null, 'live_set tracks 0');
        show([slot.call('create_audio_clip', {json.dumps(path)}), slot.get('has_clip'),
              slot.call('create_audio_clip', {json.dumps(path)}),
              track.call('create_audio_clip', {json.dumps(path)}, 8)[0],
              track.getcount('arrangement_clips')]);
    }}"""
    with running(live, tmp_path, body) as device:
        assert answer(device, "create") == [None, [1], None, "id", 1]
        assert live.world.console == ["call create_audio_clip: The clip slot is not empty"]


def test_an_observer_hears_that_its_object_is_gone(tmp_path: Path, tone: Tone) -> None:
    live = LiveSet()
    clip = live.drop_in_slot(live.song.create_audio_track(-1), 0, tone(4.0))
    live.select(clip)
    body = """
    var watcher, heard = [];
    function watch() {
        watcher = new LiveAPI(function (args) { heard.push(args); }, 'live_set view detail_clip');
        watcher.property = 'name';
    }
    function told() { show(heard); }"""
    with running(live, tmp_path, body) as device:
        device.send("watch")
        clip.name = "verse"
        live.delete(clip)
        heard = answer(device, "told")
    assert heard == [["id", clip.lom_id], ["name", "tone"], ["name", "verse"], ["id", 0]]


def test_datagrams_go_as_max_sends_and_come_as_max_takes_them(tmp_path: Path) -> None:
    import socket

    body = """
    function listen(port) { outlet(1, 'port', port); outlet(0, 'port', port); }
    function speak() { outlet(0, '/dawlink/x', 1, 1.5, 'ab'); }"""
    with (
        running(LiveSet(), tmp_path, body) as device,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        port = free_port()
        device.send("listen", port)
        device.send("speak")
        device.until(lambda: "came" in device.picture)
        assert device.udp.received == [("/dawlink/x", [1, 1.5, "ab"])]
        for packet in (
            b"/odd\0\0\0\0,\0\0",
            b"/big\0\0\0\0" + bytes(1020),
            b"/h\0\0,h\0\0" + bytes(8),
        ):
            other.sendto(packet, ("127.0.0.1", port))
        device.until(lambda: len(device.udp.dropped) == 3)
        other.sendto(b"/last\0\0\0,\0\0\0", ("127.0.0.1", port))
        device.until(lambda: device.shown("came") == "/last")
