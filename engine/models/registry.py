"""The rankers by name. A new model is a file beside this one and a line in this table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import MissingDependency, UsageError
from engine.library.rows import Problem
from engine.models.ranker import Ranker

if TYPE_CHECKING:
    from engine.models.mix_nets.network import NetKind

__all__ = [
    "DEFAULT_MODEL",
    "LEARNED",
    "MODEL_NAMES",
    "SHIPPED",
    "checkpoint_problems",
    "load_ranker",
    "own_checkpoints",
    "own_version",
]

#: What ranks when nobody chooses; its checkpoint comes with dawlink.
DEFAULT_MODEL: Final = "fit"

#: Every name that ``--model`` understands; the learned ones need a trained checkpoint.
MODEL_NAMES: Final = (
    "fit",
    "premixnet",
    "postmixnet",
    "stem-jepa",
    "automashupper",
    "automashupper-tool",
    "chroma",
    "random",
)


#: Those that need a checkpoint.
LEARNED: Final = ("fit", "premixnet", "postmixnet", "stem-jepa")

#: Checkpoints that are installed with the package.
SHIPPED: Final = Path(__file__).parent / "checkpoints"


def load_ranker(name: str, *, folders: Sequence[Path] = ()) -> Ranker:
    """The ranker called ``name``.

    Args:
        name: one of :data:`MODEL_NAMES`.
        folders: where checkpoints (``NAME.safetensors``) are looked for before those that come
            with dawlink.

    Raises:
        UsageError: there is no such model.
        MissingDependency: the model is known, but its checkpoint is not here or is damaged.
    """
    makers = _makers(folders)
    if name in makers:
        try:
            return makers[name]()
        except MissingDependency as error:
            if name not in own_checkpoints(folders) or _checkpoint(name, ()) is None:
                raise  # no other one comes with dawlink
            newer = "Update dawlink, or remove" if error.code == "checkpoint_newer" else "Remove"
            raise MissingDependency(
                error.message,
                hint=f"{newer} it to use the one that comes with dawlink, or choose another model "
                "with --model.",
                code=error.code,
            ) from error
    available = ", ".join(makers)
    if name in MODEL_NAMES:
        where = f" in {folders[0]}" if folders else ""
        raise MissingDependency(
            f"The model {name!r} has no trained checkpoint here.",
            hint=f"Train it (dawlink train {name}) and put {name}.safetensors{where}, "
            f"or choose one of {available}.",
            code="no_checkpoint",
        )
    raise UsageError(
        f"There is no model {name!r}.", hint=f"Choose one of {available}.", code="bad_model"
    )


def _makers(folders: Sequence[Path]) -> dict[str, Callable[[], Ranker]]:
    from engine.models.automashupper import automashupper, automashupper_tool
    from engine.models.baselines import MeanChroma, RandomFit

    learned: dict[str, Callable[[Path], Ranker]] = {
        "fit": _fit,
        "premixnet": lambda path: _mix(path, "premixnet"),
        "postmixnet": lambda path: _mix(path, "postmixnet"),
        "stem-jepa": _stem_jepa,
    }
    found = {name: _checkpoint(name, folders) for name in learned}
    return {
        **{name: partial(learned[name], path) for name, path in found.items() if path is not None},
        "automashupper": automashupper,
        "automashupper-tool": automashupper_tool,
        "chroma": MeanChroma,
        "random": RandomFit,
    }


def _checkpoint(name: str, folders: Sequence[Path]) -> Path | None:
    """The first checkpoint of this model; None when there is none."""
    places = [folder / f"{name}.safetensors" for folder in (*folders, SHIPPED)]
    return next((place for place in places if place.is_file()), None)


def own_checkpoints(folders: Sequence[Path]) -> dict[str, Path]:
    """The learned models whose checkpoint lies in ``folders``, by name."""
    found = {name: _checkpoint(name, folders) for name in LEARNED}
    return {n: path for n, path in found.items() if path is not None and path.parent != SHIPPED}


def own_version(name: str, folders: Sequence[Path]) -> object:
    """What tells one checkpoint of this name in ``folders`` from the next; None without one."""
    path = own_checkpoints(folders).get(name)
    try:
        status = None if path is None else path.stat()
    except OSError:  # gone this moment
        status = None
    return None if status is None else (path, status.st_mtime_ns, status.st_size, status.st_ino)


def checkpoint_problems(folders: Sequence[Path]) -> list[Problem]:
    """The checkpoints in ``folders`` that :func:`load_ranker` refuses; those that come with
    dawlink are checked whenever they are loaded.
    """
    problems = []
    for name, path in own_checkpoints(folders).items():
        try:
            load_ranker(name, folders=folders)
        except MissingDependency as error:
            problems.append(Problem("damaged", error.message, error.hint, path))
    return problems


def _mix(path: Path, kind: NetKind) -> Ranker:
    from engine.models.mix_nets.checkpoint import load_mix_net
    from engine.models.mix_nets.ranker import MixRanker

    return MixRanker(load_mix_net(path, kind))


def _stem_jepa(path: Path) -> Ranker:
    from engine.models.stem_jepa.ranker import load_jepa_ranker

    return load_jepa_ranker(path)


def _fit(path: Path) -> Ranker:
    from engine.models.fit.checkpoint import load_fit
    from engine.models.fit.ranker import FitRanker

    return FitRanker(load_fit(path))
