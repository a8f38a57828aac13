"""Arrangements that contradict each other: a check of a MIDI corpus by its notes alone.

Two arrangements of a composition play the same chords on the same beats. Where one agrees much
better with the other after a transposition, one of the two was generated from a wrong key, and its
accompaniment does not belong to its melody: as a right answer it is a wrong label, for any ranker.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.midi_corpus import MidiSong

__all__ = ["agreement", "beat_chroma", "contradicting", "same_melody"]

#: Arrangements contradict each other that agree less than this share of what they do transposed.
_LEAST_SHARE: Final = 0.6
_LEAST_NORM: Final = 1e-9
#: Notes of one melody begin this close to each other in all arrangements [beats].
_SAME_MOMENT: Final = 0.1


def contradicting(songs: Iterable[MidiSong]) -> tuple[MidiSong, ...]:
    """Songs whose harmony stands in another key than that of the composition's other arrangement.

    Of two that differ, the one whose own voice agrees less with it is meant.
    """
    by_group: dict[str, list[MidiSong]] = {}
    for song in songs:
        by_group.setdefault(song.group, []).append(song)
    found: dict[str, MidiSong] = {}
    for variants in by_group.values():
        for one, other in itertools.combinations(variants, 2):
            if not same_melody(one, other):
                continue
            shared = agreement(beat_chroma(one.harmonic), beat_chroma(other.harmonic))
            if shared[0] < _LEAST_SHARE * shared.max():
                wrong = min(one, other, key=_voice_agreement)
                found[wrong.file] = wrong
    return tuple(found.values())


def same_melody(one: MidiSong, other: MidiSong) -> bool:
    """Do two arrangements have the same voice on the same beats?"""
    a, b = one.notes["vocals"], other.notes["vocals"]
    return a.size == b.size and bool(
        np.all(np.abs(a["start"] - b["start"]) < _SAME_MOMENT) and np.all(a["pitch"] == b["pitch"])
    )


def agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(12,) mean cosine of two chromas (beats, 12) over the beats in which both sound.

    Element ``k`` is for ``other`` transposed ``k`` semitones up.
    """
    beats = min(len(one), len(other))
    one, other = one[:beats], other[:beats]
    both = one.any(axis=1) & other.any(axis=1)
    if not both.any():
        return np.zeros(12)
    rolled = [np.roll(other[both], k, axis=1) for k in range(12)]
    return np.array([float((one[both] * turned).sum(axis=1).mean()) for turned in rolled])


def beat_chroma(notes: NDArray[np.void]) -> NDArray[np.float64]:
    """(beats, 12) how long each pitch class sounds in each beat, norm 1 or 0."""
    first = np.floor(notes["start"]).astype(np.int64)
    counts = np.maximum(np.ceil(notes["end"]).astype(np.int64), first + 1) - first
    note = np.repeat(np.arange(notes.size), counts)
    beat = np.arange(note.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[note]
    low, high = np.maximum(notes["start"][note], beat), np.minimum(notes["end"][note], beat + 1)
    chroma = np.zeros((int(beat.max(initial=-1)) + 1, 12))
    np.add.at(chroma, (beat, notes["pitch"][note].astype(np.int64) % 12), np.maximum(high - low, 0))
    norms = np.linalg.norm(chroma, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = chroma / np.maximum(norms, _LEAST_NORM)
    return scaled


def _voice_agreement(song: MidiSong) -> float:
    return float(agreement(beat_chroma(song.notes["vocals"]), beat_chroma(song.harmonic))[0])
