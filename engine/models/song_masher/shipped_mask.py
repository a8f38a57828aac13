"""The trained mask network that ducking takes: the one that is installed, or none.

An installation without it ducks by the rule of :mod:`engine.mashup.ducking` and says so once. One
whose checkpoint is damaged, newer, or hears other bands is broken and is not worked around: the
same command would sound otherwise than it did before, so it is refused. PyTorch is imported when a
network is loaded, not before.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Final

from engine.errors import MissingDependency
from engine.files import sha256_of
from engine.mashup.ducking import DuckNetwork

__all__ = ["SHIPPED_MASK", "load_duck_network"]

#: The checkpoint that is installed with the package, half precision.
SHIPPED_MASK: Final = Path(__file__).parents[1] / "checkpoints" / "mash_mask.safetensors"
_TAG_DIGITS: Final = 16

_log = logging.getLogger(__name__)


def load_duck_network(path: Path = SHIPPED_MASK) -> DuckNetwork | None:
    """The network at ``path``, checked from end to end; None, and a warning, where none is.

    Raises:
        MissingDependency: it is damaged, foreign, of another kind, or newer.
    """
    if not path.is_file():
        _say_missing(path)
        return None
    from engine.models.song_masher.mask_checkpoint import load_mask_network

    try:
        network = load_mask_network(path)
    except MissingDependency as error:
        hint = "Install dawlink anew, or render without --duck."
        raise MissingDependency(error.message, hint=hint, code=error.code) from error
    return DuckNetwork(network, sha256_of(path)[:_TAG_DIGITS])


@functools.cache
def _say_missing(path: Path) -> None:
    """Once for each path and process."""
    _log.warning("There is no mask network at %s; ducking follows the rule instead.", path)
