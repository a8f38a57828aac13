"""From a song's record to the notes and drum strokes of its parts.

Times and lengths are beats from the start of the song, pitches are MIDI numbers, velocities lie
in (0, 1]. A song begins thinner than it goes on: the first four bars leave out the arpeggio and
the busiest drums; every fourth bar ends with a fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dawlink.demo.harmony import Chord, chords_of, lead_voices, scale_of
from dawlink.demo.songs import BEATS_PER_BAR, DemoSong
from dawlink.demo.styles import STYLES, Style

__all__ = ["Note", "Score", "Stroke", "write_score"]

STEPS_PER_BAR: Final = 16
STEP_BEATS: Final = BEATS_PER_BAR / STEPS_PER_BAR
#: Bars between two fills, and length of the thin beginning.
SECTION_BARS: Final = 4
_VELOCITIES: Final = {"X": 1.0, "x": 0.75, "-": 0.38}
_THIN: Final = ("shaker", "clap")
#: The bass lies between E1 and D#2, with the octave above for ``8``.
BASS_LOWEST: Final = 28
COMP_RANGE: Final = (52, 72)
PAD_RANGE: Final = (55, 77)
ARPEGGIO_RANGE: Final = (67, 86)


@dataclass(frozen=True)
class Note:
    """A pitch with a beginning and a length in beats."""

    start_beat: float
    beats: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Stroke:
    """One hit of a drum."""

    start_beat: float
    instrument: str
    velocity: float


@dataclass(frozen=True)
class Score:
    """All parts of a song except the voice."""

    drums: tuple[Stroke, ...]
    bass: tuple[Note, ...]
    comp: tuple[Note, ...]
    pad: tuple[Note, ...]
    arpeggio: tuple[Note, ...]


def write_score(song: DemoSong) -> Score:
    """The parts of ``song``, by its style and progression."""
    style = STYLES[song.style]
    chords = chords_of(song.progression, song.key)
    bars = tuple(chords[bar % len(chords)] for bar in range(song.bars))
    return Score(
        drums=tuple(_drums(song, style)),
        bass=tuple(_bass(bars, style, scale_of(song.key))),
        comp=tuple(_comp(bars, style)),
        pad=tuple(_pad(bars)) if style.pad else (),
        arpeggio=tuple(_arpeggio(bars, style)) if style.arpeggio else (),
    )


def swung(step: int, swing: float) -> float:
    """Beats from the bar's start to a step; the odd sixteenths come late by ``swing`` steps."""
    return (step + (swing if step % 2 else 0.0)) * STEP_BEATS


def _drums(song: DemoSong, style: Style) -> list[Stroke]:
    strokes = []
    for bar in range(song.bars):
        fills = bar % SECTION_BARS == SECTION_BARS - 1
        lines = {**style.drums, **style.fill} if fills else style.drums
        for instrument, line in lines.items():
            if bar < SECTION_BARS and instrument in _THIN and len(lines) > 3:
                continue
            for step, mark in enumerate(line):
                if mark in _VELOCITIES:
                    beat = bar * BEATS_PER_BAR + swung(step, style.swing)
                    strokes.append(Stroke(beat, instrument, _VELOCITIES[mark]))
        if style.crash and bar and bar % (2 * SECTION_BARS) == 0:
            strokes.append(Stroke(bar * BEATS_PER_BAR, "crash", 0.6))
    return strokes


def _bass(bars: tuple[Chord, ...], style: Style, scale: frozenset[int]) -> list[Note]:
    notes = []
    for bar, chord in enumerate(bars):
        following = bars[(bar + 1) % len(bars)]
        root = _bass_root(chord)
        third, fifth = chord.intervals[1], 7
        goal = _bass_root(following)
        pitches = {
            "1": root,
            "3": root + third,
            "5": root + fifth,
            "8": root + 12,
            "n": goal - (2 if (goal - 2) % 12 in scale else 1),
        }
        for step, mark, length in _events(style.bass):
            beat = bar * BEATS_PER_BAR + swung(step, style.swing)
            velocity = 1.0 if step % 4 == 0 else 0.85
            notes.append(Note(beat, length * STEP_BEATS * 0.95, pitches[mark], velocity))
    return notes


def _comp(bars: tuple[Chord, ...], style: Style) -> list[Note]:
    layouts = lead_voices(bars, lowest=COMP_RANGE[0], highest=COMP_RANGE[1])
    notes = []
    for bar, layout in enumerate(layouts):
        for step, mark, length in _events(style.comp):
            beat = bar * BEATS_PER_BAR + swung(step, style.swing)
            velocity = _VELOCITIES[mark]
            notes += [Note(beat, length * STEP_BEATS * 0.9, p, velocity) for p in layout]
    return notes


def _pad(bars: tuple[Chord, ...]) -> list[Note]:
    layouts = lead_voices(bars, lowest=PAD_RANGE[0], highest=PAD_RANGE[1], voices=3)
    return [
        Note(float(bar * BEATS_PER_BAR), float(BEATS_PER_BAR), pitch, 0.8)
        for bar, layout in enumerate(layouts)
        for pitch in layout
    ]


def _arpeggio(bars: tuple[Chord, ...], style: Style) -> list[Note]:
    layouts = lead_voices(bars, lowest=ARPEGGIO_RANGE[0], highest=ARPEGGIO_RANGE[1])
    notes = []
    for bar, layout in enumerate(layouts):
        if bar < SECTION_BARS:
            continue
        for step, mark in enumerate(style.arpeggio):
            if mark.isdigit():
                beat = bar * BEATS_PER_BAR + swung(step, style.swing)
                velocity = 0.9 if step % 4 == 0 else 0.65
                notes.append(Note(beat, 2 * STEP_BEATS, layout[int(mark) % len(layout)], velocity))
    return notes


def _events(line: str) -> list[tuple[int, str, int]]:
    """(step, mark, length in steps) of every note of a bass or chord line."""
    events = []
    for step, mark in enumerate(line):
        if mark in "._":
            continue
        length = 1 + len(line[step + 1 :]) - len(line[step + 1 :].lstrip("_"))
        events.append((step, mark, length))
    return events


def _bass_root(chord: Chord) -> int:
    return BASS_LOWEST + (chord.root - BASS_LOWEST) % 12
