from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from tests.max4live.remote_script.loading import part

osc = part("osc")
WHOLE = st.integers(-(1 << 31), (1 << 31) - 1)
REAL = st.floats(width=32, allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)


@given(st.lists(WHOLE | REAL | TEXT, max_size=9))
def test_what_is_packed_is_what_others_read(values: list[object]) -> None:
    packet = osc.pack("/dawlink/x", values)
    assert len(packet) % 4 == 0
    assert OscMessage(packet).params == values
    assert osc.unpack(packet) == ("/dawlink/x", values)


@given(st.binary(max_size=60))
def test_nothing_but_a_refusal_comes_out_of_noise(packet: bytes) -> None:
    try:
        address, _ = osc.unpack(packet)
    except osc.NotOsc:
        return
    assert address.startswith("/")


def test_every_cut_of_a_message_is_refused_or_shorter() -> None:
    packet = osc.pack("/dawlink/x", [1, 2.5, "abc"])
    for size in range(len(packet)):
        with pytest.raises(osc.NotOsc):
            osc.unpack(packet[:size])


@pytest.mark.parametrize("value", [None, b"raw", [1], 1 << 31, 1e39, "a\0b", "x" * 1024])
def test_what_cannot_be_sent_is_said_before(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts differ
        osc.pack("/dawlink/x", [value])


@pytest.mark.parametrize("tag", ["h", "d", "b", "T", "N", "["])
def test_types_that_are_never_sent_are_refused(tag: str) -> None:
    with pytest.raises(osc.NotOsc):
        osc.unpack(b"/x\0\0," + tag.encode() + b"\0\0" + bytes(8))
