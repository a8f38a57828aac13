from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.theory import Key, parse_role, signed_semitones

KEYS = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_every_way_to_write_a_key_reads_back(key: Key) -> None:
    assert Key.parse(str(key)) == key
    assert Key.parse(key.short) == key
    assert Key.parse(key.camelot) == key
    assert Key.parse(key.camelot.lower()) == key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bb major", "A# major"),
        ("Ebm", "D# minor"),
        ("c:min", "C minor"),
        ("F♯ minor", "F# minor"),
        ("8A", "A minor"),
        ("8B", "C major"),
        ("12b", "E major"),
        ("G dur", "G major"),
        ("b", "B major"),
        ("Cb", "B major"),
        ("A Minor", "A minor"),
        ("F# MAJOR", "F# major"),
        ("08A", "A minor"),
    ],
)
def test_other_spellings(text: str, expected: str) -> None:
    assert str(Key.parse(text)) == expected


@pytest.mark.parametrize("text", ["H", "", "A middling", "13A", "0B", "A##", "minor", "8C", "A M"])
def test_what_is_no_key_says_so(text: str) -> None:
    with pytest.raises(UsageError, match="not a key") as raised:
        Key.parse(text)
    assert "8A" in raised.value.hint


@given(st.integers(0, 11), st.integers(0, 11))
def test_signed_semitones_arrive(source: int, target: int) -> None:
    step = signed_semitones(source, target)
    assert -6 <= step <= 5
    assert (source + step) % 12 == target


def test_roles_are_parsed() -> None:
    assert parse_role(" Drums ") == "drums"
    with pytest.raises(UsageError, match="not a role"):
        parse_role("kazoo")
