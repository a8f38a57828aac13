from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.naming import safe_name, tempo_and_key, without_tempo_and_key
from engine.theory import Key


@given(st.text(max_size=300))
def test_any_text_becomes_a_usable_name(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    name = safe_name(text)
    assert name
    assert not set(name) & set('<>:"/\\|?*')
    assert name == name.strip(" .")
    assert len(name.encode("utf-8")) <= 121
    assert Path(name).name == name
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AC/DC: Live?", "AC-DC- Live-"),
        ("con", "con_"),
        ("LPT1.take", "LPT1.take_"),
        ("絆ふぉーえばー – ű", "絆ふぉーえばー – ű"),
        ("..", "untitled"),
        ("a\x00b\n c", "ab c"),
    ],
)
def test_known_traps(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_tempo_and_key() -> None:
    assert tempo_and_key(120.0, Key.parse("Am")) == "120bpm Am"
    assert tempo_and_key(97.316, None) == "97.32bpm"


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Long Way Round vocals 110 BPM Am", "Long Way Round vocals"),
        ("lead_104bpm_F#min", "lead"),
        ("128bpm", "128bpm"),
        ("Verse (98.5 bpm) dry", "Verse dry"),
        ("Route 66", "Route 66"),
    ],
)
def test_stated_tempo_and_key_are_taken_off_titles(title: str, left: str) -> None:
    assert without_tempo_and_key(title) == left
