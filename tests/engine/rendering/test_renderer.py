from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis.song import analyse_song
from engine.audio.stretch import StretchJob, default_stretcher
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.mashup.placement import Placement, WarpPoint
from engine.rendering.renderer import Session, Track, mix_tracks, render_track
from engine.theory import Role
from tests.sounds import RATE, attack_near, clicks, drifting_beats, drums


def saved(folder: Path, waveform: Waveform) -> Path:
    path = folder / "source.wav"
    soundfile.write(path, waveform.samples.T, waveform.sample_rate, subtype="FLOAT")
    return path


def placed(grid: BeatGrid, *, bars: int, start_beat: int = 0, **rest: object) -> Placement:
    options: dict[str, object] = {"loop_bars": bars, "role": "drums", **rest}
    return Placement(
        stem_id="s1", song_id="g1", start_beat=start_beat, bars=bars, beats_per_bar=4, **options
    )  # type: ignore[arg-type]


def track_of(path: Path, placement: Placement, grid: BeatGrid) -> Track:
    return Track(
        path=path,
        role=placement.role,
        warp=placement.warp(grid),
        semitones=placement.semitones,
        gain_db=placement.gain_db,
    )


def render(track: Track, bars: int, *, bpm: float = 120.0, rate: int = RATE) -> Waveform:
    return render_track(track, Session(bpm, 4, bars, rate), default_stretcher())


def errors_ms(waveform: Waveform, times_s: np.ndarray) -> np.ndarray:
    heard = [attack_near(waveform.mono(), float(t), waveform.sample_rate) for t in times_s]
    return 1000 * (np.array(heard) - times_s)


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.0, 1.1, 1.25, 1.5])
def test_every_click_lands_on_the_grid(tmp_path: Path, ratio: float) -> None:
    grid = BeatGrid.constant(120 * ratio, end_s=20)
    path = saved(tmp_path, clicks(grid.beats_s, 20))
    placement = placed(grid, bars=6)
    rendered = render(track_of(path, placement, grid), 6)
    assert rendered.frames == round(24 * 0.5 * RATE)
    errors = errors_ms(rendered, 0.5 * np.arange(24))
    assert np.abs(errors).max() < 2.0
    peaks = [np.abs(rendered.samples[:, t : t + 800]).max() for t in range(0, 24 * 22050, 22050)]
    assert peaks[0] > 0.5 * np.median(peaks)


