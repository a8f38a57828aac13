from __future__ import annotations

import numpy as np
import pytest

from engine.audio.stretch import default_stretcher
from engine.models.audio_source import Sound, own_audio, session_audio
from tests.engine.recordings_made import RATE, sound

NOTES = [220.0, 330.0, 440.0, 660.0]


def pitches(samples: np.ndarray, beats: int) -> list[float]:
    """The strongest frequency in the middle of each of so many equal parts [Hz]."""
    found = []
    for part in np.array_split(samples, beats):
        middle = part[part.size // 4 : -part.size // 4] * np.hanning(
            part[part.size // 4 : -part.size // 4].size
        )
        power = np.abs(np.fft.rfft(middle, 1 << 17))
        found.append(float(power.argmax()) * RATE / (1 << 17))
    return found


def test_beats_are_read_in_any_order() -> None:
    whole = sound(NOTES, "a")
    again = whole.at(np.array([2, 3, 0, 0]))
    assert again.runs() == ((0, 2), (2, 3), (3, 4))
    heard = own_audio(again, RATE)
    assert heard.size == 2 * RATE
    assert pitches(heard, 4) == pytest.approx([440, 660, 220, 220], rel=0.01)
    assert whole.runs() == ((0, 4),)


def test_a_window_may_lie_between_beats_and_outside() -> None:
    whole = sound(NOTES, "a", tempo_bpm=100.0)
    late = whole.window(0.5, 2)
    np.testing.assert_allclose(late.spans_s, [[0.3, 0.9], [0.9, 1.5]])
    outside = whole.window(-1, 6)
    np.testing.assert_allclose(outside.spans_s[0], [-0.6, 0.0])
    np.testing.assert_allclose(outside.spans_s[-1], [2.4, 3.0])
    heard = own_audio(outside, RATE)
    assert not heard[: round(0.6 * RATE)].any()
    assert not heard[-round(0.6 * RATE) + 1 :].any()


def test_a_session_hears_its_own_tempo_and_key() -> None:
    placed = sound(NOTES, "a", tempo_bpm=100.0).transposed(3)
    heard = session_audio(placed, 120.0, RATE, default_stretcher())
    assert heard.size == 2 * RATE
    expected = [hz * 2 ** (3 / 12) for hz in NOTES]
    assert pitches(heard, 4) == pytest.approx(expected, rel=0.01)


def test_names_tell_sounds_apart() -> None:
    whole = sound(NOTES, "a")
    names = {
        whole.name,
        sound(NOTES, "b").name,
        whole.transposed(1).name,
        whole.window(0.25, 4).name,
        whole.at(np.array([3, 2, 1, 0])).name,
    }
    assert len(names) == 5
    assert whole.window(0, 4).name == whole.name


@pytest.mark.parametrize("spans", [np.zeros((0, 2)), np.zeros((3, 2)), np.zeros(4)])
def test_beats_that_are_none_are_refused(spans: np.ndarray) -> None:
    with pytest.raises(ValueError, match="beat"):
        Sound(sound(NOTES, "a").recording, spans)
