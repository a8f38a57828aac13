from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import find_peaks

from engine.analysis.attacks import ATTACK_RATE_HZ, attack_function
from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.stretch import StretchJob, default_stretcher
from engine.audio.waveform import Waveform
from engine.rendering.kept_attacks import with_attacks_kept
from tests.recordings import needs_recordings, recordings_dir

RATE = ATTACK_RATE_HZ
#: Beginnings of the kicks [s].
KICKS_S = np.arange(0.25, 3.0, 0.5)


def kicks() -> Waveform:
    """Kicks that begin at once, with silence in between; two channels, not alike."""
    at_s = np.arange(3 * RATE) / RATE
    sound = np.zeros(at_s.size)
    for begin_s in KICKS_S:
        since = np.maximum(at_s - begin_s, 0)
        sound += np.exp(-since / 0.05) * np.sin(2 * np.pi * 60 * since) * (at_s >= begin_s)
        sound += 0.5 * np.exp(-since / 0.004) * np.sin(2 * np.pi * 1800 * since) * (at_s >= begin_s)
    return Waveform(np.stack([0.6 * sound, -0.3 * sound]).astype(np.float32), RATE)


def stretched(source: Waveform, ratio: float) -> tuple[Waveform, tuple[tuple[int, int], ...]]:
    frames = round(source.frames * ratio)
    anchors = ((0, 0), (source.frames, frames))
    return default_stretcher().stretch(source, StretchJob(anchors, frames)), anchors


@pytest.mark.parametrize("ratio", [0.8, 0.95, 1.25])
def test_an_attack_is_that_of_the_source_with_nothing_before_it(ratio: float) -> None:
    source = kicks()
    made, anchors = stretched(source, ratio)
    kept = with_attacks_kept(made, source, anchors)
    assert kept.frames == made.frames
    for begin_s in KICKS_S:
        onto = round(begin_s * ratio * RATE)
        here = kept.samples[:, onto - 200 : onto + 900]
        own = source.samples[:, round(begin_s * RATE) - 200 : round(begin_s * RATE) + 900]
        shift = int(np.argmax(np.abs(here[0]) > 0.01)) - int(np.argmax(np.abs(own[0]) > 0.01))
        assert abs(shift) <= 0.0015 * RATE
        np.testing.assert_allclose(here[:, 150 + shift : 900], own[:, 150 : 900 - shift], atol=1e-6)
        assert np.abs(kept.samples[:, onto - 500 : onto - 80]).max() < 1e-3
        assert np.abs(made.samples[:, onto - 500 : onto - 80]).max() > 1e-2


def test_sound_without_attacks_stays_as_it_was_stretched() -> None:
    at_s = np.arange(2 * RATE) / RATE
    swell = np.sin(np.pi * at_s / 2) ** 2 * np.sin(2 * np.pi * 220 * at_s)
    source = Waveform((0.5 * swell)[None].astype(np.float32), RATE)
    made, anchors = stretched(source, 1.1)
    np.testing.assert_array_equal(with_attacks_kept(made, source, anchors).samples, made.samples)


@needs_recordings
@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_no_attack_of_a_real_drummer_is_lost(ratio: float) -> None:
    path = next((recordings_dir() / "real_stems" / "mdn_multitrack").glob("drums__*"))
    source = resample(decode(path, start_s=0, end_s=30), RATE)
    made, anchors = stretched(source, ratio)
    wanted_s = attacks_s(source) * ratio
    wanted_s = wanted_s[(wanted_s > 0.1) & (wanted_s < 30 * ratio - 0.1)]
    assert wanted_s.size > 50
    kept = with_attacks_kept(made, source, anchors)
    assert lost(kept, wanted_s) <= 2 < 6 <= lost(made, wanted_s)


def lost(sound: Waveform, wanted_s: NDArray[np.float64]) -> int:
    """How many attacks are not found again within 6 ms."""
    found_s = attacks_s(sound)
    return int(sum(np.abs(found_s - time_s).min() > 0.006 for time_s in wanted_s))


def attacks_s(sound: Waveform) -> NDArray[np.float64]:
    attacks = attack_function(sound.mono())
    steps, _ = find_peaks(attacks.rise_db, height=25, prominence=15, distance=80)
    return (steps + 0.5) * attacks.step_s
