from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.loudness import integrated_lufs
from engine.audio.waveform import Waveform
from engine.theory import Role
from engine.training.midi_audio.production import (
    CEILING,
    TONE_HZ,
    CodecName,
    Treatment,
    level_stems,
    through_codec,
    treat,
)

RATE = 44_100
PLAIN = Treatment((0.0,) * len(TONE_HZ), 1.0, 0.5, float("-inf"), "", 128, -20.0, seed=1)


def clicks(seconds: float = 3.0) -> NDArray[np.float32]:
    """(1, frames) short bursts, two a second, over a soft tone."""
    frames = round(seconds * RATE)
    sound = 0.02 * np.sin(2 * np.pi * 440 * np.arange(frames) / RATE)
    for start in range(RATE // 4, frames - 2000, RATE // 2):
        sound[start : start + 600] += 0.5 * np.random.default_rng(0).normal(0, 0.4, 600)
    return sound[None].astype(np.float32)


def lag(one: NDArray[np.float32], two: NDArray[np.float32]) -> int:
    size = 1 << 18
    similar = np.fft.irfft(np.conj(np.fft.rfft(one[0], size)) * np.fft.rfft(two[0], size))
    at = int(np.argmax(similar))
    return at if at < size // 2 else at - size


@pytest.mark.parametrize("codec", ["mp3", "aac"])
def test_a_codec_neither_moves_nor_shortens(codec: CodecName) -> None:
    sound = clicks()
    coded = through_codec(sound, RATE, codec, kilobits=128)
    assert coded.shape == sound.shape
    assert lag(sound, coded) == 0
    assert not np.array_equal(coded, sound)
    assert np.corrcoef(sound[0], coded[0])[0, 1] > 0.95


def test_every_treatment_keeps_time_and_brings_the_level() -> None:
    sound = clicks()
    wet = replace(PLAIN, tone_db=(3.0, 0.0, -3.0, 0.0, 2.0, 0.0), ratio=3.0, wet_db=-12.0)
    for treatment in (PLAIN, wet):
        made = treat(sound, RATE, treatment)
        assert made.shape == sound.shape
        assert lag(sound, made) == 0
        assert integrated_lufs(Waveform(made, RATE)) == pytest.approx(-20.0, abs=0.1)
        assert abs(float(made[0, -1])) < 1e-6
        np.testing.assert_array_equal(made, treat(sound, RATE, treatment))


def test_a_compressor_brings_loud_and_soft_nearer() -> None:
    sound = clicks()
    soft, loud = slice(4000, 10000), slice(RATE // 4, RATE // 4 + 600)

    def spread(made: NDArray[np.float32]) -> float:
        return float(np.abs(made[0, loud]).mean() / np.abs(made[0, soft]).mean())

    squeezed = treat(sound, RATE, replace(PLAIN, ratio=4.0))
    assert spread(squeezed) < 0.8 * spread(treat(sound, RATE, PLAIN))


def test_a_room_rings_on_where_the_sound_has_ended() -> None:
    sound = np.zeros((1, 2 * RATE), dtype=np.float32)
    sound[0, 1000:3000] = 0.5 * np.sin(np.arange(2000) / 5)
    dry, wet = (
        treat(sound, RATE, replace(PLAIN, wet_db=level)) for level in (float("-inf"), -10.0)
    )
    assert np.abs(dry[0, 5000:9000]).max() < 1e-4
    assert np.abs(wet[0, 5000:9000]).max() > 1e-3


def test_silence_stays_silence() -> None:
    silence = np.zeros((1, RATE), dtype=np.float32)
    assert not treat(silence, RATE, PLAIN).any()


def test_one_gain_for_all_stems_and_no_clipping() -> None:
    stems: dict[Role, NDArray[np.float32]] = {"drums": clicks(), "other": 0.3 * clicks()}
    quiet = level_stems(stems, lufs=-30.0, rate=RATE)
    total = np.asarray(quiet["drums"] + quiet["other"])
    assert integrated_lufs(Waveform(total, RATE)) == pytest.approx(-30.0, abs=0.1)
    loud = level_stems(stems, lufs=0.0, rate=RATE)
    assert np.abs(loud["drums"] + loud["other"]).max() == pytest.approx(CEILING, abs=1e-3)
    gains = [float(np.max(loud[r]) / np.max(stems[r])) for r in ("drums", "other")]
    assert gains[0] == pytest.approx(gains[1], rel=1e-5)
