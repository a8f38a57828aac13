"""Sources that drift, handed over with their warps: what every format says, beat by beat."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lxml import etree

from dawlink.daw.project import Project
from dawlink.daw.rendered import rendered_project, warped_project
from dawlink.daw.writer import writer_for
from engine.delivery.records import RenderedFile, RenderedSuggestion
from engine.grid import BeatGrid
from engine.mashup.placement import Placement
from engine.rendering.renderer import Session
from engine.suggestions import SuggestReply
from tests.dawlink.daw.readers import ReadClip, clips_of
from tests.engine.replies import reply_with_two_stems

TEMPO, BARS, RATE = 120.0, 4, 44100
SESSION = Session(TEMPO, 4, BARS, RATE)
WARPING = ("als", "alc", "dawproject", "rpp")


def drifting(beats: int, first_s: float) -> BeatGrid:
    """Beats around 104 BPM that drift by 4 % either way within a dozen beats."""
    steps = 60 / 104 * (1 + 0.04 * np.sin(np.arange(beats) / 2))
    return BeatGrid(first_s + np.concatenate([[0.0], np.cumsum(steps)]))


def reply(folder: Path) -> SuggestReply:
    """A clip with an upbeat, a bed that drifts and drums of two bars that repeat."""
    made = reply_with_two_stems(folder)
    bed, kit = made.suggestions[0].stems
    grid = drifting(32, 0.7)
    rng = np.random.default_rng(5)
    loud = 1.7 * rng.uniform(-1, 1, (round(float(grid.beats_s[-1] + 1) * RATE), 2))
    for stem in (bed, kit):
        soundfile.write(stem.path, loud, RATE, subtype="FLOAT")
    bed = replace(
        bed,
        title="Bed \x01\x0b\udcff <&\"'>",
        grid=grid,
        tuning_cents=-12.0,
        storage_gain_db=1.5,
        placement=replace(bed.placement, start_beat=4, bars=BARS, loop_bars=BARS, semitones=-3),
    )
    kit = replace(
        kit, grid=grid, placement=Placement(kit.placement.stem_id, "g1", "percussion", 8, 4, 4, 2)
    )
    clip = replace(
        made.clip,
        request=replace(made.clip.request, start_s=1.0),
        end_s=4.5,
        grid=BeatGrid(-0.4 + 0.55 * np.arange(4 * BARS + 1)),
        bars=BARS,
    )
    suggestion = replace(made.suggestions[0], stems=(bed, kit))
    return replace(made, clip=clip, suggestions=(suggestion,))


def warped(folder: Path) -> tuple[SuggestReply, Project]:
    answer = reply(folder)
    suggestion = answer.suggestions[0]
    files = [RenderedFile(folder / f"{n}.wav", folder / "x", ()) for n in range(3)]
    files[0] = replace(files[0], lower_db=2.5)
    rendered = RenderedSuggestion(
        SESSION, folder / "01 Try 120bpm.json", files[0], None, (files[1], files[2])
    )
    sources = folder / "sources"
    sources.mkdir()
    return answer, warped_project(answer, suggestion, rendered, sources)


def tracks_of(folder: Path, name: str, project: Project) -> list[list[ReadClip]]:
    out = folder / name
    out.mkdir()
    paths = writer_for(name).write(project, out)
    return [clips for path in paths for clips in clips_of(out / path, TEMPO)]


@pytest.mark.parametrize("name", WARPING)
def test_every_beat_of_a_drifting_song_sounds_when_it_should(tmp_path: Path, name: str) -> None:
    answer, project = warped(tmp_path)
    voice, bed, kit = tracks_of(tmp_path, name, project)
    grid = answer.suggestions[0].stems[0].grid
    (whole,) = bed
    assert (whole.start_beat, whole.beats) == (0, 16)
    for beat in np.arange(0, 16, 0.25):  # between beats, too
        assert whole.source_s(beat) == pytest.approx(grid.time_at(4 + beat), abs=1e-3)
    assert whole.semitones == pytest.approx(-2.88)
    assert whole.gain == pytest.approx(10 ** ((-3.0 + 1.5) / 20))
    assert [clip.start_beat for clip in kit] == ([0] if name == "alc" else [0, 8])
    for clip in kit:
        assert clip.beats == pytest.approx(8)
        assert clip.semitones == 0
        for beat in range(8):
            heard = clip.source_s(clip.start_beat + beat)
            assert heard == pytest.approx(grid.time_at(8 + beat), abs=1e-3)
    (sung,) = voice
    assert sung.gain == pytest.approx(10 ** (-2.5 / 20))
    sung_grid = answer.clip.grid
    if name != "alc":  # on the timeline it begins where the chosen part does
        assert sung.start_beat == pytest.approx(sung_grid.beat_at(1.0))
        for beat in range(3, 9):
            assert sung.source_s(beat) == pytest.approx(sung_grid.time_at(float(beat)), abs=1e-3)


def test_a_voice_with_an_upbeat_keeps_its_bar_in_a_slot(tmp_path: Path) -> None:
    answer, project = warped(tmp_path)
    for name in ("als", "alc"):
        out = tmp_path / name
        out.mkdir()
        path = out / writer_for(name).write(project, out)[0]
        root = etree.fromstring(gzip.decompress(path.read_bytes()))
        loop = root.find(".//AudioTrack//ClipSlotList//AudioClip/Loop")
        start, end = (float(loop.find(tag).get("Value")) for tag in ("LoopStart", "LoopEnd"))
        assert start == pytest.approx(-answer.clip.grid.beat_at(1.0))
        assert end - start == pytest.approx(BARS * 4)


def test_sources_are_whole_and_what_was_not_chosen_is_silent(tmp_path: Path) -> None:
    answer, project = warped(tmp_path)
    voice, bed, _ = tracks_of(tmp_path, "rpp", project)
    sound, rate = soundfile.read(voice[0].file, always_2d=True)
    source = soundfile.read(answer.clip.request.path, always_2d=True)[0]
    assert sound.shape == source.shape
    first, last = round(1.0 * rate), round(4.5 * rate)
    assert not sound[:first].any()
    assert not sound[last:].any()
    inner = slice(first + rate // 100, last - rate // 100)
    assert sound[inner] == pytest.approx(source[inner], abs=2**-22)
    stem = answer.suggestions[0].stems[0].path
    assert np.abs(soundfile.read(stem)[0]).max() > 1.5  # louder than whole numbers could be
    np.testing.assert_array_equal(soundfile.read(bed[0].file)[0], soundfile.read(stem)[0])


def test_names_hold_nothing_that_a_file_could_not(tmp_path: Path) -> None:
    _, project = warped(tmp_path)
    assert project.tracks[1].name == "Bed  <&\"'> harmonic"


def test_the_same_sources_give_the_same_bytes_on_another_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        _, project = warped(folder)
        made.append([audio.path.read_bytes() for audio in project.files])
        assert any(b"PEAK" in data[:100] for data in made[-1])  # floats, which carry the time
        assert all(data[data.index(b"PEAK") + 12 :][:4] == b"\0" * 4 for data in made[-1][1:])
    assert made[0] == made[1]


def test_a_track_that_was_not_written_is_in_no_project(tmp_path: Path) -> None:
    answer = reply(tmp_path)
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(SESSION.frames), RATE)
    files = [RenderedFile(tmp_path / f"{n}.wav", tmp_path / "x", ()) for n in range(2)]
    rendered = RenderedSuggestion(SESSION, tmp_path / "01.json", None, None, (files[0], files[1]))
    project = rendered_project(answer, answer.suggestions[0], rendered, tmp_path)
    assert [track.role for track in project.tracks] == ["harmonic", "percussion"]
    assert project.is_steady()
