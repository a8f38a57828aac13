"""What a real daemon cannot do is one clear error, and never more than one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dawlink.osc.client import OscClient, packed
from tests.dawlink.osc.conftest import Music, suggested, warped_clip


def test_errors_never_fill_a_client_up(client: OscClient) -> None:
    """Requests that fail are ended: more of them than may run at once each get their own error."""
    for _ in range(80):
        answer = client.ask("/dawlink/clip", "siffif", "relative", 0, 0.0, 0.0, 0, 0.0)
        assert answer.values[1] == 1, answer
    status = client.ask("/dawlink/status", "")
    assert status.values[1:3] == ("ready", 0)
    req = client.number()
    message = packed("/dawlink/suggest", "isis", req, "cunknown", 1, "*")
    client.send_bytes(message)
    first = client.receive()
    client.send_bytes(message)
    assert client.receive() == first


def test_bad_warp_markers_are_one_error(client: OscClient, music: Music) -> None:
    """However many messages a request has, it ends once; and its retry ends the same way."""
    clip_id = warped_clip(client, music.clip)
    wrong = (("cunknown", 1.0, 5), (clip_id, -1.0, 1))  # no such clip; beats that fall
    for name, slope, code in wrong:
        req = client.number()
        told = []
        for _ in range(2):
            for index in range(10):
                marker = (req, name, index, 10, float(index), slope * index)
                client.send("/dawlink/clip/warp", "isiiff", *marker)
            told.append(client.receive())
            assert client.silent()
        assert told[0] == told[1]
        assert told[0].values[:2] == (req, code)


def test_too_much_work_puts_off_only_work(client: OscClient, music: Music, tmp_path: Path) -> None:
    """Whoever asked for too much can say so."""
    client.send("/dawlink/set/project", "s", str(tmp_path))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    asked = range(7001, 7065)
    for req in asked:
        client.send("/dawlink/render", "issffs", req, stems, clip_id, 0.0, float(req % 900), "wav")
    one_more = client.ask("/dawlink/render", "ssffs", stems, clip_id, 0.0, 5.0, "wav")
    assert one_more.values[2] == "busy"
    assert client.ask("/dawlink/status", "").address == "/dawlink/status/done"
    for req in asked:
        assert client.ask("/dawlink/cancel", "i", req).address == "/dawlink/cancel/done"


@pytest.mark.parametrize(
    ("tags", "spoil"),
    [
        ("isiffif", lambda data: data.replace(b"/Lied", b"/Li\xe9d"[:5])),
        ("ii", lambda data: data[:-4]),
    ],
)
def test_what_cannot_be_read_to_its_end_is_answered(
    client: OscClient, tags: str, spoil: Callable[[bytes], bytes]
) -> None:
    """As far as the request's number is there."""
    values = (5, "/Lied.wav", 0, 0.0, 5.0, 0, 0.0)[: len(tags)] if "s" in tags else (5, 6)
    address = "/dawlink/clip" if "s" in tags else "/dawlink/ping"
    client.send_bytes(spoil(packed(address, tags, *values)))
    answer = client.receive()
    assert answer.address == "/dawlink/error"
    assert answer.values[:2] == (5, 1)


def test_a_project_that_has_gone_is_not_made_anew(
    client: OscClient, music: Music, tmp_path: Path
) -> None:
    project = tmp_path / "moved meanwhile"
    project.mkdir()
    client.send("/dawlink/set/project", "s", str(project))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    project.rmdir()
    answer = client.ask("/dawlink/render", "ssffs", stems, clip_id, 0.0, 5.0, "wav")
    assert answer.values[1:3] == (3, "missing_project")
    assert not project.exists()


