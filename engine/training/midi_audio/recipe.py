"""Everything random about one rendered song, drawn from one seed.

A soundfont is one timbre world and a network learns it, so each role draws its own soundfont,
programs within the family of the written ones, tone, compression, room and level. The tempo is
drawn around the written one because the songs are mostly ballads, and the key is moved because a
soundfont's samples sound alike in one key.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from engine.theory import Role
from engine.training.midi_audio.excerpt import SungNote
from engine.training.midi_audio.melody import Singer
from engine.training.midi_audio.production import CodecName, Treatment
from engine.training.midi_audio.voice import VOICES, WORDS

__all__ = [
    "CHOIRS",
    "KITS",
    "LEADS",
    "Realism",
    "VoiceKind",
    "drawn_program",
    "drawn_singer",
    "drawn_treatment",
    "drawn_voice",
    "rng_for",
]

VoiceKind = Literal["sung", "formant", "choir", "lead"]

#: Programs of a voice-like patch: choir aahs, voice oohs, synth voice, and the synth voice lead.
CHOIRS: Final = (52, 53, 54, 85)
#: Programs that carry a melody alone: reeds, flutes, violin, square, saw and calliope leads.
LEADS: Final = (40, 64, 65, 66, 68, 71, 73, 75, 80, 81, 82)
#: Kits of General MIDI level 2: standard, room, power, electronic, TR-808, jazz, brush.
KITS: Final = (0, 0, 8, 16, 24, 25, 32, 40)
#: Families of eight programs in which any may stand for another; basses among them.
_FREE_FAMILIES: Final = frozenset(range(12))
#: Programs that are no instrument for every part: timpani, orchestra hit.
_SPECIAL: Final = frozenset({47, 55})
#: Median pitch at which voices are comfortable, drawn between these [MIDI number].
_COMFORT: Final = {"f": (62.0, 69.0), "m": (50.0, 58.0)}
#: Loudness of each role in a pop mix before the song is levelled [LUFS], and how far it strays.
_LUFS: Final[dict[Role, float]] = {
    "vocals": -19.0,
    "drums": -20.0,
    "bass": -23.0,
    "other": -21.0,
}
_LUFS_SPREAD: Final = 3.0


@dataclass(frozen=True)
class Realism:
    """How often and how far rendered songs stray from the score.

    Args:
        sung: share of melodies that are sung in syllables.
        formant: share that is sung on vowels of resonances, which needs no other program.
        choir: share that a choir patch plays; an instrument plays the rest.
        tempo: output tempo / written tempo is drawn between these, evenly in octaves.
        transpose: the song is moved by up to so many semitones.
        codec: share of stems that go through MP3 or AAC and back.
        bleed_db: level at which every stem is heard in the others; -inf for none. A stem that
            holds its song's other stems tells which song it is from, so this is off unless asked.
        programs: draw other programs and kits than the written ones.
    """

    sung: float = 0.6
    formant: float = 0.1
    choir: float = 0.1
    tempo: tuple[float, float] = (0.9, 1.3)
    transpose: int = 3
    codec: float = 0.25
    bleed_db: float = float("-inf")
    programs: bool = True


def rng_for(seed: int, name: str) -> np.random.Generator:
    """The generator of one song: the same for the same seed and name everywhere."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def drawn_voice(rng: np.random.Generator, realism: Realism, *, can_sing: bool) -> VoiceKind:
    """What the melody becomes; where no syllables can be sung, vowels take their share."""
    lot = float(rng.random())
    if lot < realism.sung:
        return "sung" if can_sing else "formant"
    if lot < realism.sung + realism.formant:
        return "formant"
    return "choir" if lot < realism.sung + realism.formant + realism.choir else "lead"


def drawn_singer(rng: np.random.Generator, notes: Sequence[SungNote], transpose: int) -> Singer:
    """A voice, and the octave in which this melody suits it."""
    voice = str(rng.choice(VOICES))
    sex = "f" if "+f" in voice else "m"
    median = float(np.median([note.pitch for note in notes])) + transpose
    wanted = rng.uniform(*_COMFORT[sex])
    words = rng.choice(WORDS, size=int(rng.integers(8, 16)), replace=False)
    return Singer(
        voice=voice,
        words=tuple(str(word) for word in words),
        octaves=round((wanted - median) / 12),
        formant_ratio=float(rng.uniform(0.95, 1.08)),
        vibrato_cents=float(rng.uniform(10, 50)),
        vibrato_hz=float(rng.uniform(4.8, 6.3)),
        seed=int(rng.integers(1 << 31)),
    )


def drawn_program(rng: np.random.Generator, written: int) -> int:
    """Another program of the same family; effects, percussion and oddities stay as written."""
    if written // 8 not in _FREE_FAMILIES or written in _SPECIAL:
        return written
    family = [p for p in range(written // 8 * 8, written // 8 * 8 + 8) if p not in _SPECIAL]
    return int(rng.choice(family))


def drawn_treatment(rng: np.random.Generator, role: Role, realism: Realism) -> Treatment:
    """Tone, compression, room, codec and level of one stem."""
    tone = np.cumsum(rng.normal(0, 1.5, 6))
    codec: CodecName = ""
    if rng.random() < realism.codec:
        codec = "mp3" if rng.random() < 0.6 else "aac"
    dry = rng.random() < (0.7 if role == "bass" else 0.25)
    return Treatment(
        tone_db=tuple(float(gain) for gain in np.clip(tone - tone.mean(), -8, 8)),
        ratio=float(rng.choice([1.0, rng.uniform(1.5, 4.0)])),
        reverb_s=float(rng.uniform(0.25, 1.6)),
        wet_db=float("-inf") if dry else float(rng.uniform(-24, -9)),
        codec=codec,
        kilobits=int(rng.choice([96, 128, 192, 256])),
        lufs=_LUFS[role] + float(rng.uniform(-_LUFS_SPREAD, _LUFS_SPREAD)),
        seed=int(rng.integers(1 << 31)),
    )
