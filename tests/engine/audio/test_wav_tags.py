"""Chunks after the samples, read back by libsndfile and FFmpeg."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from engine.audio.wav_tags import WavTags, tag_wav
from engine.theory import Key

TAGS = WavTags("Bed ű harmonic", 120.0, 8, 4, Key(9, "minor"))


def written(path: Path, frames: int, subtype: str = "PCM_24", channels: int = 1) -> None:
    rng = np.random.default_rng(frames)
    soundfile.write(path, rng.uniform(-0.5, 0.5, (frames, channels)), 44100, subtype=subtype)


@pytest.mark.parametrize("frames", [176400, 176401])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_the_sound_stays_and_the_tags_are_read(tmp_path: Path, frames: int, subtype: str) -> None:
    path = tmp_path / "a.wav"
    written(path, frames, subtype)
    before = soundfile.read(path)[0]
    head = bytearray(path.read_bytes()[8:16384])
    tag_wav(path, TAGS)
    assert np.array_equal(soundfile.read(path)[0], before)
    if subtype == "FLOAT":
        seconds = head.index(b"PEAK") + 12
        head[seconds : seconds + 4] = b"\0" * 4
    assert path.read_bytes()[8:16384] == head
    info = soundfile.info(path, verbose=True).extra_info
    assert "Tempo     : 120.0" in info
    assert "Beats     : 8" in info
    assert "Root note : 0x45" in info
    assert f"End : {frames - 1}" in info
    assert "labl : 2 : Bar 2" in info
    assert "Pos : 88200" in info.replace("Pos :     ", "Pos : ")
    with av.open(str(path)) as file:
        assert file.metadata["comment"] == "Bed ű harmonic"
        assert file.metadata["encoded_by"] == "dawlink"


def test_drums_have_no_root_note_and_the_bytes_repeat(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        written(tmp_path / name, 44100)
        tag_wav(tmp_path / name, WavTags("Kit", 97.25, 4, 3, None, loop=False))
    info = soundfile.info(tmp_path / "a.wav", verbose=True).extra_info
    assert "Flags     : 0x0004" in info
    assert "smpl" not in info
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(("subtype", "channels"), [("FLOAT", 1), ("FLOAT", 2), ("DOUBLE", 2)])
def test_float_files_of_two_days_are_the_same_bytes(
    tmp_path: Path, subtype: str, channels: int
) -> None:
    days = []
    for name, day in (("a.wav", 1_700_000_000), ("b.wav", 1_800_000_000)):
        path = tmp_path / name
        written(path, 4410, subtype, channels)
        data = bytearray(path.read_bytes())
        version, seconds = struct.unpack_from("<2I", data, data.index(b"PEAK") + 8)
        assert version == 1
        assert abs(seconds - path.stat().st_mtime) < 3600  # the clock, as libsndfile writes it
        struct.pack_into("<I", data, data.index(b"PEAK") + 12, day)
        path.write_bytes(data)
        tag_wav(path, TAGS)
        days.append(path.read_bytes())
    assert days[0] == days[1]
    samples = soundfile.read(tmp_path / "a.wav", always_2d=True)[0]
    peak_at = days[0].index(b"PEAK") + 16
    values = struct.unpack_from("<" + "fI" * channels, days[0], peak_at)
    assert values[::2] == pytest.approx(np.abs(samples).max(axis=0))  # the peaks themselves stay
    assert values[1::2] == tuple(np.abs(samples).argmax(axis=0))


def test_samples_that_spell_a_chunk_are_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    spelt = np.frombuffer(b"PEAK" + struct.pack("<3I", 8, 1, 7), dtype="<i2")
    soundfile.write(path, np.tile(spelt, 50), 44100, subtype="PCM_16")
    tag_wav(path, TAGS)
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], np.tile(spelt, 50))


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name, subtype, kind in (("a.flac", "PCM_16", "FLAC"), ("b.wav", "PCM_16", "RF64")):
        path = tmp_path / name
        soundfile.write(path, np.zeros(100), 44100, subtype=subtype, format=kind)
        before = path.read_bytes()
        tag_wav(path, TAGS)
        assert path.read_bytes() == before
