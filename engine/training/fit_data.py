"""Training pairs for the fit model: a window of voice, and the stems it belongs with.

One :class:`FitBank` holds many windows as arrays: the voice's beats and, with eight beats more on
either side, the harmonic stem's and the drums'. Each comes from one MIDI song under sounds drawn
anew (:mod:`engine.training.roll_features`); a part of the beds is turned into vamps, robbed of its
bass or of its chords, because loop-based music is like that. Windows begin on downbeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit_net import BeatInput, beat_context
from engine.training.midi_corpus import MidiSong
from engine.training.roll_features import (
    draw_sound,
    drums_rows,
    mixed_rows,
    note_powers,
    static_harmony,
)

__all__ = ["CONTEXT_BEATS", "WINDOW_BEATS", "FitBank", "chosen_windows", "draw_window", "make_bank"]

#: Eight bars of four: the length of a phrase that a producer lays a bed under.
WINDOW_BEATS: Final = 32
#: Beats of the stem before and after the window: two bars.
CONTEXT_BEATS: Final = 8
_STEM_BEATS: Final = WINDOW_BEATS + 2 * CONTEXT_BEATS
#: Shares of the windows whose bed is a vamp, has no bass, or is little but bass.
_VAMP, _NO_BASS, _BASS_ONLY = 0.25, 0.25, 0.08
#: A voice must sing in this share of the window's beats.
_SINGING: Final = 0.3
#: A bed must sound in this share of its beats.
_PLAYING: Final = 0.5
#: Shares of the voices that lose notes, and that another song leaks into.
_THINNED, _LEAKY = 0.15, 0.3
_ATTEMPTS: Final = 12

Rows = NDArray[np.void]


@dataclass(frozen=True, eq=False)
class FitBank:
    """Windows, each from one song.

    Args:
        voice: (windows, 32 beats, …).
        stem: (windows, 48 beats, …) the harmonic stem.
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
    groups = {name: i for i, name in enumerate(sorted({song.group for song in songs}))}
    parts: list[tuple[BeatInput, BeatInput, BeatInput]] = []
    chosen: list[int] = []
    while len(parts) < windows:
        for number in rng.permutation(len(songs)):
            foreign = songs[int(rng.integers(len(songs)))]
            found = draw_window(songs[number], rng, foreign=foreign)
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


def draw_window(
    song: MidiSong,
    rng: np.random.Generator,
    *,
    foreign: MidiSong | None = None,
    plain: bool = False,
) -> tuple[Rows, Rows, Rows] | None:
    """Feature rows of voice (32 beats), harmonic stem and drums (48 beats) of one window.

    Args:
        song: where it comes from.
        rng: draws the window, the sounds and the faults.
        foreign: a song that at times leaks into the voice, as reverberation and neighbours do.
        plain: leave the arrangement as it was written.

    Returns:
        None when no window with singing and a bed was found.
    """
    first = _first_beat(song, rng)
    if first is None:
        return None
    vocals, bass, other = (song.notes[role] for role in ("vocals", "bass", "other"))
    before = first - CONTEXT_BEATS
    if not plain and rng.random() < _VAMP:
        length = int(rng.choice([1, 2, 4]))
        both = static_harmony(song.harmonic, vocals, before, _STEM_BEATS, bars=length)
        bass, other = both[both["pitch"] < 48], both[both["pitch"] >= 48]
    kept = rng.random()
    parts = []
    if bass.size and (plain or kept >= _NO_BASS or other.size == 0):
        parts.append(note_powers(bass, before, _STEM_BEATS, draw_sound(rng), rng))
    if plain or not _NO_BASS <= kept < _NO_BASS + _BASS_ONLY or bass.size == 0:
        parts += [
            note_powers(other[other["part"] == part], before, _STEM_BEATS, draw_sound(rng), rng)
            for part in np.unique(other["part"])
        ]
    if not parts:
        return None
    voice = _voice(vocals, foreign, first, rng)
    stem = mixed_rows(parts, rng=rng, floor=_floor(rng), spectrum=False)
    if np.mean(stem["bands"].any(axis=1)) < _PLAYING:
        return None
    return voice, stem, drums_rows(song.notes["drums"], before, _STEM_BEATS, rng)


def _voice(vocals: Rows, foreign: MidiSong | None, first: float, rng: np.random.Generator) -> Rows:
    """The sung window; at times thinned, at times with another song's bed faintly behind it."""
    sound = draw_sound(rng, voice=True)
    if rng.random() < _THINNED:
        vocals = vocals[rng.random(vocals.size) >= rng.uniform(0.2, 0.5)]
    sung = note_powers(vocals, first, WINDOW_BEATS, sound, rng)
    bleed = None
    if foreign is not None and rng.random() < _LEAKY:
        at = 4.0 * int(rng.integers(0, max(foreign.beats - WINDOW_BEATS, 4) // 4))
        power, hits = note_powers(foreign.harmonic, at, WINDOW_BEATS, draw_sound(rng), rng)
        share = np.float32(10 ** rng.uniform(-3.0, -1.2) / max(float(power.max()), 1e-9))
        bleed = (power * share, hits * np.float32(rng.uniform(0, 0.3)))
    return mixed_rows([sung], rng=rng, bleed=bleed, floor=_floor(rng), spectrum=False)


def _floor(rng: np.random.Generator) -> float:
    return float(10 ** rng.uniform(-5.0, -2.3))


def _first_beat(song: MidiSong, rng: np.random.Generator) -> float | None:
    bars = (song.beats - WINDOW_BEATS) // 4
    for _ in range(_ATTEMPTS if bars > 0 else 0):
        first = float(4 * rng.integers(0, bars))
        notes = song.notes["vocals"]
        inside = np.minimum(notes["end"], first + WINDOW_BEATS) - np.maximum(notes["start"], first)
        if np.maximum(inside, 0).sum() >= _SINGING * WINDOW_BEATS:
            return first
    return None


def _prepared(rows: Rows) -> BeatInput:
    active: NDArray[np.bool_] = rows["bands"].max(axis=1) > 0
    return beat_context(rows["chroma"], rows["onsets"], active, beats_per_bar=4)


def _stacked(parts: Sequence[BeatInput]) -> BeatInput:
    return BeatInput(
        *(np.stack([getattr(part, field.name) for part in parts]) for field in fields(BeatInput))
    )
