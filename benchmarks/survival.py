"""What ``kill -9`` costs: ``python -m benchmarks.survival [--kills 50] [--seed 1] [add] [render]``.
``--minutes`` ends each part early and says how many kills there were.

- *render*: the daemon is killed at a random moment while it renders into a Live project.
- *add*: ``dawlink add`` is killed at a random moment while it takes songs into the library.

After every kill the library must verify, and every file that can be seen must be whole. In the end
what was killed is done once more: it must finish, give what an undisturbed run gives, and leave no
unfinished file behind. Moments are drawn uniformly over the time that an undisturbed run takes.
Any failure is an error; the table says how many kills hit running work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from rich.console import Console
from rich.table import Table

from dawlink.demo import DEMO_SONGS, DEMO_VOCAL, DemoSong, synthesise, write_demo_songs
from engine.analysis.song import analyse_song
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Role

#: How unfinished files are called, whoever writes them.
UNFINISHED = (".part-", ".dawlink-part-")
#: Bars of a render: long enough that most kills hit it.
BARS = 16
TEMPO = 118.0
ANSWER_S = 120.0


class NotSurvived(Exception):
    """Something was lost."""


@dataclass
class Toll:
    """How many kills there were, and how many met work that was not done yet."""

    what: str
    kills: int = 0
    at_work: int = 0
    undisturbed_s: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """How many kills, at which moments, and for how long at most."""

    kills: int
    moments: random.Random
    seconds: float = 3600.0
    begun: float = field(default_factory=time.monotonic)

    def goes_on(self, toll: Toll) -> bool:
        """Whether there is to be another kill."""
        return toll.kills < self.kills and time.monotonic() - self.begun < self.seconds


def main() -> int:
    """Run the asked parts and print what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], "add", "render"], help="default: both")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no kill after this long")
    arguments = parser.parse_args()
    table = Table("what", "kills", "at work", "undisturbed", "notes")
    for name in arguments.parts or ("add", "render"):
        part = survive_adds if name == "add" else survive_renders
        with tempfile.TemporaryDirectory(prefix="dawlink-survival-") as folder:
            plan = Plan(arguments.kills, random.Random(arguments.seed), 60 * arguments.minutes)
            toll = part(Path(folder), plan)
        seconds = f"{toll.undisturbed_s:.1f} s"
        row = (toll.what, str(toll.kills), str(toll.at_work), seconds, "; ".join(toll.notes))
        table.add_row(*row)
    Console(width=110).print(table)
    return 0


# add


def survive_adds(folder: Path, plan: Plan) -> Toll:
    """Kills ``dawlink add`` again and again, then lets it finish.

    Raises:
        NotSurvived: see the module.
    """
    short = [replace(song, bars=4, intro=False) for song in DEMO_SONGS[:2]]
    songs = write_demo_songs(folder / "songs", short)
    toll = Toll("dawlink add of 2 multitracks")
    begun = time.monotonic()
    _add(folder / "straight", songs).wait()
    toll.undisturbed_s = time.monotonic() - begun
    expected, library = _titles(folder / "straight"), folder / "library"
    while plan.goes_on(toll):
        _kill_one_add(library, songs, toll, plan.moments)
        if library.is_dir() and len(_titles(library)) == len(songs):
            shutil.rmtree(library)
    if _add(library, songs).wait() != 0:
        raise NotSurvived("the last add failed")
    if _titles(library) != expected:
        raise NotSurvived(f"{_titles(library)} instead of {expected}")
    with Library.open(library) as opened:
        opened.sweep(older_than_s=0)
    _check_library(library, older_than_s=0)
    if left := _unfinished(library):
        raise NotSurvived(f"left behind: {left}")
    return toll


def _kill_one_add(library: Path, songs: list[Path], toll: Toll, moments: random.Random) -> None:
    process = _add(library, songs)
    try:
        process.wait(moments.uniform(0.2, toll.undisturbed_s))
    except subprocess.TimeoutExpired:
        toll.at_work += 1
    _kill(process)
    toll.kills += 1
    if library.is_dir() and any(library.iterdir()):
        _check_library(library)