def test_known_drift_is_warped_onto_the_grid(tmp_path: Path) -> None:
    beats = drifting_beats(60)
    grid = BeatGrid(beats[: beats.size // 4 * 4 + 1])
    path = saved(tmp_path, drums(grid.beats_s, 62))
    rendered = render(track_of(path, placed(grid, bars=grid.bars - 1), grid), grid.bars - 1)
    errors = errors_ms(rendered, 0.5 * np.arange(4 * (grid.bars - 1)))
    assert np.abs(errors).max() < 4.0


@pytest.mark.slow
def test_three_drifting_minutes_from_audio_alone(tmp_path: Path) -> None:
    """The whole way: the beat map is found, then every beat is warped onto 120 BPM."""
    waveform = drums(drifting_beats(180), 180)
    analysis = analyse_song({"drums": waveform})
    grid = analysis.grid
    path = saved(tmp_path, waveform)
    bars = grid.bars - 1
    first = 4 if grid.beats_s[0] < -0.02 else 0
    placement = placed(grid, bars=bars - first // 4, start_beat=first)
    rendered = render(track_of(path, placement, grid), placement.bars)
    errors = errors_ms(rendered, 0.5 * np.arange(4 * placement.bars))
    assert np.abs(errors).max() < 10.0


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("bpm", [59.9, 97.31, 120.0, 173.7])
def test_frame_counts_are_exact(tmp_path: Path, rate: int, bpm: float) -> None:
    grid = BeatGrid.constant(bpm * 1.07, end_s=9)
    path = saved(tmp_path, clicks(grid.beats_s, 9))
    rendered = render(track_of(path, placed(grid, bars=2), grid), 2, bpm=bpm, rate=rate)
    assert rendered.frames == round(2 * 4 * 60 / bpm * rate)


def test_a_loop_repeats_without_clicks_or_drift(tmp_path: Path) -> None:
    grid = BeatGrid.constant(100, end_s=9.6)
    t = np.arange(int(9.6 * RATE)) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 220.3 * t)).astype(np.float32)
    path = saved(tmp_path, Waveform(tone[None], RATE))
    placement = placed(grid, bars=7, loop_bars=2, role="other")
    rendered = render(track_of(path, placement, grid), 7, bpm=100)
    assert rendered.frames == round(28 * 0.6 * RATE)
    steps = np.abs(np.diff(rendered.samples[0, 200:-300]))
    assert steps.max() < 3 * 0.3 * 2 * np.pi * 220.3 / RATE
    loudness = np.sqrt(np.square(rendered.samples[0, : 28 * 26460].reshape(28, -1)).mean(axis=1))
    assert loudness.min() > 0.9 * loudness.max()


def test_looped_drums_stay_on_the_grid(tmp_path: Path) -> None:
    grid = BeatGrid.constant(93, end_s=4 * 4 * 60 / 93)
    path = saved(tmp_path, drums(grid.beats_s[:-1], 4 * 4 * 60 / 93))
    rendered = render(track_of(path, placed(grid, bars=10, loop_bars=4), grid), 10, bpm=100)
    assert np.abs(errors_ms(rendered, 0.6 * np.arange(40))).max() < 3.0


@pytest.mark.parametrize(("multiplier", "source_bpm"), [(0.5, 180.0), (2.0, 50.0)])
def test_half_and_double_time_sources(tmp_path: Path, multiplier: float, source_bpm: float) -> None:
    grid = BeatGrid.constant(source_bpm, end_s=60)
    path = saved(tmp_path, clicks(grid.beats_s, 60))
    placement = placed(grid, bars=4, multiplier=multiplier)
    rendered = render(track_of(path, placement, grid), 4, bpm=96)
    step = multiplier * 60 / 96
    times = np.arange(0, 16 * 60 / 96 - 0.01, step)
    assert np.abs(errors_ms(rendered, times)).max() < 2.0


def test_silence_before_the_file_stays_silent(tmp_path: Path) -> None:
    grid = BeatGrid.constant(120, downbeat_s=1.0, end_s=12)  # beat 0 lies at -1 s
    path = saved(tmp_path, clicks(np.arange(1.0, 12, 0.5), 12))
    rendered = render(track_of(path, placed(grid, bars=3), grid), 3, bpm=110)
    before = rendered.samples[:, : int(3.9 * 60 / 110 * RATE)]
    assert np.abs(before).max() < 1e-3


def test_sound_outside_the_clip_is_cut_with_fades(tmp_path: Path) -> None:
    t = np.arange(10 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    path = saved(tmp_path, Waveform(tone[None], RATE))
    warp = tuple(WarpPoint(0.5 * beat, float(beat)) for beat in range(17))
    track = Track(path, "vocals", warp, bounds_s=(1.25, 6.0))
    rendered = render(track, 4)
    samples = rendered.samples[0]
    assert np.abs(samples[: round(1.2 * RATE)]).max() < 1e-4
    assert np.abs(samples[round(6.05 * RATE) :]).max() < 1e-4
    assert np.abs(np.diff(samples)).max() < 1.2 * 0.5 * 2 * np.pi * 440 / RATE


def test_a_cut_through_sound_fades_at_both_ends(tmp_path: Path) -> None:
    grid = BeatGrid.constant(120, end_s=12)
    path = saved(tmp_path, Waveform(np.full((1, 12 * RATE), 0.5, dtype=np.float32), RATE))
    samples = render(track_of(path, placed(grid, bars=2, start_beat=4), grid), 2).samples[0]
    fade = round(0.005 * RATE)
    for edge in (samples[:fade], samples[::-1][:fade]):
        np.testing.assert_allclose(edge, np.linspace(0, 0.5, fade), atol=0.01)
    assert samples[fade:-fade].min() == 0.5


def test_an_attack_on_the_cut_stays(tmp_path: Path) -> None:
    grid = BeatGrid.constant(120, end_s=12)
    sound = drums(grid.beats_s, 12)
    sound.samples[:] += 0.002  # what is cut off is not silent
    path = saved(tmp_path, sound)
    samples = render(track_of(path, placed(grid, bars=2, start_beat=4), grid), 2).samples
    trace = round(0.0005 * RATE)
    assert samples[0, 0] == 0
    source = sound.samples[:, 2 * RATE :]
    np.testing.assert_array_equal(samples[:, trace:RATE], source[:, trace:RATE])


def test_gain_and_storage_gain_are_applied(tmp_path: Path) -> None:
    grid = BeatGrid.constant(120, end_s=12)
    base = track_of(saved(tmp_path, drums(grid.beats_s, 12)), placed(grid, bars=2), grid)
    quiet = render(base, 2, bpm=113)
    loud = render(replace(base, gain_db=-6.0, storage_gain_db=9.0), 2, bpm=113)
    np.testing.assert_allclose(loud.samples, quiet.samples * 10 ** (3 / 20), rtol=1e-4, atol=1e-7)


def test_tuning_is_taken_out_of_pitched_stems_only(tmp_path: Path) -> None:
    t = np.arange(9 * RATE) / RATE
    sharp = (0.4 * np.sin(2 * np.pi * 440 * 2 ** (30 / 1200) * t)).astype(np.float32)
    path = saved(tmp_path, Waveform(sharp[None], RATE))
    grid = BeatGrid.constant(120, end_s=9)
    pitched = track_of(path, placed(grid, bars=4, role="other"), grid)
    for role, expected in (("other", 0.0), ("drums", 30.0)):
        rendered = render(replace(pitched, role=role, tuning_cents=30.0), 4, bpm=120)  # type: ignore[arg-type]
        assert cents_from_a(rendered) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(("cents", "shift"), [(9.9, 2.0), (-9.9, 2.0), (10.0, 1.9), (-10.0, 2.1)])
def test_a_tuning_offset_that_is_measurement_noise_stays(cents: float, shift: float) -> None:
    warp = (WarpPoint(0.0, 0.0), WarpPoint(0.5, 1.0))
    track = Track(Path("a.wav"), "other", warp, semitones=2, tuning_cents=cents)
    assert track.pitch_shift == pytest.approx(shift)


@pytest.mark.parametrize(("role", "kept"), [("vocals", True), ("harmonic", False)])
def test_voices_alone_keep_their_formants(tmp_path: Path, role: Role, kept: bool) -> None:
    asked: list[bool] = []

    class Noting:
        def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
            asked.append(job.preserve_formants)
            return default_stretcher().stretch(waveform, job)

    grid = BeatGrid.constant(120, end_s=4)
    path = saved(tmp_path, clicks(grid.beats_s, 4))
    track = track_of(path, placed(grid, bars=1, role=role, semitones=2), grid)
    render_track(track, Session(120, 4, 1, RATE), Noting())
    assert asked == [kept]


def cents_from_a(waveform: Waveform) -> float:
    samples = waveform.samples[0, RATE : 7 * RATE]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size), 1 << 20))
    return float(1200 * np.log2(np.argmax(spectrum) * RATE / (1 << 20) / 440))


