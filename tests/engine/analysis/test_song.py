from collections.abc import Mapping

import numpy as np
import pytest
import soundfile

from engine.analysis.beats import TrackedBeats
from engine.analysis.records import SongAnalysis
from engine.analysis.song import analyse_song
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput, UsageError
from engine.grid import BeatGrid
from engine.theory import Key, Role
from tests.engine.analysis.music import (
    RATE,
    as_tracked,
    chord_track,
    drum_track,
    steady_beats,
    swinging_beats,
    worst_error_s,
)
from tests.recordings import needs_recordings, recordings_dir

SECONDS = 24.0
BEATS = steady_beats(120, SECONDS)


class Scripted:
    """Hears the given beats with a given confidence, counting how often it is asked."""

    name = "scripted"

    def __init__(self, beats_s: np.ndarray, *confidences: float) -> None:
        self.tracked = as_tracked(beats_s, seconds=SECONDS)
        self.confidences = confidences or (1.0,)
        self.calls = 0

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        confidence = self.confidences[min(self.calls, len(self.confidences) - 1)]
        self.calls += 1
        t = self.tracked
        return TrackedBeats(t.beats_s, t.positions, 4, confidence, t.activation, self.name)


def _chords(seconds_each: float, count: int, lowest: int) -> Waveform:
    pattern = [(0, 3, 7), (8, 12, 15), (5, 8, 12), (7, 11, 14)]
    chords = [tuple(lowest + step for step in pattern[i % 4]) for i in range(count)]
    return chord_track(chords, seconds_each)


def _stems() -> dict[Role, Waveform]:
    bass = _chords(2.0, 12, 33)
    return {
        "drums": drum_track(BEATS, SECONDS),
        "bass": Waveform(0.5 * bass.samples, RATE),
        "other": _chords(2.0, 12, 57),
    }


@pytest.fixture(scope="module")
def song() -> SongAnalysis:
    return analyse_song(_stems())


def test_beats_tempo_and_key_of_a_synthesised_song(song: SongAnalysis) -> None:
    assert song.tempo.steady
    assert song.tempo.bpm == pytest.approx(120, rel=0.0002)
    assert worst_error_s(song.grid.beats_s, BEATS[BEATS < SECONDS]) < 0.003
    assert song.grid.beats_s[0] == 0.0
    assert song.key.key == Key(9, "minor")
    assert abs(song.tuning_cents) < 3
    assert song.tracked_on == "mix"
    assert song.duration_s == pytest.approx(SECONDS)


def test_stems_have_features_loudness_and_the_harmonic_sum(song: SongAnalysis) -> None:
    assert [stem.role for stem in song.stems] == ["drums", "bass", "other", "harmonic"]
    levels = {stem.role: stem.loudness_lufs for stem in song.stems}
    assert levels["harmonic"] > levels["other"] > levels["bass"]
    for stem in song.stems:
        assert stem.features.shape == (song.grid.intervals,)
        assert stem.active.shape == (song.grid.intervals,)
        assert stem.active[:40].mean() > 0.9
        assert stem.true_peak_db < 6


def test_windows_tell_what_plays(song: SongAnalysis) -> None:
    assert {window.bars for window in song.windows} == {4, 8}
    assert set(song.windows[0].activity) == {"drums", "bass", "other", "harmonic"}


def test_a_persons_corrections_win_and_nothing_is_tracked() -> None:
    tracker = Scripted(BEATS)
    grid = BeatGrid.constant(60, downbeat_s=0.25, end_s=SECONDS)
    found = analyse_song(_stems(), tracker=tracker, grid=grid, key=Key(3, "major"))
    assert tracker.calls == 0
    assert found.tempo.bpm == pytest.approx(60)
    assert found.tempo.confidence == 1.0
    assert found.tracker == "person"
    assert np.min(np.abs(found.grid.downbeats_s - 0.25)) < 1e-9
    assert found.key.key == Key(3, "major")
    assert found.key.method == "person"


