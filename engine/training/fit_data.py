"""Training pairs for the fit model as arrays: queries, the stems they belong with, and drums.

One :class:`FitBank` holds many windows of :mod:`engine.training.fit_windows`: the query's beats
and, with eight beats more on either side, the bed's and the drums'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from engine.models.fit_net import BeatInput, beat_input
from engine.training.fit_windows import draw_window
from engine.training.midi_corpus import MidiSong

__all__ = ["FitBank", "chosen_windows", "make_bank"]

Rows = NDArray[np.void]


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
    """Windows from songs in random order, every song about equally often."""
    rng = np.random.default_rng(seed)
    bands = _other_bands(songs)
    groups = {name: i for i, name in enumerate(sorted({song.group for song in songs}))}
    parts: list[tuple[BeatInput, BeatInput, BeatInput]] = []
    chosen: list[int] = []
    while len(parts) < windows:
        for number in rng.permutation(len(songs)):
            foreign = songs[int(rng.integers(len(songs)))]
            found = draw_window(songs[number], rng, foreign=foreign, band=bands.get(int(number)))
            if found is not None:
                parts.append((_prepared(found[0]), _prepared(found[1]), _prepared(found[2])))
                chosen.append(int(number))
            if len(parts) == windows:
                break
        if not parts:
            raise ValueError("no song has a window in which a voice sings")
    return FitBank(
        voice=_stacked([voice for voice, _, _ in parts]),
        stem=_stacked([stem for _, stem, _ in parts]),
        drums=_stacked([drums for _, _, drums in parts]),
        song=np.array(chosen),
        group=np.array([groups[songs[i].group] for i in chosen]),
    )


def chosen_windows(bank: FitBank, index: NDArray[np.int64]) -> FitBank:
    """Some windows of a bank, in the order of ``index``."""

    def of(part: BeatInput) -> BeatInput:
        return BeatInput(
            part.chroma[index], part.context[index], part.pattern[index], part.active[index]
        )

    return FitBank(
        of(bank.voice), of(bank.stem), of(bank.drums), bank.song[index], bank.group[index]
    )


def _other_bands(songs: Sequence[MidiSong]) -> dict[int, MidiSong]:
    """For songs of which there is a second arrangement on the same beats: that one."""
    by_group: dict[str, list[int]] = {}
    for number, song in enumerate(songs):
        by_group.setdefault(song.group, []).append(number)
    found: dict[int, MidiSong] = {}
    for numbers in by_group.values():
        for one, other in zip(numbers, [*numbers[1:], numbers[0]], strict=True):
            if one != other and _same_melody(songs[one], songs[other]):
                found[one] = songs[other]
    return found


def _same_melody(one: MidiSong, other: MidiSong) -> bool:
    a, b = one.notes["vocals"], other.notes["vocals"]
    return a.size == b.size and bool(
        np.all(np.abs(a["start"] - b["start"]) < 0.1) and np.all(a["pitch"] == b["pitch"])
    )


def _prepared(rows: Rows) -> BeatInput:
    active: NDArray[np.bool_] = rows["bands"].max(axis=1) > 0
    return beat_input(rows, active, beats_per_bar=4)


def _stacked(parts: Sequence[BeatInput]) -> BeatInput:
    return BeatInput(
        *(np.stack([getattr(part, field.name) for part in parts]) for field in fields(BeatInput))
    )
