"""How a message is defined: a frozen dataclass whose fields are its arguments, in order.

Fields are ``Annotated[type, meaning]``: ``int`` is sent as ``i``, ``float`` as ``f``, ``str`` as
``s``; nothing else is ever sent. One definition serves reading, checking, writing and the
reference in ``docs/osc.md``. The first argument of every request but ``/dawlink/set/…``, and of
everything that answers it, is ``req``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, TypeVar, cast, dataclass_transform, get_args, get_type_hints

from dawlink.osc.faults import ErrorCode, Fault

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Argument",
    "Definition",
    "Message",
    "Value",
    "address_of",
    "answer",
    "arguments_of",
    "read_arguments",
    "request",
]

Value = int | float | str
Kind = TypeVar("Kind")

_TAGS: Final[dict[type[Value], str]] = {int: "i", float: "f", str: "s"}
_WORDS: Final = {"i": "a whole number", "f": "a number", "s": "a text"}


@dataclass(frozen=True)
class Message:
    """Base of every message."""


@dataclass(frozen=True)
class Argument:
    """One argument: OSC type ``i``, ``f`` or ``s``, its name and what it means."""

    tag: str
    name: str
    text: str


@dataclass(frozen=True)
class Definition:
    """One address, what it carries and what it is for; ``answers`` are addresses."""

    address: str
    kind: type[Message]
    arguments: tuple[Argument, ...]
    text: str
    answers: tuple[str, ...] = ()

    @property
    def tags(self) -> str:
        """The type tags, such as ``isf``."""
        return "".join(argument.tag for argument in self.arguments)

    @property
    def numbered(self) -> bool:
        """Whether the first argument is the request's number."""
        return bool(self.arguments) and self.arguments[0].name == "req"


#: What clients send, by address.
REQUESTS: Final[dict[str, Definition]] = {}
#: What the engine sends, by address.
ANSWERS: Final[dict[str, Definition]] = {}
_BY_KIND: Final[dict[type[Message], Definition]] = {}


@dataclass_transform(frozen_default=True)
def request(address: str, *, answers: tuple[str, ...] = ()) -> Callable[[type[Kind]], type[Kind]]:
    """Class decorator: this is what clients send to ``address``."""
    return _registered(REQUESTS, address, answers)


@dataclass_transform(frozen_default=True)
def answer(address: str) -> Callable[[type[Kind]], type[Kind]]:
    """Class decorator: this is what the engine sends to ``address``."""
    return _registered(ANSWERS, address, ())


def _registered(
    table: dict[str, Definition], address: str, answers: tuple[str, ...]
) -> Callable[[type[Kind]], type[Kind]]:
    def register(kind: type[Kind]) -> type[Kind]:
        made = dataclass(frozen=True)(kind)
        message = cast("type[Message]", made)
        text = " ".join((kind.__doc__ or "").split())
        hints = get_type_hints(message, include_extras=True)
        arguments = tuple(_argument(item.name, hints[item.name]) for item in fields(message))
        table[address] = Definition(address, message, arguments, text, answers)
        _BY_KIND[message] = table[address]
        return made

    return register


def _argument(name: str, hint: object) -> Argument:
    plain, text = get_args(hint)
    return Argument(_TAGS[plain], name, str(text))


def address_of(message: Message) -> str:
    """Where the message goes."""
    return _BY_KIND[type(message)].address


def arguments_of(message: Message) -> tuple[tuple[str, Value], ...]:
    """(type tag, value) of every argument, in order."""
    definition = _BY_KIND[type(message)]
    return tuple((a.tag, cast("Value", getattr(message, a.name))) for a in definition.arguments)


def read_arguments(definition: Definition, values: tuple[Value | None, ...]) -> Message:
    """The message that ``values`` make; None stands for a value of a type that is never sent.

    A whole number is taken where a number is expected: Max sends ``120.`` as ``120``.

    Raises:
        Fault: too few, too many, of another type, NaN or infinite.
    """
    if len(values) != len(definition.arguments):
        raise _bad(
            definition, f"{len(values)} arguments came, {len(definition.arguments)} are expected"
        )
    checked = [
        _checked(definition, argument, value)
        for argument, value in zip(definition.arguments, values, strict=True)
    ]
    return definition.kind(*checked)


def _checked(definition: Definition, argument: Argument, value: Value | None) -> Value:
    if argument.tag == "f" and isinstance(value, int):
        value = float(value)
    if value is None or _TAGS[type(value)] != argument.tag:
        raise _bad(definition, f"{argument.name!r} is not {_WORDS[argument.tag]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise _bad(definition, f"{argument.name!r} is {value}")
    return value


def _bad(definition: Definition, what: str) -> Fault:
    expected = ", ".join(f"{a.tag} {a.name}" for a in definition.arguments) or "nothing"
    return Fault(
        ErrorCode.BAD_ARGUMENTS, "arguments", f"{definition.address}: {what}; it takes {expected}."
    )
