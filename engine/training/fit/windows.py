"""Windows of MIDI songs as the fit model is trained on them: a query, its bed, and the drums.

Each window comes from one song under sounds drawn anew (:mod:`engine.training.roll_features`). In
most of them the voice is the query and the harmonic parts are the bed; in the rest some parts of
the song, drums among them or not, ask for the others, because a producer's clip may be anything.
A share of the beds is turned into vamps and drones, robbed of its bass or of its chords, because
loop-based music is like that; a share is played by the composition's other arrangement, which fits
as well. Windows begin on downbeats; beds have eight beats more on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW
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
    "SongRows",
    "draw_song",
    "draw_window",
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
#: Share of the windows in which some parts ask for the others, and of those that hear the drums.
_PARTS, _WITH_DRUMS = 0.3, 0.5
#: Mixes of some parts of a whole song.
_MIXES: Final = 3
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
    """A whole song as feature rows of equal length.

    Args:
        group: the composition.
        rows: of every role that it has: ``vocals``, ``harmonic`` and ``drums`` always, ``bass``
            and ``other`` where there are such parts.
        mixes: some of its parts together, which may ask for the others, and the roles they hold.
    """

    group: str
    rows: Mapping[str, Rows]
    mixes: tuple[tuple[frozenset[str], Rows], ...] = ()


def draw_window(
    song: MidiSong,
    rng: np.random.Generator,
    *,
    foreign: MidiSong | None = None,
    band: MidiSong | None = None,
    plain: bool = False,
) -> tuple[Rows, Rows, Rows] | None:
    """Feature rows of query (32 beats), bed (48 beats) and drums (48 beats) of one window.

    Args:
        song: where it comes from.
        rng: draws the window, the sounds and the faults.
        foreign: a song that at times leaks into the voice, as reverberation and neighbours do.
        band: a second arrangement of the song, whose bed at times takes the place of its own.
        plain: the voice asks, and the arrangement is left as it was written.

    Returns:
        None when no window with singing and a bed was found.
    """
    first = _first_beat(song, rng)
    if first is None:
        return None
    if not plain and rng.random() < _PARTS:
        query, stem = _split_parts(song, first, rng)
    else:
        played = song if band is None or plain or rng.random() >= _OTHER_BAND else band
        stem = _bed(song, played, first, rng, plain=plain)
        doubled = not plain and rng.random() < _DOUBLED
        query = _voice(song.notes["vocals"], foreign, first, rng, doubled=doubled)
    if _sounding(query) < _SINGING / 2 or _sounding(stem) < _PLAYING:
        return None
    before = first - CONTEXT_BEATS
    return query, stem, drums_rows(song.notes["drums"], before, _STEM_BEATS, rng)


def _sounding(rows: Rows) -> float:
    """Share of the beats that have a level."""
    return float(np.mean(rows["bands"].any(axis=1)))


def _bed(
    song: MidiSong, played: MidiSong, first: float, rng: np.random.Generator, *, plain: bool
) -> Rows:
    """The harmonic stem as ``played``, at times a vamp or a drone, or only bass, or without it."""
    before = first - CONTEXT_BEATS
    bass, other = played.notes["bass"], played.notes["other"]
    still = rng.random()
    if not plain and still < _VAMP + _DRONE:
        length = 1 if still >= _VAMP else int(rng.choice([1, 2, 4]))
        vocals = song.notes["vocals"]
        both = static_harmony(played.harmonic, vocals, before, _STEM_BEATS, bars=length)
        if still >= _VAMP:
            both = held(both, before, _STEM_BEATS)
        bass, other = both[both["pitch"] < 48], both[both["pitch"] >= 48]
    kept = rng.random()
    parts = []
    if bass.size and (plain or kept >= _NO_BASS or other.size == 0):
        parts.append(bass)
    if plain or not _NO_BASS <= kept < _NO_BASS + _BASS_ONLY or bass.size == 0:
        parts += _by_part(other)
    return _stem_of(parts, before, _STEM_BEATS, rng)


def _split_parts(song: MidiSong, first: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Some parts of a song, with or without its drums, and the others."""
    parts = [song.notes["vocals"], song.notes["bass"], *_by_part(song.notes["other"])]
    parts = [notes for notes in parts if notes.size]
    order = rng.permutation(len(parts))
    asking = int(rng.integers(1, len(parts))) if len(parts) > 1 else 1
    query = _stem_of([parts[i] for i in order[:asking]], first, WINDOW_BEATS, rng)
    if rng.random() < _WITH_DRUMS:
        hits = drums_rows(song.notes["drums"], first, WINDOW_BEATS, rng)
        query["onsets"] = np.maximum(query["onsets"], hits["onsets"])
    others = [parts[i] for i in order[asking:]]
    return query, _stem_of(others, first - CONTEXT_BEATS, _STEM_BEATS, rng)


def _stem_of(parts: Sequence[Rows], first: float, beats: int, rng: np.random.Generator) -> Rows:
    """Feature rows of some parts together, every one in a sound of its own."""
    heard = [note_powers(notes, first, beats, draw_sound(rng), rng) for notes in parts]
    if not heard:
        return np.zeros(beats, BEAT_ROW)
    return mixed_rows(heard, rng=rng, floor=_floor(rng))


def draw_song(song: MidiSong, rng: np.random.Generator) -> SongRows | None:
    """A whole song as it was written, under random sounds; None when it has no bed."""
    beats = song.beats // 4 * 4
    parts = [song.notes["bass"], *_by_part(song.notes["other"])]
    parts = [notes for notes in parts if notes.size]
    if not parts or beats < WINDOW_BEATS:
        return None
    sung = note_powers(song.notes["vocals"], 0.0, beats, draw_sound(rng, voice=True), rng)
    rows = {
        "vocals": mixed_rows([sung], rng=rng, floor=_floor(rng)),
        "harmonic": _stem_of(parts, 0.0, beats, rng),
        "drums": drums_rows(song.notes["drums"], 0.0, beats, rng),
    }
    for role in ("bass", "other"):
        if song.notes[role].size:
            rows[role] = _stem_of(_by_part(song.notes[role]), 0.0, beats, rng)
    return SongRows(song.group, rows, _mixes(song, beats, rows["drums"], rng))


def _mixes(
    song: MidiSong, beats: int, drums: Rows, rng: np.random.Generator
) -> tuple[tuple[frozenset[str], Rows], ...]:
    """Some parts of a whole song together, drawn a few times, with or without its drums."""
    parts = [
        (role, notes)
        for role in ("vocals", "bass", "other")
        for notes in _by_part(song.notes[role])
    ]
    found = []
    for _ in range(_MIXES):
        asking = rng.permutation(len(parts))[: int(rng.integers(1, max(len(parts), 2)))]
        rows = _stem_of([parts[i][1] for i in asking], 0.0, beats, rng)
        held_by = {parts[i][0] for i in asking}
        if rng.random() < _WITH_DRUMS:
            rows["onsets"] = np.maximum(rows["onsets"], drums["onsets"])
            held_by.add("drums")
        found.append((frozenset(held_by), rows))
    return tuple(found)


def _by_part(notes: Rows) -> list[Rows]:
    return [notes[notes["part"] == part] for part in np.unique(notes["part"])]


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
