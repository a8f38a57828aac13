from __future__ import annotations

import json
import logging
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from engine.audio.checks import require_bearable
from engine.audio.decode import decode, decode_streams, probe, require_length, require_sound
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput, UsageError
from tests.engine.audio.signals import click_errors_s, click_train, sines
from tests.recordings import needs_recordings, recordings_dir

RATE = 44100
CLICKS = np.array([0, 5000, 30000, 70000])


@pytest.fixture
def clicks() -> Waveform:
    return click_train(CLICKS, 2 * RATE, RATE, channels=2)


def encode(path: Path, streams: list[Waveform], *, codec: str) -> None:
    """Write every waveform as one audio stream of a container."""
    with av.open(str(path), "w") as output:
        made = []
        for waveform in streams:
            stream = output.add_stream(codec, rate=waveform.sample_rate)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "stereo"
            made.append(stream)
        for stream, waveform in zip(made, streams, strict=True):
            frame = av.AudioFrame.from_ndarray(waveform.samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = waveform.sample_rate, 0
            resampler = av.AudioResampler(
                format=stream.format.name,
                layout="stereo",
                rate=waveform.sample_rate,
                frame_size=stream.frame_size or 1024,
            )
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                output.mux(stream.encode(part))


def add_stem_box(path: Path, names: list[str]) -> None:
    """Append ``udta/stem`` to the ``moov`` box at the end of an MP4."""
    text = json.dumps({"version": 1, "stems": [{"name": name, "color": "#fff"} for name in names]})
    stem = struct.pack(">I4s", 8 + len(text.encode()), b"stem") + text.encode()
    udta = struct.pack(">I4s", 8 + len(stem), b"udta") + stem
    data, at = bytearray(path.read_bytes()), 0
    while data[at + 4 : at + 8] != b"moov":
        at += struct.unpack(">I", data[at : at + 4])[0]
    size = struct.unpack(">I", data[at : at + 4])[0]
    assert at + size == len(data)
    inside = at + 8
    while inside < len(data):  # the writer's own user data gives way
        length = struct.unpack(">I", data[inside : inside + 4])[0]
        if data[inside + 4 : inside + 8] == b"udta":
            data[inside + 4 : inside + 8] = b"free"
        inside += length
    data[at : at + 4] = struct.pack(">I", size + len(udta))
    path.write_bytes(bytes(data) + udta)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 0.01), ("a.wav", "PCM_16", 1e-4), ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6), ("a.wav", "FLOAT", 0), ("a.wav", "DOUBLE", 0),
        ("a.aiff", "PCM_24", 1e-6), ("a.flac", "PCM_24", 1e-6),
    ],
)  # fmt: skip
def test_lossless_formats_come_back(
    tmp_path: Path, clicks: Waveform, name: str, subtype: str, error: float
) -> None:
    soundfile.write(tmp_path / name, clicks.samples.T, RATE, subtype=subtype)
    back = decode(tmp_path / name)
    assert back.samples.shape == clicks.samples.shape
    assert np.abs(back.samples - clicks.samples).max() <= error
    info = probe(tmp_path / name)
    assert (info.sample_rate, info.channels, info.streams, info.notes) == (RATE, 2, 1, ())
    assert info.duration_s == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mp3", "a.ogg"])
def test_compressed_audio_begins_at_its_true_first_sample(
    tmp_path: Path, clicks: Waveform, name: str
) -> None:
    path = tmp_path / name
    if name == "a.ogg":
        soundfile.write(path, clicks.samples.T, RATE, format="OGG", subtype="VORBIS")
    else:
        encode(path, [clicks], codec="libmp3lame" if name == "a.mp3" else "aac")
    back = decode(path)
    assert back.frames == clicks.frames
    assert np.abs(click_errors_s(back, CLICKS)).max() < 0.0005
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.001)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a"])
def test_a_part_holds_what_the_whole_holds_there(
    tmp_path: Path, clicks: Waveform, name: str
) -> None:
    path = tmp_path / name
    if path.suffix in (".wav", ".flac"):
        soundfile.write(path, clicks.samples.T, RATE)
    else:
        encode(path, [clicks], codec="libmp3lame" if name == "a.mp3" else "aac")
    whole = decode(path).samples
    assert np.array_equal(decode(path, start_s=0.5, end_s=1.25).samples, whole[:, 22050:55125])
    assert np.array_equal(decode(path, start_s=1.5, end_s=99).samples, whole[:, 66150:])
    with pytest.raises(UnusableInput) as caught:
        decode(path, start_s=5)
    assert caught.value.code == "too_short"


