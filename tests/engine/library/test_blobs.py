from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.waveform import Waveform
from engine.errors import LibraryUnusable, UnusableInput
from engine.library.blobs import BlobStore, audio_key
from tests.engine.library.songs import RATE, beat_rows, tone


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_audio_of_a_16_bit_file_returns_bit_for_bit(blobs: BlobStore) -> None:
    exact = np.random.default_rng(0).integers(-32768, 32768, (2, 3000)) / np.float32(32768)
    given = Waveform(exact.astype(np.float32), 44100)
    stored = blobs.store_audio(given)
    back = blobs.waveform(stored, 0, -1)
    assert stored.gain_db == 0.0
    assert back.sample_rate == 44100
    np.testing.assert_array_equal(back.samples, given.samples)


def test_audio_above_full_scale_is_scaled_and_its_gain_brings_it_back(blobs: BlobStore) -> None:
    given = tone(1, peak=4.0)
    stored = blobs.store_audio(given)
    assert stored.gain_db == pytest.approx(12.0412, abs=1e-3)
    raw, _ = soundfile.read(blobs.path("audio", stored.sha), dtype="float32")
    assert np.abs(raw).max() <= 1.0
    np.testing.assert_allclose(blobs.waveform(stored, 0, -1).samples, given.samples, atol=1e-6)


def test_a_part_of_the_audio_is_read_alone(blobs: BlobStore) -> None:
    given = tone(2)
    part = blobs.waveform(blobs.store_audio(given), 100, 50)
    np.testing.assert_allclose(part.samples, given.samples[:, 100:150], atol=1e-6)


def test_the_same_audio_in_another_container_is_stored_once(
    blobs: BlobStore, tmp_path: Path
) -> None:
    first = blobs.store_audio(tone(3))
    quantised, _ = soundfile.read(blobs.path("audio", first.sha), dtype="float32", always_2d=True)
    container = io.BytesIO()
    soundfile.write(container, quantised, RATE, format="WAV", subtype="PCM_24")
    container.seek(0)
    again, _ = soundfile.read(container, dtype="float32", always_2d=True)
    second = blobs.store_audio(Waveform(np.ascontiguousarray(again.T), RATE))
    assert second.sha == first.sha
    assert len(files(tmp_path)) == 1


def test_the_key_tells_rate_channels_and_samples_apart() -> None:
    one = np.linspace(-0.5, 0.5, 64, dtype=np.float32)
    keys = {
        audio_key(Waveform(one.reshape(shape), rate)).sha
        for shape, rate in (((1, 64), 8000), ((2, 32), 8000), ((1, 64), 16000))
    }
    changed = one.copy()
    changed[10] += 2.0**-22
    keys.add(audio_key(Waveform(changed.reshape(1, 64), 8000)).sha)
    assert len(keys) == 4


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_every_channel_count_of_flac_is_stored(blobs: BlobStore, channels: int) -> None:
    given = tone(4, channels=channels, frames=500)
    stored = blobs.store_audio(given)
    assert blobs.is_whole("audio", stored.sha)
    np.testing.assert_allclose(blobs.waveform(stored, 0, -1).samples, given.samples, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((2, 0)), 44100),
        (np.full((1, 10), np.nan), 44100),
        (np.full((1, 10), np.inf), 44100),
        (np.zeros((9, 10)), 44100),
        (np.zeros((1, 10)), 1_000_000),
    ],
)
def test_audio_that_cannot_be_kept_is_refused(
    blobs: BlobStore, tmp_path: Path, samples: np.ndarray, rate: int
) -> None:
    with pytest.raises(UnusableInput) as caught:
        blobs.store_audio(Waveform(samples.astype(np.float32), rate))
    assert caught.value.hint
    assert files(tmp_path) == []


def test_features_are_mapped_read_only(blobs: BlobStore) -> None:
    rows = beat_rows(0, 16)
    back = blobs.features(blobs.store_features(rows))
    assert isinstance(back, np.memmap)
    assert not back.flags.writeable
    np.testing.assert_array_equal(back, rows)


def test_features_that_are_no_plain_numbers_are_refused(blobs: BlobStore) -> None:
    with pytest.raises(ValueError, match="object"):
        blobs.store_features(np.array([{}]))
    with pytest.raises(ValueError, match="shape"):
        blobs.store_features(beat_rows(0, 0))


def test_a_flipped_bit_and_a_cut_file_are_noticed(blobs: BlobStore) -> None:
    audio = blobs.store_audio(tone(5)).sha
    features = blobs.store_features(beat_rows(5, 8))
    for kind, sha in (("audio", audio), ("features", features)):
        path = blobs.path(kind, sha)  # type: ignore[arg-type]
        whole = path.read_bytes()
        assert blobs.is_whole(kind, sha)  # type: ignore[arg-type]
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        assert not blobs.is_whole(kind, sha)  # type: ignore[arg-type]
        path.write_bytes(whole[:middle])
        assert not blobs.is_whole(kind, sha)  # type: ignore[arg-type]


def test_a_missing_or_damaged_file_is_said_clearly(blobs: BlobStore) -> None:
    audio = blobs.store_audio(tone(6))
    sha = blobs.store_features(beat_rows(6, 8))
    for path in (blobs.path("audio", audio.sha), blobs.path("features", sha)):
        path.write_bytes(b"not what it was")
    for read in (lambda: blobs.waveform(audio, 0, -1), lambda: blobs.features(sha)):
        with pytest.raises(LibraryUnusable, match="damaged"):
            read()
    blobs.path("audio", audio.sha).unlink()
    blobs.path("features", sha).unlink()
    for read in (lambda: blobs.waveform(audio, 0, -1), lambda: blobs.features(sha)):
        with pytest.raises(LibraryUnusable, match="missing"):
            read()
