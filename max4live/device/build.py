"""Builds the device: the same bytes from the same sources, always."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.files import write_whole
from max4live.device.amxd import frozen_device, patch_file, text_file
from max4live.device.patch import device_patch
from max4live.device.script import SCRIPT_NAME, script_text

__all__ = ["DEVICE_NAME", "build_device", "write_device"]

DEVICE_NAME: Final = "dawlink.amxd"


def build_device() -> bytes:
    """The frozen device."""
    patch = patch_file(DEVICE_NAME, device_patch().as_json())
    return frozen_device([patch, text_file(SCRIPT_NAME, script_text())])


def write_device(path: Path) -> int:
    """Write the device whole or not at all; returns its size in bytes.

    Raises:
        UnwritableOutput: the folder cannot be written, or the disk is full.
    """
    data = build_device()
    write_whole(path, data)
    return len(data)
