from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine, update

from engine.library.schema import Song
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, refused
from tests.dawlink.cli.sounds import write, write_aac

FIGURES = {"r1", "r5", "r10", "mean_nr", "median_nr"}


@pytest.fixture
def edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows may reach to the edges of their songs, which are of eight bars here."""
    monkeypatch.setattr("engine.evaluation.axes.ROOM_BARS", 0)
    monkeypatch.setattr("engine.evaluation.triples.ROOM_BARS", 0)


def test_retrieval_prints_the_document_of_the_contract(filled: Command, tmp_path: Path) -> None:
    ran = filled("evaluate", "--cache", tmp_path, "--models", "random,automashupper", "--json")
    assert ran.code == 0, ran
    document = ran.document
    assert document["protocol"] == "retrieval"
    assert document["items"] == len(document["songs"]) * 4 == 12
    assert [result["model"] for result in document["results"]] == ["random", "automashupper"]
    for result in document["results"]:
        assert FIGURES | {"ci95", "per_role", "scored_per_s"} <= set(result)
        assert set(result["ci95"]) == FIGURES
        assert set(result["first_of"]) == {"8"}
        assert set(result["per_role"]) == {"vocals", "drums", "bass", "other"}
        assert 0 < result["mean_nr"] <= 1
        assert result["scored_per_s"] > 0
    assert document["results"][0]["against"]["automashupper"]["ci95"]["r1"]
    names = [task["name"] for task in document["tasks"]]
    assert names[:3] == ["stems", "stems-of-role", "vocals-harmonic-8-key-known"]
    assert document["chance"]["r1"] == pytest.approx(1 / 12)
    assert "accuracy" not in document["results"][0]
    assert "stems (3)" in document["notes"][0]
    assert "Fewer than 10 songs" in ran.err


@pytest.mark.usefixtures("edges")
def test_a_person_gets_one_table_and_the_folder_holds_it(filled: Command, tmp_path: Path) -> None:
    out = tmp_path / "tables"
    models = ("--models", "random,automashupper,fit")
    ran = filled("evaluate", "--protocol", "huang", *models, "--cache", tmp_path, "--out", out)
    assert ran.code == 0, ran
    assert "(chance)" in ran.out
    assert "harmonic: semitone" in ran.out
    kept = {path.name for path in out.iterdir()}
    assert kept == {"huang.json", "huang.csv", "huang.png", "huang-axes.png"}
    document = json.loads((out / "huang.json").read_text(encoding="utf-8"))
    assert document["schema"] == 1
    rows = list(csv.DictReader((out / "huang.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["model"] for row in rows] == ["random", "automashupper", "fit", "(chance)"]
    for result, row in zip(document["results"], rows, strict=False):
        assert row["mean NR"].startswith(f"{result['mean_nr']:.3f} ")
    random, rules, fit = (result["accuracy"] for result in document["results"])
    assert random is rules is None  # no probabilities
    assert set(fit) == {"share", "ci95", "originals", "unmatched"}
    assert fit["share"] == pytest.approx((fit["originals"] + fit["unmatched"]) / 2)
    assert document["chance"]["accuracy"] == 0.5
    assert [row["accuracy"].split(" ")[0] for row in rows] == [
        "",
        "",
        f"{fit['share']:.3f}",
        "0.500",
    ]


@pytest.mark.usefixtures("edges")
def test_folders_are_analysed_once_into_the_cache(
    music: Music, dawlink: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Further folders may follow the first; nothing is added to the user's own library."""
    from dawlink.cli.main import main

    shutil.copytree(music.library, tmp_path / "cache" / "library")
    folders = sorted(path for path in music.songs.iterdir() if path.is_dir())
    arguments = ["evaluate", "--protocol", "huang", "--cache", str(tmp_path / "cache"), "--json"]
    arguments += ["--models", "random", "--data", *map(str, folders)]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["songs"]) == 3
    assert document["tasks"][0]["name"] == "huang"
    assert not dawlink.library.exists()


@pytest.mark.usefixtures("edges")
def test_a_bad_folder_is_named_and_the_others_are_compared(
    music: Music, own: Command, tmp_path: Path
) -> None:
    bad = tmp_path / "bad song"
    for name in ("vocals.wav", "drums.wav"):
        bad.mkdir(exist_ok=True)
        (bad / name).write_bytes(b"RIFF of nothing")
    ran = own(
        *("evaluate", "--protocol", "huang", "--models", "random", "--cache", tmp_path / "cache"),
        *("--data", music.songs, "--data", bad, "--json"),
    )
    refused(ran, 3, "some_failed", "1 of the songs")
    assert len(ran.document["songs"]) == 3
    assert ran.document["failed"] == [str(bad)]
    assert "bad song" in ran.err or "vocals.wav" in ran.err or "drums.wav" in ran.err


def test_one_bad_folder_is_named_once(dawlink: Command, tmp_path: Path) -> None:
    ran = dawlink("evaluate", "--data", tmp_path / "nowhere", "--cache", tmp_path, "--json")
    refused(ran, 6, "missing", "nowhere")
    assert ran.err.count("does not exist") == 1


