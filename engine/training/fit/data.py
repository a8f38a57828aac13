"""Training pairs for the fit model as arrays: queries, the stems they belong with, and drums.

One :class:`FitBank` holds many windows of :mod:`engine.training.fit.windows`: the query's beats
and, with eight beats more on either side, the bed's and the drums'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.models.fit.towers import BeatInput, beat_input
from engine.training.arrangements import same_melody
from engine.training.fit.windows import WINDOW_BEATS, draw_window
from engine.training.midi_corpus import MidiSong

__all__ = ["FitBank", "bank_of", "chosen", "chosen_windows", "joined", "make_bank", "prepared"]

Rows = NDArray[np.void]
#: Voice, stem and drums of one window.
Prepared = tuple[BeatInput, BeatInput, BeatInput]


@dataclass(frozen=True, eq=False)
class FitBank:
    """Windows, each from one song.

    Args:
        voice: (windows, 32 beats, …) the query, most often a voice.
        stem: (windows, 48 beats, …) the bed, most often the harmonic stem.
        drums: (windows, 48 beats, …).
        song: (windows,) number of the song in the list the bank was made from.
        group: (windows,) number of the composition.
    """

    voice: BeatInput
    stem: BeatInput
    drums: BeatInput
    song: NDArray[np.int64]
    group: NDArray[np.int64]


def make_bank(songs: Sequence[MidiSong], windows: int, *, seed: int) -> FitBank:
    """Windows from songs in random order, every song about equally often.

    Raises:
        UnusableInput: not one of the songs has a window.
    """
    rng = np.random.default_rng(seed)
    bands = _other_bands(songs)
    groups = {name: i for i, name in enumerate(sorted({song.group for song in songs}))}
    parts: list[Prepared] = []
    chosen: list[int] = []
    while len(parts) < windows:
        for number in rng.permutation(len(songs)):
            foreign = songs[int(rng.integers(len(songs)))]
            found = draw_window(songs[number], rng, foreign=foreign, band=bands.get(int(number)))
            if found is not None:
                parts.append(prepared(found))
                chosen.append(int(number))
            if len(parts) == windows:
                break
        if not parts:
            raise UnusableInput(
                f"None of {len(songs)} MIDI songs has {WINDOW_BEATS} beats in which a melody is "
                "sung over a bed.",
                hint=f"Give songs of {WINDOW_BEATS // 4 + 1} bars or more whose melody is not "
                "their only part.",
                code="no_songs",
            )
    return bank_of(parts, np.array(chosen), np.array([groups[songs[i].group] for i in chosen]))


def prepared(rows: tuple[Rows, Rows, Rows]) -> Prepared:
    """Feature rows of voice, stem and drums as the towers see them."""
    voice, stem, drums = rows
    return _prepared(voice), _prepared(stem), _prepared(drums)


def bank_of(
    windows: Sequence[Prepared], song: NDArray[np.int64], group: NDArray[np.int64]
) -> FitBank:
    """Windows as arrays, with the number of the song and of the composition of each."""
    voice, stem, drums = (_stacked([window[part] for window in windows]) for part in range(3))
    return FitBank(voice, stem, drums, song, group)


def joined(banks: Sequence[FitBank]) -> FitBank:
    """The windows of several banks, one after another."""
    voice, stem, drums = (
        BeatInput(
            *(
                np.concatenate([getattr(getattr(bank, part), field.name) for bank in banks])
                for field in fields(BeatInput)
            )
        )
        for part in ("voice", "stem", "drums")
    )
    return FitBank(
        voice,
        stem,
        drums,
        np.concatenate([bank.song for bank in banks]),
        np.concatenate([bank.group for bank in banks]),
    )


def chosen_windows(bank: FitBank, index: NDArray[np.int64]) -> FitBank:
    """Some windows of a bank, in the order of ``index``."""
    voice, stem, drums = (chosen(part, index) for part in (bank.voice, bank.stem, bank.drums))
    return FitBank(voice, stem, drums, bank.song[index], bank.group[index])


def chosen(part: BeatInput, index: NDArray[np.int64]) -> BeatInput:
    """Some windows of one part."""
    return BeatInput(*(getattr(part, field.name)[index] for field in fields(BeatInput)))


def _other_bands(songs: Sequence[MidiSong]) -> dict[int, MidiSong]:
    """For songs of which there is a second arrangement on the same beats: that one."""
    by_group: dict[str, list[int]] = {}
    for number, song in enumerate(songs):
        by_group.setdefault(song.group, []).append(number)
    found: dict[int, MidiSong] = {}
    for numbers in by_group.values():
        for one, other in zip(numbers, [*numbers[1:], numbers[0]], strict=True):
            if one != other and same_melody(songs[one], songs[other]):
                found[one] = songs[other]
    return found


def _prepared(rows: Rows) -> BeatInput:
    active: NDArray[np.bool_] = rows["bands"].max(axis=1) > 0
    return beat_input(rows, active, beats_per_bar=4)


def _stacked(parts: Sequence[BeatInput]) -> BeatInput:
    return BeatInput(
        *(np.stack([getattr(part, field.name) for part in parts]) for field in fields(BeatInput))
    )
