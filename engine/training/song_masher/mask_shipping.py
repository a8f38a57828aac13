"""A trained mask network as the small file that comes with dawlink.

Weights become half precision (2 bytes), the history of the training is left out, and the record
gains what a reader of the file must know: of which sets, songs and mashups it learnt and under
which licence it is given away. Its metrics are taken of the rounded weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch

from engine.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from engine.errors import UsageError
from engine.models.song_masher.mask_checkpoint import KIND, load_mask_network
from engine.training.shipping import LICENCE, refuse_unshippable
from engine.training.song_masher.mask_training import MaskMetrics, measure
from engine.training.song_masher.training import Triple

__all__ = ["Provenance", "ship_mask_network"]

_WEIGHTS: Final = "model."


@dataclass(frozen=True)
class Provenance:
    """What a network learnt of.

    Args:
        sets: names of the MIDI sets, all of them such that a model may be shipped.
        songs: that mashups were made of.
        mashups: made.
    """

    sets: tuple[str, ...]
    songs: int
    mashups: int

    def __post_init__(self) -> None:
        refuse_unshippable(self.sets)


def ship_mask_network(
    trained: Path, out: Path, *, provenance: Provenance, validation: Sequence[Triple]
) -> MaskMetrics:
    """Write ``out``, in one step, and measure it.

    Args:
        trained: checkpoint of a run that came to its end.
        out: the file to ship.
        provenance: of the run's mashups.
        validation: one unseen mashup or more.

    Raises:
        UsageError: the run is unfinished.
        MissingDependency: ``trained`` is no checkpoint of a mask network.
        UnwritableOutput: ``out`` cannot be written.
    """
    checkpoint = load_checkpoint(trained, KIND)
    settings = checkpoint.info.settings
    if settings["steps_done"] != settings["steps"]:
        raise UsageError(
            f"{trained} has {settings['steps_done']} of {settings['steps']} steps.",
            hint="Run the same command again: it goes on where it stopped.",
            code="unfinished",
        )
    network = load_mask_network(trained)
    for weights in network.parameters():
        weights.data = weights.data.half().float()
    found = measure(network, validation)
    named = {**asdict(provenance), "sets": " ".join(provenance.sets)}
    info = CheckpointInfo(
        kind=KIND,
        settings={**settings, **named, "split": "train", "licence": LICENCE},
        data_sha=checkpoint.info.data_sha,
        metrics={"loss": found.loss, "loss_unmasked": found.loss_unmasked},
    )
    tensors = {_WEIGHTS + name: w.to(torch.float16) for name, w in network.state_dict().items()}
    save_checkpoint(out, tensors, info=info)
    return found
