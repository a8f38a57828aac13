from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_live.song import LiveSet
from tests.max4live.remote_script.loading import part

project = part("project")
Refused = part("clip").Refused


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    folder = tmp_path / "My Project" / "Samples" / "Processed" / "dawlink"
    folder.mkdir(parents=True)
    return folder


def test_a_render_inside_is_taken(renders: Path, tmp_path: Path) -> None:
    (renders / "a.wav").write_bytes(b"")
    assert project.checked_render(str(renders / "a.wav"), tmp_path / "My Project") == (
        renders / "a.wav"
    )


def test_what_lies_outside_is_refused_however_it_is_named(renders: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.wav"
    outside.write_bytes(b"")
    (renders / "link.wav").symlink_to(outside)
    for text in (
        str(outside),
        str(renders / ".." / ".." / ".." / ".." / "secret.wav"),
        str(renders / "link.wav"),
        str(renders),
        "secret.wav",
        "",
    ):
        with pytest.raises(Refused, match="outside"):
            project.checked_render(text, tmp_path / "My Project")


def test_what_is_not_there_is_refused(renders: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not there"):
        project.checked_render(str(renders / "b.wav"), tmp_path / "My Project")


def test_the_project_is_the_sets_folder_or_the_one_that_the_clip_lies_in() -> None:
    live = LiveSet("12.2.0", path="/music/Song Project/Song.als")
    assert project.project_folder(live.song, "/elsewhere/a.wav") == Path("/music/Song Project")
    old = LiveSet("11.0.0", path="/music/Song Project/Song.als")  # does not tell its path
    inside = "/music/Other Project/Samples/Imported/a.wav"
    assert project.project_folder(old.song, inside) == Path("/music/Other Project")


def test_an_unsaved_set_has_no_project() -> None:
    with pytest.raises(Refused, match="Save the set"):
        project.project_folder(LiveSet("12.2.0").song, "/elsewhere/a.wav")
    inside = "/music/Other Project/Samples/Imported/a.wav"
    with pytest.raises(Refused, match="Save the set"):
        project.project_folder(LiveSet("12.2.0").song, inside)
