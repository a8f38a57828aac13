"""Runs a script in Duktape with ``print``, ``readline`` and ``read`` as mujs has them."""

from __future__ import annotations

import sys
from pathlib import Path

import dukpy

#: What Duktape has beyond ES5, taken out so that a script that leans on it fails.
_NOT_ES5 = """
delete this.Symbol; delete this.Promise; delete this.Proxy; delete this.Reflect;
delete Object.assign; delete Object.is; delete Object.entries; delete Object.values;
delete Object.setPrototypeOf; delete Number.isFinite; delete Number.isInteger; delete Number.isNaN;
delete String.prototype.startsWith; delete String.prototype.endsWith;
delete String.prototype.includes; delete String.prototype.repeat; delete String.prototype.padStart;
delete Math.log2; delete Math.log10; delete Math.sign; delete Math.trunc; delete Math.hypot;
delete Math.cbrt; delete Math.imul; delete Math.clz32;
function print(text) { call_python('print', String(text)); }
function readline() { return call_python('readline'); }
function load(path) { (1, eval)(call_python('read', path)); }
"""


def main() -> None:
    interpreter = dukpy.JSInterpreter()
    interpreter.export_function("print", lambda text: print(text, flush=True))
    interpreter.export_function("readline", sys.stdin.readline)
    interpreter.export_function("read", lambda path: Path(path).read_text(encoding="utf-8"))
    prelude = Path(sys.argv[1]).read_text(encoding="utf-8")
    interpreter.evaljs(f"{_NOT_ES5}\n{prelude}")


if __name__ == "__main__":
    main()
