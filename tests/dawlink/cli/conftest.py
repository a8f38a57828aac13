"""A library of three real songs, built once by the command line, and a voice to ask it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dawlink.cli.main import main
from dawlink.demo.songs import DEMO_SONGS, DEMO_VOCAL
from dawlink.demo.synthesis import synthesise, write_demo_songs
from tests.dawlink.cli.running import Command
from tests.dawlink.cli.sounds import write

TITLES = ("Underpass", "Harbour Lights", "Night Ferry")


@dataclass(frozen=True)
class Music:
    """Where the songs, the clip and the library made of the songs lie."""

    songs: Path
    clip: Path
    library: Path


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, no weights and no network of the machine that the tests run on."""
    for name in os.environ:
        if name.startswith("DAWLINK_") and name != "DAWLINK_TEST_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setattr("dawlink.settings.user_config_path", lambda: tmp_path / "no-config.toml")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no-weights"))


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Music]:
    """Three songs of eight bars at 96, 104 and 122 BPM, and a voice of 110 BPM in A minor."""
    folder = tmp_path_factory.mktemp("music")
    songs = [
        replace(song, bars=8, intro=False, title=song.title)
        for song in DEMO_SONGS
        if song.title in TITLES
    ]
    write_demo_songs(folder / "songs", songs)
    voice = synthesise(replace(DEMO_VOCAL, bars=4, intro=False))["vocals"]
    clip = write(folder / "voice 110 BPM Am.wav", voice.samples.T, voice.sample_rate)
    library = folder / "library"
    arguments = ["--library", str(library), "-q", "add", str(folder / "songs"), "--jobs", "1"]
    assert main(arguments) == 0
    yield Music(folder / "songs", clip, library)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def dawlink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line on a library that is not made yet."""
    return Command(tmp_path / "library", capsys)


@pytest.fixture
def filled(music: Music, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line on the library of songs; only for commands that leave it as it is."""
    return Command(music.library, capsys)


@pytest.fixture
def own(music: Music, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line on a copy of that library, to be changed."""
    shutil.copytree(music.library, tmp_path / "copy")
    return Command(tmp_path / "copy", capsys)
