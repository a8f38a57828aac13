"""``render --duck``: with and without a number, told in the description, off when not asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.files import sha256_of
from engine.mashup.ducking import DEFAULT_DUCK_DB
from engine.models.song_masher.shipped_mask import SHIPPED_MASK
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, refused

SMALL = ("--tempo", 110, "--sample-rate", 22050, "--bars", 2)


def test_a_bare_duck_and_one_with_a_number(filled: Command, music: Music, tmp_path: Path) -> None:
    asked = {
        "off": (music.clip, *SMALL),
        "bare": ("--duck", music.clip, *SMALL),
        "last": (music.clip, *SMALL, "--duck"),
        "two": ("--duck", 2, music.clip, *SMALL),
        "equals": (music.clip, "--duck=2.0", *SMALL),
    }
    stems, ducks = {}, {}
    for name, arguments in asked.items():
        ran = filled("render", "--out", tmp_path / name, "--json", *arguments)
        assert ran.code == 0, ran
        beside = json.loads(Path(ran.document["json"]).read_text(encoding="utf-8"))
        ducks[name] = beside.get("duck")
        stems[name] = [Path(stem["path"]).read_bytes() for stem in beside["stems"]]
        assert {soundfile.info(str(path)).frames for path in (tmp_path / name).glob("*.wav")} == {
            beside["frames"]
        }
    assert ducks["off"] is None
    assert ducks["bare"] == ducks["last"]
    assert ducks["bare"]["curve"] == "network"
    assert ducks["bare"]["checkpoint"] == sha256_of(SHIPPED_MASK)[:16]
    assert ducks["bare"]["depth_db"] == DEFAULT_DUCK_DB
    assert 0 < ducks["bare"]["deepest_db"] <= DEFAULT_DUCK_DB
    assert len(ducks["bare"]["mean_db"]) == len(ducks["bare"]["band_edges_hz"]) + 1
    assert ducks["two"] == ducks["equals"]
    assert ducks["two"]["depth_db"] == 2.0
    assert max(ducks["two"]["mean_db"]) < max(ducks["bare"]["mean_db"])
    assert stems["bare"] == stems["last"]
    assert stems["two"] == stems["equals"]
    assert all(one != two for one, two in zip(stems["off"], stems["bare"], strict=True))


def test_stems_are_softer_and_the_clip_is_not(
    filled: Command, music: Music, tmp_path: Path
) -> None:
    levels = []
    for name, options in (("off", ()), ("on", ("--duck", 6))):
        ran = filled("render", music.clip, "--out", tmp_path / name, *SMALL, *options, "--json")
        paths = [ran.document["clip"]["path"], *(s["path"] for s in ran.document["stems"])]
        audio = [soundfile.read(path, dtype="float64")[0] for path in paths]
        levels.append([10 * np.log10(np.mean(np.square(samples))) for samples in audio])
    clip, *stems = np.subtract(*levels)
    assert clip == 0.0
    assert all(0.0 < lost < 6.0 for lost in stems)


@pytest.mark.parametrize(
    ("depth", "code", "word"),
    [
        ("7", "bad_duck", "up to 6 dB"),
        ("-2", "bad_duck", "-2 dB"),
        ("0", "bad_duck", "leave it out"),
        ("nan", "bad_duck", "nan"),
    ],
)
def test_a_depth_that_cannot_be_meant_writes_nothing(
    filled: Command, music: Music, tmp_path: Path, depth: str, code: str, word: str
) -> None:
    out = tmp_path / "out"
    ran = filled("render", music.clip, "--out", out, "--duck", depth, "--json")
    refused(ran, 2, code, word)
    ran = filled("render", music.clip, "--out", out, "--duck=deep", "--json")
    refused(ran, 2, "usage", "--duck")
    assert not out.exists()
