"""The way from folders of mashups to a trained song-masher and its mask network.

A mashup is a folder of three audio files named ``first``, ``second`` and ``mix``: two songs and
what somebody made of them, beginning together. As published, the first 60 s count and 5 % of the
mashups are held out (here by the hash of their audio). Three networks are trained one after the
other, a third of the minutes each: magnitudes into the named checkpoint, phases into
``NAME-phase.safetensors``, and the mask network, which is the one of use, into
``NAME-mask.safetensors``.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, overload

import numpy as np

from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.files import sha256_of
from engine.ingest.plan import is_audio
from engine.models.mash_mask import SAMPLE_RATE
from engine.models.song_masher import LONGEST_S, MasherConfig
from engine.training.mash_mask import MaskTraining, train_mash_mask
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device
from engine.training.resuming import Outcome
from engine.training.song_masher import MasherTraining, Triple, train_song_masher

__all__ = ["MasherPlan", "TripleFiles", "find_mashups", "run"]

#: One mashup in so many is held out: 5 %.
HELD_OUT: Final = 20
#: Mashups kept in memory, 12 MB each.
_KEPT: Final = 64
_PARTS: Final = ("first", "second", "mix")


@dataclass(frozen=True)
class MasherPlan:
    """How the three networks are trained; their seeds and epochs are the request's."""

    magnitude: MasherTraining = field(default_factory=MasherTraining)
    phase: MasherTraining = field(default_factory=lambda: MasherTraining(MasherConfig("phase")))
    mask: MaskTraining = field(default_factory=MaskTraining)


class TripleFiles(Sequence[Triple]):
    """Mashups that are decoded when they are asked for, 16 kHz mono, the first minute."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._read = functools.lru_cache(maxsize=_KEPT)(_read_triple)

    def __len__(self) -> int:
        return len(self._folders)

    @overload
    def __getitem__(self, index: int) -> Triple: ...
    @overload
    def __getitem__(self, index: slice) -> TripleFiles: ...
    def __getitem__(self, index: int | slice) -> Triple | TripleFiles:
        if isinstance(index, slice):
            return TripleFiles(self._folders[index])
        return self._read(self._folders[index])


def find_mashups(data: Sequence[Path]) -> list[Path]:
    """Folders of mashups among ``data`` and everything below, in order of their names.

    Raises:
        UnusableInput: there is none.
    """
    found = [path for root in data for path in _below(root) if len(_files(path)) == len(_PARTS)]
    if not found:
        raise UnusableInput(
            f"There is no mashup in {', '.join(map(str, data))}.",
            hint="Give folders in which each mashup is a folder with the audio files first, "
            "second and mix.",
            code="no_mashups",
        )
    return found


def run(request: TrainRequest, tell: Tell, *, plan: MasherPlan | None = None) -> TrainReport:
    """Train all three, as ``request`` says; ``plan`` is the published run when None.

    Raises:
        UnusableInput: no mashups, or one that cannot be decoded.
        UsageError: a run to go on with that was another.
        MissingDependency: no such device.
    """
    device = pick_device(request.device)
    keyed = {_key(folder): folder for folder in find_mashups(request.data)}
    held_out = [key for key in sorted(keyed) if int(key[:8], 16) % HELD_OUT == 0]
    held_out = held_out if len(held_out) < len(keyed) else []
    train = TripleFiles([keyed[key] for key in sorted(keyed) if key not in held_out])
    unseen = TripleFiles([keyed[key] for key in held_out])
    data_sha = hashlib.sha256(" ".join(sorted(keyed)).encode()).hexdigest()
    outcomes: dict[str, Outcome] = {}
    for name, start in _trainers(request, plan or MasherPlan()).items():
        tell(f"training the {name} network on {len(train)} mashups")
        outcomes[name] = start(train, unseen, data_sha, device)
    return TrainReport(
        checkpoint=request.out,
        finished=all(outcome.finished for outcome in outcomes.values()),
        steps=sum(outcome.steps_done for outcome in outcomes.values()),
        metrics={
            f"{name}_{metric}": value
            for name, outcome in outcomes.items()
            for metric, value in outcome.metrics.items()
        },
        notes=() if held_out else ("too few mashups to hold one out",),
    )


_Start = Callable[[TripleFiles, TripleFiles, str, str], Outcome]


def _trainers(request: TrainRequest, plan: MasherPlan) -> dict[str, _Start]:
    """The three runs by name; each takes training set, held-out set, data hash and device."""
    minutes = None if request.minutes is None else request.minutes / 3

    def masher(training: MasherTraining, out: Path) -> _Start:
        epochs = training.epochs if request.epochs is None else request.epochs
        asked = replace(training, seed=request.seed, epochs=epochs)
        return lambda train, unseen, data_sha, device: train_song_masher(
            train,
            asked,
            out=out,
            validation=unseen,
            data_sha=data_sha,
            minutes=minutes,
            resume=request.resume,
            device=device,
        )

    def mask(train: TripleFiles, unseen: TripleFiles, data_sha: str, device: str) -> Outcome:
        return train_mash_mask(
            train,
            replace(plan.mask, seed=request.seed),
            out=_beside(request.out, "mask"),
            validation=unseen,
            data_sha=data_sha,
            minutes=minutes,
            resume=request.resume,
            device=device,
        )

    return {
        "magnitude": masher(plan.magnitude, request.out),
        "phase": masher(plan.phase, _beside(request.out, "phase")),
        "mask": mask,
    }


def _beside(out: Path, part: str) -> Path:
    return out.with_name(f"{out.stem}-{part}{out.suffix}")


def _below(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UnusableInput(
            f"{root} is no folder.", hint="Give a folder of mashups.", code="missing"
        )
    yield root
    yield from sorted(path for path in root.rglob("*") if path.is_dir())


def _files(folder: Path) -> dict[str, Path]:
    """The files of a mashup by their part in it, as far as they are there."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and is_audio(path))
    return {path.stem.lower(): path for path in files if path.stem.lower() in _PARTS}


def _read_triple(folder: Path) -> Triple:
    files = _files(folder)
    first, second, mix = (_mono(decode(files[part], end_s=LONGEST_S)) for part in _PARTS)
    return Triple(first, second, mix)


def _mono(waveform: Waveform) -> Waveform:
    return resample(Waveform(waveform.mono()[np.newaxis], waveform.sample_rate), SAMPLE_RATE)


def _key(folder: Path) -> str:
    named = [f"{part}={sha256_of(path)}" for part, path in sorted(_files(folder).items())]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()
