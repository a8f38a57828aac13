from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.decode import decode
from engine.audio.encode import BitDepth, FileFormat, write_audio
from engine.audio.waveform import Waveform
from engine.errors import UnwritableOutput, UsageError
from tests.engine.audio.signals import sines

RATE = 44100


@pytest.mark.parametrize(
    ("file_format", "bit_depth", "error"),
    [
        ("wav", "16", 2.0 / (1 << 15)),
        ("wav", "24", 1.0 / (1 << 23)),
        ("wav", "32f", 0.0),
        ("flac", "16", 2.0 / (1 << 15)),
        ("flac", "24", 1.0 / (1 << 23)),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_back(
    tmp_path: Path, file_format: FileFormat, bit_depth: BitDepth, error: float, channels: int
) -> None:
    path = tmp_path / f"04 絆ふぉーえばー – ű.{file_format}"
    tone = sines((441.0, 600.0), 0.3, RATE, channels=channels)
    written = write_audio(path, tone, file_format=file_format, bit_depth=bit_depth)
    back = decode(path)
    assert (written.frames, written.clipped) == (tone.frames, 0)
    assert back.samples.shape == tone.samples.shape
    assert np.abs(back.samples - tone.samples).max() <= error
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_floats_over_full_scale_survive_and_integers_clip_without_wrapping(tmp_path: Path) -> None:
    loud = Waveform(np.array([[0.0, 1.5, -3.0, 1.0, -1.0, 0.25]], np.float32), RATE)
    write_audio(tmp_path / "f.wav", loud, file_format="wav", bit_depth="32f")
    assert np.array_equal(decode(tmp_path / "f.wav").samples, loud.samples)
    for bit_depth in ("16", "24"):
        path = tmp_path / f"{bit_depth}.wav"
        written = write_audio(path, loud, file_format="wav", bit_depth=bit_depth)  # type: ignore[arg-type]
        assert written.clipped == 2
        expected = np.clip(loud.samples, -1, 1)
        assert np.abs(decode(path).samples - expected).max() < 1e-4


def test_dither_is_the_same_every_time_linear_and_silent_in_silence(tmp_path: Path) -> None:
    quiet = Waveform(np.full((1, 200_000), 0.3 / (1 << 15), np.float32), RATE)
    for name in ("a.wav", "b.wav"):
        write_audio(tmp_path / name, quiet, file_format="wav", bit_depth="16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    levels = soundfile.read(tmp_path / "a.wav", dtype="int16")[0]
    assert levels.mean() == pytest.approx(0.3, abs=0.01)
    assert levels.var() == pytest.approx(0.25, abs=0.1)
    silence = Waveform(np.zeros((2, 1000), np.float32), RATE)
    write_audio(tmp_path / "s.wav", silence, file_format="wav", bit_depth="16")
    assert not decode(tmp_path / "s.wav").samples.any()


def test_flac_with_floats_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="FLAC holds no floating-point"):
        write_audio(
            tmp_path / "a.flac", sines((441.0,), 0.1, RATE), file_format="flac", bit_depth="32f"
        )
    assert not list(tmp_path.iterdir())


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    bad = Waveform(np.array([[0.0, np.nan]], np.float32), RATE)
    with pytest.raises(UsageError, match="not numbers"):
        write_audio(tmp_path / "a.wav", bad, file_format="wav", bit_depth="24")


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"mine")
    tone = sines((441.0,), 0.1, RATE)
    with pytest.raises(UnwritableOutput) as caught:
        write_audio(path, tone, file_format="wav", bit_depth="24")
    assert caught.value.code == "exists"
    assert path.read_bytes() == b"mine"
    write_audio(path, tone, file_format="wav", bit_depth="24", overwrite=True)
    assert decode(path).frames == tone.frames
