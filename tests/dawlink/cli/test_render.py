from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import dawlink as package
from engine.audio.loudness import integrated_lufs, true_peak_db
from engine.audio.waveform import Waveform
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, Document, refused

BARS = ("--bars", 2)


def rendered(command: Command, clip: Path, out: Path, *options: object) -> Document:
    ran = command("render", clip, "--out", out, *options, "--json")
    assert ran.code == 0, ran
    assert ran.err == ""
    return ran.document


def files_of(document: Document) -> list[Path]:
    """Every audio file of one render."""
    others = [document[part]["path"] for part in ("clip", "mix") if document[part] is not None]
    return [Path(path) for path in (*(s["path"] for s in document["stems"]), *others) if path]


def read(path: Path) -> Waveform:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return Waveform(np.ascontiguousarray(samples.T), rate)


@pytest.mark.parametrize(
    ("tempo_bpm", "rate", "file_format", "depth", "subtype"),
    [
        (120.0, 44100, "wav", "24", "PCM_24"),
        (97.31, 48000, "flac", "16", "PCM_16"),
        (113.7, 22050, "wav", "32f", "FLOAT"),
        (101.99, 96000, "flac", "24", "PCM_24"),
        (128.0, 32000, "wav", "16", "PCM_16"),
    ],
)
def test_every_file_has_exactly_the_frames_that_the_session_means(
    filled: Command,
    music: Music,
    tmp_path: Path,
    tempo_bpm: float,
    rate: int,
    file_format: str,
    depth: str,
    subtype: str,
) -> None:
    document = rendered(
        filled, music.clip, tmp_path / "out", "--tempo", tempo_bpm, "--sample-rate", rate,
        "--format", file_format, "--bit-depth", depth, *BARS,
    )  # fmt: skip
    frames = round(2 * 4 * 60 / tempo_bpm * rate)
    assert (document["frames"], document["sample_rate"], document["bars"]) == (frames, rate, 2)
    assert document["tempo_bpm"] == tempo_bpm
    files = files_of(document)
    assert len(files) == 4
    for path in files:
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.subtype) == (frames, rate, subtype), path
        assert path.suffix == f".{file_format}"
    everything = {*files, Path(document["renders"][0]["json"])}
    assert set((tmp_path / "out").iterdir()) == everything


