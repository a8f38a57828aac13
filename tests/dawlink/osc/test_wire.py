"""Datagrams: what is sent reads back, and nothing that comes in does harm."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawlink.osc.answers import Error, RenderFile, SuggestHit
from dawlink.osc.faults import Fault
from dawlink.osc.requests import Clip, SetTempo
from dawlink.osc.schema import REQUESTS, arguments_of, read_arguments
from dawlink.osc.wire import LARGEST_ANSWER, LARGEST_DATAGRAM, Malformed, decode, encode
from tests.dawlink.osc.client import bundle, packed, unpacked

whole = st.integers(-(2**31), 2**31 - 1)
real = st.floats(width=32, allow_nan=False, allow_infinity=False)
text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60)


@given(whole, whole, text, real, text, text, real, whole)
def test_messages_read_back(
    req: int, rank: int, role: str, score: float, title: str, name: str, ratio: float, shift: int
) -> None:
    hit = SuggestHit(req, rank, name, score, role, title, ratio, shift, ratio, score)
    received = unpacked(encode(hit))
    assert received.address == "/dawlink/suggest/hit"
    assert received.values == tuple(value for _, value in arguments_of(hit))


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_long_texts_are_cut_to_what_fits(message: str) -> None:
    long = message * 1100
    for sent, at in ((Error(1, 2, "name", long), 3), (_hit(long), 5)):
        data = encode(sent)
        assert LARGEST_ANSWER - 12 < len(data) <= LARGEST_ANSWER
        kept = str(unpacked(data).values[at])  # decoded strictly: no half of a character
        assert long.startswith(kept)


@pytest.mark.parametrize("title", ["a\0bcdefgh", "\ud800", "x\udcff" * 2000, "\0" * 3000])
def test_what_no_text_can_hold_spoils_no_message(title: str) -> None:
    data = encode(_hit(title))
    received = unpacked(data)
    assert len(data) <= LARGEST_ANSWER
    assert len(received.values) == 10
    assert received.values[6:] == (1.0, 2, 0.5, 4.0)


def test_a_path_is_never_cut() -> None:
    with pytest.raises(Fault, match="bytes"):
        encode(RenderFile(1, "wav", "/" + "x" * 1100))


def _hit(title: str) -> SuggestHit:
    return SuggestHit(1, 1, "s1", 0.5, "harmonic", title, 1.0, 2, 0.5, 4.0)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    try:
        decode(data)
    except Malformed:
        return


@given(
    st.integers(0, 200),
    st.integers(0, 255),
    st.sampled_from(sorted(REQUESTS)),
    st.binary(max_size=8),
)
def test_a_spoilt_message_is_a_fault_or_malformed(
    at: int, byte: int, address: str, tail: bytes
) -> None:
    definition = REQUESTS[address]
    values = tuple({"i": 1, "f": 0.5, "s": "text"}[tag] for tag in definition.tags)
    data = bytearray(packed(address, definition.tags, *values) + tail)
    data[at % len(data)] = byte
    try:
        for raw in decode(bytes(data)):
            found = REQUESTS.get(raw.address)
            if found is not None:
                read_arguments(found, raw.values)
    except (Malformed, Fault):
        return


def test_bundles_are_taken_apart_only_so_deep() -> None:
    data = packed("/dawlink/ping", "i", 1)
    for _ in range(3):
        data = bundle(data, data)
    assert len(decode(data)) == 8
    with pytest.raises(Malformed):
        decode(bundle(data))


def test_a_datagram_may_be_only_so_large() -> None:
    with pytest.raises(Malformed):
        decode(b"/" + b"x" * LARGEST_DATAGRAM)


@pytest.mark.parametrize("size", [0, -4, 3, 2**31 - 1])
def test_bundle_elements_of_impossible_sizes(size: int) -> None:
    with pytest.raises(Malformed):
        decode(b"#bundle\0" + bytes(8) + struct.pack(">i", size) + b"/abc")


def test_a_whole_number_is_a_number() -> None:
    definition = REQUESTS["/dawlink/set/tempo"]
    assert read_arguments(definition, (120,)) == SetTempo(120.0)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1, "/a", 0, 0.0, 0.0, 0),
        (1, "/a", 0, 0.0, 0.0, 0, 0.0, 0),
        (1, 5, 0, 0.0, 0.0, 0, 0.0),
        (1, "/a", 0.5, 0.0, 0.0, 0, 0.0),
        (1, "/a", 0, float("nan"), 0.0, 0, 0.0),
        (1, "/a", 0, 0.0, float("inf"), 0, 0.0),
        (1, "/a", 0, 0.0, 0.0, 0, None),
    ],
)
def test_arguments_that_do_not_fit_are_a_fault(
    values: tuple[int | float | str | None, ...],
) -> None:
    definition = REQUESTS["/dawlink/clip"]
    assert definition.kind is Clip
    with pytest.raises(Fault) as fault:
        read_arguments(definition, values)
    assert fault.value.code == 1
    assert "/dawlink/clip" in fault.value.message
