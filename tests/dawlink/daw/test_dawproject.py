from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import soundfile as sf
from lxml import etree

from dawlink.daw.dawproject import DawprojectWriter
from dawlink.daw.project import Project
from tests.dawlink.daw.projects import drifting_project, steady_project
from tests.recordings import needs_recordings, recordings_dir


def written(project: Project, folder: Path) -> zipfile.ZipFile:
    out = folder / "out"
    out.mkdir()
    (name,) = DawprojectWriter().write(project, out)
    return zipfile.ZipFile(out / name)


@needs_recordings
@pytest.mark.parametrize("make", [steady_project, drifting_project])
@pytest.mark.parametrize(
    ("member", "schema"), [("project.xml", "Project.xsd"), ("metadata.xml", "MetaData.xsd")]
)
def test_it_is_valid(tmp_path: Path, make, member: str, schema: str) -> None:  # type: ignore[no-untyped-def]
    archive = written(make(tmp_path), tmp_path)
    rules = etree.XMLSchema(etree.parse(recordings_dir() / "daw_samples" / "dawproject" / schema))
    rules.assertValid(etree.fromstring(archive.read(member)))


def test_every_file_is_inside_and_whole(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    archive = written(project, tmp_path)
    root = etree.fromstring(archive.read("project.xml"))
    paths = [file.get("path") for file in root.iter("File")]
    assert len(paths) == 3
    for path, audio in zip(paths, project.files, strict=True):
        stored = archive.read(path)
        assert stored == audio.path.read_bytes()
        assert sf.info(io.BytesIO(stored)).frames == audio.frames
    assert archive.testzip() is None


def test_tempo_metre_tracks_and_lanes(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    root = etree.fromstring(written(project, tmp_path).read("project.xml"))
    assert float(root.find("Transport/Tempo").get("value")) == project.tempo_bpm
    assert root.find("Transport/TimeSignature").get("numerator") == "4"
    tracks = root.findall("Structure/Track")
    assert [t.get("name") for t in tracks] == [*(t.name for t in project.tracks), "Master"]
    lanes = root.findall("Arrangement/Lanes/Lanes")
    assert [lane.get("track") for lane in lanes] == [t.get("id") for t in tracks[:-1]]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_warps_say_where_every_beat_is(tmp_path: Path) -> None:
    project = drifting_project(tmp_path)
    root = etree.fromstring(written(project, tmp_path).read("project.xml"))
    clips = root.findall("Arrangement/Lanes/Lanes/Clips/Clip")
    assert [float(clip.get("time")) for clip in clips] == [0.0, 8.0]
    source = project.tracks[0].clips[0]
    for clip in clips:
        warps = clip.findall(".//Warp")
        assert len(warps) == 9
        for warp in warps:
            expected = source.source_at(float(warp.get("time")))
            assert float(warp.get("contentTime")) == pytest.approx(expected, abs=1e-3)
        points = {p.find("Target").get("expression"): p for p in clip.iter("Points")}
        assert float(points["transpose"].find("RealPoint").get("value")) == -2.85
        gain = float(points["gain"].find("RealPoint").get("value"))
        assert gain == pytest.approx(10 ** (8 / 20))
