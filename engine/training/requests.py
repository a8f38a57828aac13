"""What every trainer is asked for and what it answers; a trainer is a function of these two.

``dawlink train`` knows the trainers by the module that holds them; each module has a function
``run(request, tell)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.errors import MissingDependency, UsageError

__all__ = ["DeviceName", "Tell", "TrainReport", "TrainRequest", "Trainer", "pick_device"]

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class TrainRequest:
    """What is to be trained.

    Args:
        model: its name.
        data: folders of multitrack songs, of MIDI files, or libraries.
        out: the checkpoint.
        epochs: rounds through the data; the model's own default when None.
        minutes: the run ends after so many; None for no limit.
        device: what computes; auto takes a GPU where there is one.
        seed: of everything random.
        resume: go on where the last run stopped.
        lsro: let unlabeled examples take part (mix networks).
        jobs: processes for preparing data.
        mended: leave out the published defects (song-masher).
        notes: MIDI corpora that ``data`` was rendered from, for models that read notes too.
    """

    model: str
    data: tuple[Path, ...]
    out: Path
    epochs: int | None = None
    minutes: float | None = None
    device: DeviceName = "auto"
    seed: int = 0
    resume: bool = False
    lsro: bool = False
    jobs: int = 1
    mended: bool = False
    notes: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.data:
            raise UsageError("There is no data to train on.", hint="Give folders with --data.")
        if self.epochs is not None and self.epochs < 1:
            raise UsageError(
                f"--epochs must be 1 or more, got {self.epochs}.", hint="Give 1 or more."
            )
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UsageError(f"--minutes {self.minutes:g} is not valid.", hint="Give more than 0.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(
                f"The seed {self.seed} is not valid.", hint="Give 0 to 9223372036854775807."
            )


@dataclass(frozen=True)
class TrainReport:
    """What came of it.

    Args:
        checkpoint: the file that was written.
        finished: False when the time was up first.
        steps: done in all runs together.
        metrics: of the checkpoint.
        notes: what a person should know.
    """

    checkpoint: Path
    finished: bool
    steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


#: Told what is being done now.
Tell = Callable[[str], None]
Trainer = Callable[[TrainRequest, Tell], TrainReport]


def pick_device(wanted: DeviceName) -> str:
    """The name of a PyTorch device that is there.

    Raises:
        MissingDependency: the one that was asked for is not.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return next(name for name, found in there.items() if found)
    if not there[wanted]:
        raise MissingDependency(
            f"PyTorch finds no {wanted} device.",
            hint="Use --device auto or --device cpu.",
            code="no_device",
        )
    return wanted
