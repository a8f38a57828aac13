"""``dawlink device``: build the Max for Live device, install it, say where it goes."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dawlink.cli.output import emit_json, emit_text

app = typer.Typer(help="Build and install the device for Ableton Live.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--user-library", metavar="DIR", help="Live's User Library; found by itself when left out."
    ),
]


@app.callback()
def _device() -> None:
    """Build and install the device for Ableton Live."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the device is written.")] = Path(
        "dawlink.amxd"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is another device.")
    ] = False,
    json: Json = False,
) -> None:
    """Build the device into one file, the same bytes every time."""
    from engine.files import write_whole
    from max4live.device.build import build_device

    data = build_device()
    if not _holds(out, data):
        write_whole(out, data, overwrite=overwrite)
    digest = hashlib.sha256(data).hexdigest()
    if json:
        emit_json({"device": out.absolute(), "bytes": len(data), "sha256": digest})
    else:
        emit_text(f"{out} ({len(data)} bytes)")


@app.command()
def install(
    user_library: Folder = None,
    remote_script: Annotated[
        bool,
        typer.Option(
            "--remote-script", help="Install the Remote Script, for Live without Max for Live."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Put the device into Live's User Library."""
    from max4live.device.folders import Machine, find_user_library
    from max4live.device.installing import install as put

    library = find_user_library(Machine.this(sys.platform, os.environ), user_library)
    done = put(library, remote_script=remote_script)
    if json:
        emit_json(
            {
                "user_library": library.folder,
                "device": done.device,
                "remote_script": done.remote_script,
                "files": list(done.files),
            }
        )
    elif done.device is not None:
        emit_text(f"{done.device}\nIn Live's browser: User Library, Max Audio Effect, dawlink.")
    else:
        emit_text(
            f"{done.remote_script}\nRestart Live, then choose DawLink as a control surface in "
            "Settings, Link, Tempo & MIDI."
        )


@app.command()
def where(user_library: Folder = None, json: Json = False) -> None:
    """Say where Live's User Library is and what goes where."""
    from max4live.device.build import DEVICE_NAME
    from max4live.device.folders import Machine, find_user_library

    library = find_user_library(Machine.this(sys.platform, os.environ), user_library)
    device, script = library.device_folder / DEVICE_NAME, library.remote_script_folder
    if json:
        emit_json(
            {
                "user_library": library.folder,
                "found_in": library.found_in,
                "device": device,
                "device_installed": device.is_file(),
                "remote_script": script,
                "remote_script_installed": (script / "__init__.py").is_file(),
            }
        )
        return
    emit_text(f"User Library: {library.folder}")
    emit_text(f"Device: {device}{_state(device.is_file())}")
    emit_text(f"Remote Script: {script}{_state((script / '__init__.py').is_file())}")


def _state(installed: bool) -> str:
    return " (installed)" if installed else ""


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False
