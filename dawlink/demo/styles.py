"""Arrangements: what drums, bass and chords play in a bar of each style.

Drum lines have sixteen steps a bar: ``X`` accent, ``x`` normal, ``-`` soft, ``.`` nothing. Bass
and chord lines also have sixteen steps: ``.`` nothing, ``_`` the note goes on; the bass plays
``1`` root, ``3`` third, ``5`` fifth, ``8`` octave, ``n`` the step of the scale below the next
bar's root; chords play ``X`` or ``x``. An arpeggio line names voices from the lowest, 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dawlink.demo.songs import StyleName

__all__ = ["STYLES", "BassSound", "ChordSound", "Style"]

BassSound = Literal["round", "pick", "sub", "saw"]
ChordSound = Literal[
    "keys", "organ", "piano", "pad", "strings", "stab", "guitar", "crunch", "pluck"
]


@dataclass(frozen=True)
class Style:
    """One arrangement.

    Args:
        drums: instrument to its line; ``fill`` lines replace them in every fourth bar.
        bass, bass_sound: bass line and its sound.
        comp, comp_sound: chord line and its sound.
        pad: a sustained layer below, or None.
        arpeggio: line of a second, single-note layer, or empty.
        swing: how far the odd sixteenths come late, in sixteenths [0, 0.5].
        voice_centre: MIDI note around which the melody lies.
        balance_db: level of vocals, drums, bass, other against each other.
        pump: how deep the kick ducks the chords [0, 1].
        reverb_s: time in which the room decays by 60 dB.
        kick_hz: where the kick's pitch ends.
    """

    drums: dict[str, str]
    fill: dict[str, str]
    bass: str
    bass_sound: BassSound
    comp: str
    comp_sound: ChordSound
    pad: ChordSound | None = None
    arpeggio: str = ""
    swing: float = 0.0
    voice_centre: int = 62
    balance_db: tuple[float, float, float, float] = (0.0, -1.0, -3.0, -2.0)
    pump: float = 0.0
    reverb_s: float = 1.3
    kick_hz: float = 50.0
    crash: bool = True


STYLES: Final[dict[StyleName, Style]] = {
    "lo-fi": Style(
        drums={
            "kick": "X......x..X.....",
            "rim": "....X.......X..-",
            "hat": "x.-.x.-.x.-.x.-.",
        },
        fill={"kick": "X......x..X...x.", "rim": "....X..-..-.X.-x", "hat": "x.-.x.-.x.-.x..."},
        bass="1_____..1_.5_.n.",
        bass_sound="round",
        comp="X______x______..",
        comp_sound="keys",
        arpeggio="......3...2.....",
        swing=0.3,
        voice_centre=60,
        crash=False,
        kick_hz=48.0,
    ),
    "reggae": Style(
        drums={
            "kick": "X.......x.......",
            "rim": "........X.....-.",
            "hat": "x.-.X.-.x.-.X.-.",
            "shaker": "-.x.-.x.-.x.-.x.",
        },
        fill={"kick": "X.......x.....x.", "tom": "..........x.x.xx", "hat": "x.-.X.-.x......."},
        bass="1_1_..5_3_1_..n.",
        bass_sound="sub",
        comp="....X.......X...",
        comp_sound="guitar",
        pad="organ",
        arpeggio="",
        swing=0.12,
        balance_db=(0.0, -1.5, -1.5, -2.0),
        crash=False,
    ),
    "ballad": Style(
        drums={"kick": "X.........x.....", "snare": "........X.......", "hat": "x...x...x...x..."},
        fill={"kick": "X.........x.....", "snare": "........X....-xx", "hat": "x...x...x......."},
        bass="1_______5_______",
        bass_sound="round",
        comp="X___x___x___x___",
        comp_sound="piano",
        pad="strings",
        arpeggio="0.1.2.3.2.1.2.1.",
        voice_centre=64,
        balance_db=(0.5, -3.5, -4.0, -1.0),
        reverb_s=2.0,
    ),
    "downtempo": Style(
        drums={
            "kick": "X.....x...X.....",
            "snare": "....X.......X...",
            "hat": "x.x.x-x.x.x.x-xx",
            "rim": "..........-....-",
        },
        fill={"kick": "X.....x...X.....", "snare": "....X.......X-xX", "hat": "x.x.x-x.x......."},
        bass="1____..8_.1___n.",
        bass_sound="sub",
        comp="X_____x_________",
        comp_sound="keys",
        pad="pad",
        arpeggio="..0.2...3...2.1.",
        swing=0.1,
        reverb_s=1.6,
        balance_db=(0.0, -0.5, -2.0, -1.5),
    ),
    "soul": Style(
        drums={
            "kick": "X..x....X.x.....",
            "snare": "....X..-....X..-",
            "hat": "x.x.x.x.x.x.x.x.",
            "shaker": "-.-.x.-.-.-.x.-.",
        },
        fill={"kick": "X..x....X.x.....", "snare": "....X..-..x.XxxX", "hat": "x.x.x.x.x......."},
        bass="1_.1..5_8_.5..n.",
        bass_sound="pick",
        comp="..x...x_..x...x_",
        comp_sound="organ",
        pad="keys",
        swing=0.15,
        voice_centre=63,
    ),
    "synth-pop": Style(
        drums={
            "kick": "X.......X.x.....",
            "snare": "....X.......X...",
            "hat": "x.-.x.-.x.-.x.-.",
            "clap": "............x...",
        },
        fill={"kick": "X.......X.x.....", "snare": "....X.......X.xx", "tom": "..........x.x..."},
        bass="1.1.1.1.1.1.1.5.",
        bass_sound="saw",
        comp="X_____x_____x___",
        comp_sound="stab",
        pad="pad",
        arpeggio="0.1.2.3.2.1.3.2.",
        voice_centre=65,
        pump=0.25,
        reverb_s=1.5,
    ),
    "funk": Style(
        drums={
            "kick": "X..x..x...x..x..",
            "snare": "....X..-.-..X..-",
            "hat": "x-x-x-x-x-x-x-x-",
        },
        fill={"kick": "X..x..x...x.....", "snare": "....X..-.-x.XxXx", "hat": "x-x-x-x-x-......"},
        bass="1..1..8.1..5.81n",
        bass_sound="pick",
        comp="..X.x..x..X.x.x.",
        comp_sound="guitar",
        pad="organ",
        swing=0.1,
        balance_db=(0.0, -0.5, -2.0, -2.5),
        reverb_s=0.9,
    ),
    "disco": Style(
        drums={
            "kick": "X...X...X...X...",
            "clap": "....X.......X...",
            "open hat": "..x...x...x...x.",
            "shaker": "x.-.x.-.x.-.x.-.",
        },
        fill={"kick": "X...X...X...X...", "clap": "....X.......X.X.", "tom": "........x.x.xxxx"},
        bass="1.8.1.8.1.8.5.8.",
        bass_sound="pick",
        comp="..X...X...X.x.X.",
        comp_sound="piano",
        pad="strings",
        voice_centre=65,
        balance_db=(0.0, 0.0, -2.5, -2.0),
    ),
    "house": Style(
        drums={
            "kick": "X...X...X...X...",
            "clap": "....X.......X...",
            "open hat": "..x...x...x...x.",
            "hat": "--.---.---.---.-",
            "rim": "...-..-....-....",
        },
        fill={"kick": "X...X...X.......", "clap": "....X.......X.xx", "open hat": "..x...x...x..."},
        bass="..1...1..11...8.",
        bass_sound="sub",
        comp="X..x..x...x..x..",
        comp_sound="stab",
        pad="pad",
        pump=0.6,
        voice_centre=64,
        balance_db=(0.0, 0.5, -2.0, -2.0),
        reverb_s=1.5,
    ),
    "rock": Style(
        drums={
            "kick": "X.....x.X.x.....",
            "snare": "....X.......X...",
            "hat": "X.x.X.x.X.x.X.x.",
        },
        fill={"kick": "X.....x.X.......", "snare": "....X...X.x.....", "tom": "...........xXxXx"},
        bass="1.1.1.1.1.1.1.n.",
        bass_sound="pick",
        comp="X_x.X_x.X_x.x_x.",
        comp_sound="crunch",
        pad="organ",
        voice_centre=64,
        balance_db=(0.5, -0.5, -3.0, -2.0),
        reverb_s=1.1,
    ),
    "trance": Style(
        drums={
            "kick": "X...X...X...X...",
            "clap": "....X.......X...",
            "open hat": "..x...x...x...x.",
            "hat": "x.x-x.x-x.x-x.x-",
        },
        fill={
            "kick": "X...X...X...X...",
            "snare": "x.x.x.x.xxxxXXXX",
            "open hat": "..x...x.........",
        },
        bass="..11..11..11..11",
        bass_sound="saw",
        comp="X______________.",
        comp_sound="pad",
        arpeggio="0213021302130213",
        pump=0.5,
        voice_centre=66,
        balance_db=(0.0, 0.0, -3.0, -1.5),
        reverb_s=2.0,
    ),
    "drum and bass": Style(
        drums={
            "kick": "X.........x.....",
            "snare": "....X..-.-..X...",
            "hat": "x.x.x.x.x.x.x.xx",
            "shaker": "-x-x-x-x-x-x-x-x",
        },
        fill={"kick": "X.........x.....", "snare": "....X..-.-x.X.XX", "hat": "x.x.x.x.x......."},
        bass="1_____..1___5___",
        bass_sound="sub",
        comp="X_______________",
        comp_sound="keys",
        pad="pad",
        arpeggio="..3...2...3.1...",
        voice_centre=62,
        balance_db=(0.0, 0.0, -1.5, -2.0),
        reverb_s=1.8,
    ),
}
