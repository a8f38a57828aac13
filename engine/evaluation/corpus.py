"""The songs that models are compared on, and the features of sums of their stems.

A :class:`Passage` is a stretch of one stem, or of several stems summed, on its song's beats: rows
are (beats,) of :data:`~engine.analysis.records.BEAT_ROW`, whole bars, row 0 a downbeat. A song
counts when two or more of its parts are not silent; a part is silent when it stays below 0.1 of
full scale throughout (the rule of Riou et al. 2024, "Stem-JEPA", section 4).

Features of a sum are not the sum of features: :class:`Mixtures` adds up the audio, analyses it
once and keeps the rows in a folder, named by the parts' content and by the beat map.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW, FEATURE_VERSION
from engine.errors import LibraryUnusable, UnusableInput
from engine.files import write_whole
from engine.models.audio_source import Sound
from engine.sounds import on_beats, stem_recording, sum_recording
from engine.theory import STORED_ROLES, Key, Role

if TYPE_CHECKING:
    from engine.audio.waveform import Waveform
    from engine.library.reading import LibraryReader
    from engine.library.rows import StemRow

__all__ = ["EvaluationSong", "LibraryMixtures", "Mixtures", "Passage", "load_songs", "with_parts"]

#: A part whose loudest peak stays below this is silent: 0.1 of full scale.
LEAST_PEAK_DB: Final = -20.0
#: A retrieval needs a question and an answer.
LEAST_PARTS: Final = 2


@dataclass(frozen=True, eq=False)
class Passage:
    """A stretch of music of one role.

    Args:
        id: names it among all candidates.
        song_id: its song.
        role: what plays.
        beats_per_bar: metre.
        rows: (beats,) of BEAT_ROW, whole bars.
        active: (beats,) bool, beats in which it sounds.
        sound: its audio, a beat a row; None where there are only features.
    """

    id: str
    song_id: str
    role: Role
    beats_per_bar: int
    rows: NDArray[np.void]
    active: NDArray[np.bool_]
    sound: Sound | None = None

    def __post_init__(self) -> None:
        if self.rows.size == 0 or self.rows.size % self.beats_per_bar:
            raise ValueError(f"{self.rows.size} beats are not whole bars of {self.beats_per_bar}")
        if self.active.shape != self.rows.shape:
            raise ValueError("activity and features differ in length")
        if self.sound is not None and self.sound.beats != self.rows.size:
            raise ValueError("sound and features differ in length")

    @property
    def bars(self) -> int:
        """Whole bars."""
        return int(self.rows.size) // self.beats_per_bar

    @property
    def activity(self) -> float:
        """Share of beats in which it sounds [0, 1]."""
        return float(self.active.mean())


@dataclass(frozen=True, eq=False)
class EvaluationSong:
    """A song with its stems.

    Args:
        id: the library's id.
        title: for people.
        beats_per_bar: metre.
        stems: whole stems by role: the parts, and the sum ``harmonic``.
        parts: the roles that the song is made of; none of them contains another.
        tempo_bpm: as the library has it.
        key: None when it has none.
    """

    id: str
    title: str
    beats_per_bar: int
    stems: Mapping[Role, Passage]
    parts: tuple[Role, ...]
    tempo_bpm: float
    key: Key | None


class Mixtures(Protocol):
    """Sums of a song's parts as passages."""

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        """The sum of ``parts``, whole length; its role is ``mix`` when they are several."""
        ...


def of_one_metre(songs: Sequence[EvaluationSong]) -> list[EvaluationSong]:
    """The songs of the most usual metre: others would be told apart by their metre alone.

    Of metres that are as usual as each other the one with the most beats, so 4/4 before 3/4.
    """
    metres = [song.beats_per_bar for song in songs]
    usual = max(sorted(set(metres), reverse=True), key=metres.count)
    return [song for song in songs if song.beats_per_bar == usual]


