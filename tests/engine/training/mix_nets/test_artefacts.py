"""Can a detector of processing, which knows nothing of music, tell originals from matched ones?

The same bars of the same stem are read as part of their own song and as part of a mashup, both as
training's held-out examples are read, so that only the processing differs. The detector knows the
recording, as a network does that meets its songs again and again: it hears how far each of the two
is transposed. Half of the pairs show it which feature tells, and which way; it is asked about the
other half, and answers as often right as a coin may. Three mistakes show that it would hear one:
originals that stay as they are, mashups that move twice as far, and a stretcher on one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from engine.audio.stretch import default_stretcher
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.mashup.generation import MashupExample, StemUse, generate
from engine.models.audio_source import Sound, session_audio
from engine.models.mix_nets.beat_mel import BeatMels, levelled
from engine.theory import Key
from engine.training.mix_nets import example_audio
from engine.training.mix_nets.example_audio import MOST_SHIFT, example_sounds
from tests.engine.mashup.songs import SAMPLE_RATE, made_song
from tests.engine.recordings_made import recording

#: Half of them show what tells; stretching takes far longer than reading.
PAIRS, STRETCHED_PAIRS = 600, 36
#: One detector of a thousand that guess by lot is right more often than chance is said to be.
LEVEL = 0.999
VOCALS, HARMONIC, DRUMS = range(3)
Uses = Callable[[MashupExample], tuple[StemUse, ...]]


@dataclass
class Songs:
    """Twelve songs, one of every key, and how their bars sound in every transposition."""

    db: MashupDB
    mels: BeatMels = field(default_factory=BeatMels)
    heard: dict[tuple[str, bytes, int], NDArray[np.float32]] = field(default_factory=dict)

    def plane(self, sound: Sound) -> NDArray[np.float32]:
        return levelled(self.mels.of(sound))

    def as_moved(self, sound: Sound, semitones: int) -> NDArray[np.float32]:
        key = (sound.recording.key, sound.spans_s.tobytes(), semitones)
        if key not in self.heard:
            self.heard[key] = self.plane(replace(sound, semitones=semitones))
        return self.heard[key]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Songs:
    folder = tmp_path_factory.mktemp("songs")
    made = (
        made_song(
            f"g{i}",
            tempo_bpm=106.0 + 2 * i,
            key=Key(5 * i % 12, "major"),
            folder=folder,
            bars=3,
            seed=i,
        )
        for i in range(12)
    )
    return Songs(MashupDB(tuple(made)))


def fingerprint(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spectral edge, floor between partials, sharpness of attacks, roughness both ways."""
    power = 10 ** (plane.astype(np.float64) / 10)
    spectrum = np.cumsum(power.mean(axis=0))
    edge = np.searchsorted(spectrum / spectrum[-1], 0.95)
    floor = np.log10(np.quantile(power, 0.1) / power.mean() + 1e-12)
    rise = np.maximum(np.diff(np.sqrt(power), axis=0), 0).sum(axis=1)
    sharpness = np.log10(np.sort(rise)[-8:].mean() / (rise.mean() + 1e-12))
    over_time = np.abs(np.diff(plane, 2, axis=0)).mean()
    over_bins = np.abs(np.diff(plane, 2, axis=1)).mean()
    return np.array([edge, floor, sharpness, over_time, over_bins])


def transposition(plane: NDArray[np.float32], sound: Sound, songs: Songs) -> int:
    """How far a plane is from its recording, either way, by what it is most like [semitones]."""
    moved = range(-2 * MOST_SHIFT, 2 * MOST_SHIFT + 1)
    unlike = [np.abs(plane - songs.as_moved(sound, shift)).mean() for shift in moved]
    return abs(moved[int(np.argmin(unlike))])


def as_original(example: MashupExample, role: int) -> MashupExample:
    """The original that a stem of a mashup was taken from."""
    use = example.stems[role]
    vocals, harmonic, drums = (StemUse(use.song_id, r, use.start_bar) for r in MASHUP_ROLES)
    seed = example.seed + 1  # its own lot
    return MashupExample("original", example.bars, (vocals, harmonic, drums), seed)


