"""One table out of what ``dawlink evaluate --out`` wrote, whatever model was run when.

    python -m benchmarks.evaluation_table FOLDER… [--tasks stems,stems-of-role] [--figure NAME]
                                          [--paired [MODEL] | --strata | --axes]

Models are run on the same items as long as songs and seed are the same, so one model can be
measured again alone: a later folder's figures replace an earlier one's, task by task and model by
model. Cells are the mean normalised rank (0 best, about .5 chance), or the figure that is named,
with its 95 % interval over songs; with ``--paired`` the difference to MODEL (``automashupper``) on
the same queries: name it beside a model that is measured again; with ``--strata`` the figure of
each part of the queries; with ``--axes`` Huang's single axes, a column per model: in pairs, and
over all windows. Folders whose songs, seeds or numbers of queries differ are refused.
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


def cell(result: Mapping[str, Any] | None, figure: str = "mean_nr") -> str:
    """A figure of one model on one task, or of chance; ``first-of-8`` and its like are shares."""
    if result is None:
        return ""
    if figure.startswith("first-of-"):
        found = result.get("first_of", {}).get(figure.removeprefix("first-of-"))
        return _with_interval(found["share"], found["ci95"]) if found else ""
    if figure == "accuracy" and isinstance(result.get(figure), Mapping):
        return _with_interval(result[figure]["share"], result[figure]["ci95"])
    value = result.get(figure)
    return "" if value is None else _with_interval(value, result.get("ci95", {}).get(figure))


def difference(result: Mapping[str, Any] | None, other: str, figure: str = "mean_nr") -> str:
    """One model minus the model ``other`` on one task."""
    against = (result or {}).get("against", {}).get(other)
    if against is None:
        return "—"
    low, high = against["ci95"][figure] or (float("nan"), float("nan"))
    return f"{against[figure]:+.3f} ({low:+.3f} to {high:+.3f})"


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    if not interval:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tasks")
    parser.add_argument("--figure", metavar="NAME", default="mean_nr")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--paired", metavar="MODEL", nargs="?", const="automashupper")
    shown.add_argument("--strata", action="store_true")
    shown.add_argument("--axes", action="store_true")
    given = parser.parse_args()
    found = read(given.folders)
    tasks = given.tasks.split(",") if given.tasks else list(found)
    if not found or not set(tasks) <= set(found):
        raise SystemExit(f"there are tables of {', '.join(found) or 'nothing'} only")
    if given.paired and given.figure not in ("mean_nr", "r1"):
        raise SystemExit("differences are of mean_nr and of r1")
    if given.axes:
        rows = _axes(found[tasks[0]])
    elif given.strata:
        rows = _strata(found, tasks, given.figure)
    else:
        rows = [["model", *tasks]]
        for model in _models(found, tasks):
            results = [found[task].get(model) for task in tasks]
            if given.paired:
                rows.append([model, *(difference(r, given.paired, given.figure) for r in results)])
            else:
                rows.append([model, *(cell(result, given.figure) for result in results)])
    for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]:
        print(f"| {' | '.join(row)} |")


def _models(found: Mapping[str, Mapping[str, Any]], tasks: Sequence[str]) -> list[str]:
    """Chance comes last."""
    models = dict.fromkeys(model for task in tasks for model in found[task])
    return sorted(models, key=lambda model: model == "(chance)")


def _axes(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    models = [model for model, result in results.items() if result.get("axes")]
    if not models:
        raise SystemExit("there are axes in tables of huang only")
    axes = {model: {axis["axis"]: axis for axis in results[model]["axes"]} for model in models}
    names = dict.fromkeys(name for model in models for name in axes[model])
    rows = [["axis", *models]]
    for name in names:
        found = [axes[model].get(name) for model in models]
        rows.append([name, *(f"{a['paired']:.2f}, {a['auc']:.2f}" if a else "" for a in found)])
    return rows


def _strata(
    found: Mapping[str, Mapping[str, Any]], tasks: Sequence[str], figure: str
) -> list[list[str]]:
    split = [task for task in tasks if any("strata" in r for r in found[task].values())]
    strata = list(
        dict.fromkeys(
            name for task in split for r in found[task].values() for name in r.get("strata", {})
        )
    )
    rows = [["task", "model", *strata]]
    for task in split:
        for model, result in found[task].items():
            if "strata" in result:
                cells = (cell(result["strata"].get(name), figure) for name in strata)
                rows.append([task, model, *cells])
    return rows


if __name__ == "__main__":
    main()
