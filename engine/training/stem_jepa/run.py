"""The way from folders of songs, or a library, to a trained Stem-JEPA.

Only audio is needed, no beats and no keys: every song becomes one file of (4, samples) half
precision at 16 kHz beside the checkpoint, and the next run finds it there. A song is named by its
decoded stems, in a folder and in a library alike, so what is given both ways counts once. One
composition in ten is held out (by its title, so it stays out when songs are added, in any encoding)
and gives the metrics; a library of rendered songs says itself which songs are variants of one
composition, and which are for training and which for validation or tests. The statistics that
normalise the input are measured on the songs that are trained on.

On a CPU the network is the small preset; on a GPU it is the published one with its schedule.
"""

from __future__ import annotations

import hashlib
import re
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import DawlinkError, UnusableInput
from engine.files import atomic_path, sha256_of, write_whole
from engine.ingest import SourcePlan, plan_sources
from engine.ingest.song_import import audible_stems
from engine.library.blobs import audio_key
from engine.library.library import Library
from engine.library.place import DATABASE_NAME
from engine.library.rows import SongRow
from engine.models.stem_jepa.log_mel import SAMPLE_RATE, LogMel, MelStatistics
from engine.models.stem_jepa.network import COLUMN_SAMPLES, JEPA_ROLES, LABELS
from engine.theory import Role
from engine.training.deadline import Deadline
from engine.training.listed import listed_words, strictest
from engine.training.midi_audio.listing import ListedSong, read_listing
from engine.training.midi_corpus import Split
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device
from engine.training.stem_jepa.draws import ACTIVE_PEAK, SongArray, draw_batch, song_array
from engine.training.stem_jepa.settings import JepaTraining, preset_for
from engine.training.stem_jepa.training import train_stem_jepa

__all__ = ["run"]

#: One song in so many is held out.
HELD_OUT: Final = 10
#: Crops on which the statistics are measured: 64 x 8 s of mixes and as much of stems.
STATISTICS_CROPS: Final = 64
_STATISTICS_STREAM: Final = 2**31 + 1
_KEY: Final = re.compile("[0-9a-f]{32}")
_Stem = TypeVar("_Stem")


@dataclass(frozen=True, eq=False)
class _Source:
    """A song that has not been read yet.

    Args:
        title: for people.
        files: names what it is read from.
        read: its stems by label.
        key: names its audio; empty where only reading tells.
        listed: what the list of its library says of it and its composition.
    """

    title: str
    files: str
    read: Callable[[], Mapping[Role, Waveform]]
    key: str = ""
    listed: ListedSong | None = None


@dataclass(frozen=True, eq=False)
class _Song:
    """A song that can be drawn from; ``group`` names its composition."""

    group: str
    samples: SongArray
    is_held_out: bool


