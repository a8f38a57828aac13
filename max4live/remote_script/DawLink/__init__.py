# ruff: noqa: N999 - Live shows the name of the folder in its settings
"""dawlink for every edition of Live: a Remote Script that does what the Max for Live device does.

Live's own Python loads this folder from ``Remote Scripts`` and calls :func:`create_instance`.
It is Python 3.7 (Live 11) to 3.11 (Live 12), with nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .script import DawLink
    from .shapes import Host


def create_instance(c_instance: Host) -> DawLink:
    """What Live calls when the control surface ``DawLink`` is chosen in its settings."""
    from .script import DawLink

    return DawLink(c_instance)
