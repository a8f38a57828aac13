"""Datagrams that nobody means well with."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from dawlink.osc.messages import REQUESTS
from tests.dawlink.osc.client import Value, bundle, packed

_BAD_FLOATS = (float("nan"), float("inf"), float("-inf"), -1e30, 1e30, 0.0)
_BAD_TEXTS = (
    "", "*", "/", "/etc/passwd", "../../etc", "/tmp/../etc", "/proc/self/mem", "/dev/zero",
    "x" * 900, "\u202e", "s000000000000", "c000000000000", "wav", "token=", "%s%n", "~",
)  # fmt: skip
_BAD_INTS = (0, -1, 1, 2**31 - 1, -(2**31), 48, 1024)


@dataclass(frozen=True)
class Known:
    """What an attacker has found out: a clip, its id, a stem."""

    clip: str
    clip_id: str
    stem: str


def datagrams(rng: random.Random, count: int, known: Known | None = None) -> Iterator[bytes]:
    """A stream of them: noise, mutations, wrong types, huge ones, nested bundles, repeats.

    With something ``known``, also requests that are right but for one argument.
    """
    kinds = [_noise, _mutated, _wrong_types, _extreme, _extreme, _huge, _nested, _cut]
    if known is not None:
        kinds += 3 * [partial(_nearly_right, known=known)]
    last = b"/"
    for number in range(count):
        if number % 9 == 0:
            yield last
            continue
        last = rng.choice(kinds)(rng)
        yield last


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(0, 400))


def _mutated(rng: random.Random) -> bytes:
    data = bytearray(_extreme(rng))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _wrong_types(rng: random.Random) -> bytes:
    address = rng.choice(sorted(REQUESTS))
    tags = "".join(rng.choice("ifs") for _ in range(rng.randrange(0, 9)))
    exotic = rng.choice(("", "", "b", "T", "h", "[", "d", "é"))
    data = packed(address, tags, *(_value(rng, tag) for tag in tags))
    old, new = f",{tags}".encode(), f",{tags}{exotic}".encode()
    return data.replace(old, new, 1)


def _extreme(rng: random.Random) -> bytes:
    """A well-formed request with values that cannot be meant; `set/project` only to nowhere."""
    definition = REQUESTS[rng.choice(sorted(REQUESTS))]
    values: list[Value] = [_value(rng, tag) for tag in definition.tags]
    return packed(definition.address, definition.tags, *values)


def _nearly_right(rng: random.Random, *, known: Known) -> bytes:
    req = rng.randrange(1, 200)  # numbers are used again and again
    right: list[tuple[str, list[Value]]] = [
        ("/dawlink/clip", [req, known.clip, 1, 0.0, 16.0, 0, 0.0]),
        ("/dawlink/clip/warp", [req, known.clip_id, rng.randrange(3), 3, 0.5, 1.0]),
        ("/dawlink/clip/tempo", [req, known.clip_id, 2.0]),
        ("/dawlink/suggest", [req, known.clip_id, 3, "*"]),
        ("/dawlink/suggest/get", [req, rng.randrange(1, 200), 1]),
        ("/dawlink/audition", [req, known.stem, known.clip_id, 1.0, 0]),
        ("/dawlink/render", [req, known.stem, known.clip_id, 0.0, 1.0, "wav"]),
        ("/dawlink/cancel", [req, rng.randrange(1, 200)]),
        ("/dawlink/set/tempo", [120.0]),
    ]
    address, values = rng.choice(right)
    tags = REQUESTS[address].tags
    spoilt = rng.randrange(len(tags))
    values[spoilt] = _value(rng, tags[spoilt])
    return packed(address, tags, *values)


def _value(rng: random.Random, tag: str) -> Value:
    return rng.choice({"i": _BAD_INTS, "f": _BAD_FLOATS, "s": _BAD_TEXTS}[tag])


def _huge(rng: random.Random) -> bytes:
    return rng.choice((b"/dawlink/ping\0\0\0,i\0\0", b"#bundle\0", b"")) + rng.randbytes(60_000)


def _nested(rng: random.Random) -> bytes:
    data = _extreme(rng)
    for _ in range(rng.randrange(1, 300)):
        data = bundle(data)
        if len(data) > 8000:
            break
    return data


def _cut(rng: random.Random) -> bytes:
    data = b"#bundle\0" + bytes(8) + struct.pack(">i", rng.choice(_BAD_INTS)) + _extreme(rng)
    return data[: rng.randrange(len(data))]
