"""A person's own set: what is said of it before anything is rendered for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dawlink.daw.live.own_set import OwnSet, look_at, set_tempo
from dawlink.daw.live.set_file import LiveSet, set_bytes
from dawlink.daw.live.sets import new_set
from engine.errors import UnusableInput
from tests.dawlink.daw.projects import steady_project
from tests.recordings import needs_recordings, recordings_dir

OWN = OwnSet(Path("My Song.als"), 120.0, tempo_moves=False, metre=(4, 4), newer=False)


def saved(path: Path, live: LiveSet) -> Path:
    path.write_bytes(set_bytes(live))
    return path


def made(folder: Path) -> LiveSet:
    return new_set(replace(steady_project(folder), tempo_bpm=98.5, beats_per_bar=3))


def test_tempo_and_metre_are_those_that_live_shows(tmp_path: Path) -> None:
    live = made(tmp_path)
    own = look_at(saved(tmp_path / "set.als", live))
    assert (own.tempo_bpm, own.metre, own.tempo_moves, own.newer) == (98.5, (3, 4), False, False)
    mixer = live.master.find("DeviceChain/Mixer/Tempo/Manual")
    assert mixer is not None
    mixer.set("Value", "77")  # the automation wins
    assert set_tempo(live) == 98.5
    (event,) = live.master.iter("FloatEvent")
    event.set("Value", "131.25")
    assert look_at(saved(tmp_path / "set.als", live)).tempo_bpm == 131.25


@pytest.mark.parametrize(("number", "metre"), [("201", (4, 4)), ("301", (5, 8)), ("0", (1, 1))])
def test_metres(tmp_path: Path, number: str, metre: tuple[int, int]) -> None:
    live = made(tmp_path)
    next(live.master.iter("EnumEvent")).set("Value", number)
    assert look_at(saved(tmp_path / "set.als", live)).metre == metre


@pytest.mark.parametrize("number", ["", "-1", "four", "9" * 5000, "1e3"])
def test_an_odd_metre_is_none(tmp_path: Path, number: str) -> None:
    live = made(tmp_path)
    next(live.master.iter("EnumEvent")).set("Value", number)
    assert look_at(saved(tmp_path / "set.als", live)).metre is None


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "0", "-120", ""])
def test_what_is_no_tempo_is_one_clear_error(tmp_path: Path, text: str) -> None:
    live = made(tmp_path)
    next(live.master.iter("FloatEvent")).set("Value", text)
    with pytest.raises(UnusableInput, match="tempo"):
        look_at(saved(tmp_path / "set.als", live))


def test_a_set_that_live_would_refuse_is_refused_beforehand(tmp_path: Path) -> None:
    live = made(tmp_path)
    next(live.live_set.iter("NextPointeeId")).set("Value", "3")
    with pytest.raises(UnusableInput, match="NextPointeeId is too low") as caught:
        look_at(saved(tmp_path / "set.als", live))
    assert caught.value.code == "faulty_set"


def test_notes_say_what_differs() -> None:
    assert list(OWN.notes(120.0, 4)) == []
    (note,) = OWN.notes(100.0, 4)
    assert "120 BPM" in note
    assert "100 BPM" in note
    (note,) = OWN.notes(120.0, 3)
    assert "4/4" in note
    assert len(list(replace(OWN, tempo_moves=True, newer=True).notes(120.0, 4))) == 2


@needs_recordings
@pytest.mark.parametrize(
    "path", sorted((recordings_dir() / "daw_samples").rglob("*.als")), ids=lambda path: path.name
)
def test_every_real_set_can_be_looked_at(path: Path) -> None:
    own = look_at(path)
    assert 20 <= own.tempo_bpm <= 400
    assert own.metre == (4, 4)
    assert not own.newer
