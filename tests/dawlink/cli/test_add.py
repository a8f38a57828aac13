from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sqlalchemy import create_engine, update

from engine.analysis.records import FEATURE_VERSION, SongAnalysis
from engine.ingest import song_import
from engine.library.library import Library
from engine.library.schema import Song
from tests.dawlink.cli.running import Command, Document, Ran, refused
from tests.dawlink.cli.sounds import RATE, TEMPO_BPM, drum_part, music, write, write_aac

STRANGE = "04 絆ふぉーえばー – ű.wav"


def in_every_format(folder: Path) -> int:
    """Loops that all hold something else; returns how many files were written."""

    def loop(seed: int, *, rate: int = RATE, channels: int = 2) -> np.ndarray:
        return music(3.0, rate=rate, channels=channels, seed=seed)

    write(folder / "eight mono.wav", loop(1, channels=1), subtype="PCM_U8")
    write(folder / "twentyfour surround.wav", loop(2, channels=6), subtype="PCM_24")
    fine = loop(3, rate=192000) / np.float32(32768)
    write(folder / "float fine.wav", fine, 192000, subtype="FLOAT")
    write(folder / STRANGE, loop(4))
    write(folder / "apple.aiff", loop(5))
    write(folder / "free.flac", loop(6))
    write(folder / "layer.mp3", loop(7))
    write(folder / "vorbis.ogg", loop(8), subtype="VORBIS")
    write_aac(folder / "advanced.m4a", loop(9))
    return 9


def test_every_format_comes_in_with_its_tempo(dawlink: Command, tmp_path: Path) -> None:
    count = in_every_format(tmp_path / "loops")
    ran = dawlink("add", tmp_path / "loops", "--role", "drums", "--jobs", "1", "--json")
    assert ran.code == 0, ran
    assert [item["status"] for item in ran.items] == ["added"] * count
    assert ran.lines[-1]["summary"] == {
        "added": count,
        "present": 0,
        "failed": 0,
        "library": str(dawlink.library),
        "songs": count,
    }
    songs = {song["title"]: song for song in dawlink("list", "--json").document["songs"]}
    assert "絆ふぉーえばー – ű" in songs
    for title, song in songs.items():
        assert song["tempo_bpm"] == pytest.approx(TEMPO_BPM, rel=0.01), title
        assert song["duration_s"] == pytest.approx(3.0, abs=0.06), title
        channels = {stem["channels"] for stem in song["stems"]}
        assert channels == ({1} if "mono" in title else {2}), title
    assert dawlink("verify").code == 0


