from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.audio_source import own_audio
from engine.models.stem_jepa.audio import heard_tempo, sound_image
from engine.models.stem_jepa.log_mel import LogMel, MelStatistics
from tests.engine.models.stem_jepa.jepa import clicks, tone

LOG_MEL = LogMel(MelStatistics(0.0, 1.0))


def loudest_band(frequency_hz: float, **changes: float) -> int:
    sound = tone(frequency_hz)
    if "semitones" in changes:
        sound = sound.transposed(int(changes["semitones"]))
    image = sound_image(LOG_MEL, sound, 120.0)
    return int(image[:, 100].argmax())


def attacks(image: torch.Tensor) -> list[int]:
    """Frames at which the level leaps up."""
    level = image.sum(dim=0)
    above = (level > level.mean()).int()
    return (torch.nonzero(above.diff() == 1)[:, 0] + 1).tolist()


def test_in_its_own_tempo_and_key_it_is_the_plain_image() -> None:
    sound = tone(440.0)
    plain = LOG_MEL(torch.from_numpy(own_audio(sound, 16_000))[None])[0]
    image = sound_image(LOG_MEL, sound, 120.0)
    assert image.shape == (80, 800)
    torch.testing.assert_close(image, plain, atol=2e-3, rtol=0)


def test_it_is_as_long_as_the_session_says_in_whole_columns() -> None:
    assert sound_image(LOG_MEL, tone(440.0), 100.0).shape == (80, 960)
    image = sound_image(LOG_MEL, tone(440.0), 130.0)
    assert image.shape == (80, 752)  # 738 frames, and silence
    assert float(image[:, 740:].max()) == pytest.approx(np.log(np.finfo(np.float32).eps), abs=1e-3)


@pytest.mark.parametrize("semitones", [-5, 3, 7])
def test_transposing_moves_a_tone_to_where_that_tone_is(semitones: int) -> None:
    wanted = loudest_band(440.0 * 2 ** (semitones / 12))
    assert loudest_band(440.0, semitones=semitones) == wanted
    assert wanted != loudest_band(440.0)


def test_tempo_moves_attacks_and_leaves_pitch() -> None:
    own = attacks(sound_image(LOG_MEL, clicks(0.5), 120.0))
    slow = attacks(sound_image(LOG_MEL, clicks(0.5), 60.0))
    assert np.diff(own).mean() == pytest.approx(50, abs=0.2)
    assert np.diff(slow).mean() == pytest.approx(100, abs=0.2)
    slow_tone = sound_image(LOG_MEL, tone(440.0), 60.0)
    assert int(slow_tone[:, 500].argmax()) == loudest_band(440.0)


def test_transposing_leaves_attacks_where_they_are() -> None:
    own = attacks(sound_image(LOG_MEL, clicks(0.5), 120.0))
    high = attacks(sound_image(LOG_MEL, clicks(0.5).transposed(5), 120.0))
    np.testing.assert_allclose(high, own, atol=1)


@pytest.mark.parametrize(
    ("tempo_bpm", "heard"), [(100.0, 100.0), (92.5, 100.0), (120.0, 118.92), (60.0, 59.46)]
)
def test_tempi_that_are_near_share_one(tempo_bpm: float, heard: float) -> None:
    assert heard_tempo(tone(440.0, tempo_bpm=tempo_bpm)) == pytest.approx(heard, abs=0.01)