def test_mixing_keeps_length_and_widens_mono() -> None:
    mono = Waveform(np.full((1, 10), 0.25, dtype=np.float32), RATE)
    stereo = Waveform(np.full((2, 10), 0.5, dtype=np.float32), RATE)
    mixed = mix_tracks([mono, stereo])
    assert mixed.samples.shape == (2, 10)
    assert np.all(mixed.samples == 0.75)


class Smearing:
    """A stretcher after which everything is as loud as ``level`` at once."""

    def __init__(self, level: float) -> None:
        self._level = level

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        samples = np.full((1, job.frames_out), self._level, dtype=np.float32)
        return Waveform(samples, waveform.sample_rate)


@pytest.mark.parametrize(("source_begins_at", "stays"), [(0.0, False), (0.3, True)])
def test_an_attack_that_is_smeared_over_the_start_begins_without_a_step(
    tmp_path: Path, source_begins_at: float, stays: bool
) -> None:
    """What begins as loud in the source is a cut that somebody made, and stays."""
    sound = np.concatenate([[source_begins_at], np.full(3 * RATE, 0.3)]).astype(np.float32)
    grid = BeatGrid.constant(120, end_s=3)
    track = track_of(saved(tmp_path, Waveform(sound[None], RATE)), placed(grid, bars=1), grid)
    rendered = render_track(track, Session(125, 4, 1, RATE), Smearing(0.3))
    assert (rendered.samples[0, 0] == np.float32(0.3)) == stays
    assert rendered.samples[0, 100] == np.float32(0.3)
