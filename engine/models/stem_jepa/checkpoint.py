"""A trained Stem-JEPA, read from its checkpoint and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.checkpoints import Checkpoint, build_network, load_checkpoint, recorded_settings
from engine.models.stem_jepa.log_mel import Bands, MelStatistics
from engine.models.stem_jepa.network import JepaConfig, StemJepa

__all__ = ["KIND", "load_stem_jepa"]

#: Kind of the checkpoints.
KIND: Final = "stem-jepa"
#: What a checkpoint says about its network, and the most of each; published are 768, 12, 12, 1024
#: and 6.
_SIZES: Final[Mapping[str, int]] = {
    "width": 8192,
    "depth": 128,
    "heads": 8192,
    "predictor_width": 16384,
    "predictor_layers": 128,
}
_STATISTICS: Final = ("mel_mean", "mel_std")
#: Log-mel values lie within this [natural log of power].
_MOST_LOG: Final = 1000.0
_BANDS: Final[Mapping[str, Bands]] = {"mel": "mel", "semitones": "semitones"}


def load_stem_jepa(path: Path) -> StemJepa:
    """The network of a checkpoint, ready to embed.

    Raises:
        MissingDependency: it is not there, damaged, of another kind, or of another size.
    """
    checkpoint = load_checkpoint(path, KIND)
    with recorded_settings(checkpoint) as said:
        sizes = {name: said.whole(name, least=1, most=most) for name, most in _SIZES.items()}
        statistics = MelStatistics(
            *(said.number(name, least=-_MOST_LOG, most=_MOST_LOG) for name in _STATISTICS)
        )
        config = JepaConfig(
            **sizes,
            relative=said.flag("relative", default=False),
            bands=_BANDS[str(said.settings.get("bands", "mel"))],
            centred=said.flag("centred", default=False),
            statistics=statistics,
        )
    return build_network(lambda: StemJepa(config), _with_target(checkpoint), prefix="model.")


def _with_target(checkpoint: Checkpoint) -> Checkpoint:
    """A file without a target encoder means that the context encoder is the target too."""
    tensors = dict(checkpoint.tensors)
    if not any(name.startswith("model.target.") for name in tensors):
        for name, tensor in checkpoint.tensors.items():
            if name.startswith("model.context."):
                tensors[name.replace("model.context.", "model.target.")] = tensor
    return dataclasses.replace(checkpoint, tensors=tensors)
