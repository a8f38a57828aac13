"""What a mix network is shown in one step: a few songs, and every way to put them together.

The costly part of PreMixNet hears one stem at a time. So a step takes the vocals, the harmonies and
the drums of a few songs, each heard once, and judges many triples of them (Huang et al., AAAI 2021,
Mashup generation, for the kinds):

- the stems of one song: good;
- harmony of another song whose key fits, with whatever drums: nobody knows (with LSRO);
- harmony of another song whose key does not fit: bad;
- partners at their own tempo, harmony or drums 0.1 to 1 s early or late: bad;
- two kinds that only the music tells from an original, because stem and sound are the same: its
  own harmony in another transposition, and its own harmony or drums early or late: bad.

Songs are transposed, within ±3 semitones, into a few keys, so that some harmonies fit. Some triples
lack harmony or drums, and some clips hold more than a voice, as in use; good and bad ones as often.
Colour, level and sharpness of every stem are varied each time. All of a step's songs are recordings
or all are drawn from notes: a mixture would tell originals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.mashup.database import MASHUP_ROLES, MashupRole
from engine.mashup.generation import MOST_SEMITONES, OFFSETS_S, Label, StemUse
from engine.models.mix_nets.beat_mel import FLOOR_DB, added_up, levelled
from engine.training.mix_nets.material import MixSong, MixSongs, drawn_tempo

__all__ = ["SILENT", "MixBatch", "draw_batch"]

#: How a triple was made.
Kind = Literal["own", "matched", "foreign", "key", "late", "tempo"]
_Three = tuple[int, int, int]
#: What is heard of a triple, and what the clip is.
_Arrangement = Literal[
    "drums under voice", "drums under harmony", "whole", "no drums", "drums in the clip"
]
#: In a triple: nobody plays this stem.
SILENT: Final = -1
#: Songs of a step are brought into so many keys.
_KEYS: Final = 4
#: Share of the good and of the unlabeled triples that lack harmony. Bad ones lack it as often on
#: the average of their four kinds, or what is missing would tell good from bad: never where the
#: key of the harmony is the fault, twice as often otherwise.
_LACKING: Final = 0.2
#: Of triples with harmony: the share that is heard whole, and without drums. In the rest the clip
#: holds the drums too.
_WHOLE: Final = 0.56
_WITHOUT_DRUMS: Final = 0.32
#: Colour: waves over the bins of this height, and level, standard deviations [dB].
_COLOUR_DB: Final = 3.0
_LEVEL_DB: Final = 3.0
_MOST_LEVEL_DB: Final = 6.0
#: Share of either neighbour that a frame may have: a window of 128 ms covers more of a beat in a
#: fast song than in a slow one, and must not tell that two stems come from one tempo.
_MOST_SMEAR: Final = 0.33
#: The bad ones that are made of one song, or of partners that keep their tempo.
_FAULTS: Final[tuple[Kind, ...]] = ("key", "late", "tempo", "tempo")


@dataclass(frozen=True, eq=False)
class MixBatch:
    """Planes, and triples of them.

    Args:
        planes: (planes, frames, mels) decibels.
        triples: (triples, 3) planes of vocal, harmony, drums, or :data:`SILENT`.
        labels: of the triples.
        kinds: how each was made; those of a label weigh the same in the loss.
    """

    planes: NDArray[np.float32]
    triples: NDArray[np.int64]
    labels: tuple[Label, ...]
    kinds: tuple[Kind, ...]

    def of_labels(self, labels: Sequence[Label]) -> MixBatch:
        """The triples with one of these labels."""
        return self._chosen([i for i, label in enumerate(self.labels) if label in labels])

    def some(self, count: int, rng: np.random.Generator) -> MixBatch:
        """At most ``count`` triples, as many of each kind as there are."""
        named = np.array(self.kinds)
        kinds = [rng.permutation(np.flatnonzero(named == kind)) for kind in sorted(set(named))]
        order = [int(i) for turn in range(len(named)) for k in kinds for i in k[turn : turn + 1]]
        return self._chosen(order[:count])

    def _chosen(self, chosen: Sequence[int]) -> MixBatch:
        labels = tuple(self.labels[i] for i in chosen)
        kinds = tuple(self.kinds[i] for i in chosen)
        return MixBatch(self.planes, self.triples[list(chosen)], labels, kinds)


@dataclass(frozen=True)
class _Item:
    """One song of a step: where it is read, and how it is moved."""

    song: MixSong
    start: int
    shift: int
    tempo_bpm: float

    @property
    def scale(self) -> int | None:
        """Tonic of the major key with its notes, as it is heard."""
        return None if self.song.scale is None else (self.song.scale + self.shift) % 12

    def use(self, role: MashupRole, **changes: object) -> StemUse:
        """One of its stems."""
        shift = 0 if role == "drums" else self.shift
        plain = StemUse(self.song.id, role, self.start, shift)
        return replace(plain, **changes)  # type: ignore[arg-type]  # fields of a StemUse, by name


def draw_batch(
    material: MixSongs,
    *,
    songs: int,
    beats: int,
    rng: np.random.Generator,
    bleed_db: float | None = None,
) -> MixBatch:
    """Draw one step's songs and triples.

    Args:
        material: to draw from.
        songs: how many.
        beats: length of what is heard.
        rng: decides everything.
        bleed_db: level of the other stems of its song in every stem; None for clean stems.

    Raises:
        UnusableInput: fewer than two compositions can be read, so nothing can be put together.
    """
    planes = _Planes(material, beats, rng, bleed_db)
    items = _items(material, songs, planes, rng)
    if len(items) < 2:
        raise UnusableInput(
            f"Of {len(material.songs)} songs {len(items)} could be read for a step of training, "
            "which needs two compositions or more.",
            hint="Give more songs whose vocals, harmony and drums can be read and are not silent.",
            code="no_examples",
        )
    made = _Triples()
    for number, item in enumerate(items):
        own = planes.of(item)
        made.add(_arranged(own, own, planes, _arrangement(rng, _LACKING)), "good", "own")
        kind = _FAULTS[int(rng.integers(len(_FAULTS)))]
        triple = _bad(number, items, kind, planes, rng)
        if triple is not None:
            made.add(triple, "bad", kind)
    for one in items:
        for other in items:
            if one is not other and one.scale is not None and other.scale is not None:
                drums = planes.of(items[int(rng.integers(len(items)))])[2]
                fits = one.scale == other.scale
                pair = (planes.of(one)[0], planes.of(other)[1], drums)
                arrangement = _arrangement(rng, _LACKING if fits else 0.0)
                heard = _arranged(pair, planes.of(one), planes, arrangement)
                label: Label = "unknown" if fits else "bad"
                made.add(heard, label, "matched" if fits else "foreign")
    return MixBatch(
        np.stack(planes.heard), np.array(made.triples), tuple(made.labels), tuple(made.kinds)
    )


class _Triples:
    def __init__(self) -> None:
        self.triples: list[_Three] = []
        self.labels: list[Label] = []
        self.kinds: list[Kind] = []

    def add(self, triple: _Three, label: Label, kind: Kind) -> None:
        self.triples.append(triple)
        self.labels.append(label)
        self.kinds.append(kind)


class _Planes:
    """What is heard in this step, each once, levelled and varied."""

    def __init__(
        self, material: MixSongs, beats: int, rng: np.random.Generator, bleed_db: float | None
    ) -> None:
        self._material, self._beats, self._rng, self._bleed_db = material, beats, rng, bleed_db
        self._sounds: dict[str, int] = {}
        self._own: dict[str, _Three] = {}
        self._sums: dict[tuple[int, int], int] = {}
        self.heard: list[NDArray[np.float32]] = []

    def of(self, item: _Item) -> _Three:
        """Vocals, harmony and drums of a song, as numbers of planes."""
        if item.song.id not in self._own:
            uses = [item.use(role) for role in MASHUP_ROLES]
            vocals, harmonic, drums = (self.add(use, item.tempo_bpm) for use in uses)
            self._own[item.song.id] = (vocals, harmonic, drums)
        return self._own[item.song.id]

    def add(self, use: StemUse, tempo_bpm: float) -> int:
        """The number of a new plane.

        Raises:
            UnusableInput: the stem cannot be read, or is silent there.
        """
        sound = self._sounds.setdefault(use.song_id, int(self._rng.integers(2**32)))
        plane = levelled(
            self._material.plane(
                use,
                beats=self._beats,
                tempo_bpm=tempo_bpm,
                sound=sound,
                bleed_db=self._bleed_db,
            )
        )
        if float(plane.max()) <= FLOOR_DB:
            raise UnusableInput(f"The {use.role} of {use.song_id} are silent.", code="silent")
        self.heard.append(varied(plane, self._rng))
        return len(self.heard) - 1

    def together(self, one: int, other: int) -> int:
        """The number of the sum of two planes."""
        if (one, other) not in self._sums:
            self.heard.append(added_up([self.heard[one], self.heard[other]]))
            self._sums[one, other] = len(self.heard) - 1
        return self._sums[one, other]


def varied(plane: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """(frames, mels) decibels of a stem as it might have sounded too."""
    bins = np.linspace(0.0, 1.0, plane.shape[1])
    colour = np.clip(rng.normal(0.0, _LEVEL_DB), -_MOST_LEVEL_DB, _MOST_LEVEL_DB)
    waves = sum(
        rng.normal(0.0, _COLOUR_DB)
        * np.cos(np.pi * (rng.uniform(0.5, 3.0) * bins + rng.uniform(0, 2)))
        for _ in range(2)
    )
    coloured = plane + np.asarray(colour + waves, dtype=np.float32)
    share = np.float32(rng.uniform(0.0, _MOST_SMEAR))
    coloured[1:-1] += share * (coloured[:-2] + coloured[2:] - 2 * coloured[1:-1])
    return np.maximum(coloured, np.float32(FLOOR_DB))


def _items(
    material: MixSongs, songs: int, planes: _Planes, rng: np.random.Generator
) -> list[_Item]:
    """Songs of different compositions that can be read, in a few keys."""
    keys = rng.choice(12, size=_KEYS, replace=False)
    found: dict[str, _Item] = {}
    for index in rng.permutation(len(material.songs)):
        song = material.songs[int(index)]
        starts = song.whole
        if song.group in found or not starts.size:
            continue
        item = _Item(song, int(rng.choice(starts)), _shift(song, keys, rng), drawn_tempo(song, rng))
        try:
            planes.of(item)
        except UnusableInput:
            continue
        found[song.group] = item
        if len(found) == songs:
            break
    return list(found.values())


def _shift(song: MixSong, keys: NDArray[np.int64], rng: np.random.Generator) -> int:
    """A transposition within ±3 semitones, into one of ``keys`` where there is one."""
    near = np.arange(-MOST_SEMITONES, MOST_SEMITONES + 1)
    if song.scale is not None:
        fitting = near[np.isin((song.scale + near) % 12, keys)]
        near = fitting if fitting.size else near
    return int(rng.choice(near))


def _arrangement(rng: np.random.Generator, lacking: float) -> _Arrangement:
    """One of the clips and stems that are asked for in use.

    ``lacking`` is how often the harmony is left out; a fault must not lie in it then.
    """
    if rng.random() < lacking:
        return "drums under voice" if rng.random() < 0.5 else "drums under harmony"
    lot = rng.random()
    if lot < _WHOLE:
        return "whole"
    return "no drums" if lot < _WHOLE + _WITHOUT_DRUMS else "drums in the clip"


def _arranged(triple: _Three, own: _Three, planes: _Planes, arrangement: _Arrangement) -> _Three:
    """What is heard of a triple of voice, harmony and drums.

    Args:
        triple: all of it.
        own: that of the voice's song, for clips that hold more or other than a voice.
        planes: for sums.
        arrangement: how.
    """
    vocals, harmonic, drums = triple
    match arrangement:
        case "drums under voice":
            return vocals, SILENT, drums
        case "drums under harmony":
            return own[1], SILENT, drums
        case "whole":
            return triple
        case "no drums":
            return vocals, harmonic, SILENT
        case "drums in the clip":
            return planes.together(vocals, own[2]), harmonic, SILENT


def _bad(
    number: int, items: Sequence[_Item], kind: Kind, planes: _Planes, rng: np.random.Generator
) -> _Three | None:
    """One that is bad by a single fault, or by its tempo; None when it cannot be read."""
    item = items[number]
    own = planes.of(item)
    late_s = float(rng.uniform(*OFFSETS_S) * rng.choice([-1, 1]))
    try:
        if kind == "tempo":
            arrangement = _arrangement(rng, 2 * _LACKING)
            late = _audible_fault(arrangement, rng)
            triple = _out_of_tempo(item, items, {late: late_s}, planes, rng)
            return _arranged(triple, own, planes, arrangement)
        if kind == "late" and rng.random() < 0.5:
            drums = planes.add(item.use("drums", offset_s=late_s), item.tempo_bpm)
            if rng.random() < 4 * _LACKING:
                return _arranged((own[0], SILENT, drums), own, planes, _arrangement(rng, 1.0))
            return own[0], own[1], drums
        near = range(-MOST_SEMITONES, MOST_SEMITONES + 1)
        wrong = int(rng.choice([shift for shift in near if shift != item.shift]))
        moved = {"offset_s": late_s} if kind == "late" else {"semitones": wrong}
        harmony = planes.add(item.use("harmonic", **moved), item.tempo_bpm)
        return _arranged((own[0], harmony, own[2]), own, planes, _arrangement(rng, 0.0))
    except UnusableInput:
        return None


def _audible_fault(arrangement: _Arrangement, rng: np.random.Generator) -> MashupRole:
    """What of harmony and drums is late, so heard: where tempi agree it is the only fault."""
    if arrangement.startswith("drums under"):
        return "drums"
    if arrangement == "whole":
        return "harmonic" if rng.random() < 0.5 else "drums"
    return "harmonic"


def _into_key(one: _Item, other: _Item) -> int:
    """The transposition [-6, 5] that brings one song into the key in which another is heard."""
    if one.song.scale is None or other.scale is None:
        return one.shift
    return (other.scale - one.song.scale + 6) % 12 - 6


def _out_of_tempo(
    item: _Item,
    items: Sequence[_Item],
    late_s: Mapping[MashupRole, float],
    planes: _Planes,
    rng: np.random.Generator,
) -> _Three:
    """Partners at their own tempo, one late; the key fits where any song's can be made to."""
    others = [other for other in items if other is not item]
    fitting = [(other, _into_key(other, item)) for other in others]
    fitting = [pair for pair in fitting if abs(pair[1]) <= MOST_SEMITONES]
    one, two = (others[int(rng.integers(len(others)))] for _ in range(2))
    shift = one.shift
    if fitting:
        one, shift = fitting[int(rng.integers(len(fitting)))]
    late = late_s.get("harmonic", 0.0)
    harmony = one.use("harmonic", stretched=False, offset_s=late, semitones=shift)
    drums = two.use("drums", stretched=False, offset_s=late_s.get("drums", 0.0))
    return (
        planes.of(item)[0],
        planes.add(harmony, item.tempo_bpm),
        planes.add(drums, item.tempo_bpm),
    )
