import numpy as np
import pytest
import soundfile

from engine.analysis.beats import LibrosaTracker, TrackedBeats
from engine.analysis.loops import track_loop
from engine.analysis.song import analyse_song
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput, UsageError
from tests.engine.analysis.music import (
    RATE,
    as_tracked,
    drum_track,
    steady_beats,
    worst_error_s,
)
from tests.recordings import needs_recordings, recordings_dir


class Deaf:
    """A tracker that hears nothing: the length must be enough."""

    name = "deaf"

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        nothing = np.zeros((0, 2), dtype=np.float32)
        return TrackedBeats(np.empty(0), np.empty(0, np.int64), 4, 0.0, nothing, self.name)


class Hears:
    """A tracker that hears given beats."""

    name = "hears"

    def __init__(self, beats_s: np.ndarray) -> None:
        self.tracked = as_tracked(beats_s)

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        return self.tracked


def _loop(bpm: float, beats: int) -> Waveform:
    seconds = beats * 60 / bpm
    return drum_track(steady_beats(bpm, seconds), seconds)


@pytest.mark.parametrize(
    ("bpm", "beats"), [(90, 4), (124, 8), (140, 16), (174, 32), (100, 64), (97.3, 8)]
)
def test_the_length_gives_the_exact_tempo(bpm: float, beats: int) -> None:
    found = track_loop(_loop(bpm, beats))
    assert found.whole
    assert found.grid.tempo_bpm == pytest.approx(bpm, rel=2e-5)
    assert found.grid.beats_s[0] == 0.0
    assert found.grid.intervals == beats
    assert sum(hypothesis.weight for hypothesis in found.tempo.hypotheses) == pytest.approx(1)


def test_a_deaf_tracker_leaves_the_length_to_speak() -> None:
    found = track_loop(_loop(120, 8), tracker=Deaf())
    assert found.grid.tempo_bpm == pytest.approx(120)
    assert found.tracker == "deaf"


def test_a_stated_tempo_picks_the_count() -> None:
    found = track_loop(_loop(140, 16), tempo_hint_bpm=70, tracker=Deaf())
    assert found.grid.tempo_bpm == pytest.approx(70)
    assert found.grid.intervals == 8


def test_padding_of_an_encoder_is_left_out() -> None:
    loop = _loop(120, 8)
    padded = np.pad(loop.samples, ((0, 0), (1105, 600)))
    found = track_loop(Waveform(padded, RATE), tempo_hint_bpm=120, tracker=Deaf())
    assert found.grid.tempo_bpm == pytest.approx(120)
    offset = np.min(np.abs(found.grid.beats_s - 1105 / RATE))
    assert offset < 0.003


def test_a_length_of_no_whole_count_keeps_the_tracked_tempo() -> None:
    seconds = 8 * 0.5 + 0.31
    sound = drum_track(steady_beats(120, 4.0)[:8], seconds)
    found = track_loop(sound, tempo_hint_bpm=120, tracker=LibrosaTracker())
    assert not found.whole
    assert found.grid.tempo_bpm == pytest.approx(120)


@pytest.mark.parametrize(("bpm", "first_s", "seconds"), [(103, 0.2, 20.0), (126, 0.31, 25.0)])
def test_what_was_cut_from_longer_music_keeps_its_tempo_and_beats(
    bpm: float, first_s: float, seconds: float
) -> None:
    """Some whole count would always be near enough; the attacks speak against it."""
    beats = steady_beats(bpm, seconds, first_s=first_s)
    sound = drum_track(beats, seconds)
    found = track_loop(sound)
    assert not found.whole
    assert not found.begins_on_beat
    assert found.grid.tempo_bpm == pytest.approx(bpm, rel=0.002)
    song = analyse_song({"drums": sound}, loop=True)
    assert song.notes == ("The length is not a whole number of beats.",)
    assert song.grid.tempo_bpm == pytest.approx(bpm, rel=0.002)
    assert worst_error_s(song.grid.beats_s, beats) < 0.01


@pytest.mark.parametrize(("bpm", "beats", "swing"), [(84, 8, 0.62), (90, 16, 0.5), (92, 8, 0.5)])
def test_a_loop_whose_tempo_is_also_found_on_a_raster_is_whole(
    bpm: float, beats: int, swing: float
) -> None:
    seconds = beats * 60 / bpm
    tracked = steady_beats(2 * bpm * 1.0003, 16.0)
    sound = drum_track(steady_beats(bpm, seconds), seconds)
    late = round((swing - 0.5) * 30 / bpm * RATE)
    shuffled = Waveform(sound.samples + np.roll(sound.samples, late, axis=1), RATE)
    found = track_loop(shuffled, tracker=Hears(tracked))
    assert found.whole
    assert found.notes == ()
    assert np.log2(found.grid.tempo_bpm / bpm) == pytest.approx(
        round(np.log2(found.grid.tempo_bpm / bpm)), abs=1e-4
    )


def test_a_length_that_nothing_speaks_for_is_told() -> None:
    found = track_loop(drum_track(steady_beats(103, 20.0), 20.0), tracker=Deaf())
    assert found.whole
    assert "--tempo" in found.notes[0]
    assert track_loop(_loop(120, 8), tracker=Deaf()).notes == ()


def test_what_is_no_loop_is_refused() -> None:
    with pytest.raises(UnusableInput, match="silent"):
        track_loop(Waveform(np.zeros((1, RATE), dtype=np.float32), RATE), tracker=Deaf())
    with pytest.raises(UnusableInput, match="least"):
        track_loop(Waveform(np.ones((1, 441), dtype=np.float32), RATE), tracker=Deaf())
    with pytest.raises(UsageError, match="tempo"):
        track_loop(_loop(120, 4), tempo_hint_bpm=0.0, tracker=Deaf())


@needs_recordings
@pytest.mark.parametrize(
    ("name", "bpm"),
    [
        ("sonic_pi/loop_amen_full.flac", 140.0),
        ("sonic_pi/loop_garzul.flac", 120.0),
        ("lmms/house_loop01.ogg", 142.0),
    ],
)
def test_real_loops(name: str, bpm: float) -> None:
    samples, rate = soundfile.read(
        recordings_dir() / "loops" / name, dtype="float32", always_2d=True
    )
    found = track_loop(Waveform(np.ascontiguousarray(samples.T), rate))
    assert found.grid.tempo_bpm == pytest.approx(bpm, rel=0.001)
