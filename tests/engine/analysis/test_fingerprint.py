"""Fingerprints find an excerpt again, whatever was done to it, and nothing else."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
import soundfile as sf

from engine.analysis.fingerprint import HOP_S, best_match, fingerprint, match
from engine.audio.decode import decode
from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from tests.recordings import needs_recordings, recordings_dir

RATE = 48_000


@functools.lru_cache(maxsize=16)
def voice(seed: int, *, seconds: float = 20.0, rate: int = RATE) -> Waveform:
    """A gliding, vibrating pitch with overtones under two moving formants, in phrases."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    steps = np.arange(0, seconds + 1, 0.3)
    semitones = np.interp(time, steps, rng.integers(-7, 8, steps.size))
    pitch_hz = 220 * 2 ** ((semitones + 0.3 * np.sin(2 * np.pi * 5.5 * time)) / 12)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate
    first = np.interp(time, steps, rng.uniform(300, 900, steps.size))
    second = np.interp(time, steps, rng.uniform(900, 2200, steps.size))
    out = np.zeros(time.size)
    for overtone in range(1, 13):
        f = overtone * pitch_hz
        level = np.exp(-(((f - first) / 200) ** 2)) + 0.5 * np.exp(-(((f - second) / 300) ** 2))
        out += (level + 0.02) * np.sin(overtone * phase)
    breath = np.interp(time, steps, rng.uniform(0, 1, steps.size) > 0.15)
    return Waveform((0.2 * out * breath)[np.newaxis].astype(np.float32), rate)


def excerpt(waveform: Waveform, start_s: float, seconds: float) -> Waveform:
    first = round(start_s * waveform.sample_rate)
    samples = waveform.samples[:, first : first + round(seconds * waveform.sample_rate)]
    return Waveform(np.ascontiguousarray(samples), waveform.sample_rate)


def coded(waveform: Waveform, file_format: str) -> Waveform:
    buffer = io.BytesIO()
    sf.write(buffer, waveform.samples.T, waveform.sample_rate, format=file_format)
    buffer.seek(0)
    samples, rate = sf.read(buffer, dtype="float32", always_2d=True)
    return Waveform(np.ascontiguousarray(samples.T), rate)


@pytest.fixture(scope="module")
def library() -> dict[str, np.ndarray]:
    return {f"song {seed}": fingerprint(voice(seed)) for seed in range(6)}


TREATMENTS = {
    "as it is": lambda clip: clip,
    "quieter": lambda clip: Waveform(clip.samples * np.float32(0.05), clip.sample_rate),
    "louder, clipped": lambda clip: Waveform(
        np.clip(clip.samples * np.float32(4), -1, 1), clip.sample_rate
    ),
    "mp3": lambda clip: coded(clip, "MP3"),
    "ogg": lambda clip: coded(clip, "OGG"),
    "44.1 kHz": lambda clip: resample(clip, 44_100),
    "22 kHz mp3": lambda clip: coded(resample(clip, 22_050), "MP3"),
    "stereo": lambda clip: Waveform(np.repeat(clip.samples, 2, axis=0), clip.sample_rate),
    "noisy": lambda clip: Waveform(
        clip.samples
        + np.random.default_rng(9).normal(0, 0.005, clip.samples.shape).astype(np.float32),
        clip.sample_rate,
    ),
}


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("start_s", [0.0, 7.3456])
def test_an_excerpt_is_found_at_its_place(library, treatment, start_s):
    clip = TREATMENTS[treatment](excerpt(voice(3), start_s, 8.0))
    found = best_match(fingerprint(clip), library)
    assert found is not None
    name, hit = found
    assert name == "song 3"
    assert hit.offset_s == pytest.approx(start_s, abs=0.06)  # mp3 adds 25 to 50 ms of its own
    assert hit.bit_error_rate < 0.3
    assert hit.compared_s > 3


def test_another_song_is_not_matched(library):
    query = fingerprint(voice(77))
    assert best_match(query, library) is None
    assert all(match(query, reference) is None for reference in library.values())


def test_every_song_matches_itself_exactly(library):
    for name, reference in library.items():
        found = best_match(reference, library)
        assert found is not None
        assert found[0] == name
        assert found[1].bit_error_rate == 0
        assert found[1].confidence == 1
        assert found[1].offset_s == 0


def test_a_transposed_or_stretched_copy_is_another_recording(library):
    samples = voice(3).samples
    faster = Waveform(samples, round(RATE * 1.06))
    assert best_match(fingerprint(faster), library) is None


def test_a_clip_may_begin_before_the_reference():
    whole = voice(4)
    found = match(fingerprint(whole), fingerprint(excerpt(whole, 5.0, 15.0)))
    assert found is not None
    assert found.offset_s == pytest.approx(-5.0, abs=0.02)


def test_silence_and_short_clips_match_nothing(library):
    silent = fingerprint(Waveform(np.zeros((1, 10 * RATE), np.float32), RATE))
    assert silent.size > 0
    assert not silent.any()
    assert best_match(silent, library) is None
    assert best_match(fingerprint(excerpt(voice(3), 5, 2.5)), library) is None
    for frames in (0, 1, RATE // 4):
        assert fingerprint(Waveform(np.zeros((1, frames), np.float32), RATE)).size == 0
    assert match(silent, np.zeros(0, np.uint32)) is None


def test_silent_stretches_do_not_count():
    clip = Waveform(voice(2, seconds=20).samples.copy(), RATE)
    clip.samples[:, 4 * RATE : 12 * RATE] = 0
    hissing = Waveform(
        clip.samples
        + np.random.default_rng(3).normal(0, 1e-5, clip.samples.shape).astype(np.float32),
        RATE,
    )
    found = match(fingerprint(hissing), fingerprint(clip))
    assert found is not None
    assert found.compared_s < 13
    assert found.bit_error_rate < 0.1


def test_frames_are_hop_apart_and_deterministic():
    sound = voice(1, seconds=5)
    one = fingerprint(sound)
    assert one.dtype == np.uint32
    assert one.size == pytest.approx((5 - 0.37) / HOP_S, abs=2)
    np.testing.assert_array_equal(one, fingerprint(sound))


@needs_recordings
def test_real_vocals_are_found_and_not_confused():
    folder = recordings_dir()
    files = [
        folder / "real_stems/acapella_vocadito_1/vocals_lead__vocadito_1.wav",
        folder / "real_stems/mdn_multitrack/other_horns__horns.mp3",
        *sorted(folder.glob("real_mixes/ultrastar/*/audio.mp3"))[:2],
    ]
    sounds = {str(file): decode(file, end_s=60.0) for file in files}
    library = {name: fingerprint(sound) for name, sound in sounds.items()}
    for name, sound in sounds.items():
        clip = resample(excerpt(sound, 15.123, 10.0), 48_000)
        quiet = Waveform(clip.samples * np.float32(0.2), 48_000)
        query = fingerprint(coded(quiet, "MP3"))
        matched = {other for other, reference in library.items() if match(query, reference)}
        assert matched == {name}
        hit = match(query, library[name])
        assert hit is not None
        assert hit.offset_s == pytest.approx(15.123, abs=0.06)
