"""A real daemon, asked as a client asks it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.grid import BeatGrid
from engine.library.library import Library
from tests.busy_folders import paths_below
from tests.dawlink.osc.client import OscClient, Received, bundle, packed
from tests.dawlink.osc.conftest import Music, suggested, warped_clip
from tests.dawlink.osc.daemon import Running
from tests.dawlink.osc.music import MARKERS, TEMPI, add_song, clicks, onsets_s

WAV_FRAMES_2_BARS = 2 * 4 * 22050


def test_ping_is_answered_and_answered_again(client: OscClient) -> None:
    for _ in range(2):
        client.send("/dawlink/ping", "i", 7)
        assert client.receive().values[0] == 7
        assert client.heard[-1].address == "/dawlink/pong"
        assert client.heard[-1].values[2] == 1


def test_hello_tells_protocol_and_library(client: OscClient) -> None:
    welcome = client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
    assert welcome.address == "/dawlink/welcome"
    assert welcome.values[1] == 1
    assert welcome.values[4] == len(TEMPI)


def test_another_protocol_is_refused(client: OscClient) -> None:
    answer = client.ask("/dawlink/hello", "ssiis", "test", "1", 2, 0, "")
    assert (answer.address, answer.values[1]) == ("/dawlink/error", 8)


def test_answers_go_to_the_port_named_in_hello(daemon: Running) -> None:
    with daemon.client() as sender, daemon.client() as ear:
        port = ear.door.getsockname()[1]
        sender.send("/dawlink/hello", "issiis", 5, "test", "1", 1, port, "")
        assert ear.receive().address == "/dawlink/welcome"
        sender.send("/dawlink/status", "i", 6)
        assert ear.receive().values[:2] == (6, "ready")
        assert sender.silent(0.05)
        sender.send("/dawlink/bye", "i", 7)
        assert ear.receive().address == "/dawlink/bye/done"


def test_warp_markers_are_the_clips_beats(client: OscClient, music: Music) -> None:
    about = (str(music.clip), 1, 0.0, 16.0, 0, 0.0)
    guess = client.ask("/dawlink/clip", "siffif", *about)
    assert guess.address == "/dawlink/clip/done"
    assert guess.values[5] == 0
    clip_id = warped_clip(client, music.clip)
    known = client.ask("/dawlink/clip", "siffif", *about)
    assert known.values[1] == clip_id == guess.values[1]
    mean_bpm = 60 * 16 / (MARKERS[-1][0] - MARKERS[0][0])
    assert known.values[2] == pytest.approx(mean_bpm, rel=0.1)
    assert clip_id[0].isalpha()


def test_suggest_sends_one_hit_per_stem_between_begin_and_end(
    client: OscClient, music: Music
) -> None:
    clip_id = warped_clip(client, music.clip)
    client.heard.clear()
    ranks = suggested(client, clip_id)
    addresses = [message.address for message in client.heard]
    assert addresses[0] == "/dawlink/suggest/begin"
    assert addresses[-1] == "/dawlink/suggest/end"
    hits = client.heard[1:-1]
    assert {message.address for message in hits} == {"/dawlink/suggest/hit"}
    assert client.heard[0].values[1] == client.heard[-1].values[1] == len(hits) == 6
    assert sorted(ranks) == [1, 2, 3]
    scores = [float(hit.values[3]) for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert {hit.values[4] for hit in hits} == {"harmonic", "percussion"}
    assert all(hit.values[8] == 0.0 and hit.values[9] == 4.0 for hit in hits)
    of_req = client.heard[0].values[0]
    client.heard.clear()
    again = client.ask("/dawlink/suggest/get", "ii", of_req, 2)
    assert again.values[1] == 2
    assert [str(hit.values[2]) for hit in client.heard[:-1]] == ranks[2]


def test_an_audition_lies_on_the_sessions_grid(client: OscClient, music: Music) -> None:
    clip_id = warped_clip(client, music.clip)
    stems = " ".join(suggested(client, clip_id)[1])
    for with_clip in (1, 0):
        done = client.ask("/dawlink/audition", "ssfi", stems, clip_id, 4.0, with_clip)
        assert done.address == "/dawlink/audition/done", done
        samples, rate = soundfile.read(done.values[1], dtype="float32", always_2d=True)
        assert samples.shape[0] == 2 * WAV_FRAMES_2_BARS
        found = onsets_s(samples.mean(axis=1), rate)
        nearest = np.round(found / 0.5) * 0.5
        assert found.size >= 14
        assert np.max(np.abs(found - nearest)) < 0.010
    again = client.ask("/dawlink/audition", "ssfi", stems, clip_id, 4.0, 0)
    assert again.values[1] == done.values[1]


def test_the_next_three_ranks_are_made_ahead(client: OscClient, music: Music) -> None:
    clip_id = warped_clip(client, music.clip)
    ranks = suggested(client, clip_id, 6)
    done = client.ask("/dawlink/audition", "ssfi", " ".join(ranks[1]), clip_id, 3.0, 0)
    cache = Path(str(done.values[1])).parent
    frames = soundfile.info(done.values[1]).frames
    alike: set[Path] = set()
    end = time.monotonic() + 60
    while len(alike) < 4 and time.monotonic() < end:
        time.sleep(0.05)
        alike = {path for path in cache.glob("[!.]*.wav") if _frames(path) == frames}
    time.sleep(0.3)
    assert {path for path in cache.glob("[!.]*.wav") if _frames(path) == frames} == alike
    assert len(alike) == 4  # what was asked for, and three more
    for rank in (2, 3, 4):
        ahead = client.ask("/dawlink/audition", "ssfi", " ".join(ranks[rank]), clip_id, 3.0, 0)
        assert Path(str(ahead.values[1])) in alike


def test_the_clip_is_heard_along_its_markers(
    client: OscClient, music: Music, tmp_path: Path
) -> None:
    client.send("/dawlink/set/project", "s", str(tmp_path))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    files = _rendered(client, stems, clip_id, 0.0, 4.0, "clip")
    samples, rate = soundfile.read(files["clip"][0], dtype="float32", always_2d=True)
    found = onsets_s(samples[:, 0], rate)
    assert found.size == 16
    np.testing.assert_allclose(found, 0.5 * np.arange(16), atol=0.010)


def test_a_render_goes_into_the_project(client: OscClient, music: Music, tmp_path: Path) -> None:
    client.send("/dawlink/set/project", "s", str(tmp_path))
    clip_id = warped_clip(client, music.clip)
    stems = " ".join(suggested(client, clip_id)[1])
    first = _rendered(client, stems, clip_id, 0.0, 2.0, "wav alc nonsense")
    folder = tmp_path / "Samples" / "Processed" / "dawlink"
    assert len(first["wav"]) == 2
    assert set(first) == {"wav", "alc"}
    assert all(path.is_file() for paths in first.values() for path in paths)
    done = client.heard[-1]
    assert done.values[1:] == (2 + len(first["alc"]), WAV_FRAMES_2_BARS, 44100, 8.0, 120.0)
    for path in first["wav"]:
        assert path.is_relative_to(folder)
        assert soundfile.info(path).frames == WAV_FRAMES_2_BARS
    shares = [m.values[1] for m in client.heard if m.address == "/dawlink/render/progress"]
    assert shares == sorted(shares)
    second = _rendered(client, stems, clip_id, 0.0, 2.0, "wav")
    assert not set(second["wav"]) & set(first["wav"])
    shifted = _rendered(client, stems, clip_id, 1.0, 2.0, "wav")
    whole, _ = soundfile.read(first["wav"][0], dtype="float32")
    later, _ = soundfile.read(shifted["wav"][0], dtype="float32")
    assert np.abs(later[: 6 * 22050] - whole[22050 : 7 * 22050]).max() < 0.05


def test_a_retry_is_not_carried_out_again(client: OscClient, music: Music, tmp_path: Path) -> None:
    client.send("/dawlink/set/project", "s", str(tmp_path))
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    message = packed("/dawlink/render", "issffs", 900, stems, clip_id, 0.0, 1.0, "wav")
    client.send_bytes(message)
    client.send_bytes(message)
    done = client.until("/dawlink/render/done")
    told = [m for m in client.heard if m.address == "/dawlink/render/file"] + [done]
    assert len(told) == 2
    client.send_bytes(message)
    assert [client.receive(), client.receive()] == told
    assert client.silent()
    assert len(list(tmp_path.rglob("*.wav"))) == 1


@pytest.mark.parametrize("address", ["/dawlink/suggest", "/dawlink/suggest/get"])
def test_a_retry_gets_the_hits_again(client: OscClient, music: Music, address: str) -> None:
    clip_id = warped_clip(client, music.clip)
    client.send("/dawlink/suggest", "isis", 910, clip_id, 3, "*")
    client.until_ended(910)
    get = packed("/dawlink/suggest/get", "iii", 911, 910, 2)
    suggest = packed("/dawlink/suggest", "isis", 910, clip_id, 3, "*")
    message, req = (get, 911) if address.endswith("get") else (suggest, 910)
    client.heard.clear()
    client.send_bytes(message)
    client.until_ended(req)
    first = list(client.heard)
    client.heard.clear()
    client.send_bytes(message)
    client.until_ended(req)
    assert client.heard == first
    assert sum(m.address == "/dawlink/suggest/hit" for m in first) == (2 if req == 911 else 6)
    assert client.silent()


def test_the_rest_of_answered_markers_begins_nothing(client: OscClient, music: Music) -> None:
    clip_id = warped_clip(client, music.clip)
    req = client.number()
    marker = [(req, clip_id, i, len(MARKERS), *point) for i, point in enumerate(MARKERS)]
    late = marker[-1]
    for each in marker:
        client.send("/dawlink/clip/warp", "isiiff", *each)
    assert client.receive().values == (req, clip_id)
    for each in marker:  # as a retry does, in any order
        client.send("/dawlink/clip/warp", "isiiff", *each)
    assert client.receive().values == (req, clip_id)
    assert client.silent()
    moved = (*late[:5], late[5] + 1.0)  # other markers, though under a number that was used
    for each in (*marker[:-1], moved):
        client.send("/dawlink/clip/warp", "isiiff", *each)
    client.send("/dawlink/clip/warp", "isiiff", *moved)
    assert client.silent()


def test_long_clips_keep_nobody_waiting(
    daemon: Running, client: OscClient, music: Music, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    clip_id = warped_clip(client, music.clip)
    suggested(client, clip_id)
    with daemon.client() as other:
        for number in range(4):
            noise = (0.1 * rng.standard_normal((30 * 44100, 2))).astype(np.float32)
            soundfile.write(tmp_path / f"{number}.wav", noise, 44100)
            about = (str(tmp_path / f"{number}.wav"), 0, 0.0, 0.0, 0, 0.0)
            other.send("/dawlink/clip", "isiffif", number, *about)
        suggested(client, clip_id)
        # Two are worked on at a time: had the question waited for one of them, three were left.
        assert client.ask("/dawlink/status", "").values[2] == 4
        for number in range(4):
            other.send("/dawlink/cancel", "ii", 10 + number, number)
        done = {other.until("/dawlink/cancelled").values[0] for _ in range(4)}
        assert done == set(range(4))


def test_cancel_ends_the_render_and_leaves_nothing(
    client: OscClient, music: Music, tmp_path: Path
) -> None:
    client.send("/dawlink/set/project", "s", str(tmp_path))
    clip_id = warped_clip(client, music.clip)
    stems = " ".join(suggested(client, clip_id)[1])
    client.send("/dawlink/render", "issffs", 501, stems, clip_id, 0.0, 256.0, "wav")
    client.until("/dawlink/render/progress")
    client.send("/dawlink/cancel", "ii", 502, 501)
    assert client.until("/dawlink/cancelled").values == (501,)
    assert client.receive() == Received("/dawlink/cancel/done", (502,), 32)
    assert client.silent()
    client.send("/dawlink/cancel", "ii", 503, 501)
    assert client.receive().values == (503,)
    assert _gone(tmp_path)


def test_a_new_clip_cancels_the_audition_of_the_last(client: OscClient, music: Music) -> None:
    clip_id = warped_clip(client, music.clip)
    stems = " ".join(suggested(client, clip_id)[2])
    client.send("/dawlink/audition", "issfi", 601, stems, clip_id, 16.0, 1)
    client.send("/dawlink/clip", "isiffif", 602, str(music.clip), 0, 0.0, 5.0, 0, 0.0)
    assert client.until("/dawlink/cancelled").values == (601,)
    assert client.until("/dawlink/clip/done").values[0] == 602


def test_stems_that_were_not_suggested_are_placed(client: OscClient, music: Music) -> None:
    clip_id = warped_clip(client, music.clip)
    stem = suggested(client, clip_id, 1)[1][0]
    client.send("/dawlink/set/tempo", "f", 125.0)
    done = client.ask("/dawlink/audition", "ssfi", stem, clip_id, 1.0, 0)
    assert soundfile.info(done.values[1]).frames == round(4 * 60 / 125 * 44100)
    unknown = client.ask("/dawlink/audition", "ssfi", "s000000000000", clip_id, 1.0, 0)
    assert unknown.values[1] == 1


def test_a_clip_is_counted_twice_or_half_as_fast(client: OscClient, music: Music) -> None:
    about = (str(music.clip), 0, 0.0, 8.0, 0, 0.0)
    heard = client.ask("/dawlink/clip", "siffif", *about)
    slow = client.ask("/dawlink/clip/tempo", "sf", heard.values[1], 0.5)
    assert slow.address == "/dawlink/clip/tempo/done", slow
    assert slow.values[2] == pytest.approx(heard.values[2] / 2, rel=1e-3)
    assert slow.values[1] != heard.values[1]
    back = client.ask("/dawlink/clip/tempo", "sf", slow.values[1], 2.0)
    assert back.values[1:] == heard.values[1:3]
    assert suggested(client, str(slow.values[1]))
    assert client.ask("/dawlink/clip/tempo", "sf", heard.values[1], 3.0).values[1] == 1
    warped = warped_clip(client, music.clip)
    assert client.ask("/dawlink/clip/tempo", "sf", warped, 2.0).values[2] == "warped"


def test_insertions_are_recorded(daemon: Running, client: OscClient) -> None:
    assert client.ask("/dawlink/inserted", "if", 1, 120.0).address == "/dawlink/inserted/done"
    with sqlite3.connect(daemon.jobs) as db:
        found = db.execute("SELECT state, asked FROM jobs WHERE kind = 'inserted'").fetchall()
    assert ("done", '{"ok": 1, "implied_bpm": 120.0}') in found


def test_a_project_that_cannot_be_used_is_none(
    daemon: Running, client: OscClient, music: Music, tmp_path: Path
) -> None:
    """Renders of a set never land in the project of the set before."""
    client.send("/dawlink/set/project", "s", str(tmp_path))
    client.send("/dawlink/set/project", "s", str(tmp_path / "not there"))
    assert client.receive().values[:2] == (0, 3)
    clip_id = warped_clip(client, music.clip)
    stems = suggested(client, clip_id)[1][0]
    files = _rendered(client, stems, clip_id, 0.0, 1.0, "wav")
    assert files["wav"][0].is_relative_to(daemon.output)
    assert not list(tmp_path.rglob("*.wav"))


def test_bundles_are_taken_apart(client: OscClient) -> None:
    inner = bundle(packed("/dawlink/ping", "i", 31), packed("/dawlink/ping", "i", 32))
    client.send_bytes(bundle(packed("/dawlink/ping", "i", 30), inner))
    assert [client.receive().values[0] for _ in range(3)] == [30, 31, 32]


def test_a_song_added_meanwhile_is_told_of(client: OscClient, music: Music) -> None:
    client.ask("/dawlink/hello", "ssiis", "test", "1", 1, 0, "")
    grid = BeatGrid(0.5 * np.arange(17))
    sound = clicks(grid.beats_s[:-1], 9.0, pitch_hz=440.0)
    with Library.open(music.library) as library:
        new = add_song(library, np.random.default_rng(1), "New", grid, {"drums": sound})
        assert client.until("/dawlink/event/library").values == (len(TEMPI) + 1,)
        library.remove(new)
        assert client.until("/dawlink/event/library").values == (len(TEMPI),)


def _rendered(
    client: OscClient, stems: str, clip_id: str, start_beat: float, bars: float, kinds: str
) -> dict[str, list[Path]]:
    before = len(client.heard)
    done = client.ask("/dawlink/render", "ssffs", stems, clip_id, start_beat, bars, kinds)
    assert done.address == "/dawlink/render/done", done
    files: dict[str, list[Path]] = {}
    for message in client.heard[before:]:
        if message.address == "/dawlink/render/file":
            files.setdefault(str(message.values[1]), []).append(Path(str(message.values[2])))
    return files


def _frames(path: Path) -> int:
    try:
        return int(soundfile.info(path).frames)
    except soundfile.LibsndfileError:  # still being written, under a hidden name
        return 0


def _gone(folder: Path, patience: int = 400) -> bool:
    """The work in progress is taken away within moments."""
    for _ in range(patience):
        left = paths_below(folder)
        if not any(path.is_file() or "part-" in path.name for path in left):
            return True
        time.sleep(0.05)
    return False