def test_the_description_agrees_with_the_files(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    options = ("--tempo", 120, "--key", "Am", "--bit-depth", "32f", *BARS)
    document = rendered(filled, music.clip, tmp_path, *options)
    (render,) = document["renders"]
    beside = json.loads(Path(render["json"]).read_text(encoding="utf-8"))
    assert beside == {name: value for name, value in render.items() if name != "json"}
    assert {"schema", "tempo_bpm", "key", "beats_per_bar", "bars", "sample_rate", "frames",
            "clip", "mix", "stems", "projects", "dawlink", "model"} <= set(beside)  # fmt: skip
    assert (beside["schema"], beside["key"], beside["beats_per_bar"]) == (1, "A minor", 4)
    assert beside["dawlink"] == package.__version__
    assert Path(beside["clip"]["source"]) == music.clip.resolve()
    assert Path(beside["clip"]["path"]).is_file()

    mix = read(Path(beside["mix"]["path"]))
    assert integrated_lufs(mix) == pytest.approx(beside["mix"]["lufs"], abs=0.05)
    assert true_peak_db(mix) == pytest.approx(beside["mix"]["true_peak_db"], abs=0.05)
    assert true_peak_db(mix) <= -1.0 + 1e-3

    suggestion = filled("suggest", music.clip, *options[:4], *BARS, "--json").document
    best = suggestion["suggestions"][0]["stems"]
    for stem, suggested in zip(beside["stems"], best, strict=True):
        same = ("stem_id", "role", "semitones", "gain_db", "ratio_out_in", "source_start_s")
        assert {name: stem[name] for name in same} == {name: suggested[name] for name in same}
        assert_warp(stem["warp"], beats=2 * 4)
        assert stem["warp"][0][0] == pytest.approx(suggested["source_start_s"], abs=1e-3)
    drums = next(stem for stem in beside["stems"] if stem["role"] == "percussion")
    assert drums["semitones"] == 0


def assert_warp(warp: list[list[float]], *, beats: int) -> None:
    """Source seconds against session beats, both rising, from beat 0 on."""
    seconds, session = zip(*warp, strict=True)
    assert session[0] == 0
    assert session[-1] >= beats
    assert all(np.diff(seconds) > 0)
    assert all(np.diff(session) > 0)


def test_names_tell_title_role_tempo_and_key_and_are_safe(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    clip = tmp_path / "CON: what? 絆.wav"
    clip.write_bytes(music.clip.read_bytes())
    known = ("--clip-tempo", 110, "--clip-downbeat", 0, "--clip-key", "Am", "--sample-rate", 22050)
    document = rendered(filled, clip, tmp_path / "out", "--tempo", 120.5, *known, *BARS)
    for stem in document["stems"]:
        for part in (stem["title"], stem["role"], "120.5bpm", "Am"):
            assert part in Path(stem["path"]).name
    assert Path(document["mix"]["path"]).name.endswith(" mix.wav")
    for path in (tmp_path / "out").iterdir():
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', path.name)
        assert not path.name.endswith((" ", "."))
        assert "絆" in path.name or any(stem["title"] in path.name for stem in document["stems"])
        assert len(path.name.encode()) < 200


def test_nothing_is_replaced_unless_asked_for(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    options = ("--tempo", 110, "--sample-rate", 22050, *BARS)
    first = rendered(filled, music.clip, tmp_path, *options)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    ran = filled("render", music.clip, "--out", tmp_path, *options, "--json")
    refused(ran, 7, "exists", "already there", "--overwrite")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    files_of(first)[0].unlink()  # one of the others is enough to refuse
    refused(filled("render", music.clip, "--out", tmp_path, *options, "--json"), 7, "exists")
    assert not files_of(first)[0].exists()

    again = rendered(filled, music.clip, tmp_path, *options, "--overwrite")
    assert files_of(again) == files_of(first)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_mix_and_without_clip(filled: Command, music: Music, tmp_path: Path) -> None:
    options = ("--tempo", 110, "--sample-rate", 22050, *BARS)
    document = rendered(filled, music.clip, tmp_path / "a", *options, "--no-mix", "--no-clip")
    assert (document["mix"], document["clip"]["path"]) == (None, None)
    assert len(files_of(document)) == 2
    assert len(list((tmp_path / "a").iterdir())) == 3


def test_rank_top_and_stems_choose_what_is_rendered(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    options = ("--tempo", 110, *BARS)
    small = (*options, "--sample-rate", 22050, "--no-mix", "--no-clip")
    suggestions = filled("suggest", music.clip, *options, "--json").document["suggestions"]
    ids = [[stem["stem_id"] for stem in group["stems"]] for group in suggestions]

    def chosen(folder: str, *choice: object) -> list[list[str]]:
        document = rendered(filled, music.clip, tmp_path / folder, *small, *choice)
        return [[s["stem_id"] for s in render["stems"]] for render in document["renders"]]

    assert chosen("default") == ids[:1]
    assert chosen("rank", "--rank", 2) == ids[1:2]
    assert chosen("top", "--top", 2) == ids[:2]
    last = ids[-1]
    assert chosen("stems", "--stems", ",".join(last)) == [last]
    (alone,) = chosen("one", "--stems", last[1][:8])
    assert alone == [last[1]]


def test_nothing_is_rendered_when_a_later_rank_is_there(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    options = ("--tempo", 110, *BARS, "--sample-rate", 22050, "--out", tmp_path)
    assert filled("render", music.clip, *options, "--rank", 2).code == 0
    before = sorted(tmp_path.iterdir())
    refused(filled("render", music.clip, *options, "--top", 2, "--json"), 7, "exists")
    assert sorted(tmp_path.iterdir()) == before


def test_what_suggest_says_of_the_clip_render_says_too(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    options = ("--tempo", 110, *BARS, "--key", "F# major")
    notes = filled("suggest", music.clip, *options, "--json").document["notes"]
    assert notes
    ran = filled("render", music.clip, *options, "--out", tmp_path, "--json")
    assert ran.document["notes"] == notes
    assert all(note in ran.err.replace("\n", " ") for note in notes)


def test_a_gain_moves_a_whole_stem(filled: Command, music: Music, tmp_path: Path) -> None:
    options = ("--tempo", 122, "--bit-depth", "32f", *BARS)
    document = rendered(filled, music.clip, tmp_path, *options)
    stems = [read(Path(stem["path"])) for stem in document["stems"]]
    clip = read(Path(document["clip"]["path"]))
    mix = read(Path(document["mix"]["path"]))
    total = sum(part.samples.astype(np.float64) for part in (*stems, clip))
    loud = np.abs(total) > 0.05 * np.abs(total).max()
    ratio = mix.samples[loud] / total[loud]
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.01  # one gain but for the limiter


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--rank", "0"], "usage", "--rank 0"),
        (["--top", "-1"], "usage", "--top -1"),
        (["--rank", "1", "--top", "2"], "usage", "exclude"),
        (["--sample-rate", "12345"], "bad_setting", "44100"),
        (["--sample-rate", "0"], "bad_setting", "192000"),
        (["--format", "mp3"], "bad_setting", "wav, flac"),
        (["--bit-depth", "8"], "bad_setting", "16, 24, 32f"),
        (["--format", "flac", "--bit-depth", "32f"], "bad_bit_depth", "--bit-depth 24"),
        (["--stems", "snone"], "unknown_id", "`dawlink suggest` shows ids of stems"),
        (["--stems", ","], "usage", "--stems"),
        (["--tempo", "0"], "bad_tempo", "20..400"),
        (["--key", "H"], "bad_key", "H"),
    ],
)
def test_what_cannot_be_meant_writes_nothing(
    filled: Command, music: Music, tmp_path: Path, options: list[str], code: str, word: str
) -> None:
    out = tmp_path / "out"
    refused(filled("render", music.clip, "--out", out, *options, "--json"), 2, code, word)
    assert not out.exists()


def test_a_rank_that_is_not_there(filled: Command, music: Music, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = filled("render", music.clip, "--out", out, "--rank", 999, "--json")
    refused(ran, 6, "no_such_rank", "999")
    silent = ("--tempo", 112, "--tempo-range", "0.999,1.001")
    ran = filled("render", music.clip, "--out", out, *silent, "--json")
    refused(ran, 6, "nothing_fits", "--tempo-range")
    assert not out.exists()


def test_a_folder_that_cannot_be_written(filled: Command, music: Music, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("here first")
    for out in (occupied, occupied / "below"):
        ran = filled("render", music.clip, "--out", out, *BARS, "--json")
        refused(ran, 7, "unwritable", str(out), "--out")
    assert filled("render", music.clip, "--out", "/proc/nowhere", *BARS).code == 7
    assert occupied.read_text() == "here first"


def test_a_render_that_fails_leaves_nothing_behind(
    own: Command, music: Music, tmp_path: Path
) -> None:
    listed = own("list", "--json").document["songs"]
    for song in listed:
        shown = own("show", song["song_id"], "--json").document
        drums = next(stem["stem_id"] for stem in song["stems"] if stem["role"] == "drums")
        Path(shown["paths"][drums]).unlink()
    out = tmp_path / "out"
    ran = own("render", music.clip, "--out", out, "--tempo", 110, *BARS, "--json")
    assert ran.code == 6, ran
    assert ran.document["error"]["hint"]
    assert not out.exists() or list(out.iterdir()) == []


def test_for_a_person_it_prints_the_paths(filled: Command, music: Music, tmp_path: Path) -> None:
    options = ("--tempo", 110, "--sample-rate", 22050, *BARS)
    ran = filled("render", music.clip, "--out", tmp_path, *options)
    assert ran.code == 0, ran
    assert {Path(line) for line in ran.out.splitlines()} == set(tmp_path.iterdir())


def test_a_stem_whose_audio_is_gone_is_named_with_the_way_out(
    own: Command, music: Music, tmp_path: Path
) -> None:
    suggestions = own("suggest", music.clip, *BARS, "--json").document["suggestions"]
    gone = Path(suggestions[0]["stems"][0]["path"])
    gone.unlink()
    ran = own("render", music.clip, "--out", tmp_path / "out", *BARS, "--json")
    refused(ran, 6, "no_audio", str(gone), "verify")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_closed_terminal_or_a_shutdown_leaves_nothing_half_written(
    filled: Command, music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number = signal.Signals[name]
    before = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it

    def killed(*_: object, **__: object) -> Waveform:
        os.kill(os.getpid(), number)
        raise AssertionError

    monkeypatch.setattr("engine.delivery.writing.render_from", killed)
    try:
        ran = filled("render", music.clip, "--out", tmp_path / "out", *BARS)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert ran.code == 130, ran
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not list((tmp_path / "out").glob(".dawlink-part*"))
