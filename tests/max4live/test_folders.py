"""Where Live's User Library is, on macOS and Windows, as Live's own notes say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UnusableInput
from max4live.device.folders import Machine, find_user_library

NOTES = """<?xml version="1.0" encoding="UTF-8"?>
<Ableton MajorVersion="5"><ContentLibrary><UserLibrary><LibraryProject Id="1">
<ProjectName Value="{name}" /><ProjectPath Value="{path}" />
</LibraryProject></UserLibrary></ContentLibrary></Ableton>
"""


def note(folder: Path, path: Path, name: str = "User Library") -> Path:
    folder.mkdir(parents=True)
    (path / name).mkdir(parents=True, exist_ok=True)
    notes = folder / "Library.cfg"
    notes.write_text(NOTES.format(path=path, name=name), "utf-8")
    return notes


@pytest.fixture
def mac(tmp_path: Path) -> Machine:
    return Machine("macos", tmp_path)


def preferences(machine: Machine, version: str) -> Path:
    return machine.home / "Library" / "Preferences" / "Ableton" / f"Live {version}"


def test_the_newest_lives_note_counts(mac: Machine, tmp_path: Path) -> None:
    note(preferences(mac, "9.7.1"), tmp_path / "nine")
    note(preferences(mac, "11.3.25"), tmp_path / "eleven")
    newest = note(preferences(mac, "12.0.5"), tmp_path / "Zwölf & mehr".replace("&", "und"))
    found = find_user_library(mac)
    assert found.folder == tmp_path / "Zwölf und mehr" / "User Library"
    assert found.found_in == str(newest)


def test_a_broken_note_or_a_folder_that_went_is_passed_by(mac: Machine, tmp_path: Path) -> None:
    good = note(preferences(mac, "11.0"), tmp_path / "good")
    broken = note(preferences(mac, "12.0"), tmp_path / "broken")
    broken.write_text("<Ableton><UserLib", "utf-8")
    gone = note(preferences(mac, "12.2"), tmp_path / "gone")
    (tmp_path / "gone" / "User Library").rmdir()
    empty = note(preferences(mac, "12.3"), tmp_path / "empty")
    empty.write_text("<Ableton/>", "utf-8")
    assert gone.exists()
    assert find_user_library(mac).found_in == str(good)


def test_windows_notes_lie_in_app_data(tmp_path: Path) -> None:
    app_data = tmp_path / "AppData" / "Roaming"
    notes = note(app_data / "Ableton" / "Live 12.1" / "Preferences", tmp_path / "D")
    found = find_user_library(Machine("windows", tmp_path, app_data))
    assert found.found_in == str(notes)
    assert found.device_folder == found.folder / "Presets" / "Audio Effects" / "Max Audio Effect"
    assert found.remote_script_folder == found.folder / "Remote Scripts" / "DawLink"


@pytest.mark.parametrize(("system", "place"), [("macos", "Music"), ("windows", "Documents")])
def test_without_notes_it_is_where_the_installer_puts_it(
    system: str, place: str, tmp_path: Path
) -> None:
    machine = Machine("macos" if system == "macos" else "windows", tmp_path)
    with pytest.raises(UnusableInput, match="User Library was not found"):
        find_user_library(machine)
    folder = tmp_path / place / "Ableton" / "User Library"
    folder.mkdir(parents=True)
    assert find_user_library(machine).folder == folder
    assert find_user_library(machine).found_in == "default"


def test_the_machine_is_known_by_its_platform() -> None:
    assert Machine.this("darwin", {}).system == "macos"
    assert Machine.this("linux", {}).system == "other"
    windows = Machine.this("win32", {"APPDATA": "somewhere"})
    assert (windows.system, windows.app_data) == ("windows", Path("somewhere"))
