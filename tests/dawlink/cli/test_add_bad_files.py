"""Files that cannot be added: each is named, the others are added, and the library stays whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.dawlink.cli.running import Command, refused
from tests.dawlink.cli.sounds import RATE, music, write


def damaged(kind: str, folder: Path) -> Path:
    """A file that cannot be used."""
    path = folder / f"{kind}.wav"
    samples = music(6.0)
    whole = write(folder / "whole.wav", samples).read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "header only":
            path.write_bytes(whole[:30])
        case "text":
            path.write_text("Dear diary,\n" * 500)
        case "silent":
            write(path, samples * 0)
        case "short":
            write(path, samples[:RATE])
        case "not numbers":
            wrong = samples / np.float32(32768)
            wrong[1000:] = np.nan
            write(path, wrong, subtype="FLOAT")
        case "cut off":
            path = folder / "cut off.flac"
            cut = write(folder / "whole.flac", samples).read_bytes()
            path.write_bytes(cut[: len(cut) // 20])
        case "folder without audio":
            (folder / kind).mkdir()
            (folder / kind / "notes.txt").write_text("nothing")
            path = folder / kind
        case "other kind":
            path = folder / "song.txt"
            path.write_text("la la la")
    return path


@pytest.mark.parametrize(
    ("kind", "code", "word"),
    [
        ("missing", "missing", "does not exist"),
        ("empty", "empty", "0 bytes"),
        ("header only", "truncated", "cut off"),
        ("cut off", "too_short", "are needed"),
        ("text", "not_audio", "not an audio file"),
        ("other kind", "not_audio", ".txt"),
        ("silent", "silent", "silent"),
        ("short", "too_short", "1.00 s"),
        ("not numbers", "not_finite", "0.023 s"),
        ("folder without audio", "no_audio", "no audio"),
    ],
)
def test_a_single_bad_input_is_named_and_leaves_the_library_whole(
    dawlink: Command, tmp_path: Path, kind: str, code: str, word: str
) -> None:
    path = damaged(kind, tmp_path)
    ran = dawlink("add", path, "--json")
    refused(ran, 6, code, word)
    (item,) = ran.items
    assert (item["status"], item["song_id"], item["path"]) == ("failed", None, str(path))
    assert item["error"]["code"] == code
    assert ran.lines[-1]["summary"]["failed"] == 1
    assert dawlink("verify").code == 0


def test_a_cut_off_file_gives_what_is_left_of_it_and_a_warning(
    dawlink: Command, tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole.wav", music(6.0)).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    ran = dawlink("add", cut, "--role", "other", "--json")
    assert ran.code == 0, ran
    assert "cut off" in ran.err
    (song,) = dawlink("list", "--json").document["songs"]
    assert song["duration_s"] == pytest.approx(5.4, abs=0.01)


def test_bad_files_among_good_ones_do_not_stop_them(dawlink: Command, tmp_path: Path) -> None:
    folder = tmp_path / "loops"
    for number in range(2):
        write(folder / f"good {number}.wav", music(3.0, seed=number))
    (folder / "bad.wav").write_text("no audio here")
    ran = dawlink(
        "add", folder, tmp_path / "nowhere.wav", "--role", "drums", "--jobs", "1", "--json"
    )
    refused(ran, 3, "some_failed", "2 of 4")
    assert sorted(item["status"] for item in ran.items) == ["added", "added", "failed", "failed"]
    assert ran.lines[-1]["summary"]["songs"] == 2
    for name in ("bad.wav", "nowhere.wav"):
        assert any(name in item["path"] for item in ran.items if item["status"] == "failed")


def test_for_a_person_every_failure_is_named_on_stderr(dawlink: Command, tmp_path: Path) -> None:
    write(tmp_path / "good.wav", music(3.0))
    (tmp_path / "bad.wav").write_bytes(b"")
    ran = dawlink("add", tmp_path / "bad.wav", tmp_path / "good.wav", "--role", "drums")
    assert ran.code == 3
    assert "bad.wav is empty" in ran.err
    assert "1 added, 0 in already, 1 failed." in ran.out
    assert "bad.wav" not in ran.out


def test_a_file_that_vanishes_after_planning_is_reported(
    dawlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dawlink.cli import add

    gone = write(tmp_path / "gone.wav", music(3.0))
    plan_all = add.plan_all

    def plan_then_delete(*arguments: object) -> object:
        planned = plan_all(*arguments)  # type: ignore[arg-type]  # whatever it is called with
        gone.unlink()
        return planned

    monkeypatch.setattr(add, "plan_all", plan_then_delete)
    ran = dawlink("add", gone, "--role", "drums", "--json")
    refused(ran, 6, "unreadable", "gone.wav", "still there")


def test_a_file_that_vanishes_while_it_is_decoded_is_no_bug(
    dawlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import engine.ingest.adding

    gone = write(tmp_path / "gone.wav", music(3.0))
    hashed: Callable[[Path], str] = engine.ingest.adding.sha256_of

    def hash_then_delete(path: Path) -> str:
        sha = hashed(path)
        path.unlink()
        return sha

    monkeypatch.setattr(engine.ingest.adding, "sha256_of", hash_then_delete)
    ran = dawlink("add", gone, "--role", "drums", "--json")
    refused(ran, 6, "unreadable", "gone.wav")


def test_a_place_where_no_library_can_be_made(dawlink: Command, tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", music())
    for place in (song / "library", Path("/proc/library")):
        ran = dawlink.on(place)("add", song, "--json")
        refused(ran, 7, "unwritable", str(place), "--library")
