"""Which stems go together in a training example, and what is known about them.

Huang et al. (AAAI 2021), Mashup generation. The vocal is always the reference:

- ``original``: harmony and drums from the vocal's own clip: good.
- ``matched``: harmony within ±3 semitones and drums within a tempo ratio of [0.8, 1.2], picked at
  random, shifted and stretched to the vocal: nobody knows.
- ``unmatched-key``: neither key nor shift is minded, the tempo still is: bad.
- ``unmatched-tempo``: neither tempo nor stretching is minded, the key is, and the first downbeat
  of harmony or drums is moved by up to one second: bad.
- ``unmatched-both``: all of it: bad.

Where the paper is silent: harmony minds the tempo as drums do; keys are compared by the notes
they use, so A minor is 0 from C major; a harmony that happens to need no shift is never a bad key;
an offset below 0.1 s is too small to be heard as wrong and is not drawn. Everything is planned
here and read where it is heard; the same seed gives the same plan, and each condition has random
numbers of its own, so its examples do not depend on the others' counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from engine.mashup.database import MASHUP_ROLES, MashupDB, MashupRole, MashupSong
from engine.theory import Key, signed_semitones

__all__ = [
    "CONDITIONS",
    "Condition",
    "Generated",
    "Label",
    "MashupExample",
    "StemUse",
    "generate",
    "key_distance",
]

Condition = Literal["original", "matched", "unmatched-key", "unmatched-tempo", "unmatched-both"]
Label = Literal["good", "unknown", "bad"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)

#: Widest transposition of a matched harmony.
MOST_SEMITONES: Final = 3
#: Source tempo over the vocal's tempo.
TEMPO_RATIOS: Final = (0.8, 1.2)
#: Downbeats are moved by this much [s].
OFFSETS_S: Final = (0.1, 1.0)


@dataclass(frozen=True)
class StemUse:
    """One stem of an example.

    Args:
        song_id: whose.
        role: which.
        start_bar: bar of the song that begins with the example.
        semitones: net transposition.
        stretched: follows the vocal's tempo; otherwise it keeps its own.
        offset_s: comes in so much late (negative: early).
    """

    song_id: str
    role: MashupRole
    start_bar: int
    semitones: int = 0
    stretched: bool = True
    offset_s: float = 0.0


@dataclass(frozen=True)
class MashupExample:
    """A vocal, a harmony and drums.

    Args:
        condition: how they were chosen.
        bars: length in bars of the vocal.
        stems: vocals, harmonic, drums.
        seed: of the random choices that are still to be made when it is read.
    """

    condition: Condition
    bars: int
    stems: tuple[StemUse, StemUse, StemUse]
    seed: int

    @property
    def label(self) -> Label:
        """What is known about it."""
        if self.condition == "original":
            return "good"
        return "unknown" if self.condition == "matched" else "bad"


@dataclass(frozen=True)
class Generated:
    """The examples, and what stood in the way.

    Args:
        examples: in the order of :data:`CONDITIONS`.
        counts: examples made of each condition.
        reasons: how many vocals found no partner for which reason, by condition and reason.
    """

    examples: tuple[MashupExample, ...]
    counts: Mapping[Condition, int]
    reasons: Mapping[str, int]


def generate(
    db: MashupDB, counts: Mapping[Condition, int], *, seed: int, bars: int = 8
) -> Generated:
    """Plan ``counts`` examples of each condition, or fewer where the songs allow no more.

    Args:
        db: the songs.
        counts: how many examples of each condition.
        seed: of every random choice.
        bars: length of an example.
    """
    examples: list[MashupExample] = []
    made: dict[Condition, int] = {}
    reasons: dict[str, int] = {}
    for number, condition in enumerate(CONDITIONS):
        rng = np.random.default_rng([seed, number])
        drawn = _draw(db, condition, counts.get(condition, 0), rng=rng, bars=bars, reasons=reasons)
        examples.extend(drawn)
        made[condition] = len(drawn)
    return Generated(tuple(examples), made, reasons)


def key_distance(source: Key, target: Key) -> int:
    """Signed semitones from one key's notes to the other's, in [-6, 5]; relatives are 0 apart."""
    return signed_semitones(source.relative_major, target.relative_major)


class _NoPartner(Exception):
    """A vocal has no partner; the text says why."""


def _draw(
    db: MashupDB,
    condition: Condition,
    count: int,
    *,
    rng: np.random.Generator,
    bars: int,
    reasons: dict[str, int],
) -> list[MashupExample]:
    """Random vocals until there are enough; one without partners is not asked again."""
    roles = MASHUP_ROLES if condition == "original" else MASHUP_ROLES[:1]
    starts = {song.id: song.start_bars(roles, bars) for song in db.songs}
    seeds = [song for song in db.songs if starts[song.id].size]
    if count and not seeds:
        reasons[f"{condition}: no song has {bars} bars of {', '.join(roles)}"] = len(db.songs)
    drawn: list[MashupExample] = []
    while len(drawn) < count and seeds:
        song = seeds[int(rng.integers(len(seeds)))]
        vocals = StemUse(song.id, "vocals", int(rng.choice(starts[song.id])))
        try:
            harmonic, drums = _partners(db, song, vocals, condition, rng=rng, bars=bars)
        except _NoPartner as why:
            seeds.remove(song)
            reason = f"{condition}: {why}"
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        stems = (vocals, harmonic, drums)
        drawn.append(MashupExample(condition, bars, stems, int(rng.integers(2**31))))
    return drawn


def _partners(
    db: MashupDB,
    seed: MashupSong,
    vocals: StemUse,
    condition: Condition,
    *,
    rng: np.random.Generator,
    bars: int,
) -> tuple[StemUse, StemUse]:
    """The harmony and the drums of one example."""
    start = vocals.start_bar
    if condition == "original":
        return StemUse(seed.id, "harmonic", start), StemUse(seed.id, "drums", start)
    stretched = condition in ("matched", "unmatched-key")
    in_key = condition in ("matched", "unmatched-tempo")
    late = {"harmonic": 0.0, "drums": 0.0}
    if not stretched:
        moved = ("harmonic", "drums")[int(rng.integers(2))]
        late[moved] = float(rng.uniform(*OFFSETS_S) * rng.choice([-1, 1]))

    def key_fits(song: MashupSong) -> bool:
        shift = _shift(song, seed)
        return shift is not None and (abs(shift) <= MOST_SEMITONES if in_key else shift != 0)

    picked: list[StemUse] = []
    roles: tuple[MashupRole, ...] = ("harmonic", "drums")
    for role in roles:
        fits = key_fits if role == "harmonic" else _anything
        song, first = _pick(db, seed, role, fits, stretched=stretched, bars=bars, rng=rng)
        shift = (_shift(song, seed) or 0) if role == "harmonic" and in_key else 0
        picked.append(StemUse(song.id, role, first, shift, stretched, late[role]))
    return picked[0], picked[1]


def _pick(
    db: MashupDB,
    seed: MashupSong,
    role: MashupRole,
    fits: Callable[[MashupSong], bool],
    *,
    stretched: bool,
    bars: int,
    rng: np.random.Generator,
) -> tuple[MashupSong, int]:
    """A random song of another composition that has what is needed, and a bar of it."""
    others = [
        song
        for song in db.songs
        if song.group != seed.group and song.grid.beats_per_bar == seed.grid.beats_per_bar
    ]
    low, high = TEMPO_RATIOS
    if stretched:
        others = [s for s in others if low <= s.tempo_bpm / seed.tempo_bpm <= high]
    if not others:
        raise _NoPartner("no other song of its metre" + (" and tempo" if stretched else ""))
    others = [song for song in others if fits(song)]
    if not others:
        raise _NoPartner("no harmony of a key that is asked for")
    starts = {song.id: song.start_bars((role,), bars) for song in others}
    others = [song for song in others if starts[song.id].size]
    if not others:
        raise _NoPartner(f"no {role} of {bars} bars")
    song = others[int(rng.integers(len(others)))]
    return song, int(rng.choice(starts[song.id]))


def _shift(song: MashupSong, seed: MashupSong) -> int | None:
    """Transposition of ``song`` to the key of ``seed``; None when either has no key."""
    if song.key is None or seed.key is None:
        return None
    return key_distance(song.key, seed.key)


def _anything(_song: MashupSong) -> bool:
    return True
