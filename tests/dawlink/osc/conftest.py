"""One daemon for most tests: each talks to it from a client of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dawlink.osc.client import OscClient
from tests.dawlink.osc.daemon import Running, start
from tests.dawlink.osc.music import MARKERS, make_library, write_clip


@dataclass(frozen=True)
class Music:
    library: Path
    clip: Path


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Music]:
    folder = tmp_path_factory.mktemp("osc")
    yield Music(make_library(folder / "library"), write_clip(folder / "a voice.wav"))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def daemon(music: Music, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(music.library, tmp_path_factory.mktemp("daemon"))
    with running.client() as asking:
        asking.until_ready()
    yield running
    running.stop()


@pytest.fixture
def client(daemon: Running) -> Iterator[OscClient]:
    """A client in a session of 120 BPM."""
    with daemon.client() as made:
        made.send("/dawlink/set/tempo", "f", 120.0)
        yield made


def warped_clip(client: OscClient, path: Path) -> str:
    """Tell of the clip with its markers; its id."""
    about = (str(path), 1, 0.0, 16.0, 0, 0.0)
    clip_id = client.ask("/dawlink/clip", "siffif", *about).values[1]
    req = client.number()
    for index, (sec, beat) in enumerate(MARKERS):
        client.send("/dawlink/clip/warp", "isiiff", req, clip_id, index, len(MARKERS), sec, beat)
    done = client.until("/dawlink/clip/warp/done")
    assert done.values == (req, clip_id)
    return str(clip_id)


def suggested(client: OscClient, clip_id: str, limit: int = 3) -> dict[int, list[str]]:
    """Stem ids by rank."""
    before = len(client.heard)
    end = client.ask("/dawlink/suggest", "sis", clip_id, limit, "*")
    assert end.address == "/dawlink/suggest/end", end
    ranks: dict[int, list[str]] = {}
    for message in client.heard[before:]:
        if message.address == "/dawlink/suggest/hit":
            ranks.setdefault(int(message.values[1]), []).append(str(message.values[2]))
    return ranks
