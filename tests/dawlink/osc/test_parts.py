"""The small parts of the daemon, one by one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from dawlink.osc.answers import CancelDone, Error, RenderDone, RenderFile, RenderProgress
from dawlink.osc.clients import Client, Clients, LiveClip, clip_id_for
from dawlink.osc.exchange import Exchange
from dawlink.osc.faults import ErrorCode, Fault, as_fault
from dawlink.osc.jobtable import JobTable
from dawlink.osc.paths import RENDERS, clip_file, project_folder, render_folder
from dawlink.osc.requests import Ping, Status
from dawlink.osc.runfile import RunFile, holder_of, living_engines, run_file_path
from dawlink.osc.scales import key_of
from dawlink.osc.schema import Message
from dawlink.osc.server import Doorway
from dawlink.osc.stopping import Stop, Stopped
from dawlink.osc.wire import LARGEST_ANSWER, encode
from engine.errors import UnusableInput, UnwritableOutput, UsageError

HERE = ("127.0.0.1", 5000)


def exchange(sent: list[Message]) -> Exchange:
    return Exchange(Client(HERE, HERE), 4, Status(4), sent.append)


def test_an_exchange_ends_once() -> None:
    sent: list[Message] = []
    asked = exchange(sent)
    assert asked.end(CancelDone(4))
    assert not asked.fail(Fault(ErrorCode.BUSY, "busy", "Busy."))
    assert not asked.cancel()
    asked.send(CancelDone(9))
    assert sent == [CancelDone(4)]
    asked.repeat()
    assert sent == [CancelDone(4), CancelDone(4)]


def test_a_retry_gets_the_parts_of_the_answer_before_its_end() -> None:
    sent: list[Message] = []
    asked = exchange(sent)
    file, done = RenderFile(4, "wav", "/a.wav"), RenderDone(4, 1, 2, 3, 4.0, 5.0)
    asked.send(RenderProgress(4, 0.5, 2))
    asked.send(file)
    assert asked.end(done, parts=lambda: [file])
    sent.clear()
    asked.repeat()
    assert sent == [file, done]


def test_what_has_gone_too_far_is_not_cancelled() -> None:
    sent: list[Message] = []
    asked = exchange(sent)
    asked.stop.commit()
    assert not asked.cancel()
    assert sent == []
    other = Stop()
    assert other.stop()
    for step in (other.check, other.commit):
        with pytest.raises(Stopped):
            step()


def test_clients_are_bounded_and_the_idlest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawlink.osc.clients.MOST_CLIENTS", 3)
    clients = Clients()
    first = clients.get(("127.0.0.1", 1))
    first.exchanges[1] = Exchange(first, 1, Ping(1), lambda _message: None)
    for port in range(2, 9):
        clients.get(("127.0.0.1", port))
    assert len(list(clients)) == 3
    assert clients.find(("127.0.0.1", 1)) is first


def test_strangers_go_before_who_said_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawlink.osc.clients.MOST_CLIENTS", 3)
    clients = Clients()
    device = clients.get(("127.0.0.1", 1))
    clients.greet(device, ("127.0.0.1", 11111))
    for port in range(2, 99):
        stranger = clients.get(("127.0.0.1", port))
        stranger.exchanges[1] = Exchange(stranger, 1, Ping(1), lambda _message: None)
    assert clients.find(("127.0.0.1", 1)) is device
    for port in range(100, 110):
        clients.greet(clients.get(("127.0.0.1", port)), ("127.0.0.1", port))
    assert len(list(clients)) == 3  # and those are bounded too


def test_who_takes_over_a_reply_port_replaces_its_holder() -> None:
    clients = Clients()
    before, after = clients.get(("127.0.0.1", 1)), clients.get(("127.0.0.1", 2))
    clients.greet(before, ("127.0.0.1", 11111))
    clients.greet(after, ("127.0.0.1", 11111))
    assert list(clients) == [after]


def test_markers_stay_with_a_clip_and_ids_tell_regions_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    ids = {
        clip_id_for(path, warped=warped, start=start, end=8.0, counted=counted)
        for warped in (True, False)
        for start in (0.0, 1.0)
        for counted in (1.0, 2.0)
    }
    assert len(ids) == 8
    clip = LiveClip("c1", path, warped=True, start=0.0, end=8.0, pitch=0, gain_db=0.0)
    assert clip.awaits_markers
    assert clip.request(4).end_s is None  # taken as the whole file


def test_jobs_of_dead_engines_are_interrupted(tmp_path: Path) -> None:
    table = tmp_path / "jobs.sqlite"
    script = (
        "import os, sys; from pathlib import Path; from dawlink.osc.jobtable import JobTable; "
        f"t = JobTable(Path({str(table)!r})); "
        "t.begin(client='a', req=1, kind='render', folder=Path('/x'), asked={}); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    jobs = JobTable(table)
    # Its number may be that of another program, or, in a container, of this very process.
    with closing(sqlite3.connect(table)) as db, db:
        for pid, folder in ((os.getppid(), "/y"), (os.getpid(), "/z"), (77, "/w")):
            db.execute(
                "INSERT INTO jobs (pid, client, req, kind, folder, asked, state, begun_at) "
                "SELECT ?, client, req, kind, ?, asked, state, begun_at FROM jobs WHERE id = 1",
                (pid, folder),
            )
    assert jobs.recover({77}) == [Path("/x"), Path("/y"), Path("/z")]
    assert [row.state for row in jobs.rows()] == [*3 * ["interrupted"], "running"]
    mine = jobs.begin(client="b", req=2, kind="render", folder=None, asked={})
    jobs.end(mine, "done", "file")
    jobs.end(mine, "failed")  # what has ended stays as it is
    assert jobs.rows()[-1].state == "done"
    stopped, placed = (
        jobs.begin(client="b", req=req, kind="render", folder=None, asked={}) for req in (3, 4)
    )
    jobs.interrupt()
    jobs.end(stopped, "cancelled")
    jobs.end(placed, "done", "file")  # its files were being moved to their names
    assert [row.state for row in jobs.rows()][-2:] == ["interrupted", "done"]
    jobs.close()


def test_a_table_that_cannot_be_written_lives_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    jobs = JobTable(tmp_path / "file" / "jobs.sqlite")
    jobs.begin(client="", req=1, kind="render", folder=None, asked={})
    assert len(jobs.rows()) == 1
    assert "not recorded on disk" in caplog.text
    jobs.close()


def test_paths_of_clips_and_projects(tmp_path: Path) -> None:
    (tmp_path / "a b.wav").write_bytes(b"x")
    assert clip_file(str(tmp_path / "a b.wav")).name == "a b.wav"
    assert project_folder("") is None
    assert project_folder(str(tmp_path)) == tmp_path
    assert render_folder(tmp_path, Path("/out")) == tmp_path / RENDERS
    assert render_folder(None, Path("/out")) == Path("/out")


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders are those of POSIX")
def test_a_project_that_cannot_be_written_is_refused() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        if user == 0:  # to whom everything is permitted
            os.seteuid(65534)
        try:
            with pytest.raises(Fault) as fault:
                project_folder(folder)
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)
    assert (fault.value.code, fault.value.name) == (ErrorCode.NOT_ALLOWED, "read_only_project")


def test_a_folder_whose_files_no_message_can_name_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dawlink.osc.paths._is_folder", lambda _: True)
    fits, too_long = Path("/" + "x" * 640), Path("/" + "ű" * 350)
    data = encode(RenderFile(1, "dawproject", str(render_folder(fits, Path("/o")) / ("n" * 255))))
    assert len(data) <= LARGEST_ANSWER
    for project, output in ((too_long, Path("/o")), (None, too_long)):
        with pytest.raises(Fault) as fault:
            render_folder(project, output)
        assert fault.value.name == "too_long"


@pytest.mark.parametrize("text", ["", "a\0b", "relative", "x" * 5000, "/" + "x" * 5000, "~"])
def test_paths_that_are_none(text: str) -> None:
    for read in (clip_file, project_folder) if text else (clip_file,):
        with pytest.raises(Fault):
            read(text)


def test_a_circle_of_links_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "Samples").symlink_to(tmp_path / "Samples")
    with pytest.raises(Fault) as fault:
        render_folder(tmp_path, Path("/out"))
    assert fault.value.code is ErrorCode.NOT_ALLOWED


def test_an_unwarped_clip_is_counted_in_the_sessions_bars(tmp_path: Path) -> None:
    clip = LiveClip("c1", tmp_path / "a.wav", False, 1.0, 9.0, 0, 0.0)
    assert [clip.request(metre).beats_per_bar for metre in (None, 3, 4)] == [None, 3, 4]


def test_scales() -> None:
    assert key_of(-1, "anything") is None
    assert str(key_of(9, "Minor")) == "A minor"
    assert str(key_of(2, "Dorian")) == "D minor"
    assert str(key_of(7, "Mixolydian")) == "G major"
    assert str(key_of(4, "Phrygian Dominant")) == "E major"
    assert str(key_of(4, "Messiaen 1")) == str(key_of(4, "Whole Tone"))
    for root, scale in ((12, "Major"), (-2, "Major"), (0, "Klingon")):
        with pytest.raises(Fault):
            key_of(root, scale)


def test_the_run_file_names_a_living_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    mine = RunFile(os.getpid(), "127.0.0.1", 4000, 1, "0.1.0", "/library")
    assert mine.write()
    assert holder_of(4000) == mine
    assert holder_of(4001) is None
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    RunFile(finished.pid, "127.0.0.1", 4000, 1, "0.1.0", "/library").write()
    assert holder_of(4000) is None
    RunFile(os.getppid(), "127.0.0.1", 4005, 1, "0.1.0", "/library").write()
    assert living_engines() == {os.getppid()}
    mine.remove()  # it is not its own any more
    assert run_file_path(4000).exists()
    run_file_path(4000).write_text("{")
    assert holder_of(4000) is None


def test_tokens() -> None:
    assert Doorway().lets_in("")
    assert Doorway("secret").lets_in("amxd token=secret es5")
    for caps in ("", "secret", "token=", "token=Secret", "token=secrets", "xtoken=secret"):
        assert not Doorway("secret").lets_in(caps)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("No.", code="bad_tempo"), 1),
        (UnusableInput("No.", code="missing_file"), 3),
        (UnusableInput("No.", code="silent"), 4),
        (UnusableInput("No.", code="empty_library"), 5),
        (UnwritableOutput("No.", code="disk_full"), 9),
        (OSError(5, "Input/output error"), 9),
        (ZeroDivisionError("division by zero"), 9),
    ],
)
def test_errors_become_codes(error: Exception, code: int) -> None:
    fault = as_fault(error)
    assert fault.code == code
    assert Error(1, fault.code.value, fault.name, fault.message).message.endswith(".")
