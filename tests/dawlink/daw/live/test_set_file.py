"""Live's files: what is read comes back unchanged, and hostile files are turned away."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dawlink.daw.live import set_file
from dawlink.daw.live.own_set import faults_of
from dawlink.daw.live.set_file import read_set, set_bytes
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
    assert again == with_quotation_marks(unpacked(path))


def with_quotation_marks(xml: bytes) -> bytes:
    """As Live writes values that hold quotation marks; what saved the clips had apostrophes."""
    return re.sub(
        rb"='([^'<>]*)'", lambda match: b'="' + match[1].replace(b'"', b"&quot;") + b'"', xml
    )


@needs_recordings
@pytest.mark.parametrize(
    "path",
    [path for path in SAMPLES if path.parent.name == "abletoolz"],
    ids=lambda path: path.name,
)
def test_the_file_begins_as_lives_own_do(path: Path) -> None:
    assert set_bytes(read_set(path))[:10] == path.read_bytes()[:10]


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
    assert gzip.decompress(packed) == GOOD


def test_line_ends_stay_also_inside_values(tmp_path: Path) -> None:
    path = tmp_path / "set.als"
    text = GOOD.replace(b"<Tracks />", b'<Tracks />\n<Annotation Value="a&#10;b&#13;c" />')
    path.write_bytes(text.replace(b"\n", b"\r\n"))
    assert gzip.decompress(set_bytes(read_set(path))) == path.read_bytes()


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
    "entities late": lambda data: bomb(data).replace(b"<!DOCTYPE", b" " * (1 << 20) + b"<!DOCTYPE"),
    "entities between": lambda data: bomb(data).replace(
        b"<!DOCTYPE", b" " * ((1 << 20) - data.index(b"<Ableton") - 4) + b"<!DOCTYPE"
    ),
    "another root": lambda data: data.replace(b"Ableton", b"Session"),
    "no tracks": lambda data: data.replace(b"<Tracks />", b""),
    "Live 9": lambda data: data.replace(b"12.0_12203", b"9.0_305"),
    "odd version": lambda data: data.replace(b"12.0_12203", b"twelve"),
    "id no number": lambda data: data.replace(b'Value="1"', b'Value="one"'),
    "id too long": lambda data: data.replace(b'Value="1"', b'Value="' + b"9" * 5000 + b'"'),
    "too many tags": lambda data: grown(data, b"<a/>" * 60_000),
    "too many attributes": lambda data: grown(data, b'<a b="" c="" d="" e=""/>' * 15_000),
    "too many lines": lambda data: grown(data, b"yy\n" * 60_000),
    "too deep": lambda data: grown(data, b"<a>" * 500 + b"</a>" * 500),
    "one long value": lambda data: grown(data, b'<a b="' + b"y" * (3 << 20) + b'"/>'),
    "too large": lambda data: grown(data, (b"y" * 1000 + b"<a/>") * 9_000),
    "another encoding": lambda data: data.decode().replace("UTF-8", "cp037").encode("cp037"),
}


def grown(data: bytes, more: bytes) -> bytes:
    return gzip.compress(data.replace(b"<Scenes />", b"<Scenes />" + more))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_file, "MAX_XML_BYTES", 8 << 20)
    monkeypatch.setattr(set_file, "MAX_VALUE_BYTES", 2 << 20)
    monkeypatch.setattr(set_file, "MAX_MARKS", 50_000)
    path = tmp_path / "set.als"
    path.write_bytes(HOSTILE[name](GOOD))
    with pytest.raises(UnusableInput) as caught:
        read_set(path)
    assert "set.als" in caught.value.message
    assert caught.value.hint


def packed_many_times(path: Path, block: bytes, times: int, *, before: bytes, after: bytes) -> None:
    """A gzip file that unpacks to ``times`` blocks: one member for each."""
    member = gzip.compress(block)
    path.write_bytes(gzip.compress(before) + member * times + gzip.compress(after))


#: Reads a set and prints the error's code and by how many megabytes the process grew.
MEASURED = """
import resource, sys
from pathlib import Path
from dawlink.daw.live import set_file
from engine.errors import UnusableInput
set_file.MAX_MARKS = min(set_file.MAX_MARKS, int(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    set_file.read_set(Path(sys.argv[1]))
except UnusableInput as error:
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(error.code, (after - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's units")
@pytest.mark.parametrize(
    ("block", "inside", "most_marks"),
    [
        (b" ", "", 10**9),
        (b"y", '<x Value="', 10**9),
        (b"y\n", "<x>", 10**9),
        (b"<a/>", "", 400_000),  # all that is allowed would take a minute and 2 GB
    ],
)
def test_two_gigabytes_take_little_memory(
    tmp_path: Path, block: bytes, inside: str, most_marks: int
) -> None:
    path = tmp_path / "bomb.als"
    head, tail = GOOD.split(b"<Scenes />")
    whole = block * ((1 << 20) // len(block))
    before = head + b"<Scenes />" + inside.encode()
    packed_many_times(path, whole, 2048, before=before, after=tail)
    assert path.stat().st_size < 16 << 20
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(most_marks)],
        capture_output=True, text=True, timeout=120, check=True, cwd=Path(__file__).parents[4],
    )  # fmt: skip
    code, grown_mb = ran.stdout.split()
    assert code == "not_a_set"
    assert int(grown_mb) < 200


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / "pipe.als")  # to open one for reading would wait for ever
    with pytest.raises(UnusableInput, match="no file"):
        read_set(tmp_path / "pipe.als")


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
