"""A trained song-masher network, read from its checkpoint and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.checkpoints import build_network, load_checkpoint, recorded_settings
from engine.models.song_masher.network import Defects, MasherConfig, Part, SongMasher

__all__ = ["KIND", "load_song_masher"]

#: Kind of the checkpoints.
KIND: Final = "song-masher"
_PARTS: Final[Mapping[str, Part]] = {"magnitude": "magnitude", "phase": "phase"}
#: Of a checkpoint's network; published is 256.
_MOST_WIDTH: Final = 4096


def load_song_masher(path: Path) -> SongMasher:
    """The network of a checkpoint.

    Raises:
        MissingDependency: it is not there, damaged, of another kind, or of another size.
    """
    checkpoint = load_checkpoint(path, KIND)
    with recorded_settings(checkpoint) as said:
        config = MasherConfig(
            part=_PARTS[str(said.settings["part"])],
            width=said.whole("width", least=1, most=_MOST_WIDTH),
            defects=Defects(*(said.flag(entry.name) for entry in dataclasses.fields(Defects))),
        )
    return build_network(lambda: SongMasher(config), checkpoint, prefix="model.")
