"""Beat-grid features of sounds whose pitch, pattern and level are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.analysis.features import active_beats, beat_features
from engine.analysis.records import BEAT_ROW, LOGFREQ_BINS
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid

RATE = 44_100
A4_BIN = 45  # semitones above C1
STRENGTH_THRESHOLD = 60


def sine(frequency_hz: float, seconds: float, *, level: float = 0.5, rate: int = RATE) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    samples = level * np.sin(2 * np.pi * frequency_hz * time)
    return Waveform(samples[np.newaxis].astype(np.float32), rate)


def melody(
    *, tempo_bpm: float = 120.0, semitones: float = 0.0, beats: int = 32, rate: int = RATE
) -> Waveform:
    """Two-voice notes with overtones that change every beat or two, decaying within the beat."""
    rng = np.random.default_rng(5)
    beat_s = 60 / tempo_bpm
    out = np.zeros(round(beats * beat_s * rate))
    for beat in range(0, beats, 2):
        for pitch, length in ((rng.integers(45, 58), 2), (rng.integers(60, 76), 1)):
            frequency = 440 * 2 ** ((pitch + semitones - 69) / 12)
            time = np.arange(round(length * beat_s * rate)) / rate
            shape = np.exp(-2 * time / beat_s) * np.minimum(1, time / 0.005)
            note = sum(np.sin(2 * np.pi * frequency * h * time) / h**1.5 for h in range(1, 7))
            start = round(beat * beat_s * rate)
            out[start : start + time.size] += 0.1 * shape * note
    return Waveform(out[np.newaxis].astype(np.float32), rate)


def hit(kind: str, rate: int = RATE) -> NDArray[np.float64]:
    time = np.arange(round(0.3 * rate)) / rate
    if kind == "low":
        sweep = 55 * time - 2 * np.exp(-time / 0.03)
        return np.sin(2 * np.pi * sweep) * np.exp(-time / 0.05)
    if kind == "mid":
        return 0.6 * np.sin(2 * np.pi * 700 * time) * np.exp(-time / 0.02)
    noise = np.diff(np.random.default_rng(1).standard_normal(time.size), n=2, append=[0, 0])
    return 0.08 * noise * np.exp(-time / 0.015)


def pattern(
    hits: dict[str, tuple[float, ...]], *, tempo_bpm: float, bars: int, start_s: float = 0.0
) -> Waveform:
    """A drum pattern of one bar, repeated; hits are in beats of the bar."""
    beat_s = 60 / tempo_bpm
    out = np.zeros(round((start_s + 4 * bars * beat_s + 0.5) * RATE))
    for kind, beats in hits.items():
        sound = hit(kind)
        for bar in range(bars):
            for beat in beats:
                start = round((start_s + (4 * bar + beat) * beat_s) * RATE)
                out[start : start + sound.size] += 0.5 * sound
    return Waveform(out[np.newaxis].astype(np.float32), RATE)


def cosine(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    a, b = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_a_sine_lights_its_own_bin_and_pitch_class():
    rows = beat_features(sine(440, 4), BeatGrid.constant(120, end_s=4))
    assert rows.dtype == BEAT_ROW
    assert rows.shape == (8,)
    inner = rows[1:-1]
    assert np.all(inner["logfreq"].argmax(axis=2) == A4_BIN)
    assert np.all(inner["logfreq"][:, :, A4_BIN] >= 250)
    far = np.abs(np.arange(LOGFREQ_BINS) - A4_BIN) > 2
    assert inner["logfreq"][:, :, far].max() < 96  # 50 dB down
    assert np.all(inner["chroma"].argmax(axis=1) == 9)
    assert inner["chroma"][:, 9].min() > 0.9


@pytest.mark.parametrize("semitone", [0, 23, 40, 59, 83, 95])
@pytest.mark.parametrize("rate", [44_100, 48_000, 32_000, 96_000])
def test_every_octave_and_rate_reads_the_same_pitch(semitone, rate):
    frequency = 32.70319566 * 2 ** (semitone / 12)
    rows = beat_features(sine(frequency, 3, rate=rate), BeatGrid.constant(80, end_s=3))
    assert np.all(rows["logfreq"][1:3].argmax(axis=2) == semitone)


def test_bins_above_the_nyquist_frequency_stay_empty():
    noise = np.random.default_rng(2).standard_normal((1, 8000 * 3)).astype(np.float32) * 0.1
    rows = beat_features(Waveform(noise, 8000), BeatGrid.constant(80, end_s=3))
    assert rows["logfreq"][:, :, 84:].max() == 0  # C8 is 4 186 Hz
    assert rows["logfreq"][1:3, :, 24:80].min() > 0


@pytest.mark.parametrize("semitones", [-5, -3, 2, 6])
def test_transposing_the_sound_rolls_chroma_and_shifts_logfreq(semitones):
    grid = BeatGrid.constant(120, end_s=16)
    plain = beat_features(melody(), grid)
    moved = beat_features(melody(semitones=semitones), grid)
    assert cosine(np.roll(plain["chroma"], semitones, axis=1), moved["chroma"]) > 0.98
    shifted = np.roll(plain["logfreq"], semitones, axis=2)[:, :, 8:72]
    assert cosine(shifted, moved["logfreq"][:, :, 8:72]) > 0.97
    assert cosine(plain["chroma"], moved["chroma"]) < 0.9


@pytest.mark.parametrize("tempo_bpm", [84.0, 97.3, 150.0])
def test_stretching_sound_and_grid_together_changes_nothing(tempo_bpm):
    plain = beat_features(melody(), BeatGrid.constant(120, end_s=16))
    seconds = 32 * 60 / tempo_bpm
    other = beat_features(melody(tempo_bpm=tempo_bpm), BeatGrid.constant(tempo_bpm, end_s=seconds))
    assert plain.shape == other.shape
    for field in ("logfreq", "chroma", "bands"):
        assert cosine(plain[field], other[field]) > 0.98, field


@pytest.mark.parametrize("tempo_bpm", [70.0, 124.0, 174.0])
@pytest.mark.parametrize("start_s", [0.0, 0.737])
def test_a_drum_pattern_lands_on_its_exact_steps(tempo_bpm, start_s):
    hits = {"low": (0.0, 2.75), "mid": (1.0, 3.0), "high": (0.5, 4 / 3, 5 / 3, 2.5, 3.5)}
    sound = pattern(hits, tempo_bpm=tempo_bpm, bars=4, start_s=start_s)
    grid = BeatGrid.constant(tempo_bpm, downbeat_s=start_s, end_s=sound.duration_s)
    first = round(grid.beat_at(start_s))
    rows = beat_features(sound, grid)[first : first + 16]
    onsets = rows["onsets"].reshape(4, 48, 3)
    for band, kind in enumerate(("low", "mid", "high")):
        expected = sorted(round(beat * 12) for beat in hits[kind])
        for bar in range(4):
            strong = np.flatnonzero(onsets[bar, :, band] > STRENGTH_THRESHOLD)
            assert set(expected) <= set(strong), (kind, bar)
        steady = np.flatnonzero((onsets[:, :, band] > 128).all(axis=0))
        assert steady.tolist() == expected, kind
    assert rows["onsets"].max() == 255


def test_an_attack_just_before_the_beat_belongs_to_the_beat():
    early = pattern({"high": (0.97, 2.97)}, tempo_bpm=120, bars=2)
    rows = beat_features(early, BeatGrid.constant(120, end_s=4.4))
    high = rows["onsets"][:8, :, 2]
    assert np.all(high[[1, 3, 5, 7], 0] > 128)
    assert high[[0, 2, 4, 6]].max() < STRENGTH_THRESHOLD


@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_onsets_do_not_depend_on_the_level(gain):
    sound = pattern({"low": (0, 2), "high": (1, 3)}, tempo_bpm=120, bars=4)
    grid = BeatGrid.constant(120, end_s=8)
    plain = beat_features(sound, grid)["onsets"]
    quiet = beat_features(Waveform(sound.samples * np.float32(gain), RATE), grid)["onsets"]
    assert cosine(plain, quiet) > 0.999


def test_a_hi_hat_alone_does_not_look_like_a_kick():
    hats = pattern({"high": (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5)}, tempo_bpm=120, bars=4)
    onsets = beat_features(hats, BeatGrid.constant(120, end_s=8))["onsets"]
    assert onsets[:, :, 2].max() == 255
    assert onsets[:, :, 0].max() < 100


def test_a_steady_chord_has_one_attack():
    chord = sum(sine(f, 8, level=0.2).samples for f in (220.0, 277.18, 329.63))
    onsets = beat_features(Waveform(chord, RATE), BeatGrid.constant(120, end_s=8))["onsets"]
    assert onsets[0, 0].max() == 255
    assert onsets[1:15].max() < STRENGTH_THRESHOLD


def test_tuning_moves_the_bins_with_the_recording():
    grid = BeatGrid.constant(120, end_s=16)
    tuned = beat_features(melody(), grid)
    followed = beat_features(melody(semitones=0.4), grid, tuning_cents=40)
    ignored = beat_features(melody(semitones=0.4), grid)
    assert cosine(tuned["chroma"], followed["chroma"]) > 0.995
    assert cosine(tuned["logfreq"], followed["logfreq"]) > 0.99
    assert cosine(tuned["chroma"], ignored["chroma"]) < 0.99


def test_bands_are_weighted_rms():
    grid = BeatGrid.constant(120, end_s=4)
    mid = beat_features(sine(1000, 4, level=0.5), grid)["bands"][2]
    assert mid[1] == pytest.approx(0.5 / np.sqrt(2), rel=0.02)  # 1 kHz is the reference
    assert mid[0] < 0.002
    assert mid[2] < 0.002
    low = beat_features(sine(60, 4, level=0.5), grid)["bands"][2]
    assert 20 * np.log10(low[0] / mid[1]) == pytest.approx(-9.0, abs=1.5)  # B curve at 60 Hz
    high = beat_features(sine(4000, 4, level=0.5), grid)["bands"][2]
    assert high.argmax() == 2


def test_silence_is_all_zeros():
    grid = BeatGrid.constant(120, end_s=4)
    for samples in (np.zeros((2, 4 * RATE)), np.full((1, 4 * RATE), 1e-6)):
        rows = beat_features(Waveform(samples.astype(np.float32), RATE), grid)
        assert rows.tobytes() == np.zeros(8, dtype=BEAT_ROW).tobytes()
        assert not active_beats(rows).any()


def test_an_empty_waveform_gives_zero_rows():
    rows = beat_features(
        Waveform(np.zeros((1, 0), np.float32), RATE), BeatGrid.constant(120, end_s=2)
    )
    assert rows.shape == (4,)
    assert not rows["logfreq"].any()


def test_beats_outside_the_audio_are_zeros_and_short_audio_works():
    grid = BeatGrid(np.arange(-4, 13) * 0.5)  # two beats of sound, a bar before, 2.5 bars after
    rows = beat_features(sine(440, 1.0), grid)
    assert rows.shape == (16,)
    assert np.all(rows["chroma"][4:6].argmax(axis=1) == 9)
    assert not rows["bands"][:3].any()
    assert not rows["bands"][7:].any()
    assert active_beats(rows).tolist() == [False] * 4 + [True] * 2 + [False] * 10


def test_broken_samples_do_not_spread():
    sound = sine(440, 4)
    sound.samples[0, 1000:1010] = np.nan
    sound.samples[0, 2000] = np.inf
    rows = beat_features(sound, BeatGrid.constant(120, end_s=4))
    assert np.isfinite(rows["chroma"]).all()
    assert np.isfinite(rows["bands"]).all()
    assert rows["chroma"][3:-1].argmax(axis=1).tolist() == [9] * 4


def test_the_same_sound_gives_the_same_bytes():
    grid = BeatGrid.constant(97, end_s=16)
    assert beat_features(melody(), grid).tobytes() == beat_features(melody(), grid).tobytes()


def test_active_beats_follow_the_stem_and_not_its_bleed():
    time = np.arange(16 * RATE) / RATE
    level = np.where((time % 8) < 4, 0.3, 0.3 * 10 ** (-45 / 20))
    samples = (level * np.sin(2 * np.pi * 500 * time)).astype(np.float32)[np.newaxis]
    grid = BeatGrid.constant(120, end_s=16)
    active = active_beats(beat_features(Waveform(samples, RATE), grid))
    assert active[:8].all()
    assert active[16:24].all()
    assert not active[9:16].any()
    assert not active[25:].any()


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(0, 20_000),
    st.sampled_from([8000, 22_050, 44_100]),
    st.floats(40, 220),
    st.floats(-3, 3),
    st.integers(0, 1000),
)
def test_any_grid_over_any_sound_gives_finite_rows(channels, frames, rate, tempo, start, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)
    grid = BeatGrid.constant(tempo, downbeat_s=start, start_s=start, end_s=start + 5)
    rows = beat_features(Waveform(samples, rate), grid)
    assert rows.shape == (grid.intervals,)
    assert np.isfinite(rows["bands"]).all()
    assert (rows["bands"] >= 0).all()
    norms = np.linalg.norm(rows["chroma"].astype(np.float64), axis=1)
    assert np.all((norms == 0) | (np.abs(norms - 1) < 2e-3))
