from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.beats import TrackedBeats
from engine.analysis.clip import track_clip
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput, UsageError
from tests.engine.analysis.music import RATE, as_tracked, drum_track, steady_beats, worst_error_s


class Scripted:
    """Hears given beats, and notes the hint that it was given."""

    name = "scripted"

    def __init__(self, beats_s: np.ndarray, seconds: float) -> None:
        self.tracked = as_tracked(beats_s, seconds=seconds)
        self.hints: list[float | None] = []

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        self.hints.append(tempo_hint_bpm)
        return self.tracked


SECONDS = 30.0
BEATS = steady_beats(104, SECONDS, first_s=0.31)[:-2]
SOUND = Waveform(np.full((1, int(SECONDS * RATE)), 0.1, dtype=np.float32), RATE)


def test_a_clip_gets_one_constant_grid_with_its_bar_line() -> None:
    found = track_clip(SOUND, tracker=Scripted(BEATS, SECONDS))
    assert found.grid.tempo_bpm == pytest.approx(104, rel=0.002)
    assert np.ptp(np.diff(found.grid.beats_s)) < 1e-9
    assert worst_error_s(found.grid.beats_s, BEATS) < 0.025
    assert worst_error_s(found.grid.downbeats_s, BEATS[::4]) < 0.025
    assert found.grid.beats_s[0] <= 0
    assert found.grid.beats_s[-1] >= SECONDS
    assert found.tracker == "synthetic"


def test_a_stated_metre_puts_bar_lines_where_downbeats_were_heard() -> None:
    """A waltz that the tracker counts in four."""
    tracker = Scripted(BEATS, SECONDS)
    waltz = as_tracked(BEATS[1:], metre=3, seconds=SECONDS)  # its first beat is an upbeat
    tracker.tracked = replace(tracker.tracked, activation=waltz.activation)
    found = track_clip(SOUND, beats_per_bar=3, tracker=tracker)
    assert found.grid.beats_per_bar == 3
    assert worst_error_s(found.grid.downbeats_s, BEATS[1::3]) < 0.025


@pytest.mark.parametrize("stated", [104.0, 104.1])
def test_the_sessions_tempo_is_kept_and_passed_on(stated: float) -> None:
    tracker = Scripted(BEATS, SECONDS)
    found = track_clip(SOUND, tempo_hint_bpm=stated, tracker=tracker)
    assert tracker.hints == [stated]
    assert found.grid.tempo_bpm == pytest.approx(stated)
    assert found.tempo.confidence == 1.0
    assert worst_error_s(found.grid.beats_s, BEATS) < 0.03


def test_a_tempo_two_percent_beside_the_stated_one_is_measured() -> None:
    found = track_clip(SOUND, tempo_hint_bpm=106.0, tracker=Scripted(BEATS, SECONDS))
    assert found.grid.tempo_bpm == pytest.approx(104, rel=0.002)


def test_a_tempo_that_is_known_is_not_measured() -> None:
    found = track_clip(SOUND, tempo_hint_bpm=106.0, exact=True, tracker=Scripted(BEATS, SECONDS))
    assert found.grid.tempo_bpm == pytest.approx(106)


def test_only_a_clear_pulse_tells_the_metre() -> None:
    tracker = Scripted(BEATS, SECONDS)
    tracker.tracked = as_tracked(BEATS, metre=3, seconds=SECONDS)
    assert track_clip(SOUND, tracker=tracker).grid.beats_per_bar == 3
    noise = np.random.default_rng(0).random((3000, 2), dtype=np.float32)
    tracker.tracked = replace(tracker.tracked, activation=noise)
    unclear = track_clip(SOUND, tracker=tracker)
    assert not unclear.clear
    assert unclear.grid.beats_per_bar == 4
    assert track_clip(SOUND, beats_per_bar=3, tracker=tracker).grid.beats_per_bar == 3


def test_a_voice_without_beats_has_a_grid_only_at_a_stated_tempo() -> None:
    nothing = Scripted(np.empty(0), SECONDS)
    hum = np.sin(2 * np.pi * 220 * np.arange(3 * RATE) / RATE).astype(np.float32)
    found = track_clip(Waveform(hum[None], RATE), tempo_hint_bpm=90.0, tracker=nothing)
    assert found.grid.tempo_bpm == pytest.approx(90, rel=0.031)
    assert found.tracker == "librosa"


def test_what_is_no_clip_is_refused() -> None:
    tracker = Scripted(BEATS, SECONDS)
    with pytest.raises(UnusableInput, match="silent"):
        track_clip(Waveform(np.zeros((1, 3 * RATE), np.float32), RATE), tracker=tracker)
    with pytest.raises(UnusableInput, match="least"):
        track_clip(Waveform(np.ones((1, RATE), np.float32), RATE), tracker=tracker)
    with pytest.raises(UsageError, match="tempo"):
        track_clip(SOUND, tempo_hint_bpm=float("nan"), tracker=tracker)


def test_the_default_tracker_on_a_rhythmic_clip() -> None:
    beats = steady_beats(104, 14, first_s=0.31)
    found = track_clip(drum_track(beats, 14), tempo_hint_bpm=104.0)
    inner = beats[(beats > 1) & (beats < 13)]
    assert worst_error_s(found.grid.beats_s, inner) < 0.03
