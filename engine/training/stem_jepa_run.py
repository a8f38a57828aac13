"""The way from folders of songs, or a library, to a trained Stem-JEPA.

Only audio is needed, no beats and no keys: every song becomes one file of (4, samples) half
precision at 16 kHz beside the checkpoint, and the next run finds it there. One song in ten is held
out (by the hash of its audio, so it stays out when songs are added) and gives the metrics; a
library of rendered songs says itself which songs are for training and which for validation. The
statistics that normalise the input are measured on the songs that are trained on.

On a CPU the network is the small preset; on a GPU it is the published one with its schedule.
"""

from __future__ import annotations

import hashlib
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import DawlinkError, UnusableInput
from engine.files import atomic_path, sha256_of
from engine.ingest import SourcePlan, plan_sources, sum_files
from engine.library.library import Library
from engine.library.place import DATABASE_NAME
from engine.library.rows import SongRow
from engine.models.log_mel import LogMel, MelStatistics
from engine.models.stem_jepa import JEPA_ROLES, LABELS
from engine.theory import Role
from engine.training.midi_audio.listing import read_listing
from engine.training.midi_corpus import Split
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device
from engine.training.stem_jepa import (
    PUBLISHED_TRAINING,
    SMALL_TRAINING,
    JepaTraining,
    train_stem_jepa,
)
from engine.training.stem_jepa_draws import ACTIVE_PEAK, SongArray, draw_batch, song_array

__all__ = ["run"]

#: One song in so many is held out.
HELD_OUT: Final = 10
#: Crops on which the statistics are measured: 64 x 8 s of mixes and as much of stems.
STATISTICS_CROPS: Final = 64
_STATISTICS_STREAM: Final = 2**31 + 1


@dataclass(frozen=True, eq=False)
class _Source:
    """A song that has not been read yet; ``key`` names its audio."""

    key: str
    title: str
    read: Callable[[], Mapping[Role, Waveform]]
    split: Split | None = None

    @property
    def is_held_out(self) -> bool:
        """By its list, else by its audio."""
        if self.split is not None:
            return self.split == "val"
        return int(self.key[:8], 16) % HELD_OUT == 0


def run(request: TrainRequest, tell: Tell, *, training: JepaTraining | None = None) -> TrainReport:
    """Train, as ``request`` says; ``training`` is the device's preset when None.

    Raises:
        UnusableInput: fewer than two usable songs.
        UsageError: a run to go on with that was another.
        MissingDependency: no such device.
    """
    device = pick_device(request.device)
    notes: list[str] = []
    found = {source.key: (source, song) for source, song in _songs(request, tell, notes)}
    songs = {key: found[key][1] for key in sorted(found)}
    held_out = [key for key in songs if found[key][0].is_held_out] or list(songs)[:1]
    train = [songs[key] for key in songs if key not in held_out]
    if not train:
        why = f" {notes[0]}" if notes else ""
        raise UnusableInput(
            f"Two songs with two stems or more are needed, there are {len(songs)}.{why}",
            hint="Give folders in which each song is a folder of files named by role.",
            code="no_songs",
        )
    preset = training or (SMALL_TRAINING if device == "cpu" else PUBLISHED_TRAINING)
    settings = _settings(request, preset, train)
    outcome = train_stem_jepa(
        train,
        settings,
        out=request.out,
        validation=[songs[key] for key in held_out],
        data_sha=hashlib.sha256(" ".join(sorted(songs)).encode()).hexdigest(),
        minutes=request.minutes,
        resume=request.resume,
        device=device,
        report=lambda step, loss: tell(
            f"training: step {step} of {settings.all_steps}, loss {loss:.3f}"
        ),
        pictured=lambda done: tell(f"picturing song {done} of {len(train)}"),
    )
    return TrainReport(
        request.out, outcome.finished, outcome.steps_done, outcome.metrics, tuple(notes)
    )


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


def _songs(
    request: TrainRequest, tell: Tell, notes: list[str]
) -> Iterator[tuple[_Source, SongArray]]:
    """Every song with two stems or more, read from the folder beside the checkpoint."""
    folder = request.out.with_name(f"{request.out.stem}-audio")
    for number, source in enumerate(_sources(request.data, notes), 1):
        tell(f"reading song {number}: {source.title}")
        try:
            song = _stored(folder / f"{source.key}.npy", source)
        except UnusableInput as error:
            notes.append(f"{source.title}: {error.message}")
            continue
        if np.count_nonzero(np.abs(song).max(axis=1, initial=0) > ACTIVE_PEAK) < 2:
            notes.append(f"{source.title}: fewer than two of its stems peak above -20 dB")
        else:
            yield source, song


def _stored(path: Path, source: _Source) -> NDArray[np.float16]:
    """The song's file, made when it is not there or damaged."""
    song = _mapped(path)
    if song is None:
        array = song_array(source.read()).astype(np.float16)
        with atomic_path(path) as temporary:
            np.save(temporary, array, allow_pickle=False)
        song = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.asarray(song, dtype=np.float16)


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
            yield from _of_library(path, notes)
            continue
        try:
            plans = list(plan_sources([path], stems=True))
        except DawlinkError as error:
            notes.append(error.message)
            continue
        for plan in plans:
            if plan.kind == "multitrack":
                yield _of_plan(plan)
            else:
                notes.append(f"{plan.title}: no folder of stems, left out")


def _of_plan(plan: SourcePlan) -> _Source:
    labels = {file.role: LABELS.get(file.role, file.role) for file in plan.files}
    if {"bass", "other"} & labels.keys():
        labels.pop("harmonic", None)  # their sum
    files = [file for file in plan.files if file.role in labels]
    named = sorted(f"{file.role}={sha256_of(file.path)}" for file in files)

    def read() -> Mapping[Role, Waveform]:
        return {
            label: sum_files([file.path for file in files if labels[file.role] == label])
            for label in dict.fromkeys(labels.values())
        }

    return _Source(_key(named), plan.title, read)


def _of_library(folder: Path, notes: list[str]) -> Iterator[_Source]:
    """Songs that can be read until the next one is asked for: the library stays open so long."""
    splits: Mapping[str, Split] = {song.song_id: song.split for song in read_listing(folder)}
    with Library.open(folder, create=False) as library:
        for song in library.songs():
            split = splits.get(song.id)
            if split == "test":
                notes.append(f"{song.title}: listed for tests, left out")
            else:
                yield _of_song(library, song, split)


def _of_song(library: Library, song: SongRow, split: Split | None) -> _Source:
    stems = library.stems(song.id, JEPA_ROLES)
    named = sorted(f"{stem.role}={stem.audio.sha}" for stem in stems)

    def read() -> Mapping[Role, Waveform]:
        return {stem.role: library.waveform(stem) for stem in stems}

    return _Source(_key(named), song.title, read, split)


def _key(named: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
