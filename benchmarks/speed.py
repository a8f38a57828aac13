"""How fast dawlink is, as ratios within one run: ``python -m benchmarks.speed [add] [suggest] …``.

- *startup*: ``dawlink --help``, and importing the engine.
- *add*: adding demo songs, against the bare cost of the beat and key networks on the same audio,
  both as madmom runs them and as dawlink does (the same weights, in batches); two jobs against one.
- *suggest*: a question to libraries of 100, 1 000 and 10 000 stems (synthetic rows in a real
  library), first sight of a clip and warm.
- *render*: rendering stems against the bare ``rubberband`` program (R3) on the same stems and
  settings; two jobs against one.

Every figure is wall time on an otherwise idle machine unless it says processor time; nothing is
cached unless it says warm.
Results go to stdout as a table and, with ``--json FILE``, to a file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, run_parts
from dawlink.demo import DEMO_SONGS, DEMO_VOCAL, synthesise, write_demo_songs, write_demo_vocal
from engine.analysis.records import BEAT_ROW, KeyEstimate, SongAnalysis, StemAnalysis, TempoEstimate
from engine.audio.waveform import Waveform
from engine.clips.clip import ClipRequest
from engine.embeddings.stems import embed_song
from engine.engine import Engine
from engine.files import write_whole
from engine.grid import BeatGrid
from engine.ingest.adding import AddOptions, add_sources, plan_all
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.suggestions import SuggestOptions
from engine.theory import Key, Role

SONGS = 4
WARM_RUNS = 60


def main() -> int:
    """Run the asked parts and print their figures."""
    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "startup": startup,
        "add": add,
        "suggest": suggest,
        "render": render,
    }
    return run_parts(parts, __doc__.splitlines()[0])


def startup(_folder: Path) -> list[Figure]:
    """``--help`` in a fresh process, median of nine."""
    program = Path(sys.executable).with_name("dawlink")
    times = [timed(lambda: run([str(program), "--help"])) for _ in range(9)]
    return [Figure("dawlink --help", float(np.median(times)), "s", "< 0.3")]


def add(folder: Path) -> list[Figure]:
    """Adding multitrack songs against the bare models; two jobs against one."""
    from engine.analysis import madmom_compat
    from engine.analysis.beats import default_tracker, mono_at
    from engine.analysis.key import MadmomKeys, PitchedAudio
    from engine.analysis.tuning import spectral_peaks

    songs = DEMO_SONGS[: 2 * SONGS]
    folders = write_demo_songs(folder / "songs", songs)
    plans, _ = plan_all(folders, AddOptions(stems=True))
    warm_up = AddOptions(stems=True)
    list(add_sources(plans[:1], folder / "warm-up", warm_up))  # compiled code and models loaded
    mixes = [_mix_of(path) for path in folders]
    audio_s = sum(mix.duration_s for mix, _ in mixes)
    tracker, keys = default_tracker(), MadmomKeys()
    empty = spectral_peaks(np.zeros(0, dtype=np.float32))

    def models() -> None:
        for mix, pitched in mixes:
            tracker.track(mix)
            keys.probabilities(PitchedAudio(mono_at(pitched, 44100), empty))

    downbeats = madmom_compat.load("features.downbeats")
    key_network = madmom_compat.load("features.key")
    sound = madmom_compat.load("audio.signal").Signal

    def as_published() -> None:
        rnn = downbeats.RNNDownBeatProcessor()
        cnn = key_network.CNNKeyRecognitionProcessor()
        for mix, pitched in mixes:
            with madmom_compat.quiet():
                activation = rnn(sound(mono_at(mix, 44100), sample_rate=44100, num_channels=1))
                cnn(sound(mono_at(pitched, 44100), sample_rate=44100, num_channels=1))
            madmom_compat.decode(np.asarray(activation))

    bare = timed(models)
    published = timed(as_published)
    one = timed(lambda: list(add_sources(plans, folder / "one", AddOptions(stems=True, jobs=1))))
    start_up = timed(
        lambda: list(add_sources(plans[:2], folder / "start", AddOptions(stems=True, jobs=2)))
    )
    two = timed(lambda: list(add_sources(plans, folder / "two", AddOptions(stems=True, jobs=2))))
    return [
        Figure("add, 1 job: times real time", audio_s / one, "×"),
        Figure("add / madmom's own beat and key models alone", one / published, "×", "≤ 1.2"),
        Figure("add / the same models as dawlink runs them", one / bare, "×"),
        Figure("madmom's own models / as dawlink runs them", published / bare, "×"),
        Figure("add, 2 jobs against 1", one / two, "×", "≥ 1.8"),
        Figure("add, 2 jobs, of which starting two workers and a song each", start_up, "s"),
    ]


def suggest(folder: Path) -> list[Figure]:
    """Questions to libraries of growing size."""
    vocal = write_demo_vocal(folder)
    figures: list[Figure] = []
    for stems in (100, 1_000, 10_000):
        path = folder / f"library-{stems}"
        synthetic_library(path, songs=stems // 4)
        with Library.open(path) as library:  # as ``add`` leaves it
            for song in library.songs():
                embed_song(library, song.id)
        with Engine.open(path) as engine:
            first = timed(lambda e=engine: e.suggest(ClipRequest(vocal), SuggestOptions()))
            times = [
                timed(lambda e=engine: e.suggest(ClipRequest(vocal), SuggestOptions()))
                for _ in range(WARM_RUNS)
            ]
            busy = {m: _processor_s(engine, vocal, m) for m in ("fit", "automashupper")}
        label = f"suggest, {stems:,} stems"
        figures += [
            Figure(f"{label}: first sight of a 35 s clip, cold pools", first, "s", "< 4"),
            Figure(f"{label}: warm, median", 1000 * float(np.median(times)), "ms", "< 50"),
            Figure(f"{label}: warm, p99", 1000 * float(np.quantile(times, 0.99)), "ms", "< 150"),
        ]
        figures += [
            Figure(f"{label}: warm, processor time, {model}", 1000 * spent, "ms", "< 50")
            for model, spent in busy.items()
        ]
    return figures


def render(folder: Path) -> list[Figure]:
    """Rendering against the bare program; two renders at once against one after the other."""
    song = DEMO_SONGS[5]
    stems = synthesise(song)
    library = folder / "library"
    list(
        add_sources(
            plan_all(write_demo_songs(folder / "songs", [song]), AddOptions(stems=True))[0],
            library,
            AddOptions(stems=True),
        )
    )
    bare = _bare_rubberband(folder, stems, ratio=song.tempo_bpm / DEMO_VOCAL.tempo_bpm)
    ours = timed(lambda: render_pair(library))
    jobs = [library] * 4
    one = timed(lambda: [render_pair(path) for path in jobs])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(render_pair, [library] * 2))
        two = timed(lambda: list(pool.map(render_pair, jobs)))
    return [
        Figure("render / bare rubberband -3 on the same stems", ours / bare, "×", "≤ 1.15"),
        Figure("render, 2 jobs against 1", one / two, "×", "≥ 1.8"),
    ]


def render_pair(library: Path) -> None:
    """Harmonic and drums of the only song, transposed by two, onto the vocal's tempo."""
    from engine.audio.stretch import default_stretcher
    from engine.mashup.placement import Placement
    from engine.rendering.renderer import Session, Track, render_track

    with Library.open(library) as opened:
        song = opened.songs()[0]
        grid = opened.grid(song.id)
        session = Session(DEMO_VOCAL.tempo_bpm, 4, grid.bars, 44100)
        for stem in opened.stems(song.id, roles=["harmonic", "drums"]):
            placement = Placement(
                stem_id=stem.id,
                song_id=song.id,
                role=stem.role,
                start_beat=0,
                bars=grid.bars,
                beats_per_bar=4,
                loop_bars=grid.bars,
                semitones=0 if stem.role == "drums" else 2,
            )
            track = Track(
                opened.audio_path(stem.id), stem.role, placement.warp(grid), placement.semitones
            )
            render_track(track, session, default_stretcher())


