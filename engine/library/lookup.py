"""From what a person typed to an id, and a helpful word when there is none."""

from __future__ import annotations

import difflib
from typing import Final, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from engine.errors import UsageError
from engine.library.schema import Song, Stem

__all__ = ["IdKind", "resolve_id", "unknown_id"]

IdKind = Literal["song", "stem"]

_SHOWN: Final = 3  # suggestions in a hint
_CLOSE: Final = 0.7  # difflib's ratio; two wrong digits of thirteen still count as close


def resolve_id(session: Session, text: str, kind: IdKind | None) -> str:
    """The one id that is, or begins with, ``text``.

    Raises:
        UsageError: none or several do.
    """
    wanted = text.strip()
    found = [i for i in _ids(session, kind, beginning=wanted.lower()) if wanted]
    exact = [i for i in found if i == wanted.lower()]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if not found:
        raise unknown_id(session, wanted, kind)
    shown = ", ".join(found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
    raise UsageError(
        f"{len(found)} ids begin with {wanted!r}.",
        hint=f"Type more of it: {shown}",
        code="ambiguous_id",
    )


def unknown_id(session: Session, text: str, kind: IdKind | None) -> UsageError:
    """The error for an id that is not in the library, with those that come close."""
    close = difflib.get_close_matches(
        text.lower(), _ids(session, kind), n=_SHOWN, cutoff=_CLOSE
    ) or _ids_by_title(session, text, kind)
    shown = "`dawlink list` shows the ids."
    if kind == "stem":
        shown = "`dawlink suggest` shows ids of stems, and `dawlink show` those of one song."
    hint = f"Did you mean {' or '.join(close)}?" if close else shown
    return UsageError(
        f"There is no {kind or 'song or stem'} {text!r} in the library.",
        hint=hint,
        code="unknown_id",
    )


def _ids(session: Session, kind: IdKind | None, beginning: str = "") -> list[str]:
    found: list[str] = []
    if kind != "stem":
        query = select(Song.id).where(Song.id.startswith(beginning, autoescape=True))
        found += session.scalars(query.order_by(Song.id))
    if kind != "song":
        stems = select(Stem.id).where(Stem.id.startswith(beginning, autoescape=True))
        found += session.scalars(stems.order_by(Stem.id))
    return found


def _ids_by_title(session: Session, text: str, kind: IdKind | None) -> list[str]:
    """Songs whose title holds ``text``, for a person who typed the title."""
    if kind == "stem" or not text:
        return []
    query = select(Song.id, Song.title).where(
        func.lower(Song.title).contains(text.lower(), autoescape=True)
    )
    return [f"{i} ({title})" for i, title in session.execute(query.limit(_SHOWN))]