def run(
    request: TrainRequest,
    tell: Tell,
    *,
    training: JepaTraining | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainReport:
    """Train, as ``request`` says; ``training`` is the device's preset when None.

    Raises:
        UnusableInput: usable songs of fewer than two compositions.
        UsageError: a run to go on with that was another.
        MissingDependency: no such device.
        SomeItemsFailed: the minutes were over before all songs were read.
    """
    device = pick_device(request.device)
    deadline = Deadline(request.minutes, clock=clock)
    notes: list[str] = []
    preparing = deadline.telling(tell)
    found = _songs(request, preparing, notes)
    songs = {key: found[key].samples for key in sorted(found)}
    first = [key for key in songs if found[key].group == found[next(iter(songs))].group]
    held_out = [key for key in songs if found[key].is_held_out] or first
    train = [songs[key] for key in songs if key not in held_out]
    if not train:
        why = f" {notes[0]}" if notes else ""
        raise UnusableInput(
            "Songs of two compositions, with two stems or more each, are needed; "
            f"there are {len({song.group for song in found.values()})}.{why}",
            hint="Give folders in which each song is a folder of files named by role.",
            code="no_songs",
        )
    preset = training or preset_for(device)
    settings = _settings(request, preset, train)
    outcome = train_stem_jepa(
        train,
        settings,
        out=request.out,
        validation=[songs[key] for key in held_out],
        data_sha=_digest(f"{key} {'val' if key in held_out else 'train'}" for key in songs),
        minutes=deadline.minutes_left(),
        resume=request.resume,
        device=device,
        clock=clock,
        report=lambda progress: tell(f"training: {progress}"),
        pictured=lambda done: tell(f"picturing song {done} of {len(train)}"),
    )
    told = (*notes, *outcome.notes)
    return TrainReport(request.out, outcome.finished, outcome.steps_done, outcome.metrics, told)


def _settings(
    request: TrainRequest, preset: JepaTraining, songs: Sequence[SongArray]
) -> JepaTraining:
    steps, contrast = preset.steps, preset.contrast
    if request.epochs is not None:
        steps = request.epochs * -(-len(songs) // preset.batch)
        if contrast is not None:
            before = request.epochs * -(-len(songs) // contrast.batch)
            warmup_steps = min(contrast.warmup_steps, before // 10)
            contrast = replace(contrast, steps=before, warmup_steps=warmup_steps)
    settings = replace(
        preset,
        steps=steps,
        warmup_steps=min(preset.warmup_steps, steps // 10),
        seed=request.seed,
        contrast=contrast,
    )
    statistics = _statistics(songs, settings)
    return replace(settings, network=replace(settings.network, statistics=statistics))


def _statistics(songs: Sequence[SongArray], training: JepaTraining) -> MelStatistics:
    """Of mixes and stems as they are drawn; rounded, so that they read the same everywhere."""
    mixes, stems, _ = draw_batch(
        songs,
        batch=STATISTICS_CROPS,
        samples=training.crop_samples,
        seed=(training.seed, _STATISTICS_STREAM),
    )
    front_end = LogMel(MelStatistics(), bands=training.network.bands)
    found = front_end.measure(torch.cat([mixes, stems]))
    return MelStatistics(round(found.mean, 2), round(found.std, 2))


def _songs(request: TrainRequest, tell: Tell, notes: list[str]) -> dict[str, _Song]:
    """Every usable song by its key, read from the folder beside the checkpoint.

    Of several words on one song, one title or one composition the strictest holds, also where the
    song that it was said of cannot be used; those for tests take no part.
    """
    folder = request.out.with_name(f"{request.out.stem}-audio")
    found: dict[str, tuple[str, SongArray]] = {}
    groups: dict[str, str] = {}
    words = listed_words(request.data)
    said: list[tuple[str, Split]] = list(words.of_group.items())
    for number, source in enumerate(_sources(request.data, notes), 1):
        named, listed = source.title.casefold(), source.listed
        if listed is not None:
            said.append((source.key, words.of_song.get(listed.song_id, listed.own_split)))
        if listed is not None and listed.is_current:
            said.append((named, listed.split))
            groups |= {source.key: listed.group, named: listed.group}
        if listed is not None and listed.own_split == "test":
            notes.append(f"{source.title}: listed for tests, left out")
            continue
        tell(f"reading song {number}: {source.title}")
        try:
            key, song = _stored(folder, source)
        except UnusableInput as error:
            notes.append(f"{source.title}: {error.message}")
            continue
        if fault := _fault(song):
            notes.append(f"{source.title}: {fault}")
            continue
        found[key] = (named, song)
    split_of = strictest(said)
    songs: dict[str, _Song] = {}
    for key, (title, samples) in found.items():
        group = groups.get(key) or groups.get(title, title)
        of_song = [(key, split_of[name]) for name in (key, title, group) if name in split_of]
        split = strictest(of_song).get(key)
        if split != "test":
            songs[key] = _Song(group, samples, split == "val" if split else _is_drawn(group))
    return songs


def _fault(song: SongArray) -> str:
    """Why nothing can be learned from a song, nor measured on it; empty when it can."""
    if song.shape[1] < COLUMN_SAMPLES:
        length_s, needed_s = (samples / SAMPLE_RATE for samples in (song.shape[1], COLUMN_SAMPLES))
        return f"{length_s:.3f} s are too short, {needed_s:.2f} s are needed"
    if np.count_nonzero(np.abs(song).max(axis=1) > ACTIVE_PEAK) < 2:
        return "fewer than two of its stems peak above -20 dB"
    return ""


def _is_drawn(group: str) -> bool:
    """Whether the lot says that a composition is held out."""
    return int(_digest([group])[:8], 16) % HELD_OUT == 0


def _stored(folder: Path, source: _Source) -> tuple[str, NDArray[np.float16]]:
    """The song's key and its file, made when it is not there or damaged.

    What key the files of a song have is noted beside, so they are decoded once.
    """
    note = folder / f"{source.files}.key"
    key = source.key or _noted(note)
    song = _mapped(folder / f"{key}.npy") if key else None
    if song is None:
        stems = source.read()
        key = source.key or _key({role: audio_key(stem).sha for role, stem in stems.items()})
        array = song_array(stems).astype(np.float16)
        with atomic_path(folder / f"{key}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
        if not source.key:
            write_whole(note, key)
        song = np.load(folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
    return key, np.asarray(song, dtype=np.float16)


def _noted(path: Path) -> str:
    """The key in a file; empty when it is not there or damaged."""
    try:
        key = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return key if _KEY.fullmatch(key) else ""


def _mapped(path: Path) -> NDArray[np.float16] | None:
    """(4, samples) on disk; None when it is not there or damaged."""
    try:
        song = np.lib.format.open_memmap(path, mode="r")
    except (OSError, EOFError, ValueError, tokenize.TokenError):
        return None
    is_song = song.dtype == np.float16 and song.shape[:-1] == (len(JEPA_ROLES),)
    return song if is_song else None


def _sources(data: Sequence[Path], notes: list[str]) -> Iterator[_Source]:
    for path in data:
        if (path / DATABASE_NAME).is_file():
            yield from _of_library(path)
            continue
        try:
            plans = list(plan_sources([path], stems=True))
        except DawlinkError as error:
            notes.append(error.message)
            continue
        for plan in plans:
            if plan.kind in ("multitrack", "stem-mp4"):
                try:
                    yield _of_plan(plan)
                except OSError as error:
                    notes.append(f"{plan.title}: {error.strerror or error}")
            else:
                notes.append(f"{plan.title}: no folder of stems, left out")


def _of_plan(plan: SourcePlan) -> _Source:
    files = _digest(f"{file.role}={sha256_of(file.path)}" for file in plan.files)
    return _Source(plan.title, files, lambda: _labelled(audible_stems(plan)))


def _of_library(folder: Path) -> Iterator[_Source]:
    """Songs that can be read until the next one is asked for: the library stays open so long."""
    listed = {song.song_id: song for song in read_listing(folder)}
    with Library.open(folder, create=False) as library:
        for song in library.songs():
            yield _of_song(library, song, listed.get(song.id))


def _of_song(library: Library, song: SongRow, listed: ListedSong | None) -> _Source:
    stems = _labelled({stem.role: stem for stem in library.stems(song.id, tuple(LABELS))})
    key = _key({label: stem.audio.sha for label, stem in stems.items()})

    def read() -> Mapping[Role, Waveform]:
        return {label: library.waveform(stem) for label, stem in stems.items()}

    return _Source(song.title, song.id, read, key, listed)


def _labelled(stems: Mapping[Role, _Stem]) -> dict[Role, _Stem]:
    """Stems by their labels; ``harmonic`` is left out where a part of it is there."""
    whole = not {"bass", "other"} & stems.keys()
    return {LABELS[r]: s for r, s in stems.items() if r in LABELS and (r != "harmonic" or whole)}


def _key(shas: Mapping[Role, str]) -> str:
    """Names a song by the hashes of its decoded stems."""
    return _digest(f"{label}={sha}" for label, sha in shas.items())


def _digest(named: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(named)).encode()).hexdigest()[:32]