def synthetic_library(folder: Path, *, songs: int) -> None:
    """A real library whose songs are made of a few shared random features and one silent second."""
    rng = np.random.default_rng(1)
    bars = 80
    grid = BeatGrid(0.5 * np.arange(4 * bars + 1))
    roles: tuple[Role, ...] = ("vocals", "drums", "bass", "other", "harmonic")
    shared = [_random_rows(rng, 4 * bars) for _ in range(48)]
    active = np.ones(4 * bars, dtype=np.bool_)
    noise = (0.1 * rng.standard_normal((1, 8000))).astype(np.float32)
    with Library.open(folder) as library:
        audio = library.store_audio(Waveform(noise, 8000))
        for number in range(songs):
            bpm = float(rng.uniform(80, 160))
            analysed = tuple(
                StemAnalysis(role, shared[int(rng.integers(48))], -20.0, -6.0, active)
                for role in roles
            )
            song = library.add_song(
                NewSong(
                    title=f"Synthetic {number}",
                    kind="multitrack",
                    stems=tuple(NewStem(role, audio) for role in roles),
                    content_sha=f"{number:064x}",
                    analysis=SongAnalysis(
                        grid=BeatGrid(grid.beats_s * 120 / bpm),
                        tempo=TempoEstimate(bpm, 1.0),
                        key=KeyEstimate(Key(int(rng.integers(12)), "minor"), 1.0, "made"),
                        tuning_cents=0.0,
                        tracker="made",
                        tracked_on="made",
                        duration_s=4 * bars * 60 / bpm,
                        windows=(),
                        stems=analysed,
                    ),
                )
            )
            marks = rng.integers(0, 2**32, round(grid.beats_s[-1] * 86), dtype=np.uint32)
            write_whole(folder / "index" / "fingerprints" / f"{song.id}.u32", marks.tobytes())


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(command: list[str]) -> None:
    """A program that must succeed, its output thrown away."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _processor_s(engine: Engine, vocal: Path, model: str) -> float:
    """Median processor seconds of a question, the clip in another transposition each time."""
    spent = []
    for transpose in (0, *range(-5, 7), *range(-5, 7)):
        start = time.process_time()
        engine.suggest(ClipRequest(vocal), SuggestOptions(transpose=transpose), model=model)
        spent.append(time.process_time() - start)
    return float(np.median(spent[1:]))


def _mix_of(folder: Path) -> tuple[Waveform, Waveform]:
    """A demo song's mix and the same without drums."""
    from engine.audio.decode import decode

    stems = {path.stem: decode(path) for path in sorted(folder.glob("*.wav"))}
    rate = stems["drums"].sample_rate
    mix = np.sum([stem.samples for stem in stems.values()], axis=0)
    return Waveform(mix, rate), Waveform(mix - stems["drums"].samples, rate)


