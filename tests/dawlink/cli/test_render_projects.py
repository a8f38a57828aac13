"""``render --project``: DAW projects of real renders, up to a real DAW that plays them."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from lxml import etree

from dawlink.daw.live.own_set import faults_of, set_tempo
from dawlink.daw.live.set_file import read_set, set_bytes
from dawlink.daw.live.sets import new_set
from engine.analysis.attacks import ATTACK_RATE_HZ, attack_function
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, Document, refused
from tests.dawlink.daw.exports import exported_by_ardour, needs_ardour
from tests.dawlink.daw.projects import steady_project

KNOWN = ("--clip-tempo", "110", "--clip-downbeat", "0", "--clip-key", "Am", "--bars", "2")


def rendered(command: Command, music: Music, out: Path, *options: object) -> Document:
    ran = command("render", music.clip, "--out", out, *KNOWN, *options, "--json")
    assert ran.code == 0, ran
    return ran.document


def mix_of(document: Document) -> np.ndarray:  # type: ignore[type-arg]
    parts = [document["clip"]["path"], *(stem["path"] for stem in document["stems"])]
    sounds = [soundfile.read(part, always_2d=True)[0] for part in parts]
    return sum(np.broadcast_to(sound, (sound.shape[0], 2)) for sound in sounds)  # type: ignore[return-value]


def test_every_format_at_once(filled: Command, music: Music, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = "als,alc,dawproject,rpp,ardour"
    document = rendered(filled, music, out, "--tempo", "117", "--project", names)
    projects = [Path(path) for path in document["projects"]]
    assert [path.suffix for path in projects] == [
        ".als", ".alc", ".alc", ".alc", ".dawproject", ".rpp", ".ardour",
    ]  # fmt: skip
    assert all(path.is_file() for path in projects)
    live = read_set(projects[0])
    assert faults_of(live) == []
    assert set_tempo(live) == 117
    assert zipfile.ZipFile(projects[4]).testzip() is None
    guide = mido.MidiFile(document["midi"])
    tempi = [m.tempo for m in guide.tracks[0] if m.type == "set_tempo"]
    assert tempi == [round(60e6 / 117)]
    assert sum(m.type == "marker" for m in guide.tracks[0]) == 2
    assert guide.length == pytest.approx(8 * 60 / 117, abs=1e-3)


@needs_ardour
def test_a_real_daw_plays_what_was_rendered(filled: Command, music: Music, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = rendered(filled, music, out, "--tempo", "101.5", "--project", "ardour")
    exported = exported_by_ardour(Path(document["projects"][0]), tmp_path / "export.wav")
    heard = soundfile.read(exported, always_2d=True)[0]
    mix = mix_of(document)
    error = np.sqrt(np.mean((heard[: len(mix)] - mix) ** 2) / np.mean(mix**2))
    assert 20 * np.log10(max(error, 1e-12)) < -60
    assert document["sample_rate"] == ATTACK_RATE_HZ
    beats_s = np.arange(1, 8) * 60 / 101.5
    attacks = attack_function(heard.mean(axis=1).astype(np.float32))
    picks = attacks.near(beats_s, reach_s=0.06, spread_s=0.06)
    assert np.abs(picks.times_s - beats_s).max() < 0.010


def test_warped_sources_lie_where_the_rendered_ones_do(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    document = rendered(
        filled, music, tmp_path / "out", "--tempo", "117", "--project", "als", "--deliver", "warped"
    )
    live = read_set(Path(document["projects"][0]))
    parts = [document["clip"], *document["stems"]]
    tracks = live.live_set.findall("Tracks/AudioTrack")
    assert len(tracks) == len(parts)
    for track, part in zip(tracks, parts, strict=True):
        events = track.findall(
            "DeviceChain/MainSequencer/Sample/ArrangerAutomation/Events/AudioClip"
        )
        warp = np.array(part["warp"])
        for clip in events:
            start = float(clip.attrib["Time"])
            markers = [
                (float(m.attrib["BeatTime"]) + start, float(m.attrib["SecTime"]))
                for m in clip.iter("WarpMarker")
            ]
            beats, seconds = np.array(markers).T
            assert np.all(seconds >= 0)
            inside = (warp[:, 1] >= beats[0]) & (warp[:, 1] <= min(beats[-1], warp[-1, 1]))
            assert inside.any()
            heard = np.interp(warp[inside, 1], beats, seconds)
            assert heard == pytest.approx(warp[inside, 0], abs=1e-3)


def test_into_a_copy_of_a_set_at_its_tempo(filled: Command, music: Music, tmp_path: Path) -> None:
    own = tmp_path / "Mine.als"
    project = steady_project(tmp_path)
    own.write_bytes(set_bytes(new_set(project)))
    before = hashlib.sha256(own.read_bytes()).hexdigest()
    document = rendered(filled, music, tmp_path / "out", "--into", own)
    assert hashlib.sha256(own.read_bytes()).hexdigest() == before
    assert document["tempo_bpm"] == project.tempo_bpm
    (path,) = map(Path, document["projects"])
    assert path.name.startswith("Mine + ")
    assert len(read_set(path).live_set.findall("Tracks/AudioTrack")) == 3 + 3


HOSTILE = {
    "cut off": lambda data: gzip.compress(data)[:-30],
    "another root": lambda data: b"<Session><LiveSet /></Session>",
    "entities": lambda data: data.replace(b"<Ableton", b'<!DOCTYPE a [<!ENTITY x "y">]><Ableton'),
    "no audio program": lambda data: b"RIFF\0\0\0\0WAVE" + data[:100],
    "ids twice": lambda data: data.replace(b'Pointee Id="', b'Pointee Id="1" Was="'),
    "no tempo": lambda data: data.replace(b'Value="128"', b'Value="fast"'),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("tempo", [(), ("--tempo", "117")])
def test_a_set_that_cannot_be_used_is_told_before_anything_is_made(
    filled: Command, music: Music, tmp_path: Path, kind: str, tempo: tuple[str, ...]
) -> None:
    good = gzip.decompress(set_bytes(new_set(steady_project(tmp_path))))
    own = tmp_path / "Mine.als"
    own.write_bytes(HOSTILE[kind](good))
    out = tmp_path / "out"
    ran = filled("render", music.clip, "--out", out, *KNOWN, *tempo, "--into", own, "--json")
    assert ran.code == 6, ran
    assert ran.document["error"]["code"] in ("not_a_set", "faulty_set")
    assert not out.exists()


def test_what_the_set_keeps_is_said(filled: Command, music: Music, tmp_path: Path) -> None:
    own = tmp_path / "Mine.als"
    own.write_bytes(set_bytes(new_set(steady_project(tmp_path))))
    out = tmp_path / "out"
    options = (*KNOWN, "--tempo", "117", "--into", own, "--no-mix")
    ran = filled("render", music.clip, "--out", out, *options)
    assert ran.code == 0, ran
    assert "128 BPM" in ran.err
    assert "117 BPM" in ran.err
    made = next(out.rglob("*.als"))
    assert set_tempo(read_set(made)) == 128


def test_a_full_disk_is_told_and_leaves_nothing(
    filled: Command, music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dawlink.daw.reaper.collect_audio", full)
    out = tmp_path / "out"
    ran = filled("render", music.clip, "--out", out, *KNOWN, "--project", "rpp", "--json")
    refused(ran, 7, "disk_full", "disk is full")
    assert list(out.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["ctrl\x01\x0b.wav", os.fsdecode(b"vox\xff.wav"), "-- <&'\".wav"])
@pytest.mark.parametrize("deliver", ["rendered", "warped"])
def test_odd_names_make_sound_projects(
    filled: Command, music: Music, tmp_path: Path, name: str, deliver: str
) -> None:
    clip = tmp_path / name
    clip.write_bytes(music.clip.read_bytes())
    options = ("--project", "als,alc,dawproject,rpp", "--deliver", deliver, *KNOWN, "--json")
    ran = filled("render", "--out", tmp_path / "out", *options, "--", clip)
    assert ran.code == 0, ran
    beside = json.loads(Path(ran.document["renders"][0]["json"]).read_text(encoding="utf-8"))
    assert beside["clip"]["source"] == str(clip.resolve())
    for path in map(Path, ran.document["projects"]):
        if path.suffix in (".als", ".alc"):
            assert faults_of(read_set(path)) == []
        elif path.suffix == ".dawproject":
            etree.fromstring(zipfile.ZipFile(path).read("project.xml"))


@pytest.mark.parametrize(
    ("options", "exit_code", "code", "said"),
    [
        (("--project", "logic"), 2, "bad_project", "logic"),
        (("--project", "ardour", "--deliver", "warped"), 2, "not_warpable", "warp markers"),
        (("--deliver", "warped"), 2, "usage", "--project"),
        (("--project", "als", "--deliver", "raw"), 2, "bad_delivery", "raw"),
        (("--project", "rpp", "--into", "x.als"), 2, "bad_project", "--into"),
        (("--project", "als", "--into", "nothing.als"), 6, "missing", "nothing.als"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    filled: Command,
    music: Music,
    tmp_path: Path,
    options: tuple[str, ...],
    exit_code: int,
    code: str,
    said: str,
) -> None:
    ran = filled("render", music.clip, "--out", tmp_path / "out", *KNOWN, *options, "--json")
    refused(ran, exit_code, code, said)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_without_being_asked(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = rendered(filled, music, out, "--project", "rpp", "--no-mix")
    again = (*KNOWN, "--project", "rpp", "--no-mix")
    ran = filled("render", music.clip, "--out", out, *again, "--json")
    assert ran.code == 7
    assert rendered(filled, music, out, "--project", "rpp", "--no-mix", "--overwrite") == first
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
