"""The mashups that song-masher and its mask network learn from: given ones, or generated ones.

A mashup is a folder of three audio files named ``first``, ``second`` and ``mix``: two songs and
what somebody made of them, beginning together. Where a folder of the data has such folders they are
taken; as published, 5 % of them are held out (here by the hash of their audio). All other data are
multitrack songs or libraries, and the generator makes mashups of them
(:mod:`engine.training.song_masher.triples`); there songs are held out before anything is paired,
those that the list of a rendered corpus names or else a fifth of the compositions, so no held-out
song is ever trained on. Songs listed for tests are not touched. Given and generated mashups are
learned from together.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, overload

import numpy as np

from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.stretch import Stretcher, default_stretcher
from engine.audio.waveform import Waveform
from engine.errors import SomeItemsFailed, UnusableInput
from engine.files import sha256_of
from engine.ingest.plan import is_audio
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.models.song_masher.mask_network import SAMPLE_RATE
from engine.models.song_masher.network import LONGEST_S
from engine.training.deadline import Deadline
from engine.training.material import open_material, split_songs
from engine.training.requests import Tell, TrainRequest
from engine.training.song_masher.training import Triple
from engine.training.song_masher.triples import make_triples, planned_triples

__all__ = ["MashupSets", "TripleFiles", "find_mashups", "mashup_sets"]

#: One given mashup in so many is held out: 5 %.
HELD_OUT: Final = 20
#: Share of compositions that no generated training mashup is made of.
HELD_OUT_SHARE: Final = 0.2
#: Generated mashups for every song with a voice, up to the published number of mashups.
PER_SONG: Final = 4
MOST_MASHUPS: Final = 2000
#: Mashups kept in memory, 12 MB each.
_KEPT: Final = 64
_PARTS: Final = ("first", "second", "mix")
#: Shorter audio fills no spectrum [s].
_SHORTEST_S: Final = 0.1
#: Lengths that differ by more may differ by a frame of the spectrum, which makes a mix noise [s].
_UNEVEN_S: Final = 0.001


@dataclass(frozen=True, eq=False)
class MashupSets:
    """Mashups to train on, mashups held out, the hash of both, and what a person should know."""

    train: TripleFiles
    unseen: TripleFiles
    data_sha: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Keyed:
    """Folders of mashups by their hashes, to train on and held out."""

    train: Mapping[str, Path]
    unseen: Mapping[str, Path]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Heard:
    """What is known of a given mashup once it was decoded.

    Args:
        fault: a sentence about one that cannot be learned from; empty when it can.
        is_uneven: whether its mix has another length than the shorter of its songs.
    """

    fault: str = ""
    is_uneven: bool = False


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

    Hidden folders below are left out: what a training generates lies in one.

    Raises:
        UnusableInput: one of ``data`` is no folder.
    """
    return [path for root in data for path in _below(root) if len(_files(path)) == len(_PARTS)]


def mashup_sets(
    request: TrainRequest,
    tell: Tell,
    *,
    deadline: Deadline | None = None,
    stretcher: Stretcher | None = None,
) -> MashupSets:
    """The mashups of ``request.data``; those of songs are generated beside the checkpoint.

    Args:
        request: what is to be trained.
        tell: told what is being done.
        deadline: when the work must end.
        stretcher: the best there is when None.

    Raises:
        UnusableInput: no such folder, neither mashups nor multitrack songs, songs that the
            generator finds no partners for, or none that may be trained on.
        SomeItemsFailed: the time was over before all mashups were read or rendered.
    """
    deadline = deadline or Deadline(None)
    found = {path: find_mashups([path]) for path in request.data}
    given = [folder for folders in found.values() for folder in folders]
    songs = tuple(path for path in request.data if not found[path])
    sources = [_given(given, deadline.telling(tell))] if given else []
    if songs:
        of_songs = replace(request, data=songs)
        sources.append(_made(of_songs, tell, deadline, stretcher or default_stretcher()))
    return _sets(*sources)