def test_a_song_is_separated_by_a_named_fallback_and_known_in_another_container(
    dawlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = music()
    first = write(tmp_path / "a song.wav", samples)
    second = write(tmp_path / "other name.flac", samples)
    ran = dawlink("add", first, "--json")
    assert ran.code == 0, ran
    (item,) = ran.items
    assert item["status"] == "added"
    assert any("hpss-center" in note for note in item["notes"])
    assert "hpss-center" in ran.err
    (song,) = dawlink("list", "--json").document["songs"]
    assert (song["kind"], song["separator"]) == ("song", "hpss-center")
    assert [stem["role"] for stem in song["stems"]] == [
        "bass", "drums", "harmonic", "other", "vocals",
    ]  # fmt: skip

    again = dawlink("add", second, first, "--jobs", "1", "--json")
    assert [entry["status"] for entry in again.items] == ["present", "present"]
    assert {entry["song_id"] for entry in again.items} == {song["song_id"]}
    assert again.lines[-1]["summary"]["songs"] == 1

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("what is in already was decoded")

    monkeypatch.setattr("engine.ingest.song_import.decode", forbidden)
    third = dawlink("add", second, first, "--jobs", "1", "--json")
    assert [entry["status"] for entry in third.items] == ["present", "present"]


def test_a_separator_without_weights_stops_the_run(dawlink: Command, tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "songs" / f"{number}.wav", music(seed=number))
    ran = dawlink("add", tmp_path / "songs", "--separator", "htdemucs", "--jobs", "1", "--json")
    refused(ran, 4, "no_model", "htdemucs", "hpss-center")
    assert len(ran.items) == 1
    assert ran.lines[-1]["summary"]["songs"] == 0


def test_names_that_do_not_exist_are_refused_before_any_work(
    dawlink: Command, tmp_path: Path
) -> None:
    song = write(tmp_path / "song.wav", music())
    ran = dawlink("add", song, "--separator", "kazoo", "--json")
    refused(ran, 2, "bad_separator", "kazoo", "htdemucs")
    assert ran.document["error"]
    refused(dawlink("add", song, "--role", "kazoo", "--json"), 2, "bad_role", "kazoo")
    refused(dawlink("add", song, "--jobs", "-1", "--json"), 2, "bad_setting", "--jobs")
    refused(dawlink("add", "--json"), 2, "usage", "PATH")


def test_the_error_of_the_only_file_is_told_once(dawlink: Command, tmp_path: Path) -> None:
    ran = dawlink("add", tmp_path / "none.wav")
    assert ran.code == 6
    assert ran.err.count("none.wav does not exist.") == 1
    two = dawlink("add", tmp_path / "none.wav", tmp_path / "nor this.wav")
    assert two.code == 3
    assert two.err.count("none.wav does not exist.") == 1


def test_what_another_run_adds_in_the_meantime_is_present(
    dawlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = write(tmp_path / "loop.wav", music(3.0))
    analyse = song_import.analyse_with_corrections
    inner: list[Ran] = []

    def analyse_after_another(*arguments: Any, **options: Any) -> SongAnalysis:
        monkeypatch.setattr(song_import, "analyse_with_corrections", analyse)
        inner.append(dawlink("add", loop, "--role", "drums", "--jobs", "1", "--json"))
        return analyse(*arguments, **options)

    monkeypatch.setattr(song_import, "analyse_with_corrections", analyse_after_another)
    outer = dawlink("add", loop, "--role", "drums", "--jobs", "1", "--json")
    assert [item["status"] for item in inner[0].items] == ["added"]
    assert [item["status"] for item in outer.items] == ["present"]
    assert outer.items[0]["song_id"] == inner[0].items[0]["song_id"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_audio_that_is_gone_is_told(dawlink: Command, tmp_path: Path) -> None:
    folder = tmp_path / "loops"
    write(folder / "here.wav", music(3.0))
    (folder / "gone.wav").symlink_to(tmp_path / "unplugged" / "gone.wav")
    ran = dawlink("add", folder, "--role", "drums", "--jobs", "1", "--json")
    refused(ran, 3, "some_failed")
    failed = next(item for item in ran.items if item["status"] == "failed")
    assert failed["path"] == str(folder / "gone.wav")
    assert "No such file" in failed["error"]["message"]


def test_a_folder_as_a_daw_exports_it_is_one_song(dawlink: Command, tmp_path: Path) -> None:
    folder = tmp_path / "My Song Stems"
    kick, snare = drum_part() // 2, np.roll(drum_part() // 2, RATE // 4, axis=0)
    write(folder / "01-Kick.wav", kick)
    write(folder / "02-Snare.wav", snare)
    write(folder / "03-Bass DI.wav", music(tone_hz=55))
    write(folder / "04-Gtr L.wav", music(tone_hz=330))
    write(folder / "05-Lead Vox.wav", music(tone_hz=440))
    write(folder / "Master.wav", music(tone_hz=110))
    ran = dawlink("add", folder, "--json")
    assert ran.code == 0, ran
    (item,) = ran.items
    assert item["title"] == "My Song"
    assert "Master.wav is left out: it is taken for the mix of the others." in item["notes"]
    shown = dawlink("show", item["song_id"], "--json").document
    assert shown["kind"] == "multitrack"
    assert [stem["role"] for stem in shown["stems"]] == [
        "bass", "drums", "harmonic", "other", "vocals",
    ]  # fmt: skip
    roles = {Path(source["path"]).name: source["role"] for source in shown["sources"]}
    assert roles == {
        "01-Kick.wav": "drums",
        "02-Snare.wav": "drums",
        "03-Bass DI.wav": "bass",
        "04-Gtr L.wav": "other",
        "05-Lead Vox.wav": "vocals",
    }
    drums = next(stem["stem_id"] for stem in shown["stems"] if stem["role"] == "drums")
    with Library.open(dawlink.library, create=False) as library:
        summed = library.waveform(library.stem(drums)).samples
    expected = (kick.astype(np.float64) + snare).T / 32768
    assert np.abs(summed - expected).max() < 1e-4
    again = dawlink("add", folder, "--json")
    assert [entry["status"] for entry in again.items] == ["present"]


def test_stems_makes_one_song_of_names_that_tell_nothing(dawlink: Command, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder / "Track 1.wav", music(tone_hz=330))
    write(folder / "drums.wav", drum_part())
    ran = dawlink("add", folder, "--stems", "--json")
    assert ran.code == 0, ran
    (item,) = ran.items
    assert any("Track 1.wav" in note and "other" in note for note in item["notes"])
    stems = dawlink("show", item["song_id"], "--json").document["stems"]
    assert {stem["role"] for stem in stems} == {"drums", "other", "harmonic"}


def test_a_silent_stem_is_left_out_and_named(dawlink: Command, tmp_path: Path) -> None:
    """Also in what the library keeps, whatever is corrected later."""
    folder = tmp_path / "song"
    write(folder / "vocals.wav", music() * 0)
    write(folder / "drums.wav", drum_part())
    write(folder / "bass.wav", music(tone_hz=55))
    ran = dawlink("add", folder, "--json")
    (item,) = ran.items
    note = "vocals.wav is silent and was left out."
    assert item["notes"] == [note]
    assert note in ran.err
    assert dawlink("show", item["song_id"], "--json").document["notes"] == [note]
    assert dawlink("set", item["song_id"], "--double", "--json").code == 0
    shown = dawlink("show", item["song_id"], "--json").document
    assert shown["notes"] == [note]
    assert {stem["role"] for stem in shown["stems"]} == {"bass", "drums", "harmonic"}


def test_a_stem_file_is_a_multitrack_song_without_its_master(
    dawlink: Command, tmp_path: Path
) -> None:
    parts = [drum_part(), music(tone_hz=55), music(tone_hz=330), music(tone_hz=440)]
    path = write_aac(
        tmp_path / "Set.stem.mp4",
        music(),
        *parts,
        titles=("Master", "Drums", "Bass", "Synths", "Vox"),
    )
    ran = dawlink("add", path, "--json")
    assert ran.code == 0, ran
    (item,) = ran.items
    shown = dawlink("show", item["song_id"], "--json").document
    assert (shown["title"], shown["kind"]) == ("Set", "multitrack")
    assert [stem["role"] for stem in shown["stems"]] == [
        "bass", "drums", "harmonic", "other", "vocals",
    ]  # fmt: skip
    assert dawlink("add", path, "--json").items[0]["status"] == "present"
    path = write_aac(tmp_path / "Instrumental.stem.mp4", music(), *parts[:3], 0 * parts[3])
    (item,) = dawlink("add", path, "--json").items
    assert item["notes"] == ["The stem vocals is silent and was left out."]


def test_one_file_may_be_a_stem_of_several_roles(dawlink: Command, tmp_path: Path) -> None:
    loop = write(tmp_path / "loop.wav", music(4.0))
    ids = {}
    for role in ("drums", "vocals", "harmonic"):
        (item,) = dawlink("add", loop, "--role", role, "--json").items
        assert item["status"] == "added", role
        ids[role] = item["song_id"]
    assert len(set(ids.values())) == 3
    (item,) = dawlink("add", loop, "--role", "percussion", "--json").items
    assert (item["status"], item["song_id"]) == ("present", ids["drums"])
    songs = dawlink("list", "--json").document["songs"]
    assert {stem["role"] for song in songs for stem in song["stems"]} == set(ids)
    assert {song["kind"] for song in songs} == {"loop"}


def test_features_of_an_older_version_are_made_again(dawlink: Command, tmp_path: Path) -> None:
    loop = write(tmp_path / "loop.wav", music(4.0))
    (item,) = dawlink("add", loop, "--role", "drums", "--json").items
    assert dawlink("set", item["song_id"], "--key", "8A").code == 0
    database = create_engine(f"sqlite:///{dawlink.library / 'library.sqlite'}")
    with database.begin() as connection:
        connection.execute(update(Song).values(feature_version=0))
    database.dispose()
    (renewed,) = dawlink("add", loop, "--role", "drums", "--json").items
    assert (renewed["status"], renewed["song_id"]) == ("present", item["song_id"])
    assert any("analysed again" in note for note in renewed["notes"])
    with Library.open(dawlink.library, create=False) as library:
        row = library.song(item["song_id"])
    assert (row.feature_version, str(row.key.key)) == (FEATURE_VERSION, "A minor")


def contents(library: Path) -> tuple[list[Document], dict[str, bytes]]:
    """All songs without the time at which they came in, and every stem's features."""
    with Library.open(library, create=False) as opened:
        songs = [
            {k: v for k, v in vars(song).items() if k != "added_at"} for song in opened.songs()
        ]
        features = {stem.id: opened.features(stem).tobytes() for stem in opened.stems()}
    return sorted(songs, key=lambda song: str(song["id"])), features


def test_two_jobs_make_the_same_library_as_one(dawlink: Command, tmp_path: Path) -> None:
    for number, tempo in enumerate((100.0, 128.0)):
        write(tmp_path / "in" / f"{number}.wav", music(3.0, tempo_bpm=tempo, seed=number))
    (tmp_path / "in" / "bad.wav").write_bytes(b"")
    libraries = []
    for jobs in (1, 2):
        command = dawlink.on(tmp_path / f"with {jobs}")
        ran = command("add", tmp_path / "in", "--role", "drums", "--jobs", jobs, "--json")
        assert ran.code == 3, ran
        assert ran.lines[-1]["summary"]["added"] == 2
        libraries.append(contents(command.library))
    assert libraries[0] == libraries[1]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_killed_at_any_moment_the_same_command_goes_on(dawlink: Command, tmp_path: Path) -> None:
    count = 4
    for number in range(count):
        write(tmp_path / "in" / f"{number}.wav", music(8.0, seed=number))
    arguments = ["--library", str(dawlink.library), "add", str(tmp_path / "in"), "--json"]
    command = [sys.executable, "-m", "dawlink", *arguments, "--role", "drums", "--jobs", "1"]
    added: set[str] = set()
    for wait_s in (0.05, 0.3):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"added"' in line and '"summary"' not in line:
                    added.add(line.split('"song_id": "')[1][:13])
                    break
            try:  # inside the work on the next song, wherever that is by then
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        verified = dawlink("verify", "--json")
        assert verified.code == 0, verified
        assert added <= {song["song_id"] for song in dawlink("list", "--json").document["songs"]}
    ran = dawlink("add", tmp_path / "in", "--role", "drums", "--jobs", "1", "--json")
    assert ran.code == 0, ran
    statuses = {item["song_id"]: item["status"] for item in ran.items}
    assert len(statuses) == count
    assert all(statuses[song_id] == "present" for song_id in added)
    assert len(added) == 2
    assert dawlink("verify", "--json").document["problems"] == []
    with Library.open(dawlink.library) as library:  # as an add does once the rest is an hour old
        library.sweep(older_than_s=0)
    assert dawlink("verify", "--json").document["problems"] == []
    assert not list(dawlink.library.rglob(".part-*"))


def test_the_audio_that_went_in_is_the_audio_that_is_stored(
    dawlink: Command, tmp_path: Path
) -> None:
    samples = music(4.0)
    loop = write(tmp_path / "loop.wav", samples)
    (item,) = dawlink("add", loop, "--role", "drums", "--json").items
    shown = dawlink("show", item["song_id"], "--json").document
    (path,) = shown["paths"].values()
    stored, rate = soundfile.read(path)
    assert rate == RATE
    gain = np.abs(samples).max() / np.abs(stored).max()
    assert np.abs(stored * gain - samples).max() < 2
