"""The command line changes, removes or replaces the library of a daemon that runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.grid import BeatGrid
from engine.ingest.corrections import correct_song
from engine.library.library import Library
from engine.library.rows import Correction
from tests.dawlink.osc.client import OscClient
from tests.dawlink.osc.conftest import Music, suggested, warped_clip
from tests.dawlink.osc.daemon import Running, start
from tests.dawlink.osc.music import TEMPI, add_song, clicks, make_library


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return make_library(tmp_path / "library")


@pytest.fixture
def own_daemon(library: Path, tmp_path: Path) -> Iterator[Running]:
    running = start(library, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def own_client(own_daemon: Running) -> Iterator[OscClient]:
    with own_daemon.client() as made:
        made.send("/dawlink/set/tempo", "f", 120.0)
        made.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
        yield made


def add_one(folder: Path) -> str:
    """A song with one stem of each role; its id."""
    grid = BeatGrid(0.5 * np.arange(65))
    sound = clicks(grid.beats_s[:-1], 33.0, pitch_hz=440.0)
    with Library.open(folder) as library:
        rng = np.random.default_rng(1)
        return add_song(library, rng, "New", grid, {"harmonic": sound, "drums": sound})


def stems_suggested(client: OscClient, clip_id: str) -> set[str]:
    return {stem for stems in suggested(client, clip_id, 100).values() for stem in stems}


def stems_of(folder: Path, song_id: str | None = None) -> set[str]:
    with Library.open(folder) as library:
        return {stem.id for stem in library.stems() if song_id in (None, stem.song_id)}


def test_new_stems_are_suggested_and_removed_ones_are_not(
    own_client: OscClient, library: Path, music: Music
) -> None:
    clip_id = warped_clip(own_client, music.clip)
    before = stems_suggested(own_client, clip_id)
    new = add_one(library)
    assert own_client.until("/dawlink/event/library").values == (len(TEMPI) + 1,)
    added = stems_of(library, new)
    assert not added & before
    assert added & stems_suggested(own_client, clip_id)
    done = own_client.ask("/dawlink/audition", "ssfi", " ".join(added), clip_id, 1.0, 0)
    assert done.address == "/dawlink/audition/done"
    with Library.open(library) as opened:
        opened.remove(new)
    assert own_client.until("/dawlink/event/library").values == (len(TEMPI),)
    assert not added & stems_suggested(own_client, clip_id)
    gone = own_client.ask("/dawlink/audition", "ssfi", " ".join(added), clip_id, 2.0, 0)
    assert gone.values[1:3] == (1, "unknown_id")


def test_a_correction_counts_for_what_was_suggested_before(
    own_client: OscClient, library: Path, music: Music, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    own_client.send("/dawlink/set/project", "s", str(project))
    clip_id = warped_clip(own_client, music.clip)
    stem_id = suggested(own_client, clip_id)[1][0]
    with Library.open(library) as opened:
        song_id = opened.stem(stem_id).song_id
        downbeat_s = float(opened.grid(song_id).beats_s[1])
        correct_song(opened, song_id, [Correction("downbeat", downbeat_s)])
        downbeats_s = opened.grid(song_id).downbeats_s
    own_client.until("/dawlink/event/library")
    done = own_client.ask("/dawlink/render", "ssffs", stem_id, clip_id, 0.0, 8.0, "wav")
    assert done.address == "/dawlink/render/done"
    (description,) = project.rglob("*.json")
    (stem,) = json.loads(description.read_text("utf-8"))["stems"]
    assert np.abs(downbeats_s - stem["warp"][0][0]).min() < 1e-3
    with Library.open(library) as opened:
        correct_song(opened, song_id, [Correction("key", "F# major")])
    own_client.until("/dawlink/event/library")
    again = own_client.ask("/dawlink/render", "ssffs", stem_id, clip_id, 0.0, 4.0, "wav")
    assert again.address == "/dawlink/render/done"
    keys = {
        stem["key"]
        for path in project.rglob("*.json")
        for stem in json.loads(path.read_text("utf-8"))["stems"]
    }
    assert "F# major" in keys


def test_a_library_that_is_deleted_and_made_anew_is_the_new_one(
    own_client: OscClient, library: Path, music: Music
) -> None:
    clip_id = warped_clip(own_client, music.clip)
    old = stems_suggested(own_client, clip_id)
    shutil.rmtree(library)
    assert own_client.until("/dawlink/event/library").values == (0,)
    assert own_client.ask("/dawlink/status", "").values[1:4:2] == ("no_library", 0)
    answer = own_client.ask("/dawlink/suggest", "sis", clip_id, 3, "*")
    assert answer.values[1:3] == (5, "no_library")
    add_one(library)
    while own_client.until("/dawlink/event/library").values != (1,):
        pass  # it may be seen while it is still empty
    found = stems_suggested(own_client, clip_id)
    assert found
    assert found <= stems_of(library)
    assert not found & old


def test_a_library_in_the_place_of_another_is_noticed(
    own_client: OscClient, library: Path, tmp_path: Path, music: Music
) -> None:
    """Moved away and replaced between two looks; both may have changed as often."""
    clip_id = warped_clip(own_client, music.clip)
    add_one(tmp_path / "other")
    library.rename(tmp_path / "away")
    (tmp_path / "other").rename(library)
    assert own_client.until("/dawlink/event/library").values == (1,)
    assert stems_suggested(own_client, clip_id) <= stems_of(library)
