"""The command line on a library that machines share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dawlink.cli.main import main
from engine.library.library import Library
from engine.library.place import parse_place
from engine.library.rows import NewSong, NewStem
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, Ran, refused
from tests.dawlink.cli.sounds import drum_part, write
from tests.ports import free_port
from tests.servers import PASSWORD, Postgres

ENCODED = PASSWORD.replace("/", "%2F").replace("@", "%40")


@pytest.fixture
def server(postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line on a new library of a server."""
    return Command(postgres.address(tmp_path / "studio"), capsys)


def without_secrets(ran: Ran) -> Ran:
    assert PASSWORD not in ran.out + ran.err
    assert ENCODED not in ran.out + ran.err
    return ran


def copy_songs(source: Path, target: Command) -> None:
    """The same songs into another library, without analysing them again."""
    with Library.open(source) as old, Library.open(parse_place(str(target.library))) as new:
        for row in old.songs():
            stems = [NewStem(stem.role, old.waveform(stem)) for stem in old.stems(row.id)]
            analysis, sources = old.analysis(row.id), old.sources(row.id)
            song = NewSong(row.title, row.kind, tuple(stems), analysis, sources)
            assert new.add_song(song).id == row.id


def test_music_goes_in_is_corrected_and_taken_out(server: Command, tmp_path: Path) -> None:
    loop = write(tmp_path / "loops" / "break.wav", drum_part(3.0))
    added = without_secrets(server("add", loop, "--role", "drums", "--json"))
    assert added.code == 0, added
    assert [item["status"] for item in added.items] == ["added"]
    assert added.lines[-1]["summary"]["songs"] == 1
    again = server("add", loop, "--role", "drums", "--json")
    assert [item["status"] for item in again.items] == ["present"]

    listed = without_secrets(server("list", "--json")).document
    assert listed["library"].startswith("postgresql://127.0.0.1:")
    (song,) = listed["songs"]
    assert song["tempo_bpm"] == pytest.approx(120, rel=0.01)
    assert server("set", song["song_id"], "--double", "--json").code == 0
    assert server("list", "--json").document["songs"][0]["tempo_bpm"] == pytest.approx(240, 0.01)
    verified = without_secrets(server("verify", "--json"))
    assert (verified.code, verified.document["problems"]) == (0, [])
    assert server("remove", song["song_id"]).code == 0
    assert server("list", "--json").document["songs"] == []


def test_suggestions_and_batches_are_those_of_a_library_in_a_folder(
    server: Command, filled: Command, music: Music, tmp_path: Path
) -> None:
    copy_songs(music.library, server)
    asked = ("suggest", music.clip, "--tempo", "108", "--limit", "4", "--json")
    here, there = filled(*asked).document, without_secrets(server(*asked)).document
    for suggestion in (*here["suggestions"], *there["suggestions"]):
        for stem in suggestion["stems"]:
            stem["path"] = Path(stem["path"]).name
    assert len(here["suggestions"]) > 1
    assert here == there

    line = {"clip": str(music.clip), "clip_tempo": 110, "clip_downbeat": 0, "bars": 1}
    rows = [{**line, "tempo": tempo} for tempo in (104, 112)]
    plan = tmp_path / "plan.jsonl"
    plan.write_text("\n".join(map(json.dumps, rows)))
    for command, name in ((filled, "here"), (server, "there")):
        ran = without_secrets(command("batch", plan, "--out", tmp_path / name, "--jobs", "1"))
        assert ran.code == 0, ran
    sounds = {path.name: path.read_bytes() for path in (tmp_path / "here").rglob("*.wav")}
    assert sounds
    assert sounds == {p.name: p.read_bytes() for p in (tmp_path / "there").rglob("*.wav")}
    again = server("batch", plan, "--out", tmp_path / "there", "--json")
    assert [line["status"] for line in again.items] == ["skipped"] * 2


def test_no_password_is_ever_shown(server: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("config", "show"), ("config", "show", "--origin"), ("doctor",)):
        assert without_secrets(server(*arguments)).code == 0
        assert "127.0.0.1" in without_secrets(server(*arguments, "--json")).out
    monkeypatch.setenv("DAWLINK_LIBRARY", str(server.library))
    assert main(["config", "show", "--origin"]) == 0
    printed = server.capsys.readouterr().out
    assert "DAWLINK_LIBRARY" in printed
    assert ENCODED not in printed
    url = str(server.library)
    wrong = {
        "no files": url.replace("files=", "fils="),
        "relative": url.replace("files=/", "files="),
        "no database": url.replace("/postgres?", "?"),
        "bad port": url.replace("127.0.0.1:", "127.0.0.1:x"),
    }
    for name, address in wrong.items():
        error = refused(server.on(address)("list", "--json"), 2, "bad_setting", "files=")
        assert ENCODED not in str(error), name
        without_secrets(server.on(address)("list", "-vv"))


def test_each_way_of_not_being_there_has_its_exit_code(
    server: Command, postgres: Postgres, tmp_path: Path
) -> None:
    url = str(server.library)
    silent = server.on(url.replace(f":{postgres.port}/", f":{free_port()}/"))
    for command in (("list", "--json"), ("add", tmp_path, "--json")):
        refused(silent(*command), 5, "library_unreachable", "does not answer")
    assert "missing" in without_secrets(silent("doctor")).out
    without_secrets(silent("list", "-vv"))
    refused(server("list", "--json"), 6, "no_library", "dawlink add")
    lost = server.on(url.replace("/studio/files", "/not mounted"))
    refused(lost("add", tmp_path, "--json"), 6, "no_files_folder", "not mounted")
    other = server.on(url.replace(ENCODED, "wrong"))
    refused(other("list", "--json"), 6, "library_refused", ".pgpass")


def test_doctor_names_server_and_extension(server: Command) -> None:
    assert "not made yet" in server("doctor").out
    Library.open(parse_place(str(server.library))).close()
    found = {check["name"]: check for check in server("doctor", "--json").document["checks"]}
    assert "PostgreSQL" in found["library"]["detail"]
    assert "pgvector" in found["library"]["detail"]
    assert found["psycopg"]["status"] == "ok"


def test_doctor_looks_at_the_extras_that_are_asked_for(
    filled: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {check["name"] for check in filled("doctor", "--json").document["checks"]}
    assert not names & {"psycopg", "distributed"}
    monkeypatch.setenv("DAWLINK_CLUSTER", "tcp://nas:8786")
    checks = filled("doctor", "--json").document["checks"]
    assert {c["status"] for c in checks if c["name"] == "distributed"} == {"ok"}


def test_without_the_driver_the_command_that_brings_it_is_told(server: Command) -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from dawlink.cli.main import main\n"
        f"sys.exit(main(['--library', {str(server.library)!r}, 'list', '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "no_psycopg"
    assert 'pip install "psycopg[binary]' in error["hint"]
    assert ENCODED not in done.stdout + done.stderr
