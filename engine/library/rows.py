"""What goes into the library and what comes out of it, as plain frozen records.

Ids begin with a letter (``g`` a song, ``s`` a stem) and are derived from content: the same music
gets the same id in every library, and again after it was removed and added once more. Times are
seconds, levels decibels, loudness LUFS.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from engine.analysis.records import KeyEstimate, SongAnalysis, TempoEstimate
from engine.audio.waveform import Waveform
from engine.errors import UsageError
from engine.theory import Key, Role, check_metre

__all__ = [
    "Correction",
    "CorrectionField",
    "NewSong",
    "NewStem",
    "Problem",
    "ProblemKind",
    "SongKind",
    "SongRow",
    "SourceFile",
    "StemRow",
    "StoredAudio",
    "Swept",
    "content_of_stems",
    "song_id_for",
    "stem_id_for",
]

SongKind = Literal["song", "multitrack", "loop", "stem"]
CorrectionField = Literal["tempo", "key", "downbeat", "metre", "half", "double"]
ProblemKind = Literal["missing", "damaged", "impossible", "database", "orphan", "leftover"]

_ID_DIGITS: Final = 12  # 48 bits: 10 000 songs collide with a chance of 2e-7
_NUMERIC_FIELDS: Final = ("tempo", "downbeat", "metre")


@dataclass(frozen=True)
class StoredAudio:
    """Audio that lies in the library.

    The file may be scaled down so that it does not clip: the stem's samples are those of the
    file times ``10 ** (gain_db / 20)``.

    Args:
        sha: hex SHA-256 of the 24-bit samples, rate and channel count.
        gain_db: what storing took away [0, ∞).
        sample_rate: Hz.
        channels: [1, 8].
        frames: samples per channel.
    """

    sha: str
    gain_db: float
    sample_rate: int
    channels: int
    frames: int


@dataclass(frozen=True)
class SourceFile:
    """A file that a song was made from; its hash lets ``add`` skip it without decoding.

    Args:
        path: where it was; only shown, never opened by the library.
        sha256: hex SHA-256 of its bytes.
        size_bytes: its size.
        mtime_ns: when it was changed last.
        role: the role it was given as, None for a whole song.
    """

    path: Path
    sha256: str
    size_bytes: int
    mtime_ns: int
    role: Role | None = None


@dataclass(frozen=True, eq=False)
class NewStem:
    """A stem to add: its role, and its audio as samples or as already stored."""

    role: Role
    audio: Waveform | StoredAudio


@dataclass(frozen=True, eq=False)
class NewSong:
    """A song to add, with its stems and what analysis found.

    Args:
        title: shown to people.
        kind: how it came in.
        stems: one per role.
        analysis: its ``stems`` have the same roles, in any order.
        sources: the files it was made from.
        artist: empty when unknown.
        separator: what split it, empty when nothing did.
        content_sha: names the music where the stems do not (a separated song: the key of its
            mix, since two runs of a separator differ in the last bits); empty means the stems do.

    Raises:
        ValueError: no stems, a role twice, or roles that differ from the analysis'.
    """

    title: str
    kind: SongKind
    stems: tuple[NewStem, ...]
    analysis: SongAnalysis
    sources: tuple[SourceFile, ...] = ()
    artist: str = ""
    separator: str = ""
    content_sha: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(SongKind):
            raise ValueError(f"{self.kind!r} is not a kind of song: {get_args(SongKind)}")
        roles = sorted(stem.role for stem in self.stems)
        analysed = sorted(stem.role for stem in self.analysis.stems)
        if not roles or len(set(roles)) != len(roles):
            raise ValueError(f"a song has one stem or more, each role once; got {roles}")
        if roles != analysed:
            raise ValueError(f"the stems are {roles}, but the analysis is of {analysed}")


@dataclass(frozen=True)
class SongRow:
    """A song as the library knows it.

    ``beats`` counts the beat intervals of its grid; ``added_at`` is ISO 8601 in UTC;
    ``tuning_cents`` lies in [-50, 50); the confidences in [0, 1].
    """

    id: str
    title: str
    artist: str
    kind: SongKind
    duration_s: float
    tempo: TempoEstimate
    key: KeyEstimate
    beats: int
    beats_per_bar: int
    grid_confidence: float
    tuning_cents: float
    tracker: str
    tracked_on: str
    separator: str
    added_at: str
    feature_version: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class StemRow:
    """A stem as the library knows it.

    ``loudness_lufs`` and ``true_peak_db`` are those of the stem itself, before the scaling that
    ``audio.gain_db`` undoes; both are -inf when it is silent. ``beats`` is its feature rows.
    """

    id: str
    song_id: str
    role: Role
    audio: StoredAudio
    loudness_lufs: float
    true_peak_db: float
    features_sha: str
    beats: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.audio.frames / self.audio.sample_rate


@dataclass(frozen=True)
class Correction:
    """What a person says about a song; it beats every analysis.

    Args:
        field: what is corrected.
        value: BPM for ``tempo``, seconds for ``downbeat``, beats in a bar for ``metre``,
            ``"A minor"`` for ``key``, None for ``half`` and ``double``.
        made_at: ISO 8601 in UTC; the library fills it in.

    Raises:
        UsageError: the value cannot be meant.
    """

    field: CorrectionField
    value: float | str | None = None
    made_at: str = ""

    def __post_init__(self) -> None:
        if self.field not in get_args(CorrectionField):
            raise ValueError(f"{self.field!r} is not one of {get_args(CorrectionField)}")
        if self.field == "key":
            object.__setattr__(self, "value", str(Key.parse(str(self.value))))
        elif self.field in _NUMERIC_FIELDS:
            self._check_number()
        elif self.value is not None:
            raise UsageError(f"A correction by {self.field} takes no value, got {self.value!r}.")

    def _check_number(self) -> None:
        value = self.value
        number = float(value) if isinstance(value, int | float) else math.nan
        if self.field == "metre":
            check_metre(number)
        elif not math.isfinite(number) or number < 0 or (self.field == "tempo" and number == 0):
            unit = "beats per minute above 0" if self.field == "tempo" else "seconds from 0"
            raise UsageError(
                f"{value!r} is not a usable {self.field}.", hint=f"Give {unit}, like 120.5."
            )
        object.__setattr__(self, "value", int(number) if self.field == "metre" else number)


@dataclass(frozen=True)
class Problem:
    """Something that ``verify`` found.

    Args:
        kind: ``missing`` or ``damaged`` file, ``impossible`` row, broken ``database``, or the
            harmless rest of a killed run: ``orphan`` file, unfinished ``leftover``.
        message: one sentence that names the song.
        hint: what mends it.
        path: the file, where it is about one.
        song_id: the song, where it is about one.
        title: that song's title.
    """

    kind: ProblemKind
    message: str
    hint: str
    path: Path | None = None
    song_id: str = ""
    title: str = ""

    @property
    def harmless(self) -> bool:
        """Nothing is lost: the next sweep removes it."""
        return self.kind in ("orphan", "leftover")


@dataclass(frozen=True)
class Swept:
    """What a sweep removed."""

    files: int
    size_bytes: int


def content_of_stems(stems: Iterable[tuple[Role, str]]) -> str:
    """Hex SHA-256 that names a set of (role, audio sha), whatever their order."""
    return _digest("stems", *(f"{role}={sha}" for role, sha in sorted(stems)))


def song_id_for(kind: SongKind, content_sha: str) -> str:
    """The id of a song with that content; the same music as a loop and as a song are two."""
    return "g" + _digest("song", kind, content_sha)[:_ID_DIGITS]


def stem_id_for(song_id: str, role: Role) -> str:
    """The id of a song's stem."""
    return "s" + _digest("stem", song_id, role)[:_ID_DIGITS]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()
