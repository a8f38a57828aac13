"""The rankers by name. A new model is a file beside this one and a line in this table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.errors import MissingDependency, UsageError
from engine.models.ranker import Ranker

__all__ = ["DEFAULT_MODEL", "MODEL_NAMES", "load_ranker"]

#: The best model that needs no checkpoint.
DEFAULT_MODEL: Final = "automashupper"

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


def load_ranker(name: str) -> Ranker:
    """The ranker called ``name``.

    Raises:
        UsageError: there is no such model.
        MissingDependency: the model is known, but has no trained checkpoint here.
    """
    makers = _makers()
    if name in makers:
        return makers[name]()
    available = ", ".join(makers)
    if name in MODEL_NAMES:
        raise MissingDependency(
            f"The model {name!r} has no trained checkpoint here.",
            hint=f"Choose one of {available}.",
            code="no_checkpoint",
        )
    raise UsageError(
        f"There is no model {name!r}.", hint=f"Choose one of {available}.", code="bad_model"
    )


def _makers() -> dict[str, Callable[[], Ranker]]:
    from engine.models.automashupper import automashupper, automashupper_tool
    from engine.models.baselines import MeanChroma, RandomFit
    from engine.models.fit_checkpoint import SHIPPED_FIT

    return {
        **({"fit": _fit} if SHIPPED_FIT.is_file() else {}),
        "automashupper": automashupper,
        "automashupper-tool": automashupper_tool,
        "chroma": MeanChroma,
        "random": RandomFit,
    }


def _fit() -> Ranker:
    from engine.models.fit import FitRanker
    from engine.models.fit_checkpoint import load_fit

    return FitRanker(load_fit())