def pairs(songs: Songs, role: int, count: int) -> list[tuple[Sound, Sound, float]]:
    """The same bars in an original and in a mashup, as they are read, and its tempo [BPM]."""
    examples = generate(songs.db, {"matched": count}, seed=5, bars=1).examples
    assert len(examples) == count
    return [
        (
            example_sounds(as_original(example, role), songs.db)[role],
            example_sounds(example, songs.db)[role],
            songs.db.by_id[example.stems[0].song_id].tempo_bpm,
        )
        for example in examples
    ]


def read(songs: Songs, role: int) -> NDArray[np.float64]:
    """(pairs, 2 sides, 6) fingerprints and transpositions."""
    made = []
    for own, mashed, _ in pairs(songs, role, PAIRS):
        planes = [songs.plane(own), songs.plane(mashed)]
        made.append([[*fingerprint(p), transposition(p, own, songs)] for p in planes])
    return np.array(made)


def told(numbers: NDArray[np.float64]) -> tuple[int, int]:
    """Right answers on the second half of (pairs, 2, features), and pairs that do not sound alike.

    Every answer is right by lot, whatever the first half says, if the sides are alike.
    """
    gaps = numbers[:, 1] - numbers[:, 0]
    votes = np.sign(gaps[: len(gaps) // 2]).sum(axis=0)
    feature = int(np.abs(votes).argmax())
    asked = gaps[len(gaps) // 2 :, feature] * (1 if votes[feature] >= 0 else -1)
    return int((asked > 0).sum()), int((asked != 0).sum())


def most_by_lot(asked: int) -> int:
    """So many answers are right by lot at most, but for one detector in a thousand."""
    return int(binom.ppf(LEVEL, asked, 0.5)) if asked else 0


@pytest.mark.parametrize("role", [VOCALS, HARMONIC, DRUMS], ids=MASHUP_ROLES)
def test_processing_does_not_tell_original_from_matched(songs: Songs, role: int) -> None:
    right, asked = told(read(songs, role))
    assert right <= most_by_lot(asked)
    assert asked > 100 or role == DRUMS  # which nothing moves: the two are one


def originals_stay(uses: Uses) -> Uses:
    return lambda example: example.stems if example.condition == "original" else uses(example)


def mashups_move_further(_uses: Uses) -> Uses:
    """All are moved by up to three semitones, on top of what is asked for."""

    def moved(example: MashupExample) -> tuple[StemUse, ...]:
        drawn = int(np.random.default_rng(example.seed).integers(-MOST_SHIFT, MOST_SHIFT + 1))
        return tuple(replace(use, semitones=use.semitones + drawn) for use in example.stems)

    return moved


@pytest.mark.parametrize(
    ("mistake", "role"),
    [(originals_stay, VOCALS), (originals_stay, HARMONIC), (mashups_move_further, HARMONIC)],
)
def test_the_same_detector_hears_wrong_transpositions(
    songs: Songs, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[Uses], Uses], role: int
) -> None:
    monkeypatch.setattr(example_audio, "_uses", mistake(example_audio._uses))
    right, asked = told(read(songs, role))
    assert right > most_by_lot(asked)


@pytest.mark.parametrize("role", [HARMONIC, DRUMS], ids=MASHUP_ROLES[1:])
def test_the_same_detector_hears_a_stretcher_on_one_side(songs: Songs, role: int) -> None:
    """Both sides are cut out and read alike; the mashup's is brought to its tempo before."""
    stretcher = default_stretcher()

    def rendered(sound: Sound, tempo_bpm: float, name: str) -> Sound:
        plain = replace(sound, semitones=0, tuning_cents=0.0)
        audio = session_audio(plain, tempo_bpm, SAMPLE_RATE, stretcher)
        edges = np.arange(sound.beats + 1) * 60.0 / tempo_bpm
        spans = np.stack([edges[:-1], edges[1:]], axis=1)
        return replace(sound, recording=recording(audio, name), spans_s=spans)

    made = []
    for number, (own, mashed, tempo_bpm) in enumerate(pairs(songs, role, STRETCHED_PAIRS)):
        own_bpm = 60.0 / float(np.diff(own.spans_s[0])[0])
        sides = (
            rendered(own, own_bpm, f"own {role} {number}"),
            rendered(mashed, tempo_bpm, f"mashed {role} {number}"),
        )
        made.append([fingerprint(songs.plane(sound)) for sound in sides])
    right, asked = told(np.array(made))
    assert asked == STRETCHED_PAIRS // 2
    assert right > most_by_lot(asked)