@pytest.mark.parametrize(("start", "end"), [(2.0, 1.0), (-1.0, None), (float("nan"), None)])
def test_parts_that_cannot_be_meant_are_refused(
    tmp_path: Path, start: float, end: float | None
) -> None:
    with pytest.raises(UsageError, match="A part from"):
        decode(tmp_path / "a.wav", start_s=start, end_s=end)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a"])
def test_names_in_any_script_work(tmp_path: Path, clicks: Waveform, suffix: str) -> None:
    path = tmp_path / f"04 絆ふぉーえばー – ű.{suffix}"
    if suffix in ("wav", "flac"):
        soundfile.write(path, clicks.samples.T, RATE)
    else:
        encode(path, [clicks], codec="libmp3lame" if suffix == "mp3" else "aac")
    assert decode(path).frames == clicks.frames


def test_six_channels_become_stereo(tmp_path: Path) -> None:
    channels = np.zeros((6, 1000), np.float32)
    channels[2] = 0.5
    soundfile.write(tmp_path / "a.wav", channels.T, RATE, subtype="FLOAT")
    assert decode(tmp_path / "a.wav").samples == pytest.approx(np.full((2, 1000), 0.5**1.5))
    assert probe(tmp_path / "a.wav").channels == 6


@pytest.mark.parametrize("rate", [8000, 192000])
def test_rates_are_kept(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((rate, 1)), rate)
    assert decode(tmp_path / "a.wav").sample_rate == rate


def test_a_stem_file_gives_its_mix_and_four_named_stems(tmp_path: Path) -> None:
    tones = [sines((200.0 * (1 + number),), 1, RATE, channels=2) for number in range(5)]
    path = tmp_path / "song.stem.mp4"
    encode(path, tones, codec="aac")
    assert [stream.title for stream in decode_streams(path)] == [""] * 5
    add_stem_box(path, ["Drums", "Bass", "Other", "Vox 絆"])
    streams = decode_streams(path)
    assert [stream.title for stream in streams] == ["mix", "Drums", "Bass", "Other", "Vox 絆"]
    assert probe(path).titles == ("mix", "Drums", "Bass", "Other", "Vox 絆")
    for stream, tone in zip(streams, tones, strict=True):
        assert stream.waveform.frames == RATE
        assert np.abs(stream.waveform.samples - tone.samples)[:, 2000:-2000].max() < 0.05
    assert np.array_equal(decode(path).samples, streams[0].waveform.samples)


def test_a_plain_file_is_one_stream(tmp_path: Path, clicks: Waveform) -> None:
    soundfile.write(tmp_path / "a.wav", clicks.samples.T, RATE)
    (only,) = decode_streams(tmp_path / "a.wav")
    assert only.waveform.frames == clicks.frames


def test_a_file_with_the_wrong_suffix_is_read_all_the_same(
    tmp_path: Path, clicks: Waveform
) -> None:
    encode(tmp_path / "a.m4a", [clicks], codec="aac")
    (tmp_path / "a.m4a").rename(tmp_path / "a.wav")
    assert decode(tmp_path / "a.wav").frames == clicks.frames


def wav(rate: int, channels: int, claimed_bytes: int, data: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return (
        b"RIFF" + struct.pack("<I", min(claimed_bytes + 36, 0xFFFFFFFF)) + b"WAVE"
        + b"fmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", claimed_bytes) + data
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.wav", b"", "empty"),
        ("a.m4a", b"", "empty"),
        ("a.wav", b"a shopping list" * 50, "not_audio"),
        ("a.m4a", b"a shopping list" * 50, "not_audio"),
        ("a.txt", b"a shopping list" * 50, "not_audio"),
        ("a.wav", b"RIFF", "truncated"),
        ("a.m4a", b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00", "truncated"),
        ("a.wav", wav(RATE, 2, 4_000_000_000, b""), "truncated"),
        ("a.wav", wav(1, 1, 200, b"\0" * 200), "bad_header"),
        ("a.wav", wav(0, 1, 200, b"\0" * 200), "truncated"),
    ],
)
def test_unusable_files_get_their_own_error(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnusableInput) as caught:
        decode(tmp_path / name)
    assert caught.value.code == code
    assert str(tmp_path / name) in caught.value.message
    assert caught.value.hint


