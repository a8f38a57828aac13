"""The dozen songs of the demo: a table, no sound.

Tempos run from 84 to 140 BPM, every song has a key of its own. Three of them go round the same
four chords as :data:`DEMO_VOCAL` (minor: i, VI, iv, V), two or three semitones and less than
15 % of tempo away from it: those are the accompaniments that a good ranking finds. Progressions
are written as one chord a bar, semitones of the root above the tonic and the chord's kind, and go
round for the whole song.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from engine.theory import Key

__all__ = ["DEMO_SONGS", "DEMO_VOCAL", "DemoSong", "StyleName"]

StyleName = Literal[
    "lo-fi",
    "reggae",
    "ballad",
    "downtempo",
    "soul",
    "synth-pop",
    "funk",
    "disco",
    "house",
    "rock",
    "trance",
    "drum and bass",
]

#: Beats in a bar of every demo song.
BEATS_PER_BAR: Final = 4
_SHARED: Final = "0m 8 5m 7"


@dataclass(frozen=True)
class DemoSong:
    """What a song is made from; the same record always gives the same sound.

    Args:
        title: name of its folder.
        tempo_bpm: steady tempo, quarter notes a minute; beat 0 is at 0 s.
        key: key of all its chords.
        style: arrangement.
        seed: decides melody, noise and small variations.
        progression: one chord a bar, such as ``"0m 8 5m 7"``.
        bars: length, a multiple of 4.
        intro: whether the voice waits for the fifth bar.
    """

    title: str
    tempo_bpm: float
    key: Key
    style: StyleName
    seed: int
    progression: str
    bars: int = 16
    intro: bool = False

    @property
    def beats(self) -> int:
        """Length in beats."""
        return self.bars * BEATS_PER_BAR

    @property
    def duration_s(self) -> float:
        """Exact length in seconds: whole bars."""
        return self.beats * 60.0 / self.tempo_bpm


DEMO_SONGS: Final[tuple[DemoSong, ...]] = (
    DemoSong("Rain on the Skylight", 84, Key(3, "major"), "lo-fi", 1, "2m7 7:7 0maj7 9m7", bars=12),
    DemoSong("Mango Season", 88, Key(7, "major"), "reggae", 2, "0 5 0 7", bars=12),
    DemoSong("Letters Home", 92, Key(0, "major"), "ballad", 3, "0 4m7 5maj7 7sus4", bars=12),
    DemoSong("Underpass", 96, Key(0, "minor"), "downtempo", 4, _SHARED),
    DemoSong("Corner Table", 100, Key(10, "major"), "soul", 5, "0maj7 9m7 2m7 7:7", intro=True),
    DemoSong("Harbour Lights", 104, Key(11, "minor"), "synth-pop", 6, _SHARED, intro=True),
    DemoSong("Loose Change", 108, Key(4, "minor"), "funk", 7, "0m7 0m7 5:7 5:7"),
    DemoSong("Mirror Ball", 116, Key(5, "major"), "disco", 8, "5maj7 4m7 9m7 2m7", intro=True),
    DemoSong("Night Ferry", 122, Key(7, "minor"), "house", 9, _SHARED),
    DemoSong("Tin Roof", 128, Key(9, "major"), "rock", 10, "0 5 9m 7"),
    DemoSong("Silver Line", 134, Key(6, "minor"), "trance", 11, "0m 10 8 7", intro=True),
    DemoSong("Paper Kites", 140, Key(2, "minor"), "drum and bass", 12, "0m9 8maj7 5m7 7:7"),
)

#: The voice of the demo's query; only its vocals are used.
DEMO_VOCAL: Final = DemoSong(
    "Long Way Round", 110, Key(9, "minor"), "synth-pop", 21, _SHARED, bars=16
)
