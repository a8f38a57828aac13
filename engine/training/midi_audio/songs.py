"""One song of a MIDI corpus as stems that sound, with its exact beats and key.

Everything random comes from one seed and the file's name, in a fixed order, so the same call makes
the same samples again. Stems are mono at 44.1 kHz, all of one length, bar line to bar line, and
start on a downbeat. Their sum does not clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.theory import STORED_ROLES, Key, Role
from engine.training.midi_audio.excerpt import PlayedPart, Stretch, SungNote, choose_stretch
from engine.training.midi_audio.formant import hum
from engine.training.midi_audio.keys import KeyTruth, key_of
from engine.training.midi_audio.melody import SINGING_RATE_HZ, Singer
from engine.training.midi_audio.production import level_stems, treat
from engine.training.midi_audio.recipe import (
    CHOIRS,
    KITS,
    LEADS,
    Realism,
    VoiceKind,
    drawn_program,
    drawn_singer,
    drawn_treatment,
    drawn_voice,
    rng_for,
)
from engine.training.midi_audio.score import DRUM_CHANNEL, read_score
from engine.training.midi_audio.synth import SAMPLE_RATE_HZ, Instrument, synthesise
from engine.training.midi_audio.voice import missing_for_singing, sing
from engine.training.midi_corpus import Split

__all__ = ["CorpusSong", "CorpusSongs", "MidiSource", "RenderedSong", "render_song"]

#: Loudness of the whole song is drawn between these [LUFS].
_SONG_LUFS: Final = (-18.0, -12.0)
#: Below this a stem counts as silent and is left out [linear].
_SILENT: Final = 1e-4


class SingingSynth(Protocol):
    """Sings notes: (frames,) at 24 kHz."""

    def __call__(
        self, notes: Sequence[SungNote], singer: Singer, *, duration_s: float
    ) -> NDArray[np.float32]:
        """The melody, ``duration_s`` long."""
        ...


@dataclass(frozen=True)
class MidiSource:
    """A file of a corpus and what its index says.

    Args:
        path: the file.
        name: its path inside the corpus; names the song to the seed.
        melody: track and channel [0, 15] of the vocal, None when it has none.
        key: as the index states it, None when it does not.
    """

    path: Path
    name: str
    melody: tuple[int, int] | None
    key: Key | None


@dataclass(frozen=True)
class CorpusSong:
    """A song in four-four with a band.

    Args:
        source: the file.
        set_name: part of the corpus that it belongs to.
        group: the composition.
        split: what it may be used for.
    """

    source: MidiSource
    set_name: str
    group: str
    split: Split


@dataclass(frozen=True, eq=False)
class CorpusSongs:
    """The songs of a corpus, and a sentence for every reason why files are none."""

    songs: tuple[CorpusSong, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RenderedSong:
    """Stems by role and the truth about them.

    Args:
        stems: mono, one length.
        grid: every beat.
        key: of this stretch.
        voice: what plays the vocal.
        soundfonts: by role, by name.
        notes: what a person should know: fallbacks.
    """

    stems: Mapping[Role, Waveform]
    grid: BeatGrid
    key: KeyTruth
    voice: VoiceKind
    soundfonts: Mapping[Role, str]
    notes: tuple[str, ...] = field(default_factory=tuple)


def render_song(
    source: MidiSource,
    soundfonts: Sequence[Path],
    *,
    seed: int,
    seconds: float | None = None,
    realism: Realism | None = None,
) -> RenderedSong:
    """Render one song.

    Args:
        source: the file.
        soundfonts: to draw from.
        seed: of everything random.
        seconds: length of a drawn stretch; the whole song when None.
        realism: how far it strays from the score.

    Raises:
        UnusableInput: the file is damaged, or shorter than eight bars.
        MissingDependency: there is no fluidsynth.
    """
    realism = realism or Realism()
    rng = rng_for(seed, source.name)
    low, high = np.log2(realism.tempo)
    score = read_score(source.path, melody=source.melody)
    stretch = choose_stretch(
        score, rng, seconds=seconds, ratio_out_in=float(2.0 ** -rng.uniform(low, high))
    )
    transpose = int(rng.integers(-realism.transpose, realism.transpose + 1))
    missing = missing_for_singing()
    voice = drawn_voice(rng, realism, can_sing=not missing)
    chosen = {role: soundfonts[int(rng.integers(len(soundfonts)))] for role in STORED_ROLES}
    treated = _treated(stretch, chosen, rng, realism, voice=voice, transpose=transpose)
    levelled = level_stems(
        _bled(treated, realism.bleed_db), lufs=float(rng.uniform(*_SONG_LUFS)), rate=SAMPLE_RATE_HZ
    )
    return RenderedSong(
        stems={role: Waveform(samples, SAMPLE_RATE_HZ) for role, samples in levelled.items()},
        grid=stretch.grid,
        key=key_of(stretch, source.key, transpose),
        voice=voice,
        soundfonts={role: path.name for role, path in chosen.items()},
        notes=(f"Melodies are sung on vowels alone, because {missing}.",) if missing else (),
    )


def _treated(
    stretch: Stretch,
    soundfonts: Mapping[Role, Path],
    rng: np.random.Generator,
    realism: Realism,
    *,
    voice: VoiceKind,
    transpose: int,
) -> dict[Role, NDArray[np.float32]]:
    """(1, frames) of every role that sounds, each drawn from a generator of its own."""
    treated: dict[Role, NDArray[np.float32]] = {}
    for role, soundfont in soundfonts.items():
        own = np.random.default_rng(rng.integers(1 << 62))
        samples = _raw(stretch, role, soundfont, own, realism, voice=voice, transpose=transpose)
        if float(np.abs(samples).max(initial=0.0)) > _SILENT:
            treatment = drawn_treatment(own, role, realism)
            treated[role] = treat(samples, SAMPLE_RATE_HZ, treatment)
    return treated


def _raw(
    stretch: Stretch,
    role: Role,
    soundfont: Path,
    rng: np.random.Generator,
    realism: Realism,
    *,
    voice: VoiceKind,
    transpose: int,
) -> NDArray[np.float32]:
    """(1, frames) of one role before any treatment."""
    parts = [part for part in stretch.parts(role) if part.events]
    if role == "vocals" and voice in ("sung", "formant"):
        return _sung(stretch, rng, transpose, sing if voice == "sung" else hum)
    if not parts:
        return np.zeros((1, round(stretch.duration_s * SAMPLE_RATE_HZ)), dtype=np.float32)
    instruments = _instruments(parts, rng, realism, voice=voice, transpose=transpose)
    stereo = synthesise(instruments, soundfont, duration_s=stretch.duration_s)
    return np.asarray(stereo.mean(axis=0, keepdims=True), dtype=np.float32)


def _sung(
    stretch: Stretch, rng: np.random.Generator, transpose: int, synth: SingingSynth
) -> NDArray[np.float32]:
    import soxr

    frames = round(stretch.duration_s * SAMPLE_RATE_HZ)
    melody = stretch.melody()
    if not melody:
        return np.zeros((1, frames), dtype=np.float32)
    singer = drawn_singer(rng, melody, transpose)
    moved = [note.moved(transpose) for note in melody]
    voice = synth(moved, singer, duration_s=stretch.duration_s)
    sound = np.asarray(soxr.resample(voice, SINGING_RATE_HZ, SAMPLE_RATE_HZ), dtype=np.float32)
    return np.pad(sound[:frames], (0, max(frames - sound.size, 0)))[None]


def _instruments(
    parts: Sequence[PlayedPart],
    rng: np.random.Generator,
    realism: Realism,
    *,
    voice: VoiceKind,
    transpose: int,
) -> list[Instrument]:
    """What plays each part; parts written for one program keep one program."""
    alike: dict[int, int] = {}
    found = []
    for part in parts:
        if part.role == "vocals":
            program = int(rng.choice(CHOIRS if voice == "choir" else LEADS))
        elif part.channel == DRUM_CHANNEL:
            program = int(rng.choice(KITS)) if realism.programs else part.program
        elif realism.programs:
            program = alike.setdefault(part.program, drawn_program(rng, part.program))
        else:
            program = part.program
        found.append(Instrument(part, program, 0 if part.channel == DRUM_CHANNEL else transpose))
    return found


def _bled(
    stems: Mapping[Role, NDArray[np.float32]], bleed_db: float
) -> Mapping[Role, NDArray[np.float32]]:
    """Every stem with the others in it at ``bleed_db``."""
    if not np.isfinite(bleed_db):
        return stems
    share = np.float32(10 ** (bleed_db / 20))
    total = np.sum(list(stems.values()), axis=0, dtype=np.float32)
    return {role: samples + share * (total - samples) for role, samples in stems.items()}
