from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.mashup.ducking import BANDS, FRAME_S, DuckNetwork
from engine.rendering.ducked_stems import duck_stems

RATE = 22_050


def tone(hz: float, *, level: float = 0.4, seconds: float = 6.0) -> Waveform:
    t = np.arange(round(seconds * RATE)) / RATE
    return Waveform((level * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None], RATE)


def sung(start_s: float, end_s: float) -> Waveform:
    """A voice that begins and ends as hard as can be."""
    samples = tone(300.0, level=0.2).samples.copy()
    samples[:, : round(start_s * RATE)] = 0.0
    samples[:, round(end_s * RATE) :] = 0.0
    return Waveform(samples, RATE)


def stereo(waveform: Waveform) -> Waveform:
    return Waveform(np.concatenate([waveform.samples, 0.5 * waveform.samples]), RATE)


class Restless:
    """A mask network that hears anything from all to nothing, anew in every frame."""

    def masks(self, first: Waveform, second: Waveform) -> NDArray[np.float32]:
        frames = max(first.frames, second.frames) * 100 // RATE + 1
        drawn = np.random.default_rng(0).uniform(size=(2, BANDS, frames))
        return np.asarray(drawn, dtype=np.float32)


RESTLESS = DuckNetwork(Restless(), "restless")
CURVES = pytest.mark.parametrize("network", [None, RESTLESS], ids=["rule", "network"])
STEMS = (tone(245.0), stereo(tone(350.0)), tone(80.0))


@CURVES
def test_all_stems_get_one_curve(network: DuckNetwork | None) -> None:
    voice = sung(2.0, 3.0)
    ducked, told = duck_stems(voice, STEMS, depth_db=4.0, network=network)
    assert [stem.samples.shape for stem in ducked] == [stem.samples.shape for stem in STEMS]
    total = Waveform(sum(stem.samples for stem in STEMS), RATE)
    (together,), _ = duck_stems(voice, [total], depth_db=4.0, network=network)
    np.testing.assert_allclose(sum(stem.samples for stem in ducked), together.samples, atol=1e-5)
    assert told.deepest_db == pytest.approx(4.0, abs=0.2)
    assert told.curve == ("network" if network else "rule")
    assert told.checkpoint == ("restless" if network else None)
    assert len(told.mean_db) == len(told.band_edges_hz) + 1
    assert 1 / 6 < told.share < 3.5 / 6


@CURVES
def test_what_sounds_where_nobody_sings_stays_bit_for_bit(network: DuckNetwork | None) -> None:
    ducked, _ = duck_stems(sung(2.0, 3.0), STEMS, depth_db=6.0, network=network)
    for stem, before in zip(ducked, STEMS, strict=True):
        for part in (slice(0, round(1.9 * RATE)), slice(round(5.2 * RATE), None)):
            np.testing.assert_array_equal(stem.samples[:, part], before.samples[:, part])
    for stem, before in zip(ducked, STEMS, strict=True):
        powers = [np.square(part.samples).mean() for part in (stem, before)]
        assert -6.05 < 10 * np.log10(powers[0] / powers[1]) <= 0.0


def test_the_rule_makes_room_where_the_voice_is_and_nowhere_else() -> None:
    ducked, _ = duck_stems(sung(2.0, 3.0), STEMS, depth_db=6.0)
    middle = slice(round(2.3 * RATE), round(2.9 * RATE))
    lowered = np.abs(ducked[0].samples[:, middle]).max() / 0.4
    assert -6.05 < 20 * np.log10(lowered) < -5.0
    bass = np.abs(ducked[2].samples[:, middle]).max() / 0.4
    assert 20 * np.log10(bass) > -1.0  # the voice needs no room down there


@CURVES
def test_the_way_down_is_smooth(network: DuckNetwork | None) -> None:
    ducked, _ = duck_stems(sung(2.0, 3.0), STEMS, depth_db=6.0, network=network)
    for stem, before in zip(ducked, STEMS, strict=True):
        curvature, plain = (np.abs(np.diff(part.samples, 2)).max() for part in (stem, before))
        assert curvature <= 1.001 * plain
        frame = round(FRAME_S * RATE)
        peaks = [
            np.abs(stem.samples[:, at : at + 2 * frame]).max()
            for at in range(0, stem.frames - 2 * frame, 2 * frame)
        ]
        steps_db = np.abs(np.diff(20 * np.log10(peaks)))
        assert steps_db.max() < 6.0 * (1 - np.exp(-0.02 / 0.02)) + 0.3


@CURVES
def test_silence_ducks_nothing(network: DuckNetwork | None) -> None:
    ducked, told = duck_stems(sung(0.0, 0.0), STEMS, depth_db=6.0, network=network)
    assert told.deepest_db == told.share == 0.0
    for stem, before in zip(ducked, STEMS, strict=True):
        np.testing.assert_array_equal(stem.samples, before.samples)
