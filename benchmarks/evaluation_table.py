"""One table out of what ``dawlink evaluate --out`` wrote, whatever model was run when.

    python -m benchmarks.evaluation_table FOLDER… [--tasks stems,stems-of-role] [--paired [MODEL]]

Models are run on the same items as long as songs and seed are the same, so one model can be
measured again alone: a later folder's figures replace an earlier one's, task by task and model by
model. Cells are the mean normalised rank (0 best, about .5 chance) with its 95 % interval over
songs, with ``--paired`` the difference to MODEL (``automashupper``) on the same queries: name it
beside a model that is measured again. Folders whose songs, seeds or numbers of queries differ are
refused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read(folders: Sequence[Path]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Results by task and model."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    asked: dict[str, object] = {}
    counts: dict[str, int] = {}
    for path in [path for folder in folders for path in sorted(folder.glob("*.json"))]:
        report = json.loads(path.read_text(encoding="utf-8"))
        items = (report["songs"], report.get("seed"))
        if asked.setdefault(report["protocol"], items) != items:
            raise SystemExit(
                f"{path} is about other songs, or of another seed, than those before it"
            )
        for task in report["tasks"]:
            queries = {result["queries"] for result in task["results"]}
            if {counts.setdefault(task["name"], count) for count in queries} != queries:
                raise SystemExit(
                    f"{path} asks other questions in {task['name']} than those before it"
                )
            models = found.setdefault(task["name"], {})
            models |= {result["model"]: result for result in task["results"]}
            models["(chance)"] = task["chance"]
    return found


def cell(result: Mapping[str, Any] | None, *, paired: str | None = None) -> str:
    """One model on one task, or its difference to the model ``paired``."""
    if result is None:
        return ""
    if paired:
        against = result.get("against", {}).get(paired)
        if against is None:
            return "—"
        low, high = against["ci95"]["mean_nr"] or (float("nan"), float("nan"))
        return f"{against['mean_nr']:+.3f} ({low:+.3f} to {high:+.3f})"
    if not result.get("ci95", {}).get("mean_nr"):
        return f"{result['mean_nr']:.3f}"
    low, high = result["ci95"]["mean_nr"]
    return f"{result['mean_nr']:.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tasks")
    parser.add_argument("--paired", metavar="MODEL", nargs="?", const="automashupper")
    given = parser.parse_args()
    found = read(given.folders)
    tasks = given.tasks.split(",") if given.tasks else list(found)
    if not found or not set(tasks) <= set(found):
        raise SystemExit(f"there are tables of {', '.join(found) or 'nothing'} only")
    models = list(dict.fromkeys(model for task in tasks for model in found[task]))
    models.sort(key=lambda model: model == "(chance)")
    print("| model | " + " | ".join(tasks) + " |")
    print("|" + "---|" * (len(tasks) + 1))
    for model in models:
        row = [cell(found[task].get(model), paired=given.paired) for task in tasks]
        print(f"| {model} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
