from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from dawlink.batch.plan import PlanLine
from dawlink.batch.state import STATE_NAME, BatchState, line_key
from engine.clips.clip import ClipRequest
from engine.delivery.records import RenderOptions
from engine.errors import UnwritableOutput
from engine.suggestions import SuggestOptions

LINE = PlanLine(
    number=2,
    request=ClipRequest(Path("/music/vox.wav")),
    wanted=SuggestOptions(exclude_songs=frozenset({"g1", "g2"})),
    writing=RenderOptions(Path("/out/002 vox")),
    folder=PurePosixPath("002 vox"),
    model="auto",
    rank=None,
    top=None,
    stretcher="auto",
)


def finished(out: Path, key: str = "k") -> Path:
    file = out.resolve() / "002 vox" / "a.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    with BatchState.open(out) as state:
        state.writing(key, [file])
        file.write_bytes(b"12345")
        state.finish(key, {file: 5}, [file], 1.5)
    return file


def test_a_line_is_done_while_its_files_are_there_in_their_sizes(tmp_path: Path) -> None:
    file = finished(tmp_path)
    with BatchState.open(tmp_path) as state:
        done = state.done("k")
        assert done is not None
        assert (done.files, done.seconds) == ({"002 vox/a.wav": 5}, 1.5)
        assert state.done("other") is None
        file.write_bytes(b"1234")
        assert state.done("k") is None
        file.unlink()
        assert state.done("k") is None
        assert state.own_files("k") == {file}
        assert state.own_files("other") == frozenset()


def test_what_was_about_to_appear_is_the_lines_own_and_goes_when_it_is_renamed(
    tmp_path: Path,
) -> None:
    file = finished(tmp_path)
    other = file.with_name("b.wav")
    with BatchState.open(tmp_path) as state:
        state.writing("k", [other])
        other.write_bytes(b"1")
    with BatchState.open(tmp_path) as state:  # the one before was killed here
        assert state.done("k") is None
        assert state.own_files("k") == {file, other}
        state.finish("k", {other: 1}, [other], 1.0)
        assert not file.exists()
        assert state.done("k") is not None


@pytest.mark.parametrize("cut", [1, 20, 60, 110])
def test_a_torn_last_line_is_ignored_and_spoils_no_later_one(tmp_path: Path, cut: int) -> None:
    finished(tmp_path)
    path = tmp_path / STATE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    with BatchState.open(tmp_path) as state:
        assert (state.done("k") is None) == (cut > 1)
    finished(tmp_path)
    with BatchState.open(tmp_path) as state:
        assert state.done("k") is not None


@pytest.mark.parametrize(
    "name", ["", "../mine", "/etc/passwd", "a/../../mine", "C:\\mine", "..\\mine"]
)
def test_a_state_that_names_files_elsewhere_owns_none_of_them(tmp_path: Path, name: str) -> None:
    record = {"schema": 1, "event": "writing", "key": "k", "files": [name]}
    (tmp_path / STATE_NAME).write_text(json.dumps(record) + "\n[]\n3\nnull\n{}\n" + "[" * 100_000)
    assert BatchState.look(tmp_path).own_files("k") == frozenset()


def test_a_folder_takes_one_batch_at_a_time(tmp_path: Path) -> None:
    with BatchState.open(tmp_path):
        with pytest.raises(UnwritableOutput, match="Another batch") as caught:
            BatchState.open(tmp_path)
        assert caught.value.code == "busy"
    with BatchState.open(tmp_path):
        pass


def test_a_key_follows_from_what_is_asked_and_not_from_where_it_stands() -> None:
    key = line_key(LINE, "sha", Path("library"))
    same = [
        replace(LINE, number=9),
        replace(LINE, request=ClipRequest(Path("/elsewhere/vox.wav"))),
        replace(LINE, writing=replace(LINE.writing, out=Path("/x"), overwrite=True)),
        replace(LINE, wanted=SuggestOptions(exclude_songs=frozenset({"g2", "g1"}))),
    ]
    assert {line_key(line, "sha", Path("library")) for line in same} == {key}
    other = [
        line_key(LINE, "other", Path("library")),
        line_key(LINE, "sha", Path("elsewhere")),
        *(
            line_key(line, "sha", Path("library"))
            for line in (
                replace(LINE, top=2),
                replace(LINE, model="chroma"),
                replace(LINE, folder=PurePosixPath("003 vox")),
                replace(LINE, request=ClipRequest(Path("/music/vox.wav"), start_s=1.0)),
                replace(LINE, request=ClipRequest(Path("/music/voice.wav"))),
                replace(LINE, wanted=replace(LINE.wanted, tempo_bpm=100.0)),
                replace(LINE, writing=replace(LINE.writing, mix_lufs=-16.0)),
            )
        ),
    ]
    assert len({key, *other}) == len(other) + 1
