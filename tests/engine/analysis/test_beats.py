import functools
from pathlib import Path

import numpy as np
import pytest

from engine.analysis import beats as module
from engine.analysis import madmom_compat
from engine.analysis.beats import (
    BeatTracker,
    LibrosaTracker,
    MadmomInferTracker,
    MadmomTracker,
    TrackedBeats,
    beat_confidence,
    default_tracker,
    mono_at,
)
from engine.audio.waveform import Waveform
from engine.errors import MissingDependency, UsageError
from tests.engine.analysis.music import RATE, drum_track, steady_beats

needs_madmom = pytest.mark.skipif(
    not madmom_compat.is_installed(), reason="madmom is not installed"
)
TRACKERS = [
    pytest.param(MadmomTracker, marks=needs_madmom, id="madmom"),
    pytest.param(MadmomInferTracker, marks=needs_madmom, id="madmom-infer"),
    pytest.param(LibrosaTracker, id="librosa"),
]
SECONDS = 12.0
BEATS = steady_beats(124, SECONDS, first_s=0.1)


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> BeatTracker:
    if request.param is MadmomInferTracker:
        pytest.importorskip("madmom_infer")
    return request.param()


@functools.cache
def _tracked(kind: type) -> TrackedBeats:
    return kind().track(drum_track(BEATS, SECONDS))


def test_beats_of_a_drum_pattern(tracker: BeatTracker) -> None:
    found = _tracked(type(tracker))
    inner = BEATS[(BEATS > 1) & (BEATS < SECONDS - 1)]
    error = [np.min(np.abs(found.beats_s - time_s)) for time_s in inner]
    assert max(error) < 0.03
    assert found.tracker == tracker.name
    assert 0.2 < found.confidence <= 1
    assert found.beats_per_bar == 4
    assert set(np.diff(found.positions) % 4) == {1}
    frames = SECONDS * 100
    assert abs(found.activation.shape[0] - frames) <= 2
    assert 0 <= found.activation.min() <= found.activation.max() <= 1


def test_downbeats_fall_on_the_kick_not_the_snare(tracker: BeatTracker) -> None:
    found = _tracked(type(tracker))
    downbeats = found.beats_s[found.positions == 0]
    number = np.rint((downbeats - BEATS[0]) * 124 / 60)
    assert set(number % 2) == {0}


def test_a_hint_picks_the_tempo(tracker: BeatTracker) -> None:
    found = tracker.track(drum_track(BEATS, SECONDS), tempo_hint_bpm=62.0)
    assert 60 / np.median(np.diff(found.beats_s)) == pytest.approx(62, rel=0.03)


@pytest.mark.parametrize("frames", [0, 500, 3 * RATE])
def test_silence_has_no_beats_and_no_confidence(tracker: BeatTracker, frames: int) -> None:
    found = tracker.track(Waveform(np.zeros((2, frames), dtype=np.float32), RATE))
    assert found.confidence == 0.0
    assert found.beats_s.shape == found.positions.shape


def test_level_rate_and_damage_do_not_matter(tracker: BeatTracker) -> None:
    import soxr

    loud = drum_track(BEATS, SECONDS).mono()
    other_rate = np.asarray(soxr.resample(loud, RATE, 48_000), dtype=np.float32) * 0.003
    other_rate[100:103] = np.nan
    other_rate[200] = np.inf
    found = tracker.track(Waveform(np.stack([other_rate, other_rate]), 48_000))
    reference = _tracked(type(tracker)).beats_s
    inner = reference[(reference > 1) & (reference < SECONDS - 1)]
    assert max(np.min(np.abs(found.beats_s - time_s)) for time_s in inner) < 0.025


def test_a_tempo_that_cannot_be_meant_is_refused(tracker: BeatTracker) -> None:
    for bpm in (0.0, -3.0, float("nan"), 1e9):
        with pytest.raises(UsageError, match="tempo"):
            tracker.track(drum_track(BEATS, SECONDS), tempo_hint_bpm=bpm)


def test_madmom_infer_agrees_with_madmom() -> None:
    pytest.importorskip("madmom_infer")
    if not madmom_compat.is_installed():
        pytest.skip("madmom is not installed")
    one, other = _tracked(MadmomTracker), _tracked(MadmomInferTracker)
    assert np.allclose(one.activation, other.activation, atol=1e-3)
    assert np.allclose(one.beats_s, other.beats_s, atol=0.011)


def test_madmom_infer_without_model_files_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("madmom_infer")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(madmom_compat, "model_folder", lambda: None)
    with pytest.raises(MissingDependency, match="model files"):
        MadmomInferTracker()


def test_the_chain_falls_back_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(*_: object) -> None:
        raise MissingDependency("It is not installed.", hint="pip install it")

    monkeypatch.setattr(module.MadmomTracker, "__init__", absent)
    monkeypatch.setattr(module.MadmomInferTracker, "__init__", absent)
    default_tracker.cache_clear()
    try:
        assert default_tracker().name == "librosa"
        assert default_tracker().name == "librosa"
    finally:
        default_tracker.cache_clear()
    assert len([record for record in caplog.records if "librosa" in record.message]) == 1


def test_confidence_is_high_on_the_beats_and_low_beside_them() -> None:
    times = 0.5 * np.arange(1, 30)
    activation = np.zeros((1600, 2), dtype=np.float32)
    activation[np.rint(times * 100).astype(int), 0] = 0.9
    assert beat_confidence(times, activation) == pytest.approx(1.0)
    assert beat_confidence(times + 0.25, activation) == 0.0
    uneven = times + 0.2 * (np.arange(29) % 2)
    assert beat_confidence(uneven, activation) < 0.3
    assert beat_confidence(times[:3], activation) == 0.0


def test_records_check_themselves() -> None:
    with pytest.raises(ValueError, match="do not match"):
        TrackedBeats(
            np.arange(3.0), np.zeros(2, np.int64), 4, 1.0, np.zeros((5, 2), np.float32), "x"
        )
    with pytest.raises(ValueError, match="activation"):
        TrackedBeats(np.arange(3.0), np.zeros(3, np.int64), 4, 1.0, np.zeros(5, np.float32), "x")


def test_mono_at_keeps_duration() -> None:
    sound = Waveform(np.ones((2, 48_000), dtype=np.float32), 48_000)
    assert mono_at(sound, RATE).shape == (RATE,)
    assert mono_at(sound, 48_000).shape == (48_000,)
