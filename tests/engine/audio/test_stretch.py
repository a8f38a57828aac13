"""One contract for every stretcher: where attacks land, what is in tune, how long it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import stretch as stretch_module
from engine.audio.stretch import (
    RubberBandInProcess,
    RubberBandProgram,
    Stretcher,
    StretchJob,
    default_stretcher,
)
from engine.audio.waveform import Waveform
from engine.errors import MissingDependency, UsageError
from tests.engine.audio.signals import (
    click_errors_s,
    click_levels,
    click_train,
    frequency_hz,
    sines,
)

RATE = 44100


@pytest.fixture(params=[RubberBandInProcess, RubberBandProgram])
def stretcher(request: pytest.FixtureRequest) -> Stretcher:
    try:
        made: Stretcher = request.param()
    except MissingDependency as missing:
        pytest.skip(missing.message)
    return made


def steady(frames: int, ratio: float, **options: float | bool) -> StretchJob:
    out = round(frames * ratio)
    return StretchJob(((0, 0), (frames, out)), out, **options)  # type: ignore[arg-type]


def drifting_beats_s(seconds: float, depth: float) -> NDArray[np.float64]:
    """Beats at 120 BPM whose tempo swings by ±depth every 20 s."""
    times = [0.0]
    while times[-1] < seconds:
        tempo = 120 * (1 + depth * np.sin(2 * np.pi * times[-1] / 20))
        times.append(times[-1] + 60 / tempo)
    return np.array(times)


def beat_job(source: NDArray[np.int64], target: NDArray[np.int64], tail: int = 0) -> StretchJob:
    anchors = tuple(zip(source.tolist(), target.tolist(), strict=True))
    return StretchJob(anchors, int(target[-1]) + tail)


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.0, 1.1, 1.25, 1.5])
def test_every_click_lands_within_2_ms_and_the_first_is_there(
    stretcher: Stretcher, ratio: float
) -> None:
    frames = 8 * RATE
    at = np.arange(0, frames - RATE // 2, RATE // 2 + 37)
    result = stretcher.stretch(click_train(at, frames, RATE), steady(frames, ratio))
    assert np.abs(click_errors_s(result, at * ratio)).max() < 0.002
    levels = click_levels(result, at * ratio)
    assert levels[0] > 0.6 * np.median(levels)
    assert levels.min() > 0.25


def test_a_drifting_performance_becomes_steady(stretcher: Stretcher) -> None:
    source = np.round(drifting_beats_s(60, 0.04) * RATE).astype(np.int64)
    target = np.round(np.arange(source.size) * 60 / 110 * RATE).astype(np.int64)
    clicks = click_train(source, int(source[-1]) + RATE, RATE)
    result = stretcher.stretch(clicks, beat_job(source, target, tail=RATE))
    assert np.abs(click_errors_s(result, target)).max() < 0.003


def test_transposed_attacks_stay_in_place(stretcher: Stretcher) -> None:
    frames = 5 * RATE
    at = np.arange(0, frames - RATE // 2, RATE // 2 + 37)
    result = stretcher.stretch(click_train(at, frames, RATE), steady(frames, 1.1, semitones=-3))
    assert np.abs(click_errors_s(result, at * 1.1)).max() < 0.002


@pytest.mark.parametrize("semitones", [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5])
def test_a_chord_is_in_tune_and_as_loud_as_before(stretcher: Stretcher, semitones: int) -> None:
    partials = (110.0, 220.0, 277.18, 329.63, 880.0)
    chord = sines(partials, 2, RATE)
    result = stretcher.stretch(chord, steady(chord.frames, 1.1, semitones=semitones))
    for partial in partials:
        wanted = partial * 2 ** (semitones / 12)
        assert abs(1200 * np.log2(frequency_hz(result, wanted) / wanted)) < 5
    level_db = 20 * np.log10(result.samples.std() / chord.samples.std())
    assert abs(level_db) < 1


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_length_rate_and_channels_are_exact(stretcher: Stretcher, rate: int, channels: int) -> None:
    tone = sines((300.0,), 0.5, rate, channels=channels)
    job = StretchJob(((0, 17), (tone.frames, 17 + round(tone.frames * 1.13))), 12345, 1.0)
    result = stretcher.stretch(tone, job)
    assert (result.channels, result.frames, result.sample_rate) == (channels, 12345, rate)


def test_channels_keep_their_levels(stretcher: Stretcher) -> None:
    tone = sines((300.0,), 2, RATE).samples[0]
    result = stretcher.stretch(Waveform(np.stack([tone, tone / 4]), RATE), steady(tone.size, 1.2))
    left, right = result.samples.std(axis=1)
    assert left / right == pytest.approx(4, rel=0.02)


def test_changing_slopes_make_no_click_in_a_steady_tone(stretcher: Stretcher) -> None:
    source = np.round(drifting_beats_s(10, 0.04) * RATE).astype(np.int64)
    target = np.round(np.arange(source.size) * 0.5 * RATE).astype(np.int64)
    tone = sines((440.0,), 11, RATE)
    result = stretcher.stretch(tone, beat_job(source, target)).samples[0]
    inner = result[RATE // 2 : -RATE // 2]
    steepest = np.abs(np.diff(tone.samples[0])).max()
    assert np.abs(np.diff(inner)).max() < 1.1 * steepest


def test_the_formant_of_a_vowel_stays_when_asked(stretcher: Stretcher) -> None:
    vowel = vowel_like(150.0, formant_hz=1200.0)
    plain = stretcher.stretch(vowel, steady(vowel.frames, 1.0, semitones=5))
    kept = stretcher.stretch(vowel, steady(vowel.frames, 1.0, semitones=5, preserve_formants=True))
    before = envelope_peak_hz(vowel, 150.0)
    assert envelope_peak_hz(plain, 150.0 * 2 ** (5 / 12)) > 1.2 * before
    assert envelope_peak_hz(kept, 150.0 * 2 ** (5 / 12)) == pytest.approx(before, rel=0.12)


def test_a_warp_that_changes_nothing_is_a_copy(stretcher: Stretcher) -> None:
    noise = Waveform(np.random.default_rng(1).standard_normal((2, 5000)).astype(np.float32), RATE)
    result = stretcher.stretch(noise, StretchJob(((100, 0), (300, 200), (900, 800)), 6000))
    assert np.array_equal(result.samples[:, :4900], noise.samples[:, 100:])
    assert not result.samples[:, 4900:].any()


def test_the_middle_of_a_file_keeps_what_sounds_across_its_start(stretcher: Stretcher) -> None:
    tone = sines((440.0,), 6, RATE)
    job = StretchJob(((2 * RATE, 0), (4 * RATE, round(2.2 * RATE))), round(2.2 * RATE))
    result = stretcher.stretch(tone, job).samples[0]
    first_50_ms = result[: RATE // 20].std()
    assert first_50_ms == pytest.approx(tone.samples.std(), rel=0.1)


def test_silence_stays_silent(stretcher: Stretcher) -> None:
    result = stretcher.stretch(Waveform(np.zeros((2, RATE), np.float32), RATE), steady(RATE, 1.2))
    assert result.frames == round(RATE * 1.2)
    assert not result.samples.any()


def test_slopes_that_jump_every_beat_do_not_add_up() -> None:
    random = np.random.default_rng(3)
    source = np.arange(0, 40 * RATE, RATE // 2)
    steps = random.uniform(0.8, 1.25, source.size - 1) * np.diff(source)
    target = np.concatenate(([0], np.cumsum(steps))).round().astype(np.int64)
    clicks = click_train(source, int(source[-1]) + RATE, RATE)
    result = RubberBandInProcess().stretch(clicks, beat_job(source, target, tail=RATE))
    assert np.abs(click_errors_s(result, target)).max() < 0.002


@pytest.mark.parametrize(
    "anchors",
    [((0, 0),), ((0, 0), (10, 0)), ((0, 0), (10, 5), (9, 8)), ((0, 0), (10, 1000))],
)
def test_anchors_that_cannot_be_followed_are_refused(anchors: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError, match="cannot be warped"):
        StretchJob(anchors, 100)


@pytest.mark.parametrize("semitones", [float("nan"), 25.0, -300.0])
def test_transpositions_that_cannot_be_meant_are_refused(semitones: float) -> None:
    with pytest.raises(UsageError, match="semitones"):
        StretchJob(((0, 0), (10, 10)), 10, semitones)


def test_without_the_package_the_program_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: object) -> None:
        raise MissingDependency("gone", code="pylibrb")

    assert isinstance(default_stretcher(), RubberBandInProcess)
    monkeypatch.setattr(RubberBandInProcess, "__init__", missing)
    monkeypatch.setattr(stretch_module.shutil, "which", lambda name: "/usr/bin/rubberband")
    assert isinstance(default_stretcher(), RubberBandProgram)
    monkeypatch.setattr(stretch_module.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependency) as caught:
        default_stretcher()
    assert caught.value.code == "pylibrb"


def vowel_like(pitch_hz: float, *, formant_hz: float) -> Waveform:
    """Harmonics up to 5 kHz under one resonance 200 Hz wide."""
    time_s = np.arange(3 * RATE) / RATE
    wave = np.zeros(time_s.size)
    for number in range(1, int(5000 / pitch_hz)):
        frequency = number * pitch_hz
        gain = 1 / (1 + ((frequency - formant_hz) / 200) ** 2) + 0.01
        wave += gain * np.sin(2 * np.pi * frequency * time_s + number)
    return Waveform((0.1 * wave).astype(np.float32)[np.newaxis], RATE)


def envelope_peak_hz(waveform: Waveform, pitch_hz: float) -> float:
    """Centre of gravity of the harmonics' energies: the formant's frequency."""
    middle = waveform.samples[0, RATE // 2 : 2 * RATE]
    power = np.abs(np.fft.rfft(middle * np.hanning(middle.size))) ** 2
    at_hz = np.fft.rfftfreq(middle.size, 1 / RATE)
    band = (at_hz > pitch_hz / 2) & (at_hz < 5000)
    return float(np.average(at_hz[band], weights=power[band] ** 2))
