"""A trained Stem-JEPA as the small file that comes with dawlink.

Weights become half precision, the history of the training is left out, and the record gains what a
reader of the file must know: of which sets and how many songs the network learnt, and under which
licence it is given away. A target encoder that never left the context encoder is not written twice.
Its metrics are those of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from engine.checkpoints import CheckpointInfo, Plain, load_checkpoint, save_checkpoint
from engine.errors import UsageError
from engine.models.stem_jepa.checkpoint import KIND
from engine.training.shipping import LICENCE, refuse_unshippable

__all__ = ["ship_stem_jepa"]

_CONTEXT: Final = "model.context."
_TARGET: Final = "model.target."


def ship_stem_jepa(trained: Path, out: Path, *, sets: tuple[str, ...], recordings: int) -> None:
    """Write ``out``, in one step.

    Args:
        trained: checkpoint of a run that came to its end.
        out: the file to ship.
        sets: of MIDI files that it learnt of.
        recordings: songs that were rendered from them.

    Raises:
        UsageError: the run is unfinished, or a set's licence does not let a model be given away.
        MissingDependency: ``trained`` is no checkpoint of a Stem-JEPA.
        UnwritableOutput: ``out`` cannot be written.
    """
    refuse_unshippable(sets)
    checkpoint = load_checkpoint(trained, KIND)
    settings = checkpoint.info.settings
    steps = sum(int(settings.get(name) or 0) for name in ("steps", "contrast_steps"))
    if settings["steps_done"] != steps:
        raise UsageError(
            f"{trained} has {settings['steps_done']} of {steps} steps.",
            hint="Run the same command again with --resume: it goes on where it stopped.",
            code="unfinished",
        )
    told: dict[str, Plain] = {
        "sets": " ".join(sets),
        "split": "train",
        "recordings": recordings,
        "licence": LICENCE,
    }
    info = CheckpointInfo(
        kind=KIND,
        settings={**settings, **told},
        data_sha=checkpoint.info.data_sha,
        metrics=checkpoint.info.metrics,
    )
    save_checkpoint(out, _halved(checkpoint.tensors), info=info)


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, without a target encoder that is the context encoder."""
    wanted = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    targets = [name for name in wanted if name.startswith(_TARGET)]
    if all(torch.equal(wanted[name], wanted[name.replace(_TARGET, _CONTEXT)]) for name in targets):
        wanted = {name: tensor for name, tensor in wanted.items() if name not in targets}
    return {name: tensor.to(torch.float16) for name, tensor in wanted.items()}
