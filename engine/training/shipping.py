"""What every network that comes with dawlink has in common: whose music it may have learnt of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.errors import UsageError
from engine.training.midi_corpus import SHIPPABLE_SETS

__all__ = ["LICENCE", "refuse_unshippable"]

LICENCE: Final = (
    "GPL-3.0-or-later, as dawlink. Trained on sound rendered from MIDI files of the named sets, "
    "train split only; their licences let such a model be given away."
)


def refuse_unshippable(sets: Sequence[str]) -> None:
    """Raise unless all ``sets`` of MIDI files, one or more, let a model be given away.

    Raises:
        UsageError: one does not, or nobody knows of which sets the network learnt.
    """
    if not sets or not set(sets) <= set(SHIPPABLE_SETS):
        raise UsageError(
            f"A network of the sets {', '.join(sets) or 'of nobody'} cannot be shipped.",
            hint=f"Train on {', '.join(SHIPPABLE_SETS)} alone.",
            code="not_shippable",
        )
