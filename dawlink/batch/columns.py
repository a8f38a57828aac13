"""The columns of a plan: the options of ``suggest`` and ``render``, and how their values are read.

A CSV plan holds text, TOML and JSON hold typed values; both end as the same types here. The
fields of :class:`Values` are the one list of columns. An empty cell or a null is "not given".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, cast

from dawlink.daw.writer import parse_formats
from engine.errors import UsageError
from engine.mashup.ducking import DEFAULT_DUCK_DB
from engine.suggestions import parse_roles
from engine.theory import Key

__all__ = ["COLUMNS", "EXCLUSIVE", "Values", "close_to", "read_values"]

Value = str | int | float | bool
Reader = Callable[[object], Value]

#: Ways to say what is rendered; a line has one of them at most.
EXCLUSIVE: Final = ("rank", "top", "stems")
_TRUE: Final = ("true", "yes", "1", "on")
_FALSE: Final = ("false", "no", "0", "off")


def _text(value: object) -> Value:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("text")
    return str(value).strip()


def _names(value: object) -> Value:
    """Names with commas or spaces between them; TOML and JSON may give a list."""
    parts = value if isinstance(value, list) else [value]
    names = [part for part in parts if isinstance(part, str)]
    if len(names) < len(parts):
        raise ValueError("names with commas between them")
    return ",".join(",".join(names).replace(",", " ").split())


def _roles(value: object) -> Value:
    names = str(_names(value))
    try:
        parse_roles(names)
    except UsageError as error:
        raise ValueError(f"roles; {error.message} {error.hint.rstrip('.')}") from error
    return names


def _formats(value: object) -> Value:
    names = str(_names(value))
    try:
        parse_formats(names)
    except UsageError as error:
        raise ValueError(f"project formats; {error.message} {error.hint.rstrip('.')}") from error
    return names


def _key(value: object) -> Value:
    try:
        return str(Key.parse(str(_text(value))))
    except UsageError as error:
        raise ValueError("a key like 'A minor', 'F#' or '8A'") from error


def _number(value: object) -> Value:
    number = math.nan
    if isinstance(value, str):
        text = value.strip()
        decimal_comma = text.count(",") == 1 and "." not in text
        number = _float(text.replace(",", ".") if decimal_comma else text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = _float(value)
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


def _float(value: str | int | float) -> float:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _whole(value: object) -> Value:
    try:
        number = cast("float", _number(value))
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError("a whole number")
    return int(number)


def _from_one(value: object) -> Value:
    number = _whole(value)
    if cast("int", number) < 1:
        raise ValueError("a whole number from 1 on")
    return number


def _flag(value: object) -> Value:
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text in _TRUE


def _depth(value: object) -> Value:
    """Decibels; a bare "true" is what ``--duck`` without a number is, 0 is not at all."""
    text = str(value).strip().lower()
    if text in ("true", "yes", "on"):
        return DEFAULT_DUCK_DB
    if text in ("false", "no", "off"):
        return 0.0
    try:
        return _number(value)
    except ValueError as error:
        raise ValueError("true, false or decibels") from error


def _pair(value: object) -> Value:
    """Two numbers as the option writes them; TOML and JSON may give a list."""
    parts = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
    if len(parts) != 2:
        raise ValueError("two ratios such as 0.8,1.25")
    return ",".join(f"{_number(part):g}" for part in parts)


def _column(reader: Reader) -> Any:
    return field(default=None, metadata={"reader": reader})


@dataclass(frozen=True)
class Values:
    """What one line gives; None where it gives nothing. Names, units and meaning as the options."""

    clip: str | None = _column(_text)
    start: float | None = _column(_number)
    end: float | None = _column(_number)
    tempo: float | None = _column(_number)
    key: str | None = _column(_key)
    transpose: int | None = _column(_whole)
    bars: int | None = _column(_whole)
    roles: str | None = _column(_roles)
    limit: int | None = _column(_from_one)
    model: str | None = _column(_text)
    rank: int | None = _column(_from_one)
    top: int | None = _column(_from_one)
    stems: str | None = _column(_names)
    exclude_song: str | None = _column(_names)
    max_semitones: int | None = _column(_whole)
    tempo_range: str | None = _column(_pair)
    include_own: bool | None = _column(_flag)
    clip_tempo: float | None = _column(_number)
    clip_downbeat: float | None = _column(_number)
    clip_metre: int | None = _column(_whole)
    clip_key: str | None = _column(_key)
    format: str | None = _column(_text)
    bit_depth: str | None = _column(_text)
    sample_rate: int | None = _column(_whole)
    mix: bool | None = _column(_flag)
    render_clip: bool | None = _column(_flag)
    duck: float | None = _column(_depth)
    midi: bool | None = _column(_flag)
    project: str | None = _column(_formats)
    deliver: str | None = _column(_text)
    into: str | None = _column(_text)
    out: str | None = _column(_text)


COLUMNS: Final[tuple[str, ...]] = tuple(item.name for item in fields(Values))
_READERS: Final[Mapping[str, Reader]] = {
    item.name: item.metadata["reader"] for item in fields(Values)
}


def read_values(given: Mapping[str, object]) -> tuple[Values, list[str]]:
    """The values of one line, and a sentence for each that cannot be meant.

    Args:
        given: column to raw value; unknown columns are reported too.
    """
    problems: list[str] = []
    read: dict[str, Value] = {}
    for column, raw in given.items():
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            continue
        if column not in _READERS:
            problems.append(f"there is no column {column!r}{close_to(column)}")
            continue
        try:
            read[column] = _READERS[column](raw)
        except ValueError as error:
            problems.append(f"{column} is {raw!r}, expected {error}")
    return Values(**cast("dict[str, Any]", read)), problems


def close_to(column: str) -> str:
    """`` (did you mean …?)`` when a column has nearly that name."""
    close = get_close_matches(column, COLUMNS, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
