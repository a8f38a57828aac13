"""Scale names of DAWs as major or minor keys.

A scale with a major third above its root counts as major, any other as minor; so do super Locrian
and the half-whole scale, which have both thirds and sound minor or diminished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dawlink.osc.faults import ErrorCode, Fault

if TYPE_CHECKING:
    from engine.theory import Key

__all__ = ["key_of"]

_MAJOR: Final = frozenset(
    {
        "major", "maj", "ionian", "mixolydian", "lydian", "lydian augmented", "lydian dominant",
        "major pentatonic", "major blues", "harmonic major", "whole tone", "spanish", "bhairav",
        "bayati", "hirajoshi major", "augmented", "messiaen 3", "double harmonic", "8-tone spanish",
        "phrygian dominant", "messiaen 1", "messiaen 6",
    }
)  # fmt: skip
_MINOR: Final = frozenset(
    {
        "minor", "min", "aeolian", "dorian", "phrygian", "locrian", "harmonic minor",
        "melodic minor", "minor pentatonic", "minor blues", "blues", "hungarian minor",
        "super locrian", "half-whole dim.", "whole-half dim.", "diminished", "dorian #4",
        "hirajoshi", "in-sen", "iwato", "kumoi", "pelog selisir",
        "pelog tembung", "messiaen 2", "messiaen 4", "messiaen 5", "messiaen 7",
    }
)  # fmt: skip


def key_of(root: int, scale: str) -> Key | None:
    """The key; None for root −1.

    Raises:
        Fault: no such root or scale.
    """
    from engine.theory import Key

    if root == -1:
        return None
    if not 0 <= root <= 11:
        raise Fault(ErrorCode.BAD_ARGUMENTS, "bad_key", f"Root {root} is outside −1..11 (C is 0).")
    name = scale.strip().lower()
    if name in _MAJOR:
        return Key(root, "major")
    if name in _MINOR:
        return Key(root, "minor")
    raise Fault(
        ErrorCode.BAD_ARGUMENTS,
        "bad_key",
        f"dawlink does not know the scale {scale[:60]!r}. Send Major or Minor.",
    )
