"""A trained mask network, read from its checkpoint and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.checkpoints import Recorded, build_network, load_checkpoint, recorded_settings
from engine.mashup.ducking import BAND_EDGES_HZ
from engine.models.song_masher.mask_network import MaskConfig, MaskNetwork

__all__ = ["BANDS_HZ", "KIND", "load_mask_network"]

#: Kind of the checkpoints.
KIND: Final = "mash-mask"
#: The bands that a network was trained for, as its checkpoint tells them.
BANDS_HZ: Final = " ".join(f"{edge:g}" for edge in BAND_EDGES_HZ)
#: Of a checkpoint's network; the preset has 48 channels and six dilations up to 32.
_MOST_WIDTH: Final = 4096
_MOST_LAYERS: Final = 64
_MOST_DILATION: Final = 4096


def load_mask_network(path: Path) -> MaskNetwork:
    """The network of a checkpoint.

    Raises:
        MissingDependency: it is not there, damaged, of another kind, or hears other bands.
    """
    checkpoint = load_checkpoint(path, KIND)
    with recorded_settings(checkpoint) as said:
        config = _config_of(said)
    return build_network(lambda: MaskNetwork(config), checkpoint, prefix="model.")


def _config_of(said: Recorded) -> MaskConfig:
    """The network of a record.

    Raises:
        ValueError: no network can be built of it, or it is of other bands.
    """
    bands, dilations = (str(said.settings.get(name)) for name in ("bands_hz", "dilations"))
    if bands != BANDS_HZ:
        raise ValueError(f"bands of {ascii(bands)[1:-1]:.40} Hz, expected {BANDS_HZ}")
    steps = tuple(int(step) for step in dilations.split())
    if len(steps) > _MOST_LAYERS or not all(1 <= step <= _MOST_DILATION for step in steps):
        raise ValueError(f"dilations {ascii(dilations)[1:-1]:.40}")
    return MaskConfig(said.whole("width", least=1, most=_MOST_WIDTH), steps)
