"""Can a detector of processing, which knows nothing of music, tell originals from matched ones?

The same bars of the same stem are rendered as part of their own song and as part of a mashup, so
that only the processing differs. The detector picks the one feature and threshold that part the
two best on all other pairs and is asked about the one left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.stretch import default_stretcher
from engine.mashup.example_audio import (
    FULL_DETOUR,
    SAMPLE_RATE,
    Detour,
    render_stem,
    session_of,
)
from engine.mashup.generation import generate
from tests.engine.mashup.songs import made_db

PAIRS = 10
FFT, HOP = 1024, 256
HIGH_HZ = 10000


def fingerprint(stem: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spectral rolloff, floor between partials, sharpness and smear of attacks, their rise."""
    frames = np.lib.stride_tricks.sliding_window_view(stem, FFT)[::HOP] * np.hanning(FFT)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, : HIGH_HZ * FFT // SAMPLE_RATE]
    spectrum = power.mean(axis=0)
    rolloff = np.searchsorted(np.cumsum(spectrum) / spectrum.sum(), 0.95)
    floor = np.log10(np.quantile(power, 0.1) / power.mean() + 1e-12)
    rise = np.maximum(np.diff(np.sqrt(power), axis=0), 0).sum(axis=1)
    sharpness = np.log10(np.quantile(rise, 0.99) / (rise.mean() + 1e-12) + 1e-12)
    loud = np.square(stem[: stem.size // 64 * 64].reshape(-1, 64)).mean(axis=1)
    smear = np.log10(np.quantile(loud, 0.3) / loud.mean() + 1e-12)
    before = np.convolve(loud, np.full(4, 0.25))[: loud.size - 1]
    # A bar has eight attacks at any tempo; a quantile would tell the tempo instead.
    attack = np.log10(np.median(np.sort(loud[1:] / (before + 1e-7))[-8:]))
    return np.array([rolloff, floor, sharpness, smear, attack])


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


def detected(folder: Path, role: int, detour: Detour) -> float:
    db = made_db(folder)
    stretcher, pairs = default_stretcher(), []
    for example in generate(db, {"matched": PAIRS}, seed=5, bars=1).examples:
        use = example.stems[role]
        own = db.by_id[use.song_id]
        sides = (
            (replace(use, semitones=0), session_of(own, 1)),
            (use, session_of(db.by_id[example.stems[0].song_id], 1)),
        )
        rng = np.random.default_rng(example.seed)
        pairs.append(
            [
                fingerprint(render_stem(u, own, session, stretcher, rng=rng, detour=detour))
                for u, session in sides
            ]
        )
    return accuracy(np.array(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("role", [1, 2], ids=["harmonic", "drums"])
def test_processing_does_not_tell_original_from_matched(tmp_path: Path, role: int) -> None:
    chance = 0.5 + 2.33 * np.sqrt(0.25 / (2 * PAIRS))  # one run of coins in a hundred lies above
    assert detected(tmp_path, role, FULL_DETOUR) <= chance


@pytest.mark.slow
@pytest.mark.parametrize("role", [1, 2], ids=["harmonic", "drums"])
def test_without_the_detour_the_same_detector_tells(tmp_path: Path, role: int) -> None:
    assert detected(tmp_path, role, Detour(0.0, 0.0)) >= 0.9
