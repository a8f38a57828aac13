"""How a training example sounds: where its three stems lie, and the planes a network is shown.

In Huang et al. (AAAI 2021) originals are untouched and everything else went through a stretcher,
so a network can learn to hear the stretcher. Here nothing is rendered: the stems of all examples
are read from their recordings' spectrograms on the vocal's beats
(:mod:`engine.models.mix_nets.beat_mel`), which is the same look-up for an original as for a matched
stem of another tempo. Pitched stems are read in another transposition whatever the condition is:
each example draws one shift for its vocal and its harmony, on top of what the pairing asks for, so
that both stay within ±3 semitones and originals are moved as far and as often as anything else. In
the end every stem has one level. A stem that keeps its own tempo is read on
evenly spaced seconds, not on beats.

The paper's stems were separated from full mixes, so each still held traces of the others. Such
*bleed* can be asked for: the other stems of a stem's own song sound in it too, so many decibels
lower, and go wherever it goes. What it does to the test is told in docs/mix-networks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.mashup.database import MASHUP_ROLES, MashupDB, MashupSong
from engine.mashup.generation import MashupExample, StemUse
from engine.models.audio_source import Sound
from engine.models.mix_nets.beat_mel import FLOOR_DB, BeatMels, added_up, half_decibels, levelled
from engine.sounds import file_recording

__all__ = [
    "MOST_SHIFT",
    "example_planes",
    "example_sounds",
    "plane_of_use",
    "sound_of_use",
    "with_bleed",
]

#: No stem of an example is transposed by more semitones than these, either way.
MOST_SHIFT: Final = 3


def example_planes(
    example: MashupExample, db: MashupDB, mels: BeatMels, *, bleed_db: float | None = None
) -> NDArray[np.uint8]:
    """(3, frames, mels) half decibels of vocals, harmonic and drums, all at one level.

    Args:
        example: what to read.
        db: its songs.
        mels: reads them.
        bleed_db: level of the other stems of its song in each stem; None for clean stems.

    Raises:
        UnusableInput: a file cannot be read, or a stem is silent there.
    """
    vocal_song = db.by_id[example.stems[0].song_id]
    beats = example.bars * vocal_song.grid.beats_per_bar
    planes = []
    for use in _uses(example):
        song = db.by_id[use.song_id]
        tempo_bpm = vocal_song.tempo_bpm
        plane = plane_of_use(use, song, mels, beats=beats, tempo_bpm=tempo_bpm, bleed_db=bleed_db)
        planes.append(levelled(plane))
        if float(planes[-1].max()) <= FLOOR_DB:
            raise UnusableInput(
                f"The {use.role} of song {use.song_id} are silent from bar {use.start_bar} on.",
                hint="Remove the song and add it again.",
                code="silent",
            )
    return half_decibels(np.stack(planes))


def example_sounds(example: MashupExample, db: MashupDB) -> tuple[Sound, ...]:
    """Vocals, harmonic and drums of an example, on the vocal's beats, without bleed."""
    vocal_song = db.by_id[example.stems[0].song_id]
    beats = example.bars * vocal_song.grid.beats_per_bar
    return tuple(
        sound_of_use(use, db.by_id[use.song_id], beats=beats, tempo_bpm=vocal_song.tempo_bpm)
        for use in _uses(example)
    )


def _uses(example: MashupExample) -> tuple[StemUse, ...]:
    """The stems as they are read, in the random transposition of the example."""
    rng = np.random.default_rng(example.seed)
    asked = {use.role: use.semitones for use in example.stems}["harmonic"]
    apart = asked or int(rng.integers(-MOST_SHIFT, MOST_SHIFT + 1))  # as if it had been asked
    low, high = max(apart, 0) - MOST_SHIFT, min(apart, 0) + MOST_SHIFT
    drawn = int(rng.integers(low, high + 1)) - asked
    return tuple(
        replace(use, semitones=use.semitones + (0 if use.role == "drums" else drawn))
        for use in example.stems
    )


def plane_of_use(
    use: StemUse,
    song: MashupSong,
    mels: BeatMels,
    *,
    beats: int,
    tempo_bpm: float,
    bleed_db: float | None = None,
) -> NDArray[np.float32]:
    """(frames, mels) decibels of one stem on ``beats`` beats of a session at ``tempo_bpm``.

    Raises:
        UnusableInput: a file cannot be read.
    """

    def read(one: StemUse) -> NDArray[np.float32]:
        return mels.of(sound_of_use(one, song, beats=beats, tempo_bpm=tempo_bpm))

    if bleed_db is None:
        return read(use)
    others = [role for role in MASHUP_ROLES if role != use.role and role in song.stems]
    return with_bleed(read(use), [read(replace(use, role=role)) for role in others], bleed_db)


def with_bleed(
    own: NDArray[np.float32], others: Sequence[NDArray[np.float32]], bleed_db: float
) -> NDArray[np.float32]:
    """The plane of a stem in which others of its song sound too, at ``bleed_db`` of their level."""
    return added_up([own, *(plane + np.float32(bleed_db) for plane in others)])


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
