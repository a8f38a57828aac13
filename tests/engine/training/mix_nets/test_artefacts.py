"""Can a detector of processing, which knows nothing of music, tell originals from matched ones?

The same bars of the same stem are read as part of their own song and as part of a mashup, so that
only the processing differs. The detector picks the one feature and threshold that part the two
best on all other pairs and is asked about the one left out. What it would hear, were the pairs
really rendered and only mashups stretched, is shown beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.stretch import default_stretcher
from engine.mashup.database import MashupDB
from engine.mashup.generation import MashupExample, generate
from engine.models.audio_source import Sound, session_audio
from engine.models.mix_nets.beat_mel import BeatMels, levelled
from engine.training.mix_nets.example_audio import MOST_SHIFT, sound_of_use
from tests.engine.mashup.songs import SAMPLE_RATE, made_db
from tests.engine.recordings_made import recording

PAIRS = 10


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


def accuracy(pairs: NDArray[np.float64]) -> float:
    """Share of right answers on (pairs, 2 sides, features), each pair judged by the others."""
    count, sides, features = pairs.shape
    right = 0
    for left_out in range(count):
        others = pairs[np.arange(count) != left_out].reshape(-1, features)
        truth = np.tile([False, True], count - 1)
        feature, threshold, above = _best_cut(others, truth)
        answers = (pairs[left_out, :, feature] > threshold) == above
        right += int((answers == [False, True]).sum())
    return right / (count * sides)


def _best_cut(values: NDArray[np.float64], sides: NDArray[np.bool_]) -> tuple[int, float, bool]:
    best, found = -1.0, (0, 0.0, True)
    for feature in range(values.shape[1]):
        ordered = np.sort(values[:, feature])
        for threshold in (ordered[1:] + ordered[:-1]) / 2:
            share = float(((values[:, feature] > threshold) == sides).mean())
            if max(share, 1 - share) > best:
                best, found = max(share, 1 - share), (feature, float(threshold), share > 0.5)
    return found


def own_and_mashed(db: MashupDB, example: MashupExample, role: int, *, shift: bool) -> list[Sound]:
    """The same bars as an original and as a part of the mashup, as training would draw them."""
    use = example.stems[role]
    song = db.by_id[use.song_id]
    rng = np.random.default_rng(example.seed)
    made = []
    for semitones, tempo_bpm in (
        (0, song.tempo_bpm),
        (use.semitones, db.by_id[example.stems[0].song_id].tempo_bpm),
    ):
        drawn = int(rng.integers(-MOST_SHIFT, MOST_SHIFT + 1)) if shift and role != 2 else 0
        placed = replace(use, semitones=semitones + drawn)
        made.append(sound_of_use(placed, song, beats=4, tempo_bpm=tempo_bpm))
    return made


def detected(folder: Path, role: int, *, rendered: bool) -> float:
    db, mels, pairs = made_db(folder), BeatMels(), []
    stretcher = default_stretcher() if rendered else None
    for number, example in enumerate(generate(db, {"matched": PAIRS}, seed=5, bars=1).examples):
        own, mashed = own_and_mashed(db, example, role, shift=not rendered)
        tempo_bpm = db.by_id[example.stems[0].song_id].tempo_bpm
        if stretcher is not None:
            audio = session_audio(mashed, tempo_bpm, SAMPLE_RATE, stretcher)
            edges = np.arange(5) * 60.0 / tempo_bpm
            spans = np.stack([edges[:-1], edges[1:]], axis=1)
            mashed = Sound(recording(audio, f"{number}"), spans)
        pairs.append([fingerprint(levelled(mels.of(sound))) for sound in (own, mashed)])
    return accuracy(np.array(pairs))


@pytest.mark.parametrize("role", [1, 2], ids=["harmonic", "drums"])
def test_processing_does_not_tell_original_from_matched(tmp_path: Path, role: int) -> None:
    chance = 0.5 + 2.33 * np.sqrt(0.25 / (2 * PAIRS))  # one run of coins in a hundred lies above
    assert detected(tmp_path, role, rendered=False) <= chance


def test_the_same_detector_hears_the_stretcher_in_drums(tmp_path: Path) -> None:
    assert detected(tmp_path, 2, rendered=True) >= 0.8
