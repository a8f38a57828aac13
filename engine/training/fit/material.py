"""What the fit model is trained on: MIDI corpora, multitrack songs, or both together.

Notes are rendered into windows under random sounds; analysed songs give windows of what was heard
(:mod:`engine.training.fit.data`, :mod:`engine.training.fit.library`). Sources are mixed in
proportion to their songs. Compositions are told apart by name across all sources, so a corpus and
a library that was rendered from it may be given together: what validates or tests in one of them,
whether its song there can be used or not, is trained on in none, and no two windows of a batch are
ever of one composition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.library.place import DATABASE_NAME
from engine.training.fit.calibration import drawn_songs
from engine.training.fit.check import WindowPairs, midi_pairs
from engine.training.fit.data import FitBank, joined, make_bank
from engine.training.fit.library import (
    AnalysedSong,
    LibraryWindows,
    analysed_songs,
    song_pairs,
    split_by_lot,
    useful,
    whole_songs,
)
from engine.training.fit.windows import WINDOW_BEATS, SongRows
from engine.training.listed import ListedWords, listed_words
from engine.training.material import open_libraries
from engine.training.midi_audio.index import corpus_notes, is_midi_corpus
from engine.training.midi_corpus import MidiCorpus, MidiSong
from engine.training.requests import Tell

__all__ = ["FitMaterial", "RollWindows", "WindowSource", "mixed", "open_fit_material"]

#: Windows of each validation song that are measured, and the seed of their sounds.
_PAIRS_PER_SONG: Final = 2
_PAIRS_SEED: Final = 5
_FEWEST_GROUPS: Final = 2
#: Windows begin in any bar but the last possible one.
_FEWEST_BEATS: Final = WINDOW_BEATS + 4


class WindowSource(Protocol):
    """Songs that windows can be drawn from."""

    @property
    def songs(self) -> int:
        """How many there are."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of their compositions; ``FitBank.group`` counts in them."""
        ...

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """So many windows; the same seed gives the same ones."""
        ...


class RollWindows:
    """MIDI songs as a :class:`WindowSource`."""

    def __init__(self, songs: Sequence[MidiSong]) -> None:
        self._songs = tuple(songs)
        self.songs = len(self._songs)
        self.groups = tuple(sorted({song.group for song in self._songs}))

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """See :func:`~engine.training.fit.data.make_bank`."""
        return make_bank(self._songs, windows, seed=seed)


class _Mixture:
    """Several sources as one, each with its share of the windows."""

    def __init__(self, sources: Sequence[WindowSource]) -> None:
        self._sources = tuple(sources)
        self.songs = sum(source.songs for source in sources)
        self.groups = tuple(sorted({group for source in sources for group in source.groups}))

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """Windows of all sources in proportion to their songs."""
        number = {group: i for i, group in enumerate(self.groups)}
        ends = np.cumsum([0, *(source.songs for source in self._sources)])
        shares = np.diff(np.rint(windows * ends / self.songs).astype(np.int64))
        banks = []
        for source, share, first in zip(self._sources, shares.tolist(), ends, strict=False):
            if share:
                bank = source.bank(share, seed=seed)
                names = np.array([number[group] for group in source.groups])
                banks.append(replace(bank, song=bank.song + first, group=names[bank.group]))
        return joined(banks)


def mixed(sources: Sequence[WindowSource]) -> WindowSource:
    """One source out of one or several."""
    return sources[0] if len(sources) == 1 else _Mixture(sources)


@dataclass(frozen=True, eq=False)
class FitMaterial:
    """Everything that one training of the fit model reads.

    Args:
        train: what it learns from.
        val_notes: MIDI songs to validate and calibrate with.
        val_songs: analysed songs for the same.
        data_sha: names all of it.
        notes: a sentence about each song that could not be used.
    """

    train: WindowSource
    val_notes: tuple[MidiSong, ...]
    val_songs: tuple[AnalysedSong, ...]
    data_sha: str
    notes: tuple[str, ...] = ()

    def val_pairs(self) -> WindowPairs:
        """A few windows of each validation song and what belongs under them."""
        parts = []
        if self.val_notes:
            parts.append(midi_pairs(self.val_notes, _PAIRS_PER_SONG, seed=_PAIRS_SEED))
        if self.val_songs:
            parts.append(song_pairs(self.val_songs, per_song=_PAIRS_PER_SONG))
        return _joined_pairs(parts)

    def val_whole(self, seed: int) -> list[SongRows]:
        """One song of every validation composition, whole; notes under random sounds."""
        return [*drawn_songs(self.val_notes, seed=seed), *whole_songs(self.val_songs)]


