"""Analysed multitrack songs as training windows and validation songs of the fit model.

A song takes part with its voice, its harmony (bass and other) and its drums, in four-four, on the
beats that analysis found. Every beat in which a stem does not sound is silent here, as on the piano
rolls. A window begins on any bar in which the voice sings enough; its bed is the harmony, at times
without its bass or nothing but bass, because a producer's stems are like that. In a share of the
windows the bass asks for the other parts or they for the bass. Beyond the song's ends there is
silence. The features are read where they lie, memory-mapped.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import BEAT_ROW
from engine.library.library import Library
from engine.library.rows import SongRow
from engine.theory import Role
from engine.training.fit.check import WindowPairs
from engine.training.fit.data import FitBank, bank_of, prepared
from engine.training.fit.windows import CONTEXT_BEATS, WINDOW_BEATS, SongRows
from engine.training.material import LibrarySongs
from engine.training.midi_audio.listing import ListedSong, read_listing
from engine.training.midi_corpus import Split

__all__ = [
    "AnalysedSong",
    "LibraryWindows",
    "analysed_songs",
    "song_pairs",
    "split_by_lot",
    "useful",
    "whole_songs",
]

_BEATS_PER_BAR: Final = 4
_NEEDED: Final[tuple[Role, ...]] = ("vocals", "harmonic", "drums")
_READ: Final[tuple[Role, ...]] = (*_NEEDED, "bass", "other")
#: Stems that may ask beside the voice, and the roles that each holds.
_ASKING: Final[Mapping[Role, frozenset[str]]] = {
    "harmonic": frozenset({"bass", "other"}),
    "bass": frozenset({"bass"}),
    "other": frozenset({"other"}),
}
#: A window counts when its query sounds in this share of its beats, and its bed in that.
_SINGING, _PLAYING = 0.3, 0.5
#: Shares of the windows whose bed has no bass, or is nothing but bass.
_NO_BASS, _BASS_ONLY = 0.25, 0.08
_SUNG: Final[tuple[Role, Role]] = ("vocals", "harmonic")
#: Share of the windows in which no voice asks, and who asks for what in them.
_PARTS: Final = 0.3
_PLAYED: Final[tuple[tuple[Role, Role], ...]] = (("other", "bass"), ("bass", "other"))
#: Share of the compositions without a word on their split that validate; two at least.
_HELD_OUT: Final = 0.2
_FEWEST_HELD_OUT: Final = 2
_FEWEST_TO_SPLIT: Final = 4

Rows = NDArray[np.void]


@dataclass(frozen=True, eq=False)
class AnalysedStem:
    """One stem: its features, memory-mapped, and the beats in which it sounds."""

    features: Rows
    active: NDArray[np.bool_]
    sha: str

    def beats(self, first: int, count: int) -> Rows:
        """Rows of some beats, silent where the stem is and beyond its ends."""
        rows = np.zeros(count, BEAT_ROW)
        low, high = max(first, 0), min(first + count, self.active.size)
        if low < high:
            part = rows[low - first : high - first]
            part[:] = self.features[low:high]
            part[~self.active[low:high]] = np.zeros((), BEAT_ROW)
        return rows

    def sounding(self, starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(starts,) share of the beats of the windows from there in which it sounds."""
        total = np.concatenate([[0], np.cumsum(self.active)])
        share: NDArray[np.float64] = (total[starts + WINDOW_BEATS] - total[starts]) / WINDOW_BEATS
        return share