def test_a_file_that_cannot_be_read_is_named_as_add_names_it(
    dawlink: Command, tmp_path: Path
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("Dear diary,\n" * 500)
    ran = dawlink("evaluate", "--data", text, "--cache", tmp_path, "--json")
    refused(ran, 6, "not_audio", "text.wav is not an audio file that can be read")
    assert ran.err.count("text.wav") == 1


def test_songs_without_a_corpus_are_of_no_split(
    music: Music, dawlink: Command, tmp_path: Path
) -> None:
    """It is said before anything is analysed."""
    ran = dawlink(
        "evaluate", "--data", music.songs, "--split", "test", "--cache", tmp_path, "--json"
    )
    refused(ran, 2, "bad_split", "--split test does not apply")
    assert not (tmp_path / "library").exists()


def test_one_song_has_no_interval(own: Command, music: Music, tmp_path: Path) -> None:
    options = ("--models", "random,automashupper", "--limit-songs", 1, "--cache", tmp_path)
    (document,) = [own("evaluate", *options, "--data", music.songs, "--json").document]
    assert document["results"][0]["ci95"]["mean_nr"] is None
    assert document["results"][0]["against"]["automashupper"]["ci95"]["mean_nr"] is None
    assert any("one song has none" in note for note in document["notes"])
    ran = own("evaluate", *options, "--data", music.songs, "--out", tmp_path / "tables")
    assert ran.code == 0, ran
    assert "nan" not in ran.out


def test_the_number_of_songs_can_be_limited(filled: Command, tmp_path: Path) -> None:
    arguments = ("--protocol", "kway", "--models", "random", "--cache", tmp_path, "--json")
    ran = filled("evaluate", *arguments, "--limit-songs", 2)
    assert len(ran.document["songs"]) == 2


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code", "word"),
    [
        (("--protocol", "listening"), 2, "bad_protocol", "retrieval"),
        (("--models", "nonesuch"), 2, "bad_model", "automashupper"),
        (("--models", ""), 2, "bad_model", "names no model"),
        (("--models", "fit,fit"), 2, "bad_model", "once"),
        (("--split", "val"), 2, "bad_split", "Leave --split out"),
        (("--limit-songs", "0"), 2, "bad_limit", "Give 1 or more"),
        (("--seed", "-1"), 2, "usage", "-1"),
        (("--seed", str(2**64)), 2, "usage", "seed"),
        (("--out", "/dev/null/tables", "--data", "/nowhere"), 7, "unwritable", "null/tables can"),
        (("--protocol", "alignment", "--models", "random"), 6, "no_items", "vocals"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    filled: Command,
    tmp_path: Path,
    arguments: tuple[str, ...],
    exit_code: int,
    code: str,
    word: str,
) -> None:
    """The songs of the library are too short to be slid by sixteen beats."""
    ran = filled("evaluate", *arguments, "--cache", tmp_path, "--json")
    refused(ran, exit_code, code, word)


def test_a_folder_of_single_stems_holds_no_question(dawlink: Command, tmp_path: Path) -> None:
    from tests.dawlink.cli.sounds import music as sound

    write(tmp_path / "solo" / "vocals.wav", sound(5.0, seed=3))
    ran = dawlink("evaluate", "--data", tmp_path / "solo", "--cache", tmp_path, "--json")
    refused(ran, 6, "no_items", "two or more")


def test_songs_that_are_single_files_are_all_compared(own: Command, tmp_path: Path) -> None:
    from tests.dawlink.cli.sounds import drum_part
    from tests.dawlink.cli.sounds import music as sound

    (tmp_path / "sets").mkdir()
    for number in range(2):
        parts = [sound(5.0, tone_hz=hz + 40 * number) for hz in (220, 330, 440, 550)]
        parts[1] = drum_part(5.0)
        names = ("Master", "Drums", "Bass", "Synths", "Vox")
        write_aac(tmp_path / "sets" / f"{number}.stem.mp4", parts[0], *parts, titles=names)
    arguments = ("evaluate", "--protocol", "retrieval", "--models", "random", "--json")
    ran = own(*arguments, "--cache", tmp_path / "cache", "--data", tmp_path / "sets")
    assert ran.code == 0, ran
    assert sorted(ran.document["songs"]) == ["0", "1"]


def test_a_song_whose_audio_is_gone_is_no_bad_answer(own: Command, tmp_path: Path) -> None:
    audio = next((own.library / "audio").rglob("*.flac"))
    audio.unlink()
    arguments = ("evaluate", "--protocol", "huang", "--models", "premixnet", "--cache", tmp_path)
    refused(own(*arguments, "--json"), 6, "library_damaged", audio.name)


@pytest.mark.usefixtures("edges")
def test_separated_songs_are_said_to_be_so(own: Command, tmp_path: Path) -> None:
    """Bleed between the stems of a separated song tells which belong together."""
    engine = create_engine(f"sqlite:///{own.library / 'library.sqlite'}")
    with engine.begin() as connection:
        connection.execute(update(Song).values(separator="a separator"))
    engine.dispose()
    arguments = ("evaluate", "--protocol", "huang", "--models", "random", "--cache", tmp_path)
    ran = own(*arguments, "--json")
    assert ran.code == 0, ran
    assert any("separated" in note for note in ran.document["notes"])
