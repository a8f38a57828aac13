"""A melody over the chords: phrases with a rhythm, an arch and room to breathe.

Each section of four bars is two phrases of two bars, a question and an answer; the sections go
A A' B A', where A' ends differently and B has another rhythm and lies higher. Notes on the beat
are chord tones; notes between them move by step in the scale that suits the chord.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dawlink.demo.harmony import Chord, chords_of, melody_scale, nearest_pitch
from dawlink.demo.score import SECTION_BARS, Note
from dawlink.demo.songs import BEATS_PER_BAR, DemoSong
from dawlink.demo.styles import STYLES

__all__ = ["write_melody"]

#: Rhythms of a phrase of two bars, as (start, length) in beats; each leaves a breath at its end.
_PHRASES: Final = (
    ((0.0, 1.0), (1.0, 0.5), (1.5, 1.0), (2.5, 0.5), (3.0, 1.5), (4.5, 0.5), (5.0, 2.0)),
    ((0.0, 0.5), (0.5, 0.5), (1.0, 1.0), (2.0, 1.5), (3.5, 0.5), (4.0, 1.0), (5.0, 2.25)),
    ((0.5, 0.5), (1.0, 0.5), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0), (4.0, 0.5), (4.5, 2.5)),
    ((0.0, 1.5), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0), (4.0, 1.5), (5.5, 1.75)),
    ((0.0, 0.75), (0.75, 0.75), (1.5, 0.5), (2.0, 1.0), (3.0, 0.5), (3.5, 0.5), (4.0, 2.75)),
    ((0.0, 2.0), (2.0, 1.0), (3.0, 1.0), (4.0, 0.5), (4.5, 0.5), (5.0, 2.0)),
)
PHRASE_BEATS: Final = 2.0 * BEATS_PER_BAR
#: How much higher the B section lies [semitones].
LIFT: Final = 3
#: Height of a phrase's arch [semitones].
ARCH: Final = 4.0


def write_melody(song: DemoSong) -> tuple[Note, ...]:
    """The sung notes of ``song``, in order and without overlaps."""
    chords = chords_of(song.progression, song.key)
    centre = STYLES[song.style].voice_centre
    sections = song.bars // SECTION_BARS
    notes: list[Note] = []
    for section in range(1 if song.intro else 0, sections):
        bridge = section % 4 == 2
        ending = section % 2
        for phrase in range(2):
            first_bar = section * SECTION_BARS + 2 * phrase
            seed = (song.seed, 2 if bridge else 1, phrase)
            notes += _phrase(
                [chords[(first_bar + bar) % len(chords)] for bar in range(2)],
                song,
                start_beat=float(first_bar * BEATS_PER_BAR),
                centre=centre + (LIFT if bridge else 0),
                rng=np.random.default_rng(seed),
                variation=ending if phrase == 1 else 0,
            )
    return tuple(notes)


def _phrase(
    chords: list[Chord],
    song: DemoSong,
    *,
    start_beat: float,
    centre: float,
    rng: np.random.Generator,
    variation: int,
) -> list[Note]:
    """Two bars; a variation sends the last three notes elsewhere."""
    rhythm = _PHRASES[int(rng.integers(len(_PHRASES)))]
    pitch = float(centre + rng.integers(-3, 2))
    notes = []
    for index, (beat, length) in enumerate(rhythm):
        chord = chords[min(int(beat // BEATS_PER_BAR), 1)]
        wish = centre + ARCH * (np.sin(np.pi * beat / PHRASE_BEATS) - 0.4) + rng.normal(0.0, 2.0)
        if variation and index >= len(rhythm) - 3:
            wish -= 3.0
        last = index == len(rhythm) - 1
        pitch = _next_pitch(pitch, wish, chord, song, strong=beat % 1 == 0 or last)
        velocity = 0.8 + 0.2 * (beat % 2 == 0)
        notes.append(Note(start_beat + beat, length, int(pitch), velocity))
    return notes


def _next_pitch(before: float, wish: float, chord: Chord, song: DemoSong, *, strong: bool) -> int:
    """A chord tone near the wish when strong, else a step of the scale towards it."""
    wish = float(np.clip(wish, before - 5.0, before + 5.0))
    if strong:
        return nearest_pitch(chord.pitch_classes[:3], wish)
    direction = 1.0 if wish >= before else -1.0
    return nearest_pitch(melody_scale(chord, song.key), before + 2.0 * direction)