def _made(request: TrainRequest, tell: Tell, deadline: Deadline, stretcher: Stretcher) -> _Keyed:
    """Mashups of songs, generated or found beside the checkpoint."""
    work = request.out.with_name(f"{request.out.stem}-songs")
    preparing = deadline.telling(tell)
    material = open_material(request.data, work, jobs=request.jobs, tell=preparing)
    parts = split_songs(material.db, request.data, share=HELD_OUT_SHARE, seed=request.seed)
    made: list[list[Path]] = []
    folder = request.out.with_name(f".{request.out.stem}-mashups")
    for part in (parts.train, parts.held_out):
        made.append(
            _generated(
                part,
                folder,
                stretcher=stretcher,
                seed=request.seed,
                tell=tell,
                stop=deadline.is_over,
            )
        )
    if not made[0]:
        raise UnusableInput(
            f"No mashup can be made of {len(parts.train.songs)} songs.",
            hint="Give five songs or more with vocals, drums and bass or other, four bars or "
            "longer, of like tempo and key.",
            code="no_mashups",
        )
    train, unseen = ({path.name: path for path in paths} for paths in made)
    return _Keyed(train, unseen, (*material.notes, *parts.notes))


def _given(folders: Sequence[Path], tell: Tell) -> _Keyed:
    heard: dict[Path, _Heard] = {}
    for number, folder in enumerate(folders, 1):
        tell(f"reading mashup {number} of {len(folders)}")
        heard[folder] = _heard(folder)
    faults = {folder: found.fault for folder, found in heard.items() if found.fault}
    if len(faults) == len(folders):
        raise UnusableInput(
            next(iter(faults.values())), hint="Give mashups that can be decoded.", code="no_mashups"
        )
    keyed = {_key(folder): folder for folder in folders if folder not in faults}
    held_out = {k: path for k, path in keyed.items() if int(k[:8], 16) % HELD_OUT == 0}
    held_out = held_out if len(held_out) < len(keyed) else {}
    train = {k: path for k, path in keyed.items() if k not in held_out}
    uneven = [folder for folder in keyed.values() if heard[folder].is_uneven]
    notes = tuple(faults.values())
    if uneven:
        notes += (
            f"{len(uneven)} of the mashups last longer or shorter than their songs, such as "
            f"{uneven[0]}; where that is a frame or more, their mix counts as noise unless "
            "--mended is given.",
        )
    return _Keyed(train, held_out, notes)


def _heard(folder: Path) -> _Heard:
    """All that a training reads of a mashup is decoded, for damage may lie anywhere in it."""
    lengths_s: dict[str, float] = {}
    for part, path in _files(folder).items():
        try:
            lengths_s[part] = decode(path, end_s=LONGEST_S).duration_s
        except UnusableInput as error:
            return _Heard(fault=error.message)
        if lengths_s[part] < _SHORTEST_S:
            return _Heard(fault=f"{path} is shorter than {_SHORTEST_S} s; its mashup is left out.")
    songs_s = min(lengths_s["first"], lengths_s["second"])
    return _Heard(is_uneven=abs(songs_s - lengths_s["mix"]) > _UNEVEN_S)


def _sets(*sources: _Keyed) -> MashupSets:
    """All of them, in the order of their hashes, whatever the folders are called."""
    train = {key: path for source in sources for key, path in source.train.items()}
    unseen = {key: path for source in sources for key, path in source.unseen.items()}
    notes = tuple(note for source in sources for note in source.notes)
    if not unseen:
        notes = (*notes, "too few mashups to hold one out")
    return MashupSets(
        train=TripleFiles([train[key] for key in sorted(train)]),
        unseen=TripleFiles([unseen[key] for key in sorted(unseen)]),
        data_sha=hashlib.sha256(" ".join(sorted({*train, *unseen})).encode()).hexdigest(),
        notes=notes,
    )


def _generated(
    db: MashupDB,
    folder: Path,
    *,
    stretcher: Stretcher,
    seed: int,
    tell: Tell,
    stop: Callable[[], bool],
) -> list[Path]:
    voices = sum(set(MASHUP_ROLES) <= song.stems.keys() for song in db.songs)
    plans = planned_triples(db, min(PER_SONG * voices, MOST_MASHUPS), seed=seed)
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        tell(f"made {done} of {len(plans)} mashups")

    made = make_triples(db, plans, folder, stretcher=stretcher, stop=stop, made_one=told)
    if made is None:
        raise SomeItemsFailed(
            f"The time was over when {done} of {len(plans)} mashups were made; there is no "
            "checkpoint yet.",
            hint="Run the same command again: it goes on where this one stopped.",
            code="out_of_time",
        )
    return made


def _below(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UnusableInput(
            f"{root} is no folder.", hint="Give a folder of mashups or songs.", code="missing"
        )
    yield root
    for path in sorted(path for path in root.rglob("*") if path.is_dir()):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


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
