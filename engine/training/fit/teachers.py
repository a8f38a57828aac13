"""Teachers of the fit model: the same towers from other seeds, whose common opinion is learned.

The sum of a few models that differ by their seed alone ranks unseen songs better than any of them,
at so many times the price. A model that learns from their opinion keeps most of the gain at the
price of one (Furlanello et al. 2018, "Born-again neural networks", section 3; the loss is in
:mod:`engine.training.fit.loss`). A teacher lies beside the checkpoint in half precision until the
pupil is done, so a run that was stopped does not train it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from engine.checkpoints import (
    CheckpointInfo,
    Plain,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from engine.models.fit.towers import FitSizes
from engine.training.earlier_runs import check_same_run
from engine.training.fit.towers import FitTowers

__all__ = ["load_teacher", "pupil_of", "save_teacher", "teacher_path"]

_KIND = "fit-teacher"


def teacher_path(out: Path, seed: int) -> Path:
    """Where the teacher of this seed lies while ``out`` is made."""
    return out.with_name(f"{out.stem}.teacher-{seed}.safetensors")


def save_teacher(
    path: Path, towers: FitTowers, *, settings: Mapping[str, Plain], data_sha: str
) -> None:
    """Write a teacher in half precision.

    Raises:
        UnwritableOutput: the folder cannot be written.
    """
    tensors = {name: tensor.half() for name, tensor in towers.table.state_dict().items()}
    save_checkpoint(path, tensors, info=CheckpointInfo(_KIND, settings, data_sha))


def load_teacher(
    path: Path, sizes: FitSizes, *, settings: Mapping[str, Plain], data_sha: str
) -> FitTowers:
    """A teacher that can be asked; it does not learn any more.

    Raises:
        UsageError: it was trained with other settings or data.
        MissingDependency: the file is damaged or none of a teacher.
    """
    checkpoint = load_checkpoint(path, _KIND)
    check_same_run(checkpoint, settings, data_sha)
    towers = FitTowers(sizes, seed=0)
    load_weights(towers.table, checkpoint)
    towers.requires_grad_(requires_grad=False)
    towers.half_precision = True
    return towers


def pupil_of(teacher: FitTowers, *, sharpness: float) -> FitTowers:
    """Towers that begin as a teacher is.

    Args:
        teacher: to be copied.
        sharpness: factor of similarities to begin with.
    """
    pupil = FitTowers(teacher.sizes, seed=0)
    pupil.table.load_state_dict(teacher.table.state_dict())
    with torch.no_grad():
        pupil.log_scale.copy_(torch.full_like(pupil.log_scale, sharpness).log())
    return pupil