@pytest.mark.parametrize(
    ("confidences", "calls", "tracked_on"),
    [((0.9,), 1, "mix"), ((0.1, 0.6), 2, "drums"), ((0.2, 0.1), 2, "mix")],
)
def test_drums_are_asked_only_when_the_mix_is_unsure(
    confidences: tuple[float, ...], calls: int, tracked_on: str
) -> None:
    tracker = Scripted(BEATS, *confidences)
    found = analyse_song(_stems(), tracker=tracker, key=Key(0, "major"))
    assert (tracker.calls, found.tracked_on) == (calls, tracked_on)


def test_a_drifting_song_is_followed_through_the_real_tracker() -> None:
    beats = swinging_beats(SECONDS, depth=0.03)
    found = analyse_song({"drums": drum_track(beats, SECONDS)})
    assert not found.tempo.steady
    inner = beats[beats < SECONDS - 0.5]
    assert worst_error_s(found.grid.beats_s, inner) < 0.005
    assert found.tracked_on == "drums"
    assert found.key.key is None


def test_stems_of_other_rates_channels_and_lengths_go_together() -> None:
    import soxr

    stems = _stems()
    low = soxr.resample(stems["bass"].mono(), RATE, 22_050)[: 22_050 * 21]
    stems["bass"] = Waveform(np.stack([low, low]).astype(np.float32), 22_050)
    found = analyse_song(stems, tracker=Scripted(BEATS), key=Key(9, "minor"))
    harmonic = next(stem for stem in found.stems if stem.role == "harmonic")
    assert found.duration_s == pytest.approx(SECONDS)
    assert harmonic.active[:40].mean() > 0.9


def test_a_loop_takes_its_tempo_from_its_length() -> None:
    seconds = 8 * 60 / 97
    sound = drum_track(steady_beats(97, seconds), seconds)
    found = analyse_song({"drums": sound}, loop=True)
    assert found.tempo.bpm == pytest.approx(97, rel=1e-4)
    assert found.grid.intervals == 8
    assert [(window.start_bar, window.bars) for window in found.windows] == [(0, 2)]


def test_a_lone_drum_mix_has_no_key() -> None:
    found = analyse_song({"mix": drum_track(BEATS, SECONDS)}, tracker=Scripted(BEATS))
    assert found.key.key is None
    assert found.tracked_on == "mix"


@pytest.mark.parametrize(
    ("stems", "code"),
    [
        ({}, "unusable_input"),
        ({"mix": Waveform(np.zeros((2, 5 * RATE), np.float32), RATE)}, "silent"),
        ({"mix": Waveform(np.ones((2, RATE), np.float32), RATE)}, "too_short"),
        ({"mix": Waveform(np.zeros((1, 0), np.float32), RATE)}, "too_short"),
    ],
)
def test_what_is_no_song_is_refused(stems: Mapping[Role, Waveform], code: str) -> None:
    with pytest.raises(UnusableInput) as caught:
        analyse_song(stems, tracker=Scripted(BEATS))
    assert caught.value.code == code
    assert caught.value.hint


def test_an_impossible_tempo_is_refused() -> None:
    with pytest.raises(UsageError, match="tempo"):
        analyse_song(_stems(), tracker=Scripted(BEATS), tempo_hint_bpm=-1.0)


@needs_recordings
def test_a_real_production_lies_on_its_project_tempo() -> None:
    folder = recordings_dir() / "real_stems" / "lmms_capdan_reggaetry"
    stems: dict[Role, Waveform] = {}
    for role in ("drums", "bass", "other"):
        parts = [
            soundfile.read(file, dtype="float32", always_2d=True)
            for file in sorted(folder.glob(f"{role}*.flac"))
        ]
        frames = max(samples.shape[0] for samples, _ in parts)
        total = np.zeros((2, frames), dtype=np.float32)
        for samples, _ in parts:
            total[:, : samples.shape[0]] += samples.T
        stems[role] = Waveform(total, parts[0][1])
    found = analyse_song(stems)
    assert min(abs(found.tempo.bpm / 180 - m) for m in (0.5, 1.0)) < 0.0002
    grid = found.grid.beats_s
    true = np.arange(0, found.duration_s, 60 / found.tempo.bpm)
    assert worst_error_s(grid, true) < 0.003
