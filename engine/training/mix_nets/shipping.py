"""A trained mix network as the small file that comes with dawlink.

Weights become half precision, the history of the training is left out, and the record gains what a
reader of the file must know: of which sets and how many songs the network learnt, and under which
licence it is given away. Its metrics are those of the run; half precision moves a probability by
less than a hundredth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from engine.checkpoints import CheckpointInfo, load_checkpoint, save_checkpoint
from engine.models.mix_nets.network import NetKind
from engine.training.shipping import LICENCE, refuse_unshippable

__all__ = ["ship_mix_network"]

_WEIGHTS: Final = "model."


def ship_mix_network(
    trained: Path, out: Path, kind: NetKind, *, sets: tuple[str, ...], recordings: int, scores: int
) -> None:
    """Write ``out``, in one step.

    Args:
        trained: checkpoint of a run.
        out: the file to ship.
        kind: of the network.
        sets: of MIDI files that it learnt of.
        recordings: songs that were rendered.
        scores: songs whose notes were drawn.

    Raises:
        UsageError: a set's licence does not let a model be given away.
        MissingDependency: ``trained`` is no checkpoint of such a network.
        UnwritableOutput: ``out`` cannot be written.
    """
    refuse_unshippable(sets)
    checkpoint = load_checkpoint(trained, kind)
    info = CheckpointInfo(
        kind=kind,
        settings={
            **checkpoint.info.settings,
            "sets": " ".join(sets),
            "split": "train",
            "recordings": recordings,
            "scores": scores,
            "licence": LICENCE,
        },
        data_sha=checkpoint.info.data_sha,
        metrics=checkpoint.info.metrics,
    )
    tensors = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(_WEIGHTS)
    }
    save_checkpoint(out, tensors, info=info)
