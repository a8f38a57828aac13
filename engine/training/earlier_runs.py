"""What an earlier run of the same name left, and whether it was the run that is asked for.

A run goes on from its state, ``NAME.resume.safetensors``, or where it had come to its end from its
checkpoint. Its settings and the hash of its data must be those of this run; where one is not, the
option of ``dawlink train`` that it comes from is named too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from engine.checkpoints import STEPS_DONE, Checkpoint, Plain, load_run
from engine.errors import MissingDependency, UsageError
from engine.models.song_masher.network import Defects
from engine.training.run_files import resume_path

__all__ = [
    "check_same_run",
    "check_seed",
    "gone_state",
    "last_file",
    "load_to_resume",
    "other_run",
]

_DATA: Final = "the data"
#: Numbers of steps: rounds through the songs, so they follow from the data as well.
_ROUNDS: Final = (
    "steps",
    "warmup_steps",
    "contrast_steps",
    "contrast_warmup_steps",
    "schedule",
    "lessons",
)
#: The option that a setting comes from.
_OPTION_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys(("epochs", *_ROUNDS), "--epochs"),
    "seed": "--seed",
    "lsro": "--lsro",
    **dict.fromkeys((entry.name for entry in dataclasses.fields(Defects)), "--mended"),
    _DATA: "--data",
}


def last_file(out: Path) -> Path:
    """What an earlier run would be gone on from: its state while it is unfinished."""
    state = resume_path(out)
    return state if state.is_file() else out


def load_to_resume(path: Path, kind: str) -> Checkpoint:
    """A checkpoint or the state of an earlier run.

    Raises:
        MissingDependency: it is not there, damaged, of another kind or newer.
    """
    try:
        return load_run(path, kind)
    except MissingDependency as error:
        raise MissingDependency(
            error.message,
            hint="Train anew without --resume, or give another name to --out.",
            code=error.code,
        ) from error


def check_same_run(checkpoint: Checkpoint, settings: Mapping[str, Plain], data_sha: str) -> None:
    """Make sure that a checkpoint was made with these settings from this data.

    Raises:
        UsageError: it was not.
    """
    earlier = {k: v for k, v in checkpoint.info.settings.items() if k != STEPS_DONE}
    changed = sorted(
        name for name in earlier.keys() | settings.keys() if earlier.get(name) != settings.get(name)
    )
    if checkpoint.info.data_sha != data_sha:
        changed.append(_DATA)
    if changed:
        raise _begun_otherwise(checkpoint.path, changed)


def check_seed(out: Path, kind: str, seed: int) -> None:
    """Make sure that what an earlier run left was begun with this seed, if there is anything.

    Everything else is checked when the run begins; other seeds would ask for other preparations.

    Raises:
        UsageError: it was not.
        MissingDependency: what it left is damaged, of another kind or newer.
    """
    source = last_file(out)
    if not source.is_file():
        return
    if load_to_resume(source, kind).info.settings.get("seed", seed) != seed:
        raise _begun_otherwise(source, ["seed"])


def other_run(message: str) -> UsageError:
    """The error of a run that cannot be gone on with, because it was another."""
    return UsageError(
        message,
        hint="Resume with the same settings and data, or train anew without --resume.",
        code="resume_mismatch",
    )


def gone_state(state: Path, out: Path) -> MissingDependency:
    """The error of a checkpoint of an unfinished run that lies alone."""
    return MissingDependency(
        f"{state} is not there, without which the run of {out} cannot go on.",
        hint="Put it beside the checkpoint, or train anew without --resume.",
        code="no_checkpoint",
    )


def _begun_otherwise(path: Path, changed: Iterable[str]) -> UsageError:
    """``changed`` are names of settings, by which a person finds the options."""
    changed = list(changed)
    by_option: dict[str, list[str]] = {}
    for name in changed:
        option = _OPTION_OF.get(name, "")
        if name in _ROUNDS and _DATA in changed:
            option = "--epochs or --data"
        by_option.setdefault(option, []).append(name)
    told = [
        f"{', '.join(names)} ({option})" if option else ", ".join(names)
        for option, names in by_option.items()
    ]
    return other_run(f"{path} was begun otherwise; changed: {'; '.join(told)}.")
