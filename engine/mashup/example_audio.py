"""How a training example sounds: where its three stems lie, and the planes a network is shown.

In Huang et al. (AAAI 2021) originals are untouched and everything else went through a stretcher,
so a network can learn to hear the stretcher. Here nothing is rendered: the stems of all examples
are read from their recordings' spectrograms on the vocal's beats (:mod:`engine.models.beat_mel`),
which is the same look-up for an original as for a matched stem of another tempo. Pitched stems are
read in another transposition whatever the condition is: each example draws one shift, within ±3
semitones, for its vocal and its harmony, on top of what the pairing asks for. In the end every
stem has one level. A stem that keeps its own tempo is read on evenly spaced seconds, not on beats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.mashup.database import MashupDB, MashupSong
from engine.mashup.generation import MashupExample, StemUse
from engine.models.audio_source import Sound
from engine.models.beat_mel import FLOOR_DB, BeatMels, half_decibels, levelled
from engine.sounds import file_recording

__all__ = ["MOST_SHIFT", "example_planes", "example_sounds", "sound_of_use"]

#: The whole example is transposed by up to so many semitones either way.
MOST_SHIFT: Final = 3


def example_planes(example: MashupExample, db: MashupDB, mels: BeatMels) -> NDArray[np.uint8]:
    """(3, frames, mels) half decibels of vocals, harmonic and drums, all at one level.

    Raises:
        UnusableInput: a file cannot be read, or a stem is silent there.
    """
    planes = [levelled(mels.of(sound)) for sound in example_sounds(example, db)]
    for plane, use in zip(planes, example.stems, strict=True):
        if float(plane.max()) <= FLOOR_DB:
            raise UnusableInput(
                f"The {use.role} of song {use.song_id} are silent from bar {use.start_bar} on.",
                hint="Remove the song and add it again.",
                code="silent",
            )
    return half_decibels(np.stack(planes))


def example_sounds(example: MashupExample, db: MashupDB) -> tuple[Sound, ...]:
    """Vocals, harmonic and drums of an example, on the vocal's beats."""
    vocal_song = db.by_id[example.stems[0].song_id]
    beats = example.bars * vocal_song.grid.beats_per_bar
    drawn = np.random.default_rng(example.seed).integers(-MOST_SHIFT, MOST_SHIFT + 1)
    return tuple(
        sound_of_use(
            replace(use, semitones=use.semitones + (0 if use.role == "drums" else int(drawn))),
            db.by_id[use.song_id],
            beats=beats,
            tempo_bpm=vocal_song.tempo_bpm,
        )
        for use in example.stems
    )


def sound_of_use(use: StemUse, song: MashupSong, *, beats: int, tempo_bpm: float) -> Sound:
    """One stem on ``beats`` beats of a session at ``tempo_bpm``."""
    start = use.start_bar * song.grid.beats_per_bar
    edges: NDArray[np.float64]
    if use.stretched:
        edges = song.grid.time_at(start + np.arange(beats + 1, dtype=np.float64))
    else:
        edges = (
            song.grid.time_at(float(start))
            + np.arange(beats + 1, dtype=np.float64) * 60.0 / tempo_bpm
        )
    edges -= use.offset_s * (tempo_bpm / song.tempo_bpm if use.stretched else 1.0)
    stem = song.stems[use.role]
    return Sound(
        file_recording(stem.path, stem.sha),
        np.stack([edges[:-1], edges[1:]], axis=1),
        semitones=use.semitones,
        tuning_cents=0.0 if use.role == "drums" else song.tuning_cents,
        voice=use.role == "vocals",
    )
