"""Where the planes come from that a mix network learns from: recordings, or notes alone.

Both kinds of songs answer the same question: the plane of a stem, so many semitones higher, on the
beats of a session at some tempo, stretched or at its own tempo and late, as
:class:`~engine.mashup.generation.StemUse` says. A recording's plane is a look-up in its
spectrogram, a composition's plane is drawn (:mod:`engine.training.mix_nets.drawn_planes`), each
time anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.mashup.database import LEAST_ACTIVITY, MASHUP_ROLES, MashupDB, MashupRole
from engine.mashup.generation import MOST_SEMITONES, StemUse
from engine.models.mix_nets.beat_mel import BeatMels
from engine.training.midi_audio.keys import best_key
from engine.training.midi_corpus import MidiSong, hash_of
from engine.training.mix_nets.drawn_planes import Beats, drawn_drums, drawn_notes
from engine.training.mix_nets.example_audio import plane_of_use, with_bleed

__all__ = [
    "FEWEST_COMPOSITIONS",
    "DrawnSongs",
    "MixSong",
    "MixSongs",
    "RecordedSongs",
    "compositions_of",
    "drawn_tempo",
]

#: A step needs another song to put under each.
FEWEST_COMPOSITIONS: Final = 2

_BEATS_PER_BAR: Final = 4
#: Compositions are played at a tempo between these [BPM].
_TEMPI: Final = (66.0, 140.0)


@dataclass(frozen=True, eq=False)
class MixSong:
    """What pairing needs to know of a song.

    Args:
        id: unique.
        group: of the composition.
        scale: tonic [0, 11] of the major key with its notes; None when it has no key.
        tempo_bpm: None when any will do.
        starts: first bars of the windows in which the role sounds.
    """

    id: str
    group: str
    scale: int | None
    tempo_bpm: float | None
    starts: Mapping[MashupRole, NDArray[np.int64]]

    @property
    def whole(self) -> NDArray[np.int64]:
        """First bars of the windows in which all three roles sound."""
        found = self.starts["vocals"]
        for role in MASHUP_ROLES[1:]:
            found = np.intersect1d(found, self.starts[role])
        return found


class MixSongs(Protocol):
    """Songs whose stems can be looked at.

    Of the songs, those are learned from that have a window in which all roles sound; the notes have
    a sentence for every reason why others are not.
    """

    songs: Sequence[MixSong]
    data_sha: str
    notes: Sequence[str]

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        """(beats * 6, mels) decibels of a stem in a session at ``tempo_bpm``.

        Args:
            use: the stem.
            beats: length.
            tempo_bpm: of the session.
            sound: seed of the song's sounds, where they are drawn.
            bleed_db: level of the other stems of the song in this one; None for a clean stem.

        Raises:
            UnusableInput: the stem cannot be read.
        """
        ...


class RecordedSongs:
    """The songs of a MashupDB that are in 4/4; spectrograms are kept in memory."""

    def __init__(self, db: MashupDB, *, bars: int, kept_chunks: int) -> None:
        self._db = db
        self._mels = BeatMels(kept_chunks=kept_chunks, most_semitones=MOST_SEMITONES)
        self.data_sha = db.data_sha
        self.songs: Sequence[MixSong] = [
            MixSong(
                song.id,
                song.group,
                None if song.key is None else song.key.relative_major,
                song.tempo_bpm,
                {role: song.start_bars((role,), bars) for role in MASHUP_ROLES},
            )
            for song in db.songs
            if song.grid.beats_per_bar == _BEATS_PER_BAR
        ]
        metres = [song.grid.beats_per_bar for song in db.songs]
        reasons = [f"{n} beats to the bar, not 4" for n in metres if n != _BEATS_PER_BAR]
        self.notes: Sequence[str] = tuple(_left_out([*reasons, *_useless(self.songs, bars)]))

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        """See :class:`MixSongs`; a recording has one sound."""
        del sound
        song = self._db.by_id[use.song_id]
        return plane_of_use(
            use, song, self._mels, beats=beats, tempo_bpm=tempo_bpm, bleed_db=bleed_db
        )


class DrawnSongs:
    """The songs of a MIDI corpus, played by no instrument."""

    def __init__(self, songs: Sequence[MidiSong], *, bars: int) -> None:
        self._notes = {song.file: song for song in songs}
        self.data_sha = hash_of(songs)
        self.songs: Sequence[MixSong] = [_drawn_song(song, bars) for song in songs]
        self.notes: Sequence[str] = tuple(_left_out(_useless(self.songs, bars), kind="MIDI song"))

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        """See :class:`MixSongs`; every stem's sound is drawn."""
        rng = np.random.default_rng([sound, len(MASHUP_ROLES)])
        speed = 1.0 if use.stretched else float(rng.uniform(*_RATIOS))

        def drawn(role: MashupRole) -> NDArray[np.float32]:
            own = np.random.default_rng([sound, MASHUP_ROLES.index(role)])
            asked = replace(use, role=role)
            return self._drawn(asked, beats=beats, tempo_bpm=tempo_bpm, speed=speed, rng=own)

        if bleed_db is None:
            return drawn(use.role)
        others = [role for role in MASHUP_ROLES if role != use.role]
        return with_bleed(drawn(use.role), [drawn(role) for role in others], bleed_db)

    def _drawn(
        self,
        use: StemUse,
        *,
        beats: int,
        tempo_bpm: float,
        speed: float,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        song = self._notes[use.song_id]
        where = Beats(
            first=float(use.start_bar * _BEATS_PER_BAR),
            count=beats,
            speed=speed,
            late=use.offset_s * tempo_bpm / 60.0,
            beat_s=60.0 / tempo_bpm * float(2.0 ** rng.uniform(-_PACE, _PACE)),
        )
        if use.role == "drums":
            return drawn_drums(song.notes["drums"], where, rng)
        voice = use.role == "vocals"
        notes = song.notes["vocals"] if voice else song.harmonic
        parts = [notes[notes["part"] == part] for part in np.unique(notes["part"])]
        return drawn_notes(parts, where, use.semitones, rng, voice=voice and rng.random() < 0.8)


#: A composition that keeps its own tempo is so much faster than the session.
_RATIOS: Final = (0.7, 1.4)
#: Decays and rooms of each stem are those of a tempo up to so many octaves away: what is stretched
#: to a session has them from elsewhere, and that must not tell it from an original.
_PACE: Final = 0.5


def compositions_of(material: MixSongs) -> int:
    """How many compositions can be learned from."""
    return len({song.group for song in material.songs if song.whole.size})


def drawn_tempo(song: MixSong, rng: np.random.Generator) -> float:
    """The tempo of a session that begins with this song [BPM]."""
    if song.tempo_bpm is not None:
        return song.tempo_bpm
    low, high = np.log2(_TEMPI)
    return float(2.0 ** rng.uniform(low, high))


def _useless(songs: Sequence[MixSong], bars: int) -> list[str]:
    """Why some of the songs have no window to learn from."""
    reasons = []
    for song in songs:
        if not song.whole.size:
            silent = [role for role in MASHUP_ROLES if not song.starts[role].size]
            together = "" if silent else " together"
            reasons.append(f"no {bars} bars of {', '.join(silent or MASHUP_ROLES)}{together}")
    return reasons


def _left_out(reasons: Sequence[str], *, kind: str = "song") -> Iterator[str]:
    """A sentence about each reason for which songs are not learned from."""
    for why, count in Counter(reasons).items():
        yield f"{count} {kind}{'' if count == 1 else 's'} left out of training: {why}"


def _drawn_song(song: MidiSong, bars: int) -> MixSong:
    beats = song.beats
    starts = {
        role: _starts(song.harmonic if role == "harmonic" else song.notes[role], beats, bars)
        for role in MASHUP_ROLES
    }
    profile = np.zeros(12)
    for notes in (song.harmonic, song.notes["vocals"]):
        classes = notes["pitch"].astype(np.int64) % 12
        profile += np.bincount(classes, weights=notes["end"] - notes["start"], minlength=12)
    return MixSong(
        song.file, song.group, best_key(profile)[0].relative_major if profile.any() else None,
        None, starts,
    )  # fmt: skip


def _starts(notes: NDArray[np.void], beats: int, bars: int) -> NDArray[np.int64]:
    """First bars of the windows in which notes sound in half of the beats."""
    change = np.zeros(beats + 2)
    first = np.clip(np.floor(notes["start"]).astype(np.int64), 0, beats)
    last = np.clip(np.ceil(notes["end"]).astype(np.int64), first + 1, beats + 1)
    np.add.at(change, first, 1)
    np.add.at(change, last, -1)
    total = np.concatenate([[0], np.cumsum(np.cumsum(change)[:beats] > 0)])
    span = bars * _BEATS_PER_BAR
    if beats < span:
        return np.zeros(0, dtype=np.int64)
    share = (total[span:] - total[:-span]) / span
    return np.flatnonzero(share[::_BEATS_PER_BAR] >= LEAST_ACTIVITY).astype(np.int64)
