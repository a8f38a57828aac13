"""``dawlink device``: building, installing, and where things go."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import max4live
from max4live.device.build import build_device
from tests.dawlink.cli.running import Command, refused

DEVICE = Path("Presets") / "Audio Effects" / "Max Audio Effect" / "dawlink.amxd"
SCRIPT = Path("Remote Scripts") / "DawLink"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path / "library", capsys)


@pytest.fixture
def user_library(tmp_path: Path) -> Path:
    folder = tmp_path / "Müsic" / "User Library"
    folder.mkdir(parents=True)
    return folder


def test_build_writes_the_device_and_says_what(run: Command, tmp_path: Path) -> None:
    out = tmp_path / "new" / "my.amxd"
    document = run("device", "build", "--out", out, "--json").document
    data = out.read_bytes()
    assert data == build_device()
    assert document["device"] == str(out)
    assert document["bytes"] == len(data)
    assert document["sha256"] == hashlib.sha256(data).hexdigest()


def test_building_twice_is_fine_but_another_file_is_kept(run: Command, tmp_path: Path) -> None:
    out = tmp_path / "dawlink.amxd"
    assert run("device", "build", "--out", out).code == 0
    assert run("device", "build", "--out", out).code == 0
    out.write_bytes(b"mine")
    refused(run("device", "build", "--out", out, "--json"), 7, "exists", "--overwrite")
    assert out.read_bytes() == b"mine"
    assert run("device", "build", "--out", out, "--overwrite").code == 0
    assert out.read_bytes() == build_device()


def test_a_folder_that_cannot_be_written_is_told(run: Command, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    refused(run("device", "build", "--out", blocked / "d.amxd", "--json"), 7, "unwritable")


def test_install_puts_the_device_where_live_looks(run: Command, user_library: Path) -> None:
    document = run("device", "install", "--user-library", user_library, "--json").document
    assert document["device"] == str(user_library / DEVICE)
    assert document["remote_script"] is None
    assert document["files"] == [str(user_library / DEVICE)]
    assert (user_library / DEVICE).read_bytes() == build_device()


def test_installing_again_replaces_an_older_device(run: Command, user_library: Path) -> None:
    (user_library / DEVICE).parent.mkdir(parents=True)
    (user_library / DEVICE).write_bytes(b"older")
    ran = run("device", "install", "--user-library", user_library)
    assert (ran.code, ran.err) == (0, "")
    assert (user_library / DEVICE).read_bytes() == build_device()
    assert [path for path in user_library.rglob("*") if path.is_file()] == [user_library / DEVICE]


def test_install_can_put_the_remote_script_instead(run: Command, user_library: Path) -> None:
    document = run(
        "device", "install", "--remote-script", "--user-library", user_library, "--json"
    ).document
    assert document["device"] is None
    assert document["remote_script"] == str(user_library / SCRIPT)
    assert (user_library / SCRIPT / "__init__.py").is_file()
    written = {
        Path(name).relative_to(user_library / SCRIPT).as_posix() for name in document["files"]
    }
    shipped = Path(max4live.__file__).parent / "remote_script" / "DawLink"
    kept = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert written == {name for name in kept if "__pycache__" not in name}
    assert not (user_library / DEVICE).exists()


def test_where_says_what_is_there(run: Command, user_library: Path) -> None:
    where = ("device", "where", "--user-library", user_library)
    document = run(*where, "--json").document
    assert document["user_library"] == str(user_library)
    assert document["found_in"] == "option"
    assert document["device"] == str(user_library / DEVICE)
    assert document["device_installed"] is False
    run("device", "install", "--user-library", user_library)
    assert run(*where, "--json").document["device_installed"] is True
    assert "(installed)" in run(*where).out


def test_a_user_library_that_is_not_there_is_told(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nothing"
    for command in ("install", "where"):
        ran = run("device", command, "--user-library", missing, "--json")
        refused(ran, 6, "no_user_library", str(missing))
    monkeypatch.setattr("sys.platform", "linux")
    refused(run("device", "where", "--json"), 6, "no_user_library", "--user-library")
