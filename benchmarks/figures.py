"""What the benchmarks share: parts by name, figures, one table, and the same as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "run_parts"]


@dataclass(frozen=True)
class Figure:
    """One measured line of the table."""

    what: str
    value: float
    unit: str
    goal: str = ""


def run_parts(parts: Mapping[str, Callable[[Path], list[Figure]]], description: str) -> int:
    """Run the parts that the command line names, each in a folder of its own; print the figures."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="default: all")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for name in arguments.parts or parts:
        with tempfile.TemporaryDirectory(prefix=f"dawlink-{name}-") as folder:
            figures += parts[name](Path(folder))
    table = Table("what", "value", "unit", "goal")
    for figure in figures:
        table.add_row(figure.what, f"{figure.value:.4g}", figure.unit, figure.goal)
    Console(width=110).print(table)
    if arguments.json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count()}
        document = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0