def test_missing_files_and_folders_get_their_own_error(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "no.wav", "missing"), (tmp_path, "folder")):
        for read in (decode, probe, decode_streams):
            with pytest.raises(UnusableInput) as caught:
                read(path)
            assert caught.value.code == code


def test_a_header_that_claims_a_billion_frames_gives_what_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(RATE, 2, 4_000_000_000, b"\x00\x10" * 2000))
    with caplog.at_level(logging.WARNING):
        assert decode(path).frames == 1000
    assert "cut off" in caplog.text
    assert "cut off" in probe(path).notes[0]


@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_a_file_that_is_cut_off_gives_its_beginning(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(2).standard_normal((2, 4 * RATE)).astype(np.float32) * 0.1
    path = tmp_path / name
    if name == "a.flac":
        soundfile.write(path, noise.T, RATE)
    else:
        encode(path, [Waveform(noise, RATE)], codec="libmp3lame")
    whole = decode(path).samples
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        part = decode(path).samples
    assert 1.5 * RATE < part.shape[1] < 2.5 * RATE
    assert np.allclose(part[:, :RATE], whole[:, :RATE], atol=1e-4)
    assert str(path) in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    samples = np.zeros((RATE, 2), np.float32)
    samples[RATE // 2, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(UnusableInput, match=r"0\.500 s") as caught:
        decode(tmp_path / "a.wav")
    assert caught.value.code == "not_finite"


def test_more_than_two_hours_are_refused(tmp_path: Path) -> None:
    require_bearable(tmp_path, 2 * 48000 * 7200)
    with pytest.raises(UnusableInput) as caught:
        require_bearable(tmp_path, 2 * 48000 * 7200 + 1)
    assert caught.value.code == "too_long"


def test_a_flac_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """Also from a place that soundfile cannot find any more."""
    sound = np.random.default_rng(0).normal(0, 0.1, (10 * RATE, 1)).astype(np.float32)
    whole, cut = tmp_path / "whole.flac", tmp_path / "cut.flac"
    soundfile.write(whole, sound, RATE)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    for start_s in (1.0, 4.0):
        found = decode(cut, start_s=start_s, end_s=start_s + 2).samples[0]
        true = sound[round(start_s * RATE) :][: found.size, 0]
        assert found.size > RATE // 2
        np.testing.assert_allclose(found, true, atol=1e-3)
    with pytest.raises(UnusableInput, match="no audio at 8 s"):
        decode(cut, start_s=8.0, end_s=9.0)


def test_silence_and_shortness_are_refused() -> None:
    path = Path("a.wav")
    square = np.tile(np.array([1, -1], np.float32), RATE // 2)[None]
    nearly = Waveform(square * np.float32(0.00009), RATE)
    heard = Waveform(square * np.float32(0.00011), RATE)
    offset = Waveform(np.full((1, RATE), 0.5, np.float32), RATE)
    for silent in (nearly, offset, Waveform(np.zeros((2, 0), np.float32), RATE)):
        with pytest.raises(UnusableInput) as caught:
            require_sound(silent, path)
        assert caught.value.code == "silent"
    require_sound(heard, path)
    with pytest.raises(UnusableInput) as caught:
        require_length(heard, 1.01, path)
    assert caught.value.code == "too_short"
    require_length(heard, 1.0, path)


@needs_recordings
def test_real_files_decode_to_their_stated_length() -> None:
    folder = recordings_dir()
    for pattern in ("real_stems/**/*.m4a", "real_stems/**/*.mp3", "loops/**/*.ogg"):
        path = sorted(folder.glob(pattern))[0]
        info, waveform = probe(path), decode(path, end_s=20)
        assert waveform.sample_rate == info.sample_rate
        assert waveform.duration_s == pytest.approx(min(info.duration_s, 20), abs=0.05)
