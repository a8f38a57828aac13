"""An ES5 engine in a process of its own, spoken to line by line in JSON.

Preferred is ``mujs`` (a Debian and Homebrew package), which knows nothing newer than ES5, so a
script with anything of ES6 does not even load. Where it is missing, the Duktape of ``dukpy`` below
0.6 serves, with what it has of ES6 taken out of its library. The engine asks for a line only when
it has nothing to do; so a call of the script into Live is a line out and a line in, and Live may
call back into the script meanwhile.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PRELUDE = Path(__file__).with_name("prelude.js")
DUKTAPE = Path(__file__).with_name("duktape.py")

#: mujs reads lines of 255 bytes at most: longer messages come in pieces.
PIECE = 200

#: Answers one call of the script: name, arguments -> a value that JSON has.
Host = Callable[[str, list[object]], object]


class ScriptError(Exception):
    """The script threw."""


def engine_command() -> list[str] | None:
    """How to start the engine that there is, or None."""
    mujs = shutil.which("mujs")
    if mujs is not None and os.name == "posix":
        return [mujs]
    try:
        version = importlib.metadata.version("dukpy")
    except importlib.metadata.PackageNotFoundError:
        return None
    old = tuple(int(part) for part in version.split(".")[:2]) < (0, 6)
    return [sys.executable, str(DUKTAPE)] if old and os.name == "posix" else None


class Es5:
    """A running engine with the prelude loaded. Use it as a context manager."""

    def __init__(self, host: Host) -> None:
        command = engine_command()
        if command is None:
            raise RuntimeError("no ES5 engine: install mujs, or dukpy 0.5")
        self._host = host
        self.process, self._lines = _started([*command, str(PRELUDE)])
        self._read()  # the prelude is through

    def __enter__(self) -> Es5:
        return self

    def __exit__(self, *_ended: object) -> None:
        self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._lines.close()

    def load(self, script: Path) -> None:
        """Runs a script in the global scope.

        Raises:
            ScriptError: it is no ES5, or threw.
        """
        self.ask({"do": "load", "path": str(script)})

    def ask(self, wish: dict[str, object]) -> object:
        """Has the engine do something, answering its calls until it is done."""
        self._write(wish)
        while True:
            said = self._read()
            if "call" in said:
                self._write(self._answered(str(said["call"]), said["args"]))
            elif "error" in said:
                raise ScriptError(said["error"])
            else:
                return said.get("value")

    def _answered(self, name: str, arguments: object) -> dict[str, object]:
        if not isinstance(arguments, list):
            raise ScriptError(f"{name}: arguments are no list")
        try:
            return {"do": "return", "value": self._host(name, arguments)}
        except ScriptError:
            raise
        except Exception as error:  # it belongs to the script that made the call
            return {"do": "throw", "message": f"{type(error).__name__}: {error}"}

    def _write(self, message: dict[str, object]) -> None:
        if self.process.stdin is None:
            raise ScriptError("the engine has no input")
        try:
            self.process.stdin.write(_pieces(json.dumps(message)))
        except BrokenPipeError as error:
            raise ScriptError("the engine is gone") from error

    def _read(self) -> dict[str, object]:
        try:
            line = self._lines.readline()
        except OSError:  # a terminal whose other end has closed
            line = b""
        if not line:
            raise ScriptError("the engine is gone")
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ScriptError(f"not understood: {line!r}")
        return said


def _pieces(text: str) -> bytes:
    """The lines of a message: "+" says that more follows, "." that this is the last."""
    parts = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    return "".join([*(f"+{part}\n" for part in parts[:-1]), f".{parts[-1]}\n"]).encode()


def _started(command: list[str]) -> tuple[subprocess.Popen[bytes], BinaryIO]:
    """The process, and its lines: through a terminal, for it flushes after each line only there."""
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=slave, bufsize=0)
    os.close(slave)
    return process, os.fdopen(master, "rb")
