from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rpp
import soundfile as sf

from dawlink.daw.project import Project
from dawlink.daw.reaper import ReaperWriter
from engine.mashup.placement import WarpPoint
from tests.dawlink.daw.projects import drifting_project, steady_project


def parsed(project: Project, folder: Path) -> tuple[Path, rpp.Element]:
    out = folder / "out"
    out.mkdir()
    (name,) = ReaperWriter().write(project, out)
    return out / name, rpp.loads((out / name).read_text(encoding="utf-8"))


def value(element: rpp.Element, name: str) -> list[str]:
    (row,) = [child for child in element if isinstance(child, list) and child[0] == name]
    return row[1:]


def test_another_parser_reads_tempo_tracks_and_items(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    path, root = parsed(project, tmp_path)
    assert [float(x) for x in value(root, "TEMPO")] == [128.0, 4.0, 4.0]
    tracks = root.findall("TRACK")
    assert [value(track, "NAME")[0] for track in tracks] == [t.name for t in project.tracks]
    for track in tracks:
        (item,) = track.findall("ITEM")
        (source,) = item.findall("SOURCE")
        media = path.parent / value(source, "FILE")[0]
        assert media.is_file()
        assert sf.info(media).duration == pytest.approx(float(value(item, "LENGTH")[0]), abs=1e-4)
        assert not any(isinstance(row, list) and row[0] == "SM" for row in item)


def test_a_steady_clip_plays_its_source_from_the_second_it_begins_with(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    track = project.tracks[0]
    (clip,) = track.clips
    late = tuple(WarpPoint(12 + point.source_s, point.beat) for point in clip.warp)
    track = replace(track, clips=(replace(clip, warp=late),))
    _, root = parsed(replace(project, tracks=(track,)), tmp_path)
    assert float(value(root.find("TRACK").find("ITEM"), "SOFFS")[0]) == 12.0


def test_a_tracks_colour_is_blue_green_red_under_a_flag(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    assert project.tracks[0].color == "#e0559b"
    _, root = parsed(project, tmp_path)
    assert int(value(root.find("TRACK"), "PEAKCOL")[0]) == 0x1_9B_55_E0


def test_stretch_markers_say_where_every_beat_is(tmp_path: Path) -> None:
    project = drifting_project(tmp_path)
    _, root = parsed(project, tmp_path)
    items = root.find("TRACK").findall("ITEM")
    assert [float(value(i, "POSITION")[0]) for i in items] == [0.0, pytest.approx(8 * 60 / 128)]
    source = project.tracks[0].clips[0]
    for item in items:
        (section,) = item.findall("SOURCE")
        start = float(value(section, "STARTPOS")[0])
        row = [float(x) for x in value(item, "SM") if x != "+"]
        positions, places = np.array(row[::2]), np.array(row[1::2])
        assert positions[-1] == pytest.approx(float(value(item, "LENGTH")[0]))
        for beat in np.linspace(0, 8, 33):
            heard = start + np.interp(beat * 60 / 128, positions, places)
            assert heard == pytest.approx(source.source_at(float(beat)), abs=1e-3)
        assert float(value(item, "PLAYRATE")[2]) == -2.85
        assert float(value(item, "VOLPAN")[0]) == pytest.approx(10 ** (8 / 20))


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\"b'c", "a\"b'c`d", "line\nbreak"])
def test_any_name_stays_one_token(tmp_path: Path, name: str) -> None:
    project = steady_project(tmp_path)
    tracks = (replace(project.tracks[0], name=name),)
    _, root = parsed(replace(project, tracks=tracks), tmp_path)
    row = value(root.find("TRACK"), "NAME")
    assert len(row) == 1
    assert row[0].replace("'", "`") == name.replace("\n", " ").replace("'", "`")
