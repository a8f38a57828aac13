"""How far a listener who knows nothing of music gets in the published test, by hearing a stretcher.

    python -m benchmarks.stretcher_leak LIBRARY [--examples 24] [--bars 4]

In Huang et al. (AAAI 2021) originals are untouched and everything else went through Rubber Band.
Here the same originals and matched examples of a library are made in two ways: as published (own
stems as they are, others' stretched and transposed by the product's Rubber Band R3), and as dawlink
trains and tests (every stem read from its own spectrogram, whole examples transposed by lot). A
logistic regression looks at five numbers of each stem alone: spectral edge, floor between partials,
sharpness of attacks, roughness over time and over bins. It never compares stems, so all that it
finds out is processing. It is tried on the examples of one vocal's song at a time and learns of all
others. 0.5 is chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.stretch import default_stretcher
from engine.library.library import Library
from engine.mashup.database import MashupDB
from engine.mashup.generation import Condition, MashupExample, generate
from engine.models.audio_source import Recording, Sound, session_audio
from engine.models.mix_nets.beat_mel import BeatMels, levelled
from engine.models.mix_nets.mel import MEL
from engine.training.midi_audio.listing import groups_of
from engine.training.mix_nets.example_audio import example_sounds, sound_of_use
from tests.engine.training.mix_nets.test_artefacts import fingerprint

_RIDGE: Final = 1.0
_STEPS: Final = 300


def rendered(sound: Sound, tempo_bpm: float) -> Sound:
    """The same after Rubber Band, on the session's beats."""
    audio = session_audio(sound, tempo_bpm, MEL.sample_rate, default_stretcher())
    edges = np.arange(sound.beats + 1) * 60.0 / tempo_bpm

    def read(start_s: float, end_s: float, rate: int) -> NDArray[np.float32]:
        first, count = round(start_s * rate), round((end_s - start_s) * rate)
        padded = np.pad(audio, (max(-first, 0), max(first + count - audio.size, 0)))
        return padded[max(first, 0) :][:count]

    return Sound(
        Recording(f"{sound.name}{tempo_bpm}", read), np.stack([edges[:-1], edges[1:]], axis=1)
    )


def sounds_of(example: MashupExample, db: MashupDB, *, published: bool) -> tuple[Sound, ...]:
    """Harmony and drums as they are looked at."""
    if not published:
        return example_sounds(example, db)[1:]
    tempo_bpm = db.by_id[example.stems[0].song_id].tempo_bpm
    beats = example.bars * 4
    plain = [
        sound_of_use(use, db.by_id[use.song_id], beats=beats, tempo_bpm=tempo_bpm)
        for use in example.stems[1:]
    ]
    if example.condition == "original":
        return tuple(plain)
    return tuple(rendered(sound, tempo_bpm) for sound in plain)


def found_out(values: NDArray[np.float64], truth: NDArray[np.bool_], songs: list[str]) -> float:
    """Share of right answers on songs that were not learned from."""
    names = np.array(songs)
    right = 0
    for name in np.unique(names):
        own = names == name
        mean, std = values[~own].mean(axis=0), values[~own].std(axis=0) + 1e-9
        inputs = np.c_[(values - mean) / std, np.ones(len(values))]
        weights = np.zeros(inputs.shape[1])
        for _ in range(_STEPS):
            p = 1 / (1 + np.exp(-inputs[~own] @ weights))
            slope = inputs[~own].T @ (p - truth[~own]) + _RIDGE * weights
            weights -= slope / (0.25 * len(values) + _RIDGE)
        right += int(((inputs[own] @ weights > 0) == truth[own]).sum())
    return right / len(values)


def main() -> None:
    """Print both shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--bars", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with Library.open(given.library, create=False, read_only=True) as library:
        db = MashupDB.of_library(library, groups=groups_of(given.library))
    counts: dict[Condition, int] = {"original": given.examples, "matched": given.examples}
    examples = generate(db, counts, seed=0, bars=given.bars).examples
    truth = np.array([example.condition == "original" for example in examples])
    songs = [example.stems[0].song_id for example in examples]
    for published in (True, False):
        mels = BeatMels()
        values = np.array(
            [
                np.concatenate(
                    [
                        fingerprint(levelled(mels.of(sound)))
                        for sound in sounds_of(example, db, published=published)
                    ]
                )
                for example in examples
            ]
        )
        way = "as published" if published else "as dawlink does"
        print(f"{way}: {found_out(values, truth, songs):.3f} of {len(examples)} found out")


if __name__ == "__main__":
    main()
