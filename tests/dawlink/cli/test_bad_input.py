"""Clips that cannot be used: one clear error each, from ``suggest`` and ``render`` alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, refused
from tests.dawlink.cli.sounds import music as short_music
from tests.dawlink.cli.sounds import write
from tests.dawlink.cli.test_add_bad_files import damaged

KINDS = [
    ("empty", "empty", "0 bytes"),
    ("header only", "truncated", "cut off"),
    ("text", "not_audio", "not an audio file"),
    ("silent", "silent", "silent"),
    ("short", "too_short", "1.00 s"),
    ("not numbers", "not_finite", "0.023 s"),
]


@pytest.mark.parametrize(("kind", "code", "word"), KINDS)
def test_a_clip_that_cannot_be_used_is_named(
    filled: Command, tmp_path: Path, kind: str, code: str, word: str
) -> None:
    clip = damaged(kind, tmp_path)
    refused(filled("suggest", clip, "--json"), 6, code, word, clip.name)
    out = tmp_path / "out"
    refused(filled("render", clip, "--out", out, "--json"), 6, code, word)
    assert not out.exists()


def test_a_clip_that_is_missing_or_a_folder(filled: Command, tmp_path: Path) -> None:
    refused(filled("suggest", tmp_path / "no.wav", "--json"), 6, "missing_file", "no.wav")
    refused(filled("suggest", tmp_path, "--json"), 6, "missing_file", "not a file")


@pytest.mark.parametrize(
    ("region", "word"),
    [(("--start", 500), "500 s"), (("--start", 4, "--end", 5), "2 s are needed")],
)
def test_a_region_outside_the_clip_or_too_short(
    filled: Command, music: Music, region: tuple[object, ...], word: str
) -> None:
    refused(filled("suggest", music.clip, *region, "--json"), 6, "too_short", word)


@pytest.mark.parametrize("kind", ["mono eight bit", "six channels", "fine", "strange name"])
def test_unusual_clips_are_as_good_as_others(filled: Command, tmp_path: Path, kind: str) -> None:
    rate = 192000 if kind == "fine" else 44100
    channels = {"mono eight bit": 1, "six channels": 6}.get(kind, 2)
    name = "04 絆ふぉーえばー – ű.wav" if kind == "strange name" else f"{kind}.wav"
    samples = short_music(4.0, rate=rate, channels=channels, tempo_bpm=110)
    subtype = "PCM_U8" if channels == 1 else "PCM_16"
    clip = write(tmp_path / name, samples, rate, subtype=subtype)
    known = ("--clip-tempo", 110, "--clip-downbeat", 0, "--clip-key", "Am")
    ran = filled("suggest", clip, *known, "--json")
    assert ran.code == 0, ran
    assert ran.document["suggestions"]
    assert Path(ran.document["query"]["path"]).name == name


def test_a_library_whose_caches_cannot_be_written_gives_the_same_answers(
    own: Command, music: Music
) -> None:
    options = ("suggest", music.clip, "--bars", 3, "--json")
    expected = own(*options).document
    for name in ("cache", "index"):
        shutil.rmtree(own.library / name)
        (own.library / name).write_text("a file where the folder should be")
    ran = own(*options)
    assert ran.code == 0, ran
    assert ran.document == expected