def load_songs(library: LibraryReader, song_ids: Sequence[str]) -> tuple[EvaluationSong, ...]:
    """The songs of ``song_ids`` that have two parts or more, in that order.

    Raises:
        UnusableInput: no song has.
        LibraryUnusable: features or audio of one are gone; models that listen would give it a rank
            for that.
    """
    active = library.active()
    songs = []
    for song_id in song_ids:
        row = library.song(song_id)
        stems = {stem.role: stem for stem in library.stems(song_id)}
        parts = _parts(stems)
        whole = row.beats // row.beats_per_bar * row.beats_per_bar
        if len(parts) < LEAST_PARTS or whole == 0:
            continue
        for stem in stems.values():
            _require_audio(library.audio_path(stem), row.title)
        grid = library.grid(song_id)
        passages = {
            role: Passage(
                stem.id,
                song_id,
                role,
                row.beats_per_bar,
                library.features(stem)[:whole],
                active[stem.id][:whole],
                on_beats(stem_recording(library, stem), grid, whole, row.tuning_cents, role),
            )
            for role, stem in stems.items()
        }
        songs.append(
            EvaluationSong(
                song_id,
                row.title,
                row.beats_per_bar,
                passages,
                parts,
                tempo_bpm=row.tempo.bpm,
                key=row.key.key,
            )
        )
    if not songs:
        raise UnusableInput(
            "There is no song with two or more stems that sound.",
            hint="Give folders of multitrack songs, one folder a song, files named by role.",
            code="no_items",
        )
    return tuple(songs)


class LibraryMixtures:
    """Sums computed from a library's audio, each once.

    Args:
        library: where the stems are.
        folder: keeps the rows of every sum; may be deleted at any time.
    """

    def __init__(self, library: LibraryReader, folder: Path) -> None:
        self._library = library
        self._folder = folder

    def of(self, song: EvaluationSong, parts: Sequence[Role]) -> Passage:
        """See :class:`Mixtures`."""
        from engine.analysis.features import active_beats

        if len(parts) == 1:
            return song.stems[parts[0]]
        stored = {stem.role: stem for stem in self._library.stems(song.id)}
        stems = [stored[role] for role in sorted(parts)]
        name = f"{song.id}+{'+'.join(sorted(parts))}"
        rows = self._rows(song, stems)[: next(iter(song.stems.values())).rows.size]
        recording = sum_recording([stem_recording(self._library, stem) for stem in stems])
        cents = self._library.song(song.id).tuning_cents
        sound = on_beats(recording, self._library.grid(song.id), rows.size, cents, "mix")
        return Passage(name, song.id, "mix", song.beats_per_bar, rows, active_beats(rows), sound)

    def _rows(self, song: EvaluationSong, stems: Sequence[StemRow]) -> NDArray[np.void]:
        grid = self._library.grid(song.id)
        content = [f"features {FEATURE_VERSION}", *(stem.audio.sha for stem in stems)]
        content += [f"{stem.audio.gain_db!r}" for stem in stems]
        tuning_cents = self._library.song(song.id).tuning_cents
        digest = hashlib.sha256("\n".join([*content, repr(tuning_cents)]).encode())
        digest.update(grid.beats_s.tobytes())
        path = self._folder / f"{digest.hexdigest()[:32]}.npy"
        known = _read(path, grid.intervals)
        if known is not None:
            return known
        from engine.analysis.features import beat_features

        total = _sum_of([self._library.waveform(stem) for stem in stems])
        rows = beat_features(total, grid, tuning_cents=tuning_cents)
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        write_whole(path, buffer.getvalue())
        return rows


def _require_audio(path: Path, title: str) -> None:
    if not path.is_file():
        raise LibraryUnusable(
            f"The audio of {title} is not there: {path} is missing.",
            hint="Run dawlink verify, which names all that is damaged; add the song again.",
            code="library_damaged",
        )


def with_parts(library: LibraryReader, song_ids: Iterable[str]) -> Iterator[str]:
    """The songs that have two parts or more."""
    for song in song_ids:
        if len(_parts({stem.role: stem for stem in library.stems(song)})) >= LEAST_PARTS:
            yield song


def _parts(stems: Mapping[Role, StemRow]) -> tuple[Role, ...]:
    """Roles that sound and are no sum of others."""
    roles: tuple[Role, ...] = STORED_ROLES
    if "bass" not in stems and "other" not in stems:
        roles = (*STORED_ROLES, "harmonic")
    return tuple(r for r in roles if r in stems and stems[r].true_peak_db > LEAST_PEAK_DB)


def _read(path: Path, beats: int) -> NDArray[np.void] | None:
    """The kept rows; None when they are not there or cannot be."""
    try:
        rows: NDArray[np.void] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.dtype == BEAT_ROW and rows.shape == (beats,) else None


def _sum_of(waveforms: Sequence[Waveform]) -> Waveform:
    """The mono sum of stems that start together."""
    from engine.audio.resample import resample
    from engine.audio.waveform import Waveform

    rate = waveforms[0].sample_rate
    voices = [resample(waveform, rate).mono() for waveform in waveforms]
    total = np.zeros((1, max(voice.size for voice in voices)), dtype=np.float32)
    for voice in voices:
        total[0, : voice.size] += voice
    return Waveform(total, rate)
