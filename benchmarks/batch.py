"""Batches at scale: renders per minute, here and on a cluster, and what ``kill -9`` leaves behind.

    python -m benchmarks.batch [--lines 200] [--kills 20] [--json FILE]

The library is small and made by code; every line renders two stems and a mix of one bar at another
tempo. The killed run is started again until it is through, then compared file by file with one that
nobody disturbed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from dawlink.demo import DEMO_SONGS, DEMO_VOCAL, synthesise, write_demo_songs
from tests.clusters import LocalCluster

_TITLES: Final = ("Harbour Lights", "Loose Change")
_SEED: Final = 7
#: Longest time that a run lives before it is killed [s].
_LIFE_S: Final = 12.0


def prepare(folder: Path) -> tuple[Path, Path]:
    """A library of two songs, and a clip."""
    import dataclasses

    import soundfile

    songs = [
        dataclasses.replace(song, bars=8, intro=False)
        for song in DEMO_SONGS
        if song.title in _TITLES
    ]
    write_demo_songs(folder / "songs", songs)
    voice = synthesise(dataclasses.replace(DEMO_VOCAL, bars=4, intro=False))["vocals"]
    clip = folder / "voice.wav"
    soundfile.write(clip, voice.samples.T, voice.sample_rate)
    library = folder / "library"
    run(["--library", str(library), "-q", "add", str(folder / "songs")])
    return library, clip


def plan_of(folder: Path, clip: Path, lines: int) -> Path:
    """Lines that differ in tempo only."""
    path = folder / f"plan-{lines}.jsonl"
    known = {"clip_tempo": 110, "clip_downbeat": 0, "clip_key": "Am", "bars": 1}
    rows = [{"clip": str(clip), **known, "tempo": 100 + 0.1 * n} for n in range(lines)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def command(arguments: list[str]) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "dawlink", *arguments]


def run(arguments: list[str]) -> float:
    """Run to the end; seconds."""
    started = time.monotonic()
    subprocess.run(command(arguments), check=True, capture_output=True)
    return time.monotonic() - started


def batch(library: Path, plan: Path, out: Path, jobs: int) -> list[str]:
    """The arguments of one batch."""
    options = ["--out", str(out), "--jobs", str(jobs), "--json"]
    return ["--library", str(library), "batch", str(plan), *options]


def killed(library: Path, plan: Path, out: Path, kills: int) -> int:
    """Kill the batch at random moments, then let it finish; how often it was killed."""
    moments = random.Random(_SEED)
    hit = 0
    for _ in range(kills):
        process = subprocess.Popen(
            command(batch(library, plan, out, 2)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(timeout=moments.uniform(0.5, _LIFE_S))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hit += 1
    run(batch(library, plan, out, 2))
    return hit


def contents(folder: Path) -> dict[str, str]:
    """Every file of the lines by its hash; the state itself is left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".dawlink-batch") and path.suffix == ".wav"
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--speed-lines", type=int, default=40)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, clip = prepare(folder)
        short = plan_of(folder, clip, given.speed_lines)
        seconds = {
            jobs: run(batch(library, short, folder / f"jobs{jobs}", jobs)) for jobs in (1, 2)
        }
        with LocalCluster(folder, workers=2) as cluster:  # its start is not part of the figure
            arguments = batch(library, short, folder / "cluster", 2)
            spread = run([*arguments, "--cluster", cluster.address])
        alike = contents(folder / "cluster") == contents(folder / "jobs1")
        plan = plan_of(folder, clip, given.lines)
        hit = killed(library, plan, folder / "killed", given.kills)
        run(batch(library, plan, folder / "straight", 2))
        same = contents(folder / "killed") == contents(folder / "straight")
        parts = [path for path in (folder / "killed").rglob("*") if ".dawlink-part-" in path.name]
        files = len(contents(folder / "straight"))
    found = {
        "renders_per_minute": {jobs: 60 * given.speed_lines / s for jobs, s in seconds.items()},
        "two_jobs": seconds[1] / seconds[2],
        "renders_per_minute_cluster": 60 * given.speed_lines / spread,
        "two_workers": seconds[1] / spread,
        "cluster_identical": alike,
        "lines": given.lines,
        "killed": hit,
        "audio_files": files,
        "identical": same,
        "unfinished_files": len(parts),
    }
    print(json.dumps(found, indent=2))
    if given.json is not None:
        given.json.write_text(json.dumps(found), encoding="utf-8")
    if not same or not alike or parts:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