@pytest.mark.parametrize(
    ("address", "tags", "values", "code"),
    [
        ("/dawlink/nothing", "", (), 2),
        ("/live/test", "", (), 2),
        ("/dawlink/clip", "siffif", ("/no/such file.wav", 0, 0.0, 0.0, 0, 0.0), 3),
        ("/dawlink/clip", "siffif", ("relative.wav", 0, 0.0, 0.0, 0, 0.0), 1),
        ("/dawlink/clip", "siffif", ("/", 0, 0.0, 0.0, 0, 0.0), 4),
        ("/dawlink/clip", "siffif", (__file__, 0, 0.0, 0.0, 0, 0.0), 4),
        ("/dawlink/clip", "siffif", (__file__, 0, 9.0, 1.0, 0, 0.0), 1),
        ("/dawlink/clip", "siffif", (__file__, 0, 0.0, 1.0, 99, 0.0), 1),
        ("/dawlink/clip", "s", (__file__,), 1),
        ("/dawlink/suggest", "sis", ("cunknown", 3, "*"), 5),
        ("/dawlink/suggest/get", "ii", (4711, 1), 5),
        ("/dawlink/render", "ssffs", ("s1", "cunknown", 0.0, 4.0, "wav"), 5),
        ("/dawlink/clip/warp", "siiff", ("cunknown", 0, 2, 0.0, 0.0), 5),
    ],
)
def test_what_cannot_be_meant_is_one_error(
    client: OscClient, address: str, tags: str, values: tuple[int | float | str, ...], code: int
) -> None:
    answer = client.ask(address, tags, *values)
    assert answer.address == "/dawlink/error", answer
    assert answer.values[1] == code
    assert str(answer.values[3]).endswith(".")


@pytest.mark.skipif(sys.platform != "linux", reason="a file that is there and refuses to be read")
def test_a_file_that_cannot_be_read_is_one_error(client: OscClient) -> None:
    for warped in (0, 1):
        answer = client.ask("/dawlink/clip", "siffif", "/proc/self/mem", warped, 0.0, 4.0, 0, 0.0)
        assert answer.values[1:3] == (4, "unreadable")


@pytest.mark.parametrize(
    ("address", "tags", "values", "code"),
    [
        ("/dawlink/set/tempo", "f", (0.0,), 1),
        ("/dawlink/set/tempo", "f", (float("nan"),), 1),
        ("/dawlink/set/tempo", "f", (float("inf"),), 1),
        ("/dawlink/set/signature", "ii", (7, 8), 1),
        ("/dawlink/set/signature", "ii", (4, 0), 1),
        ("/dawlink/set/key", "is", (12, "Major"), 1),
        ("/dawlink/set/key", "is", (0, "Nonsense"), 1),
        ("/dawlink/set/project", "s", ("/no/such/folder",), 3),
        ("/dawlink/set/project", "s", ("/tmp/..",), 10),
        ("/dawlink/set/project", "s", ("/",), 10),
    ],
)
def test_a_session_that_cannot_be_is_an_error_without_number(
    client: OscClient, address: str, tags: str, values: tuple[int | float | str, ...], code: int
) -> None:
    client.send(address, tags, *values)
    answer = client.receive()
    assert answer.address == "/dawlink/error"
    assert answer.values[:2] == (0, code)


def test_links_out_of_the_project_are_refused(
    client: OscClient, music: Music, tmp_path: Path
) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / "Samples").mkdir(parents=True)
    outside.mkdir()
    (project / "Samples" / "Processed").symlink_to(outside, target_is_directory=True)
    client.send("/dawlink/set/project", "s", str(project))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    answer = client.ask("/dawlink/render", "ssffs", stems, clip_id, 0.0, 1.0, "wav")
    assert (answer.address, answer.values[1]) == ("/dawlink/error", 10)
    assert not list(outside.iterdir())


def test_a_take_folder_that_leads_out_of_the_project_is_passed_over(
    client: OscClient, music: Music, tmp_path: Path
) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    renders = project / "Samples" / "Processed" / "dawlink"
    renders.mkdir(parents=True)
    outside.mkdir()
    (renders / "take 2").symlink_to(outside, target_is_directory=True)
    client.send("/dawlink/set/project", "s", str(project))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    for _ in range(2):
        done = client.ask("/dawlink/render", "ssffs", stems, clip_id, 0.0, 1.0, "wav")
        assert done.address == "/dawlink/render/done"
    assert not list(outside.iterdir())
    assert list((renders / "take 3").glob("*.wav"))


def test_stems_of_another_metre_than_the_session_now_has_are_refused(
    client: OscClient, music: Music
) -> None:
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    client.send("/dawlink/set/signature", "ii", 3, 4)
    answer = client.ask("/dawlink/audition", "ssfi", stems, clip_id, 1.0, 0)
    assert (answer.address, answer.values[2]) == ("/dawlink/error", "nothing_fits")
    client.send("/dawlink/set/signature", "ii", 4, 4)
    again = client.ask("/dawlink/audition", "ssfi", stems, clip_id, 1.0, 0)
    assert again.address == "/dawlink/audition/done"
