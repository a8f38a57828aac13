"""Training pairs for the fit model: a window of voice, and the stems it belongs with.

One :class:`FitBank` holds many windows as arrays: the voice's beats and, with eight beats more on
either side, the harmonic stem's and the drums'. Each comes from one MIDI song under sounds drawn
anew (:mod:`engine.training.roll_features`); a part of the beds is turned into vamps, robbed of its
bass or of its chords, because loop-based music is like that; a part is played by the composition's
other arrangement, which fits as well. Windows begin on downbeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.fit_net import BeatInput, beat_input
from engine.training.midi_corpus import MidiSong
from engine.training.roll_features import (
    draw_sound,
    drums_rows,
    held,
    mixed_rows,
    note_powers,
    static_harmony,
)

__all__ = [
    "CONTEXT_BEATS",
    "WINDOW_BEATS",
    "FitBank",
    "SongRows",
    "chosen_windows",
    "draw_song",
    "draw_window",
    "make_bank",
]

#: Eight bars of four: the length of a phrase that a producer lays a bed under.
WINDOW_BEATS: Final = 32
#: Beats of the stem before and after the window: two bars.
CONTEXT_BEATS: Final = 8
_STEM_BEATS: Final = WINDOW_BEATS + 2 * CONTEXT_BEATS
#: Shares of the windows whose bed is a vamp, has no bass, or is little but bass.
_VAMP, _NO_BASS, _BASS_ONLY = 0.25, 0.25, 0.08
#: Share of the windows whose bed is a drone: a few pitch classes held throughout.
_DRONE: Final = 0.05
#: Share of the windows whose bed another band plays: a second arrangement of the composition.
_OTHER_BAND: Final = 0.35
#: Share of the voices that are doubled, and by which intervals [semitones].
_DOUBLED: Final = 0.2
_DOUBLES: Final = (-12, -5, -4, -3, 3, 4, 12)
#: A voice must sing in this share of the window's beats.
_SINGING: Final = 0.3
#: A bed must sound in this share of its beats.
_PLAYING: Final = 0.5
#: Shares of the voices that lose notes, and that another song leaks into.
_THINNED, _LEAKY = 0.15, 0.3
_ATTEMPTS: Final = 12

Rows = NDArray[np.void]


@dataclass(frozen=True, eq=False)
class SongRows:
    """A whole song as feature rows of ``vocals``, ``harmonic`` and ``drums``, of equal length."""

    group: str
    rows: Mapping[str, Rows]


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


def draw_window(
    song: MidiSong,
    rng: np.random.Generator,
    *,
    foreign: MidiSong | None = None,
    band: MidiSong | None = None,
    plain: bool = False,
) -> tuple[Rows, Rows, Rows] | None:
    """Feature rows of voice (32 beats), harmonic stem and drums (48 beats) of one window.

    Args:
        song: where it comes from.
        rng: draws the window, the sounds and the faults.
        foreign: a song that at times leaks into the voice, as reverberation and neighbours do.
        band: a second arrangement of the song, whose bed at times takes the place of its own.
        plain: leave the arrangement as it was written.

    Returns:
        None when no window with singing and a bed was found.
    """
    first = _first_beat(song, rng)
    if first is None:
        return None
    played = song if band is None or plain or rng.random() >= _OTHER_BAND else band
    vocals, bass, other = song.notes["vocals"], played.notes["bass"], played.notes["other"]
    before = first - CONTEXT_BEATS
    still = rng.random()
    if not plain and still < _VAMP + _DRONE:
        length = 1 if still >= _VAMP else int(rng.choice([1, 2, 4]))
        both = static_harmony(played.harmonic, vocals, before, _STEM_BEATS, bars=length)
        if still >= _VAMP:
            both = held(both, before, _STEM_BEATS)
        bass, other = both[both["pitch"] < 48], both[both["pitch"] >= 48]
    kept = rng.random()
    parts = []
    if bass.size and (plain or kept >= _NO_BASS or other.size == 0):
        parts.append(note_powers(bass, before, _STEM_BEATS, draw_sound(rng), rng))
    if plain or not _NO_BASS <= kept < _NO_BASS + _BASS_ONLY or bass.size == 0:
        parts += [
            note_powers(notes, before, _STEM_BEATS, draw_sound(rng), rng)
            for notes in _by_part(other)
        ]
    if not parts:
        return None
    voice = _voice(vocals, foreign, first, rng, doubled=not plain and rng.random() < _DOUBLED)
    stem = mixed_rows(parts, rng=rng, floor=_floor(rng))
    if np.mean(stem["bands"].any(axis=1)) < _PLAYING:
        return None
    return voice, stem, drums_rows(song.notes["drums"], before, _STEM_BEATS, rng)


def draw_song(song: MidiSong, rng: np.random.Generator) -> SongRows | None:
    """A whole song as it was written, under random sounds; None when it has no bed."""
    beats = song.beats // 4 * 4
    beds = [song.notes["bass"], *_by_part(song.notes["other"])]
    parts = [note_powers(notes, 0.0, beats, draw_sound(rng), rng) for notes in beds if notes.size]
    if not parts or beats < WINDOW_BEATS:
        return None
    sung = note_powers(song.notes["vocals"], 0.0, beats, draw_sound(rng, voice=True), rng)
    return SongRows(
        song.group,
        {
            "vocals": mixed_rows([sung], rng=rng, floor=_floor(rng)),
            "harmonic": mixed_rows(parts, rng=rng, floor=_floor(rng)),
            "drums": drums_rows(song.notes["drums"], 0.0, beats, rng),
        },
    )


def _by_part(notes: Rows) -> list[Rows]:
    return [notes[notes["part"] == part] for part in np.unique(notes["part"])]


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


def _doubled(vocals: Rows, rng: np.random.Generator) -> Rows:
    """The voice with a second one, softer, in parallel."""
    second = vocals.copy()
    second["pitch"] = np.clip(vocals["pitch"].astype(np.int64) + rng.choice(_DOUBLES), 24, 108)
    second["velocity"] = np.maximum(vocals["velocity"] * rng.uniform(0.3, 0.9), 1)
    return np.concatenate([vocals, second])


def _voice(
    vocals: Rows,
    foreign: MidiSong | None,
    first: float,
    rng: np.random.Generator,
    *,
    doubled: bool,
) -> Rows:
    """The sung window; at times thinned, at times with another song's bed faintly behind it."""
    sound = draw_sound(rng, voice=True)
    if rng.random() < _THINNED:
        vocals = vocals[rng.random(vocals.size) >= rng.uniform(0.2, 0.5)]
    if doubled:
        vocals = _doubled(vocals, rng)
    sung = note_powers(vocals, first, WINDOW_BEATS, sound, rng)
    bleed = None
    if foreign is not None and rng.random() < _LEAKY:
        at = 4.0 * int(rng.integers(0, max(foreign.beats - WINDOW_BEATS, 4) // 4))
        power, hits = note_powers(foreign.harmonic, at, WINDOW_BEATS, draw_sound(rng), rng)
        share = np.float32(10 ** rng.uniform(-3.0, -1.2) / max(float(power.max()), 1e-9))
        bleed = (power * share, hits * np.float32(rng.uniform(0, 0.3)))
    return mixed_rows([sung], rng=rng, bleed=bleed, floor=_floor(rng))


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
    return beat_input(rows, active, beats_per_bar=4)


def _stacked(parts: Sequence[BeatInput]) -> BeatInput:
    return BeatInput(
        *(np.stack([getattr(part, field.name) for part in parts]) for field in fields(BeatInput))
    )