def _add(library: Path, songs: list[Path]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dawlink", "--library", str(library), "-q", "add", "--stems"]
    return subprocess.Popen(
        [*command, "--jobs", "1", *map(str, songs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


# render


def survive_renders(folder: Path, plan: Plan) -> Toll:
    """Kills the daemon while it renders, again and again, then lets it finish.

    Raises:
        NotSurvived: see the module.
    """
    toll, place = Toll(f"daemon rendering {BARS} bars of two stems"), _Place(folder)
    with Library.open(place.library) as library:
        for song in DEMO_SONGS[3:5]:
            library.add_song(_analysed(replace(song, bars=BARS, intro=False)))
    _write_vocal(place.vocal)
    with _serving(place) as talk:
        talk.begin_render()
        begun = time.monotonic()
        frames = talk.end_render()
        toll.undisturbed_s = time.monotonic() - begun
    shutil.rmtree(place.renders)
    while plan.goes_on(toll):
        with _serving(place) as talk:
            talk.begin_render()
            done = talk.wait(plan.moments.uniform(0.0, toll.undisturbed_s))
            _kill(talk.process)
        toll.kills += 1
        toll.at_work += not done
        _check_library(place.library)
        _check_renders(place.renders, frames)
        if done:
            shutil.rmtree(place.renders)
    with _serving(place) as talk:
        if talk.render() != frames:
            raise NotSurvived("the last render is of another length")
    _check_renders(place.renders, frames)
    if left := _unfinished(place.project):
        raise NotSurvived(f"left behind: {left}")
    toll.notes.append(f"{_interrupted(place)} in the jobs table as interrupted")
    if _interrupted(place) != toll.at_work:
        raise NotSurvived(f"{toll.at_work} renders were killed, the table says {toll.notes[-1]}")
    return toll


class _Place:
    """Where everything of the daemon lies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.library = folder, folder / "library"
        self.vocal, self.project = folder / "vocal.wav", folder / "Song Project"
        self.renders = self.project / "Samples" / "Processed" / "dawlink"
        self.project.mkdir()

    def environment(self) -> dict[str, str]:
        """State and run files inside the folder only."""
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "DAWLINK_OUTPUT": str(self.folder / "renders"),
        }


class _Talk:
    """A client of one daemon."""

    def __init__(self, process: subprocess.Popen[bytes], place: _Place, port: int) -> None:
        self.process, self._place, self._port = process, place, port
        self._door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._req = 0

    def close(self) -> None:
        self._door.close()

    def render(self) -> int:
        """Renders; the frames of every file."""
        self.begin_render()
        return self.end_render()

    def end_render(self) -> int:
        """Waits for a render; the frames of every file."""
        done = self._until("/dawlink/render/done", ANSWER_S)
        if done is None:
            raise NotSurvived("no render came")
        return int(str(done[2]))

    def begin_render(self) -> None:
        self._send("/dawlink/set/tempo", TEMPO)
        self._send("/dawlink/set/project", str(self._place.project))
        self._ask("/dawlink/hello", "survival", "0", 1, 0, "", until="/dawlink/welcome")
        about = (str(self._place.vocal), 0, 0.0, 0.0, 0, 0.0)
        clip = self._ask("/dawlink/clip", *about, until="/dawlink/clip/done")[1]
        hits: list[list[object]] = []
        self._ask("/dawlink/suggest", clip, 1, "*", until="/dawlink/suggest/end", parts=hits)
        self._req += 1
        ids = " ".join(str(hit[2]) for hit in hits)
        self._send("/dawlink/render", self._req, ids, clip, 0.0, float(BARS), "wav")

    def wait(self, seconds: float) -> bool:
        """Whether the render is done by then."""
        return self._until("/dawlink/render/done", seconds) is not None

    def _ask(
        self, address: str, *values: object, until: str, parts: list[list[object]] | None = None
    ) -> list[object]:
        self._req += 1
        self._send(address, self._req, *values)
        answer = self._until(until, ANSWER_S, parts)
        if answer is None:
            raise NotSurvived(f"no answer to {address}")
        return answer

    def _send(self, address: str, *values: object) -> None:
        builder = OscMessageBuilder(address)
        for value in values:
            kind = {int: "i", float: "f", str: "s"}[type(value)]
            builder.add_arg(value, kind)  # type: ignore[arg-type]
        self._door.sendto(builder.build().dgram, ("127.0.0.1", self._port))

    def _until(
        self, address: str, seconds: float, parts: list[list[object]] | None = None
    ) -> list[object] | None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._door.settimeout(left)
            try:
                message = OscMessage(self._door.recv(65536))
            except TimeoutError:
                return None
            if message.address == "/dawlink/error":
                raise NotSurvived(f"error: {message.params}")
            if message.address == address:
                return list(message.params)
            if parts is not None and message.address == "/dawlink/suggest/hit":
                parts.append(list(message.params))
        return None


@contextmanager
def _serving(place: _Place) -> Iterator[_Talk]:
    command = [sys.executable, "-m", "dawlink", "--library", str(place.library), "serve"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--json"],
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    talk = _Talk(process, place, json.loads(process.stdout.readline())["port"])
    try:
        yield talk
    finally:
        talk.close()
        _kill(process)
        process.stdout.close()


# what must hold


def _kill(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` to the process and everything that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _check_library(library: Path, *, older_than_s: float | None = None) -> None:
    """The library opens, and ``verify`` finds nothing."""
    with Library.open(library) as opened:
        if older_than_s is None:
            problems = opened.verify()
        else:
            problems = opened.verify(older_than_s=older_than_s)
    if problems:
        raise NotSurvived(f"verify: {problems}")


def _check_renders(folder: Path, frames: int) -> None:
    """Every file that can be seen is whole, and a description has all its files."""
    for path in folder.glob("*.wav"):
        samples, _ = soundfile.read(path)
        if len(samples) != frames:
            raise NotSurvived(f"{path.name} has {len(samples)} frames of {frames}")
    for path in folder.glob("*.json"):
        for stem in json.loads(path.read_text(encoding="utf-8"))["stems"]:
            if not Path(folder / stem["path"]).is_file():
                raise NotSurvived(f"{path.name} names {stem['path']}, which is not there")


def _unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(UNFINISHED)]


def _titles(library: Path) -> list[str]:
    with Library.open(library) as opened:
        return sorted(opened.song(song_id).title for song_id in opened.song_ids())


def _interrupted(place: _Place) -> int:
    table = sqlite3.connect(place.folder / "state" / "dawlink" / "jobs.sqlite")
    try:
        rows = table.execute("SELECT count(*) FROM jobs WHERE state = 'interrupted'")
        return int(rows.fetchone()[0])
    finally:
        table.close()


def _analysed(song: DemoSong) -> NewSong:
    """A song on its known grid, as ``add`` would store it; no network runs."""
    stems: dict[Role, Waveform] = {k: v for k, v in synthesise(song).items() if k != "vocals"}
    grid = BeatGrid.constant(song.tempo_bpm, end_s=song.duration_s, confidence=1.0)
    analysis = analyse_song(stems, grid=grid, key=song.key)
    harmonic = Waveform(stems["bass"].samples + stems["other"].samples, stems["bass"].sample_rate)
    stored = {**stems, "harmonic": harmonic}
    return NewSong(
        title=song.title,
        kind="multitrack",
        stems=tuple(NewStem(stem.role, stored[stem.role]) for stem in analysis.stems),
        analysis=analysis,
    )


def _write_vocal(path: Path) -> None:
    vocal = synthesise(replace(DEMO_VOCAL, bars=BARS, intro=False))["vocals"]
    soundfile.write(path, vocal.samples.T, vocal.sample_rate, subtype="PCM_16")


if __name__ == "__main__":
    raise SystemExit(main())