@dataclass(frozen=True, eq=False)
class AnalysedSong:
    """A song of a library.

    Args:
        id: of the library.
        title: for people.
        group: the composition: as a rendered corpus lists it, else the title.
        split: what it may be used for; None where nothing says so.
        beats_per_bar: metre.
        stems: by role, all of equal length.
    """

    id: str
    title: str
    group: str
    split: Split | None
    beats_per_bar: int
    stems: Mapping[Role, AnalysedStem]

    def starts(self, query: Role, bed: Role, *, step: int = _BEATS_PER_BAR) -> NDArray[np.int64]:
        """First beats of the windows in which both sound."""
        if not {query, bed} <= self.stems.keys():
            return np.zeros(0, np.int64)
        every = np.arange(0, self.stems[bed].active.size - WINDOW_BEATS + 1, step)
        asked = self.stems[query].sounding(every) >= _SINGING
        return every[asked & (self.stems[bed].sounding(every) >= _PLAYING)]

    @property
    def sha(self) -> str:
        """Names its music and what it may be used for."""
        stems = [f"{role}={stem.sha}" for role, stem in sorted(self.stems.items())]
        said = " ".join([self.id, self.group, self.split or "", *stems])
        return hashlib.sha256(said.encode()).hexdigest()


def analysed_songs(songs: LibrarySongs) -> list[AnalysedSong]:
    """Songs of a library, whatever they hold.

    Raises:
        LibraryUnusable: the library is damaged or made by a newer dawlink.
    """
    listed = {song.song_id: song for song in read_listing(songs.folder)}
    with Library.open(songs.folder, create=False, read_only=True) as library:
        active = library.active(_READ)
        stems: dict[str, dict[Role, AnalysedStem]] = {}
        for stem in library.stems(roles=_READ):
            features = library.features(stem)
            stems.setdefault(stem.song_id, {})[stem.role] = AnalysedStem(
                features, active[stem.id], stem.features_sha
            )
        rows = [row for row in library.songs() if songs.ids is None or row.id in songs.ids]
    return [_song_of(row, listed.get(row.id), stems.get(row.id, {})) for row in rows]


def useful(songs: Sequence[AnalysedSong]) -> tuple[list[AnalysedSong], list[str]]:
    """Songs that can be trained on, and a sentence about each of the others."""
    reasons = [_useless(song) for song in songs]
    both = list(zip(songs, reasons, strict=True))
    notes = [f"{song.title} is left out: {reason}" for song, reason in both if reason]
    return [song for song, reason in both if not reason], notes


def split_by_lot(songs: Sequence[AnalysedSong]) -> list[AnalysedSong]:
    """The songs, with a split for those that lack one: a fifth of their compositions validates.

    The lot is the composition's name, so seeds can be compared and most songs stay on their side
    when others come; with fewer than four such compositions all of them train.
    """
    unsaid = {song.group for song in songs if song.split is None}
    held_out = max(round(_HELD_OUT * len(unsaid)), _FEWEST_HELD_OUT)
    order = sorted(unsaid, key=lambda group: (zlib.crc32(group.encode()), group))
    val = set(order[:held_out]) if len(unsaid) >= _FEWEST_TO_SPLIT else set()
    return [
        song if song.split else replace(song, split="val" if song.group in val else "train")
        for song in songs
    ]