def open_fit_material(
    data: Sequence[Path],
    work: Path,
    *,
    cache_dir: Path | None = None,
    jobs: int = 1,
    tell: Tell = lambda _text: None,
) -> FitMaterial:
    """Read all sources and split their songs.

    Args:
        data: MIDI corpora (folders or archives), libraries, folders of multitrack songs.
        work: the library that multitrack songs are added to.
        cache_dir: for the notes of corpora.
        jobs: songs analysed at once.
        tell: told what is being done.

    Raises:
        UnusableInput: a source cannot be read, or too few compositions train or validate.
        LibraryUnusable: a library is damaged or made by a newer dawlink.
    """
    paths = dict.fromkeys(data)
    notes_in = [p for p in paths if not (p / DATABASE_NAME).is_file() and is_midi_corpus(p)]
    corpora = []
    for path in notes_in:
        tell(f"reading the notes of {path.name}")
        corpora.append(corpus_notes(path, cache_dir, tell=tell))
    sounds_in = [path for path in paths if path not in notes_in]
    words = listed_words(sounds_in)
    songs, said = _analysed(sounds_in, words, work, jobs, tell) if sounds_in else ([], [])
    held = {song.group for corpus in corpora for song in corpus.songs if song.split != "train"}
    held |= {song.group for song in songs if song.split == "val"} | words.groups("val", "test")
    rolls = [song for corpus in corpora for song in corpus.usable if song.group not in held]
    heard = [song for song in songs if song.split == "train" and song.group not in held]
    tests = {song.group for corpus in corpora for song in corpus.songs if song.split == "test"}
    tests |= words.groups("test")
    validating = [song for corpus in corpora for song in corpus.usable if song.split == "val"]
    val_notes = [song for song in validating if song.group not in tests]
    val_songs = [song for song in songs if song.split == "val" and song.group not in tests]
    _check_split([rolls, heard], [val_notes, val_songs], said)
    if not val_songs:
        _check_length(val_notes)
    sources: list[WindowSource] = [RollWindows(rolls)] if rolls else []
    if heard:
        sources.append(LibraryWindows(heard))
    return FitMaterial(
        mixed(sources),
        tuple(val_notes),
        tuple(val_songs),
        _data_sha(corpora, songs, words),
        (*(note for corpus in corpora for note in corpus.notes), *said),
    )


def _analysed(
    data: Sequence[Path], words: ListedWords, work: Path, jobs: int, tell: Tell
) -> tuple[list[AnalysedSong], list[str]]:
    """The songs of all libraries and folders, each once, with their splits."""
    libraries, errors = open_libraries(data, work, jobs=jobs, tell=tell)
    found = {song.id: song for library in libraries for song in analysed_songs(library)}
    songs, notes = useful(list(found.values()))
    songs = [replace(song, split=words.of(song.id, song.group)) for song in songs]
    return split_by_lot(songs), [*(error.message for error in errors), *notes]


def _check_split(
    train: Sequence[Sequence[MidiSong | AnalysedSong]],
    val: Sequence[Sequence[MidiSong | AnalysedSong]],
    notes: Sequence[str],
) -> None:
    counts = [len({song.group for part in parts for song in part}) for parts in (train, val)]
    if min(counts) >= _FEWEST_GROUPS:
        return
    why = f" {notes[0]}" if notes else ""
    raise UnusableInput(
        f"There are {counts[0]} songs to train on and {counts[1]} to validate with, "
        f"{_FEWEST_GROUPS} of each are needed.{why}",
        hint="Give ten multitrack songs with voice, harmony and drums or more, or a MIDI corpus "
        "beside them.",
        code="no_songs",
    )


def _check_length(songs: Sequence[MidiSong]) -> None:
    """Said before training: without one window there is nothing to measure after it."""
    longest = max(song.beats for song in songs)
    if longest < _FEWEST_BEATS:
        raise UnusableInput(
            f"The longest MIDI song to validate with has {longest} beats, {_FEWEST_BEATS} are "
            "needed.",
            hint="Give whole songs.",
            code="no_songs",
        )


def _joined_pairs(parts: Sequence[WindowPairs]) -> WindowPairs:
    """The windows of all parts; first the beds of all queries, then those without one."""
    counts = [len(part.queries) for part in parts]
    both = list(zip(parts, counts, strict=True))
    stems: list[NDArray[np.void]] = [rows for part, n in both for rows in part.stems[:n]]
    groups = [group for part, n in both for group in part.groups[:n]]
    stems += [rows for part, n in both for rows in part.stems[n:]]
    groups += [group for part, n in both for group in part.groups[n:]]
    return WindowPairs([q for part in parts for q in part.queries], stems, tuple(groups))


def _data_sha(
    corpora: Sequence[MidiCorpus], songs: Sequence[AnalysedSong], words: ListedWords
) -> str:
    """Names all sources, and what is kept from training though no song of it is heard."""
    unheard = words.groups("val", "test") - {song.group for song in songs}
    named = [*(f"{group} {words.of_group[group]}" for group in unheard), *(s.sha for s in songs)]
    shas = [corpus.data_hash for corpus in corpora]
    if named:
        shas.append(_sha_of(sorted(named)))
    return shas[0] if len(shas) == 1 else _sha_of(shas)


def _sha_of(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