def _random_rows(rng: np.random.Generator, beats: int) -> np.ndarray:
    rows = np.zeros(beats, dtype=BEAT_ROW)
    chords = rng.random((beats // 4, 12)) ** 3
    chroma = np.repeat(chords, 4, axis=0) + 0.2 * rng.random((beats, 12))
    rows["chroma"] = chroma / np.linalg.norm(chroma, axis=1, keepdims=True)
    rows["onsets"] = (rng.random((beats, 12, 3)) < 0.15) * 200
    rows["bands"] = rng.uniform(0.02, 0.2, (beats, 3))
    return rows


def _bare_rubberband(folder: Path, stems: dict[Role, Waveform], *, ratio: float) -> float:
    import soundfile

    program = shutil.which("rubberband")
    if program is None:
        raise SystemExit("The program rubberband is needed for the comparison.")
    jobs = {
        "harmonic": (stems["bass"].samples + stems["other"].samples, 2),
        "drums": (stems["drums"].samples, 0),
    }
    total = 0.0
    for name, (samples, semitones) in jobs.items():
        source, target = folder / f"{name}.wav", folder / f"{name} stretched.wav"
        soundfile.write(source, samples.T, 44100, subtype="PCM_24")
        command = [program, "-q", "-3", "-t", str(ratio), "-p", str(semitones)]
        total += timed(lambda c=command, s=source, t=target: run([*c, str(s), str(t)]))
    return total


if __name__ == "__main__":
    sys.exit(main())
