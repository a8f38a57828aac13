"""``docs/osc.md``, made from the message definitions: ``python -m dawlink.osc.reference``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dawlink.osc.faults import ErrorCode
from dawlink.osc.messages import ANSWERS, REQUESTS
from dawlink.osc.schema import Definition
from dawlink.osc.wire import LARGEST_ANSWER, LARGEST_DATAGRAM

__all__ = ["REFERENCE", "reference"]

REFERENCE: Final = Path(__file__).resolve().parents[2] / "docs" / "osc.md"

_CODES: Final = {
    ErrorCode.BAD_ARGUMENTS: "bad arguments",
    ErrorCode.UNKNOWN_ADDRESS: "unknown address",
    ErrorCode.FILE_MISSING: "the file is missing",
    ErrorCode.UNREADABLE: "the file cannot be read, or is no usable audio",
    ErrorCode.NOT_ANALYSED: "not analysed: an unknown clip or suggestion, or an empty library",
    ErrorCode.BUSY: "busy: too many requests at once; ask again later",
    ErrorCode.CANCELLED: "cancelled: the engine is going away",
    ErrorCode.PROTOCOL: "another protocol, or a `req` that is still in use",
    ErrorCode.INTERNAL: "the engine failed: a full disk, something missing, a bug",
    ErrorCode.NOT_ALLOWED: "not allowed: a path outside the project, a missing token",
}

_INTRODUCTION: Final = f"""# The OSC messages of the engine

*This page is made from `dawlink/osc/requests.py` and `dawlink/osc/answers.py` by
`python -m dawlink.osc.reference`; change it there.*

`dawlink serve` listens on UDP 127.0.0.1:11110 (see [daemon.md](daemon.md)). Types are `i` (int32),
`f` (float32) and `s` (UTF-8 text); flags are 0 or 1. A whole number is accepted where `f` is
expected. Messages from the engine have at most {LARGEST_ANSWER} bytes, datagrams to it at most
{LARGEST_DATAGRAM}. Bundles are accepted, at once and in order; they are never sent.

- The first argument of every request, except `/dawlink/set/…`, is `req`. The same request from the
  same client again (a retry) is not carried out again: its answer is sent again, without
  progress. Another request under a `req` that is still being worked on is error 8.
- Every request ends in exactly one message: the last one listed under *answers*, or
  `/dawlink/cancelled`, or `/dawlink/error`.
- Answers go to the address that a request came from, or, after `/dawlink/hello` with a
  `reply_port`, to that port.
- A *beat* is a quarter note of the session, a *region* the part of a file that a clip plays.
"""


def reference() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, "## From clients\n"]
    parts += [_described(definition) for definition in REQUESTS.values()]
    parts.append("## From the engine\n")
    parts += [_described(definition) for definition in ANSWERS.values()]
    parts.append("## Error codes\n")
    parts.append("| code | means |\n|---|---|")
    parts += [f"| {code.value} | {text} |" for code, text in _CODES.items()]
    return "\n".join(parts) + "\n"


def _described(definition: Definition) -> str:
    lines = [f"### `{definition.address}`\n", f"{definition.text}\n"]
    if definition.arguments:
        lines.append("| type | name | meaning |\n|---|---|---|")
        lines += [f"| {a.tag} | {a.name} | {a.text} |" for a in definition.arguments]
        lines.append("")
    if definition.answers:
        named = ", ".join(f"`{address}`" for address in definition.answers)
        lines.append(f"Answers: {named}.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
