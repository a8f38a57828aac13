"""``python -m engine.training.fit``: everything that the shipped checkpoint is made with."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.training.fit.material import open_fit_material
from engine.training.fit.steps import FitSettings
from engine.training.fit.training import recalibrate, train_fit

_LOGGER: Final = logging.getLogger("engine.training.fit")


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m engine.training.fit``."""
    parser = argparse.ArgumentParser(description="Train the fit model.")
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", help="corpora, libraries, multitrack folders"
    )
    parser.add_argument("--out", type=Path, default=Path("fit.safetensors"))
    parser.add_argument("--steps", type=int, default=FitSettings().steps)
    parser.add_argument("--teachers", type=int, default=FitSettings().teachers)
    parser.add_argument("--lessons", type=int, default=FitSettings().lessons)
    parser.add_argument("--judge-steps", type=int, default=FitSettings().judge_steps)
    parser.add_argument("--schedule", type=int, default=None, help="as many as --steps by default")
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir", type=Path, default=None)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--recalibrate",
        type=Path,
        help="only fit the curves of this checkpoint anew; how it was trained stays as it is",
    )
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    out: Path = given.out
    material = open_fit_material(
        given.data,
        out.with_name(f"{out.stem}-songs"),
        cache_dir=given.cache_dir,
        tell=_LOGGER.info,
    )
    if given.recalibrate is not None:
        _LOGGER.info("%s: %s", out, recalibrate(given.recalibrate, material, out))
        return
    outcome = train_fit(
        material,
        out,
        settings=FitSettings(
            steps=given.steps,
            teachers=given.teachers,
            lessons=given.lessons,
            judge_steps=given.judge_steps,
            schedule=given.schedule or given.steps,
            seed=given.seed,
        ),
        minutes=given.minutes,
        resume=given.resume,
        report=_LOGGER.info,
    )
    _LOGGER.info("%s: %d steps, %s", out, outcome.steps_done, dict(outcome.metrics))


if __name__ == "__main__":
    main()
