"""Live's files: what is read comes back unchanged, and hostile files are turned away."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dawlink.daw.live import set_file
from dawlink.daw.live.set_file import read_set, set_bytes
from dawlink.daw.live.sets import faults_of
from engine.errors import UnusableInput
from tests.recordings import needs_recordings, recordings_dir

SAMPLES = sorted((recordings_dir() / "daw_samples").rglob("*.al[sc]"))
GOOD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Ableton MajorVersion="5" MinorVersion="12.0_12203">'
    b'<LiveSet><NextPointeeId Value="1" /><Tracks /><MainTrack /><Scenes /></LiveSet></Ableton>\n'
)


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@needs_recordings
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_read_and_written_again_it_is_the_same_set(path: Path) -> None:
    again = gzip.decompress(set_bytes(read_set(path)))
    assert ElementTree.canonicalize(again) == ElementTree.canonicalize(unpacked(path))
    if path.suffix == ".als":
        assert again == unpacked(path)


@needs_recordings
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_real_sets_obey_the_rules_that_dawlink_checks(path: Path) -> None:
    assert faults_of(read_set(path)) == []


def test_the_gzip_header_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(GOOD)
    packed = set_bytes(read_set(path))
    assert packed[:2] == b"\x1f\x8b"
    assert packed[3] == 0  # Live's browser skips clips whose header names a file
    assert packed[4:8] == b"\0\0\0\0"


def bomb(data: bytes) -> bytes:
    entities = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>'
    return data.replace(b"<Ableton", entities + b"<Ableton").replace(b'Value="1"', b'Value="&y;"')


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "not XML": lambda data: b"RIFF\0\0\0\0WAVE",
    "cut off": lambda data: gzip.compress(data)[:-20],
    "damaged": lambda data: gzip.compress(data)[:30] + b"\xff" * 40,
    "cut off inside": lambda data: gzip.compress(data[: len(data) // 2]),
    "entities": bomb,
    "another root": lambda data: data.replace(b"Ableton", b"Session"),
    "no tracks": lambda data: data.replace(b"<Tracks />", b""),
    "Live 9": lambda data: data.replace(b"12.0_12203", b"9.0_305"),
    "odd version": lambda data: data.replace(b"12.0_12203", b"twelve"),
    "two gigabytes": lambda data: gzip.compress(b" " * (9 << 20)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_file, "MAX_XML_BYTES", 8 << 20)
    path = tmp_path / "set.als"
    path.write_bytes(HOSTILE[name](GOOD))
    with pytest.raises(UnusableInput) as caught:
        read_set(path)
    assert "set.als" in caught.value.message
    assert caught.value.hint


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "no.als", tmp_path):
        with pytest.raises(UnusableInput, match="cannot be read"):
            read_set(path)


@pytest.mark.parametrize(
    ("minor", "version"),
    [
        ("11.0_433", (11, 0)),
        ("11.0_11202", (11, 2)),
        ("11.0_11300", (11, 3)),
        ("12.0_12049", (12, 0)),
        ("12.0_12402", (12, 4)),
    ],
)
def test_versions(tmp_path: Path, minor: str, version: tuple[int, int]) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(GOOD.replace(b"12.0_12203", minor.encode()))
    assert read_set(path).version == version
