"""What every writer owes whoever calls it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from dawlink.daw.writer import FORMATS, parse_formats, writer_for
from engine.errors import UsageError
from tests.dawlink.daw.projects import FORMATS as TESTED
from tests.dawlink.daw.projects import drifting_project, steady_project


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_every_format_is_tested() -> None:
    assert set(TESTED) == set(FORMATS)


@pytest.mark.parametrize("name", TESTED)
def test_one_entry_is_made_and_the_sources_stay(tmp_path: Path, name: str) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    project = steady_project(sources)
    before = contents(sources)
    writer = writer_for(name)
    files = writer.write(project, out)
    assert contents(sources) == before
    assert [path.name for path in out.iterdir()] == [writer.entry(project.name)]
    assert files
    assert all((out / file).is_file() for file in files)


@pytest.mark.parametrize("name", TESTED)
def test_the_same_project_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    project = steady_project(tmp_path)
    made = []
    for number in range(2):
        out = tmp_path / f"out{number}"
        out.mkdir()
        writer_for(name).write(project, out)
        made.append(contents(out))
    assert made[0] == made[1]


@pytest.mark.parametrize("name", TESTED)
def test_the_project_needs_nothing_outside_its_entry(tmp_path: Path, name: str) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    out.mkdir()
    project = steady_project(sources)
    writer_for(name).write(project, out)
    written = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".wav"]
    texts = [path.read_bytes() for path in written]
    shutil.rmtree(sources)
    assert not any(str(sources).encode() in text for text in texts)


@pytest.mark.parametrize("name", TESTED)
def test_a_format_that_cannot_warp_says_so(tmp_path: Path, name: str) -> None:
    project = drifting_project(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    writer = writer_for(name)
    if writer.warps:
        assert writer.write(project, out)
    else:
        with pytest.raises(UsageError, match="as they are"):
            writer.write(project, out)


def test_names_of_formats() -> None:
    assert parse_formats("als, dawproject ALS") == ("als", "dawproject")
    for text in ("", "logic", "als,flp"):
        with pytest.raises(UsageError):
            parse_formats(text)
    with pytest.raises(UsageError, match="--into"):
        writer_for("rpp", into=Path("song.als"))
