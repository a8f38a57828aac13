"""The built file: read back by the second reader, which also reads what Max itself has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from max4live.device.amxd import FROZEN_TIME
from max4live.device.build import build_device
from max4live.device.script import script_text
from tests.max4live.amxd_reader import read_device
from tests.recordings import recordings_dir

SAMPLES = recordings_dir() / "daw_samples"
FROZEN = ["ableton-maxdevtools/FrozenTest.amxd", "knobbler4/PerfTest-frozen.amxd"]
UNFROZEN = ["ableton-maxdevtools/Test.amxd", "knobbler4/device-info.amxd"]


@pytest.fixture(scope="module")
def built() -> bytes:
    return build_device()


def test_two_builds_have_the_same_bytes(built: bytes) -> None:
    assert built == build_device()


def test_the_second_reader_reads_it(built: bytes) -> None:
    device = read_device(built)
    assert (device.kind, device.meta, device.frozen) == ("aaaa", 7, True)
    assert [(entry.name, entry.kind, entry.flag) for entry in device.entries] == [
        ("dawlink.amxd", "JSON", 0x11),
        ("dawlink.js", "TEXT", 0),
    ]
    assert {entry.time for entry in device.entries} == {FROZEN_TIME}
    assert {entry.version for entry in device.entries} == {0}


def test_the_patch_ends_as_max_ends_it_and_the_script_is_whole(built: bytes) -> None:
    patch, script = read_device(built).entries
    assert patch.data.endswith(b"}\n\0")
    assert patch.data.count(b"\0") == 1
    assert script.data.decode("utf-8") == script_text()


def test_the_patch_has_what_live_asks_of_a_device(built: bytes) -> None:
    patch = read_device(built).patch
    assert patch["openrect"][3] == 169
    assert patch["openinpresentation"] == 1
    assert patch["project"]["amxdtype"] == 1633771873
    assert [item["name"] for item in patch["dependency_cache"]] == ["dawlink.js"]


@pytest.mark.parametrize("name", FROZEN + UNFROZEN)
def test_the_second_reader_reads_devices_that_max_has_written(name: str) -> None:
    path = SAMPLES / Path(name)
    if not path.is_file():
        pytest.skip("no device samples: set DAWLINK_TEST_DATA to a folder that has them")
    device = read_device(path.read_bytes())
    assert device.frozen == (name in FROZEN)
    assert device.patch["boxes"]
    if device.frozen:
        assert device.entries[0].flag == 0x11
        assert device.entries[0].data.rstrip(b"\0").endswith(b"}\n")


def test_the_second_reader_notices_damage(built: bytes) -> None:
    for damaged in (built[:-1], built + b"\0", built.replace(b"sz32", b"sz33", 1)):
        with pytest.raises((AssertionError, KeyError)):
            read_device(damaged)
