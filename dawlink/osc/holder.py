"""Who holds a UDP port that is taken: an engine says so itself, other programs are looked for.

An engine's run file names it; one that could write none still answers a ping. Of another program
Linux tells the name and number; elsewhere it stays unnamed.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dawlink.osc.answers import Pong
from dawlink.osc.faults import Fault
from dawlink.osc.messages import ANSWERS
from dawlink.osc.requests import Ping
from dawlink.osc.runfile import holder_of
from dawlink.osc.schema import address_of, read_arguments
from dawlink.osc.wire import Malformed, decode, encode

__all__ = ["Holder", "named_holder"]

_ANSWER_S: Final = 0.5
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Holder:
    """Who holds a port, in words."""

    text: str
    is_engine: bool = False


def named_holder(host: str, port: int) -> Holder:
    """Who holds ``port`` of an address of this computer."""
    engine = holder_of(port)
    if engine is not None:
        text = f"the dawlink engine with process id {engine.pid}, which serves {engine.library}"
        return Holder(text, is_engine=True)
    owner = _owner(port)
    version = _version(host, port)
    if version is not None:
        who = f", {owner}" if owner else ""
        return Holder(f"a dawlink engine of version {version}{who}", is_engine=True)
    return Holder(owner or "another program")


def _version(host: str, port: int) -> str | None:
    """The version that an engine on that port tells; None when none answers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    unheard = contextlib.suppress(OSError, Malformed, Fault)
    with unheard, socket.socket(family, socket.SOCK_DGRAM) as door:
        door.settimeout(_ANSWER_S)
        door.connect((host if host not in ("0.0.0.0", "::") else "localhost", port))
        door.send(encode(Ping(1)))
        for raw in decode(door.recv(65536)):
            if raw.address == address_of(Pong(1, "", 1)):
                pong = read_arguments(ANSWERS[raw.address], raw.values)
                return pong.version if isinstance(pong, Pong) else None
    return None


def _owner(port: int, proc: Path = _PROC) -> str | None:
    """``NAME (process id N)`` on Linux, as far as this user may see it."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    for process in proc.glob("[0-9]*") if sockets else ():
        with contextlib.suppress(OSError):
            if any(str(door.readlink()) in sockets for door in (process / "fd").iterdir()):
                name = (process / "comm").read_text(errors="replace").strip()
                return f"{name} (process id {process.name})"
    return None


def _inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and re.fullmatch(rf"[0-9A-F]+:{port:04X}", fields[1]):
                    yield fields[9]
