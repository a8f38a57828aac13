"""The rows of a plan file, in any of its three formats, each with the line it stands on.

CSV (UTF-8 with or without byte order mark) has a header and commas, semicolons or tabs between its
cells: whichever makes the header name the most columns. TOML has a table ``[[render]]`` for each
row and ``[defaults]`` for what they share. JSON lines has one object on each line.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dawlink.batch.columns import COLUMNS, EXCLUSIVE, close_to
from engine.errors import UnusableInput, UsageError

__all__ = ["Row", "read_rows"]

_DELIMITERS: Final = (",", ";", "\t")
_RENDER_TABLE: Final = re.compile(r"^\s*\[\[\s*(?:render|\"render\"|'render')\s*\]\]")
_HINT: Final = "A plan ends in .csv, .tsv, .toml or .jsonl."


@dataclass(frozen=True)
class Row:
    """One row as written.

    Args:
        line: line of the file, from 1.
        given: column to raw value.
        problems: why the row cannot be read.
    """

    line: int
    given: Mapping[str, object]
    problems: tuple[str, ...] = ()


def read_rows(path: Path) -> list[Row]:
    """Every row of the plan.

    Raises:
        UnusableInput: the file is missing or cannot be read.
        UsageError: it is not text, or is no plan of the format that its name says.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} is no plan by its name.", hint=_HINT, code="bad_plan")
    rows = reader(path, _text_of(path))
    if not rows:
        raise UsageError(
            f"{path} holds no line to render.",
            hint="Give it at least one line with a clip.",
            code="bad_plan",
        )
    return rows


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableInput(
            f"The plan {path} cannot be read: {error.strerror or error}.",
            hint="Name a CSV, TOML or JSON-lines file.",
            code="missing_file" if isinstance(error, FileNotFoundError) else "unreadable",
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path} is not UTF-8 text: line {line}.",
            hint="Save it as UTF-8 (in a spreadsheet: CSV UTF-8).",
            code="bad_plan",
        ) from error


def _csv(path: Path, text: str) -> list[Row]:
    lines = list(io.StringIO(text, newline=""))
    number = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    header_line = lines[number] if number < len(lines) else ""
    delimiter = max(_DELIMITERS, key=lambda d: (_known(header_line, d), header_line.count(d)))
    reader = csv.reader(lines[number:], delimiter=delimiter, strict=True)
    rows: list[Row] = []
    first = 0
    try:
        header = _header(path, next(reader, []), number + 1)
        first = reader.line_num
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(_csv_row(header, cells, number + first + 1))
            first = reader.line_num
    except csv.Error as error:
        raise UsageError(
            f"{path} is no CSV file from line {number + first + 1} on: {error}.",
            hint="Every quoted cell needs its closing quote.",
            code="bad_plan",
        ) from error
    return rows


def _known(header: str, delimiter: str) -> int:
    return sum(_name(cell) in COLUMNS for cell in header.replace('"', "").split(delimiter))


def _name(cell: str) -> str:
    return cell.strip().lower().replace("-", "_").replace(" ", "_")


def _header(path: Path, cells: list[str], line: int) -> list[str]:
    names = [_name(cell) for cell in cells]
    unknown = [name for name in names if name and name not in COLUMNS]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    wrong = [f"there is no column {name!r}{close_to(name)}" for name in unknown]
    wrong += [f"the column {name!r} is there twice" for name in twice]
    if "clip" not in names:
        wrong.append("the column 'clip' is missing")
    if wrong:
        raise UsageError(
            f"{path}, line {line}: {'; '.join(wrong)}.",
            hint=f"The first line names the columns: {', '.join(COLUMNS)}.",
            code="bad_plan",
        )
    return names


def _csv_row(header: list[str], cells: list[str], line: int) -> Row:
    extra = [cell for cell in cells[len(header) :] if cell.strip()]
    unnamed = [cell for name, cell in zip(header, cells, strict=False) if not name and cell.strip()]
    problems = tuple(f"the cell {cell!r} has no column" for cell in unnamed + extra)
    given = {name: cell for name, cell in zip(header, cells, strict=False) if name}
    return Row(line, given, problems)


def _toml(path: Path, text: str) -> list[Row]:
    try:
        document = tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        raise UsageError(
            f"{path} is not a TOML file: {error}.",
            hint="A plan has one [[render]] table for each line.",
            code="bad_plan",
        ) from error
    tables, defaults = document.pop("render", []), document.pop("defaults", {})
    wrong = [f"there is no table {name!r}" for name in document]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        wrong.append("render is not an array of tables")
    if not isinstance(defaults, dict):
        wrong.append("defaults is not a table")
    else:
        wrong += [
            f"defaults has no column {n!r}{close_to(n)}" for n in defaults if n not in COLUMNS
        ]
    if wrong:
        raise UsageError(
            f"{path}: {'; '.join(wrong)}.",
            hint="A plan has [[render]] tables and one [defaults] table.",
            code="bad_plan",
        )
    numbers = [i for i, line in enumerate(text.splitlines(), 1) if _RENDER_TABLE.match(line)]
    if len(numbers) != len(tables):  # written inline: count the tables instead
        numbers = list(range(1, len(tables) + 1))
    return [
        Row(line, _with_defaults(table, defaults))
        for line, table in zip(numbers, tables, strict=True)
    ]


def _with_defaults(
    table: Mapping[str, object], defaults: Mapping[str, object]
) -> Mapping[str, object]:
    """What a line says itself beats the defaults, also where it says it with another column."""
    chosen = any(name in table for name in EXCLUSIVE)
    shared = {k: v for k, v in defaults.items() if not (chosen and k in EXCLUSIVE)}
    return {**shared, **table}


def _json_lines(_: Path, text: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # JSON strings may hold other line ends
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:  # nested too deep, or a number too long
            rows.append(Row(number, {}, (f"this is not JSON: {error}",)))
            continue
        if isinstance(found, dict):
            rows.append(Row(number, found))
        else:
            rows.append(Row(number, {}, ("this is not a JSON object",)))
    return rows


_READERS: Final[Mapping[str, Callable[[Path, str], list[Row]]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _csv,
    ".toml": _toml,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
}
