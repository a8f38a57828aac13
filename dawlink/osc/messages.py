"""Every message of the contract in one place: importing this module completes both tables."""

from __future__ import annotations

from typing import Final

from dawlink.osc import answers, requests
from dawlink.osc.schema import ANSWERS, REQUESTS

__all__ = ["ANSWERS", "MODULES", "REQUESTS"]

#: Where the messages are defined.
MODULES: Final = (requests, answers)
