"""Sets that dawlink makes, against the rules of Live's files and against real sets."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from dawlink.daw.live.clip import COLORS, crc16
from dawlink.daw.live.own_set import faults_of, set_tempo
from dawlink.daw.live.set_file import LiveSet, read_set, set_bytes
from dawlink.daw.live.writers import ClipWriter, SetWriter
from dawlink.daw.project import Project
from engine.errors import UnwritableOutput
from engine.mashup.placement import WarpPoint
from tests.dawlink.daw.projects import drifting_project, steady_project
from tests.recordings import needs_recordings, recordings_dir

FOLDER = recordings_dir() / "daw_samples"
SETS = sorted(FOLDER.rglob("*.als"))
Orders = dict[str, set[tuple[str, ...]]]
#: Parts that hold what a person put there.
OWN = ("Devices", "AutomationLanes", "SourceContext", "Onsets", "AutomationEnvelopes", "TakeLanes")


def orders(element: Element, path: str = "") -> Orders:
    """The tags of the children of every element, repeats left out."""
    path = f"{path}/{element.tag}"
    found: Orders = {path: {tuple(dict.fromkeys(child.tag for child in element))}}
    for child in element:
        for key, value in orders(child, path).items():
            found.setdefault(key, set()).update(value)
    return found


def made(project: Project, folder: Path, into: Path | None = None) -> tuple[Path, LiveSet]:
    out = folder / "out"
    out.mkdir(exist_ok=True, parents=True)
    (name,) = SetWriter(into).write(project, out)
    return out / name, read_set(out / name)


def audio_tracks(live: LiveSet) -> list[Element]:
    return live.live_set.findall("Tracks/AudioTrack")


def text(element: Element, path: str) -> str:
    found = element.find(path)
    assert found is not None, path
    return found.attrib["Value"]


def require_samples(path: Path, live: LiveSet, clips: int) -> None:
    """Every reference resolves, and size and CRC are those of the file."""
    references = [r for r in live.root.iter("FileRef") if "dawlink" in text(r, "RelativePath")]
    assert len(references) == clips
    for reference in references:
        assert text(reference, "RelativePathType") == "3"
        sample = path.parent / text(reference, "RelativePath")
        assert sample.stat().st_size == int(text(reference, "OriginalFileSize"))
        assert crc16(sample.read_bytes()) == int(text(reference, "OriginalCrc"))
    assert (path.parent / "Ableton Project Info").is_dir()


def test_a_new_set_obeys_the_rules(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    path, live = made(project, tmp_path)
    assert faults_of(live) == []
    require_samples(path, live, clips=6)
    tracks = audio_tracks(live)
    assert [text(t, "Name/UserName") for t in tracks] == [t.name for t in project.tracks]
    for track in tracks:
        assert len(track.findall("DeviceChain/MainSequencer/ClipSlotList/ClipSlot")) == 8
        assert len(track.findall("DeviceChain/FreezeSequencer/ClipSlotList/ClipSlot")) == 8
        for clip in track.iter("AudioClip"):
            assert float(text(clip, "Loop/LoopEnd")) == 8
            markers = [
                (float(m.attrib["SecTime"]), float(m.attrib["BeatTime"]))
                for m in clip.iter("WarpMarker")
            ]
            (_, _), (seconds, beats) = markers
            assert beats / seconds * 60 == pytest.approx(project.tempo_bpm)


def test_the_tempo_stands_in_both_places(tmp_path: Path) -> None:
    project = replace(steady_project(tmp_path), tempo_bpm=93.75, beats_per_bar=3)
    _, live = made(project, tmp_path)
    assert set_tempo(live) == 93.75
    mixer = live.master.find("DeviceChain/Mixer")
    assert mixer is not None
    targets = {
        e.find("EnvelopeTarget/PointeeId").attrib["Value"]: e  # type: ignore[union-attr]
        for e in live.master.iter("AutomationEnvelope")
    }
    tempo = targets[mixer.find("Tempo/AutomationTarget").attrib["Id"]]  # type: ignore[union-attr]
    assert [float(e.attrib["Value"]) for e in tempo.iter("FloatEvent")] == [93.75]
    metre = targets[mixer.find("TimeSignature/AutomationTarget").attrib["Id"]]  # type: ignore[union-attr]
    assert [e.attrib["Value"] for e in metre.iter("EnumEvent")] == ["200"]


@needs_recordings
def test_a_new_set_is_built_like_one_of_lives_own(tmp_path: Path) -> None:
    _, live = made(steady_project(tmp_path), tmp_path)
    theirs = orders(read_set(FOLDER / "ableton-maxdevtools" / "Test.als").live_set)
    ours = orders(live.live_set)
    for path, tags in theirs.items():
        if not path.startswith("/LiveSet/Tracks"):
            assert ours[path] == tags, path


@needs_recordings
@pytest.mark.parametrize("source", SETS, ids=lambda path: path.name)
def test_a_copy_keeps_everything_and_adds_tracks(tmp_path: Path, source: Path) -> None:
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    project = steady_project(tmp_path)
    path, live = made(project, tmp_path, into=source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    own = read_set(source)
    assert faults_of(live) == []
    require_samples(path, live, clips=6)
    tracks, had = list(live.live_set.find("Tracks") or []), list(own.live_set.find("Tracks") or [])
    added = [track for track in tracks if track.attrib["Id"] not in {t.attrib["Id"] for t in had}]
    assert [text(track, "Name/UserName") for track in added] == [t.name for t in project.tracks]
    assert [t.tag for t in tracks if t not in added] == [t.tag for t in had]
    assert all(t.tag == "ReturnTrack" for t in tracks[tracks.index(added[-1]) + 1 :])
    returns = [t for t in had if t.tag == "ReturnTrack"]
    for track in added:
        assert len(track.findall("DeviceChain/Mixer/Sends/TrackSendHolder")) == len(returns)
    assert set_tempo(live) == set_tempo(own)


@needs_recordings
@pytest.mark.parametrize("source", SETS, ids=lambda path: path.name)
def test_but_for_the_new_tracks_a_copy_is_the_set_to_the_letter(
    tmp_path: Path, source: Path
) -> None:
    _, live = made(steady_project(tmp_path), tmp_path, into=source)
    own = read_set(source)
    had = {track.attrib["Id"] for track in own.tracks}
    for track in list(live.tracks):
        if track.attrib["Id"] not in had:
            live.tracks.remove(track)
    live.tracks[-1].tail = own.tracks[-1].tail
    next_id = live.live_set.find("NextPointeeId")
    assert next_id is not None
    assert int(next_id.attrib["Value"]) > own.next_pointee_id
    next_id.set("Value", str(own.next_pointee_id))
    assert set_bytes(live) == set_bytes(own)


@needs_recordings
@pytest.mark.parametrize("source", SETS, ids=lambda path: path.name)
def test_what_a_copy_adds_is_seen_and_heard(tmp_path: Path, source: Path) -> None:
    """Names, colours, levels, and the clip in the first slot and on the timeline."""
    had = {track.attrib["Id"] for track in read_set(source).tracks}
    project = steady_project(tmp_path)
    _, live = made(project, tmp_path, into=source)
    added = [track for track in live.tracks if track.attrib["Id"] not in had]
    for element, track in zip(added, project.tracks, strict=True):
        assert text(element, "Name/EffectiveName") == track.name
        assert int(text(element, "Color")) == COLORS[track.role]
        assert float(text(element, "DeviceChain/Mixer/Volume/Manual")) == 1.0
        main = "AudioOut/Main" if live.version >= (12, 0) else "AudioOut/Master"
        assert text(element, "DeviceChain/AudioOutputRouting/Target") == main
        for sequencer in ("MainSequencer", "FreezeSequencer"):
            slots = element.findall(f"DeviceChain/{sequencer}/ClipSlotList/ClipSlot")
            assert [slot.attrib["Id"] for slot in slots] == [str(n) for n in range(live.scenes)]
        slotted = element.findall("DeviceChain/MainSequencer/ClipSlotList/*/ClipSlot/Value/*")
        assert len(slotted) == min(live.scenes, 1)
        timeline = element.findall("DeviceChain/MainSequencer/Sample/ArrangerAutomation/Events/*")
        assert [clip.attrib["Id"] for clip in timeline] == [str(n) for n in range(len(timeline))]
        assert len(timeline) == len(track.clips)
        for clip in (*slotted, *timeline):
            assert text(clip, "Name") == track.name
            assert len(list(clip.iter("WarpMarker"))) == 2


@needs_recordings
@pytest.mark.parametrize("source", SETS, ids=lambda path: path.name)
def test_added_tracks_are_built_like_the_sets_own(tmp_path: Path, source: Path) -> None:
    _, live = made(steady_project(tmp_path), tmp_path, into=source)
    own = audio_tracks(read_set(source))
    if not own:
        pytest.skip("the set has no audio track to compare with")
    theirs: Orders = {}
    for track in own:
        for path, tags in orders(track).items():
            theirs.setdefault(path, set()).update(tags)
    compared = 0
    for path, tags in orders(audio_tracks(live)[-1]).items():
        if any(part in path for part in OWN) or path.endswith(("/Events", "ClipSlot/Value")):
            continue
        if path in theirs:
            assert {t for t in tags if t} <= theirs[path], path
            compared += 1
    assert compared > 80


@pytest.mark.parametrize("writer", [SetWriter(), ClipWriter()])
def test_warp_markers_say_where_every_beat_is(
    tmp_path: Path, writer: SetWriter | ClipWriter
) -> None:
    project = drifting_project(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (name,) = writer.write(project, out)
    clips = list(read_set(out / name).root.iter("AudioClip"))
    assert len(clips) == (3 if isinstance(writer, SetWriter) else 1)
    source = project.tracks[0].clips[0]
    for clip in clips:
        markers = [
            (float(m.attrib["BeatTime"]), float(m.attrib["SecTime"]))
            for m in clip.iter("WarpMarker")
        ]
        beats, seconds = np.array(markers).T
        for beat in np.linspace(0, 8, 33):
            heard = np.interp(beat, beats, seconds)
            assert heard == pytest.approx(source.source_at(float(beat)), abs=1e-3)
        assert (text(clip, "PitchCoarse"), text(clip, "PitchFine")) == ("-3", "15")
        assert float(text(clip, "SampleVolume")) == pytest.approx(10 ** (8 / 20))
        assert text(clip, "IsWarped") == "true"


def test_clips_lie_in_files_of_their_own(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    names = ClipWriter().write(project, out)
    assert len(names) == 3
    for name in names:
        live = read_set(out / name)
        assert faults_of(live) == []
        assert len(audio_tracks(live)) == 1
        assert len(live.live_set.findall("Scenes/Scene")) == 1
        (clip,) = live.root.iter("AudioClip")
        reference = clip.find("SampleRef/FileRef")
        assert reference is not None
        assert text(reference, "RelativePathType") == "1"
        sample = out / name.parent / text(reference, "RelativePath")
        assert crc16(sample.read_bytes()) == int(text(reference, "OriginalCrc"))


@needs_recordings
def test_a_copy_still_finds_the_samples_of_the_original(tmp_path: Path) -> None:
    source = FOLDER / "abletoolz" / "12.2.6.als"
    home = tmp_path / "Song Project"
    (home / "Ableton Project Info").mkdir(parents=True)
    live = read_set(source)
    relative = next(r for r in live.root.iter("FileRef") if text(r, "RelativePathType") == "3")
    sample = home / text(relative, "RelativePath")
    sample.parent.mkdir(parents=True)
    sample.write_bytes(b"sound")
    (home / "Song.als").write_bytes(source.read_bytes())
    _, copied = made(steady_project(tmp_path), tmp_path, into=home / "Song.als")
    assert sample.as_posix() in {text(r, "Path") for r in copied.root.iter("FileRef")}


def test_a_clip_in_a_slot_keeps_its_place_in_the_bar(tmp_path: Path) -> None:
    """What begins before its file does is shorter on the timeline; a loop of it is not."""
    project = drifting_project(tmp_path)
    whole = project.tracks[0].clips[0]
    late = replace(
        whole,
        start_beat=1.5,
        beats=6.0,
        lead_beats=1.5,
        tail_beats=0.5,
        warp=tuple(WarpPoint(p.source_s, p.beat - 1.5) for p in whole.warp if p.beat > 1.5),
    )
    track = replace(project.tracks[0], clips=(late,))
    _, live = made(replace(project, tracks=(track,)), tmp_path)
    slotted, placed = live.root.iter("AudioClip")
    for clip, time, start, end in ((slotted, 0, -1.5, 6.5), (placed, 1.5, 0, 6)):
        assert float(clip.attrib["Time"]) == time
        assert float(text(clip, "Loop/LoopStart")) == start
        assert float(text(clip, "Loop/LoopEnd")) == end
        assert float(text(clip, "CurrentEnd")) == time + end - start
        first = next(clip.iter("WarpMarker"))
        assert float(first.attrib["BeatTime"]) == 0.5


@needs_recordings
def test_a_set_of_another_tempo_stretches_and_one_of_the_same_does_not(tmp_path: Path) -> None:
    source = FOLDER / "abletoolz" / "12.2.6.als"
    project = replace(steady_project(tmp_path), tempo_bpm=128.0)
    same = replace(project, tempo_bpm=set_tempo(read_set(source)))
    assert same.tempo_bpm != project.tempo_bpm
    modes = []
    for number, each in enumerate((project, same)):
        warp = (WarpPoint(0.0, 0.0), WarpPoint(1.0, each.tempo_bpm / 60))
        tracks = tuple(
            replace(track, clips=(replace(track.clips[0], warp=warp),)) for track in each.tracks
        )
        _, live = made(replace(each, tracks=tracks), tmp_path / str(number), into=source)
        added = [t for t in audio_tracks(live) if text(t, "Name/UserName") in names(project)]
        modes.append([int(text(clip, "WarpMode")) for t in added for clip in t.iter("AudioClip")])
    assert modes == [[6, 6, 4, 4, 0, 0], [0] * 6]


def test_a_steady_clip_that_is_transposed_is_stretched_as_its_role_asks(tmp_path: Path) -> None:
    project = steady_project(tmp_path)
    tracks = tuple(
        replace(track, clips=(replace(track.clips[0], semitones=-2.0),))
        for track in project.tracks[:2]
    )
    _, live = made(replace(project, tracks=tracks), tmp_path)
    modes = [int(text(clip, "WarpMode")) for clip in live.root.iter("AudioClip")]
    assert modes == [6, 6, 4, 4]


def names(project: Project) -> list[str]:
    return [track.name for track in project.tracks]


def test_a_disk_that_keeps_something_else_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flipped(live: LiveSet) -> bytes:
        return gzip.compress(gzip.decompress(set_bytes(live)).replace(b"128", b"129"))

    monkeypatch.setattr("dawlink.daw.live.writers.set_bytes", flipped)
    with pytest.raises(UnwritableOutput, match="another set"):
        made(steady_project(tmp_path), tmp_path)
    monkeypatch.setattr("dawlink.daw.live.writers.set_bytes", set_bytes)
    monkeypatch.setattr("dawlink.daw.live.writers.collect_audio", cut_copies)
    with pytest.raises(UnwritableOutput, match="another file than the set says"):
        made(steady_project(tmp_path), tmp_path / "cut")


def cut_copies(project: Project, folder: Path) -> None:
    folder.mkdir(parents=True)
    for audio in project.files:
        (folder / audio.name).write_bytes(audio.path.read_bytes()[:-10])


def test_the_crc_is_lives(tmp_path: Path) -> None:
    assert crc16(b"123456789") == 0xFEE8  # CRC-16/UMTS, the same rule
    assert crc16(b"\0" * 20_000) == 0
    assert crc16(b"a" * 16_384) == crc16(b"a" * 16_384 + b"tail")
