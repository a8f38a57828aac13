"""The folder of every line, inside the batch's own: from its ``out`` template, safe to make.

A template is text with ``{line}``, ``{clip}``, ``{tempo}``, ``{key}`` and ``{model}`` in it
(Python's format syntax, such as ``{line:03d}``) and may name several levels with ``/``. It is
refused when it leads out of the batch's folder; everything else is made a name that every file
system takes.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from engine.naming import safe_name

__all__ = ["DEFAULT_TEMPLATE", "TemplateError", "folder_of"]

DEFAULT_TEMPLATE: Final = "{line:03d} {clip}"
FIELDS: Final = ("line", "clip", "tempo", "key", "model")


class TemplateError(ValueError):
    """The template names no folder inside the batch's own; the message says why."""


def folder_of(template: str, values: Mapping[str, str | int | float]) -> PurePosixPath:
    """The folder that ``template`` means, relative to the batch's.

    Args:
        template: see above.
        values: the value of each of the fields.

    Raises:
        TemplateError: an unknown field, or a path that leads out.
    """
    _require_fields(template)
    try:
        text = template.format(**values)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise TemplateError(f"out is {template!r}, which cannot be filled in: {error}") from error
    path = text.replace("\\", "/")
    parts = [part.strip() for part in path.split("/")]
    drive = len(parts[0]) >= 2 and parts[0][1] == ":"
    if path.startswith("/") or drive or ".." in parts:
        raise TemplateError(f"out is {template!r}, which leads out of the batch's folder")
    named = [part for part in parts if part]
    if not named or "." in named:
        raise TemplateError(f"out is {template!r}, which names no folder of its own")
    return PurePosixPath(*(safe_name(part) for part in named))


def _require_fields(template: str) -> None:
    """Only the known fields: no attributes, no indices, no conversions, nothing 100 wide."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TemplateError(f"out is {template!r}, which cannot be filled in: {error}") from error
    for _, name, spec, conversion in parts:
        wide = re.search(r"\d{3}", (spec or "").lstrip("0")) is not None
        if name is not None and (name not in FIELDS or conversion or "{" in (spec or "") or wide):
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise TemplateError(f"out is {template!r}, which has {{{name}}}; there are {known}")