class LibraryWindows:
    """Analysed songs as a :class:`~engine.training.fit.material.WindowSource`."""

    def __init__(self, songs: Sequence[AnalysedSong]) -> None:
        self._songs = tuple(songs)
        self._starts = [
            {pair: song.starts(*pair) for pair in (_SUNG, *_PLAYED)} for song in self._songs
        ]
        self.songs = len(self._songs)
        self.groups = tuple(sorted({song.group for song in self._songs}))

    def bank(self, windows: int, *, seed: int) -> FitBank:
        """Windows of songs in random order, every song about equally often."""
        rng = np.random.default_rng(seed)
        rounds = -(-windows // self.songs)
        order = np.concatenate([rng.permutation(self.songs) for _ in range(rounds)])[:windows]
        number = {group: i for i, group in enumerate(self.groups)}
        parts = [prepared(self._drawn(int(song), rng)) for song in order]
        group = np.array([number[self._songs[song].group] for song in order])
        return bank_of(parts, order, group)

    def _drawn(self, number: int, rng: np.random.Generator) -> tuple[Rows, Rows, Rows]:
        """Rows of query (32 beats), bed and drums (48 beats)."""
        song, starts = self._songs[number], self._starts[number]
        played = [pair for pair in _PLAYED if starts[pair].size]
        sung = not played or rng.random() >= _PARTS
        pair = _SUNG if sung else played[int(rng.integers(len(played)))]
        first = int(rng.choice(starts[pair]))
        before, count = first - CONTEXT_BEATS, WINDOW_BEATS + 2 * CONTEXT_BEATS
        bed = song.stems[_bed(song, first, rng) if sung else pair[1]]
        return (
            song.stems[pair[0]].beats(first, WINDOW_BEATS),
            bed.beats(before, count),
            song.stems["drums"].beats(before, count),
        )


def song_pairs(
    songs: Sequence[AnalysedSong],
    query: Role = "vocals",
    bed: Role = "harmonic",
    *,
    per_song: int | None = None,
) -> WindowPairs:
    """Windows of eight bars, every four, in which both sound; beds without a query compete too.

    Args:
        songs: of one library or several.
        query: who asks.
        bed: what is asked for.
        per_song: at most so many windows of each song, spread over it; all when None.
    """
    own: list[tuple[str, Rows, Rows]] = []
    other: list[tuple[str, Rows]] = []
    for song in songs:
        played = song.stems.get(bed)
        if played is None:
            continue
        every = np.arange(0, played.active.size - WINDOW_BEATS + 1, WINDOW_BEATS // 2)
        every = _spread(every[played.sounding(every) >= _PLAYING], per_song)
        asked = set(song.starts(query, bed, step=WINDOW_BEATS // 2).tolist())
        for first in every.tolist():
            rows = played.beats(first, WINDOW_BEATS)
            if first in asked:
                own.append((song.group, song.stems[query].beats(first, WINDOW_BEATS), rows))
            else:
                other.append((song.group, rows))
    beds = [(group, rows) for group, _, rows in own] + other
    return WindowPairs(
        [sung for _, sung, _ in own], [r for _, r in beds], tuple(g for g, _ in beds), bed
    )


def whole_songs(songs: Sequence[AnalysedSong]) -> list[SongRows]:
    """The first song of every composition, whole, for calibration."""
    first: dict[str, AnalysedSong] = {}
    for song in songs:
        first.setdefault(song.group, song)
    return [_rows_of(song) for song in first.values()]


def _rows_of(song: AnalysedSong) -> SongRows:
    beats = song.stems["harmonic"].active.size // _BEATS_PER_BAR * _BEATS_PER_BAR
    rows: dict[str, Rows] = {
        role: stem.beats(0, beats) for role, stem in song.stems.items() if role in _READ
    }
    asking = {role: rows[role] for role in _ASKING if role in rows}
    return SongRows(
        song.group, rows, tuple((_ASKING[role], table) for role, table in asking.items())
    )


def _song_of(
    row: SongRow, listed: ListedSong | None, stems: Mapping[Role, AnalysedStem]
) -> AnalysedSong:
    group, split = row.title.casefold(), None
    if listed is not None:
        group, split = listed.group, listed.split
    return AnalysedSong(row.id, row.title, group, split, row.beats_per_bar, stems)


def _useless(song: AnalysedSong) -> str:
    """Why it teaches nothing; empty when it does."""
    missing = [role for role in _NEEDED if role not in song.stems]
    if missing:
        return f"it has no {' and no '.join(missing)}."
    if song.beats_per_bar != _BEATS_PER_BAR:
        return f"it has {song.beats_per_bar} beats to the bar, not {_BEATS_PER_BAR}."
    if not song.starts(*_SUNG).size:
        return "nowhere does its voice sing over its harmony for eight bars."
    return ""


def _bed(song: AnalysedSong, first: int, rng: np.random.Generator) -> Role:
    """The harmony, or one of its halves where that sounds enough."""
    lot = rng.random()
    wanted: Role = "harmonic"
    if lot < _NO_BASS + _BASS_ONLY:
        wanted = "other" if lot < _NO_BASS else "bass"
    stem = song.stems.get(wanted)
    sounds = stem is not None and stem.sounding(np.array([first]))[0] >= _PLAYING
    return wanted if sounds else "harmonic"


def _spread(values: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    if count is None or values.size <= count:
        return values
    return values[np.linspace(0, values.size - 1, count).round().astype(np.int64)]
