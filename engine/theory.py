"""Roles, pitch classes, keys and the arithmetic of transposition and tempo.

Conventions: pitch classes count from C = 0; semitones are signed, up is positive; a tempo ratio
is ``output duration / source duration`` (greater than 1 is slower) and is called
``ratio_out_in``. Camelot codes follow the wheel used by DJ software: 8A = A minor, 8B = C major.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from engine.errors import UsageError

__all__ = [
    "PITCH_NAMES",
    "ROLES",
    "STORED_ROLES",
    "Key",
    "Mode",
    "Role",
    "check_metre",
    "fine_tuning_cents",
    "parse_role",
    "signed_semitones",
]

Role = Literal["vocals", "drums", "bass", "other", "harmonic", "percussion", "mix"]
Mode = Literal["major", "minor"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
#: What a song is made of; ``harmonic`` = bass + other, ``percussion`` = drums, ``mix`` = all.
STORED_ROLES: Final[tuple[Role, ...]] = ("vocals", "drums", "bass", "other")

#: A smaller offset of tuning is measurement noise and stays: stems of synthesisers at A = 440 Hz
#: are measured to lie up to 9 cents off.
LEAST_TUNING_CENTS: Final = 10.0

#: Beats in a bar that a person may state, fewest and most.
_STATED_METRES: Final = (2, 12)

PITCH_NAMES: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLATS: Final = {"DB": "C#", "EB": "D#", "GB": "F#", "AB": "G#", "BB": "A#", "CB": "B", "FB": "E"}
_SHARPS: Final = {"E#": "F", "B#": "C"}
_KEY_PATTERN: Final = re.compile(
    r"^\s*([A-Ga-g])\s*([#♯b♭]?)\s*[:_\s-]*((?i:major|maj|minor|min|dur|moll)|m)?\s*$"
)
_CAMELOT_PATTERN: Final = re.compile(r"^\s*(1[0-2]|0?[1-9])\s*([ABab])\s*$")


@dataclass(frozen=True)
class Key:
    """A major or minor key.

    Args:
        tonic: pitch class [0, 11], C = 0.
        mode: ``"major"`` or ``"minor"``.
    """

    tonic: int
    mode: Mode

    def __post_init__(self) -> None:
        if not 0 <= self.tonic <= 11:
            raise ValueError(f"tonic {self.tonic} is outside 0..11")
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode {self.mode!r} is neither 'major' nor 'minor'")

    def __str__(self) -> str:
        return f"{PITCH_NAMES[self.tonic]} {self.mode}"

    @property
    def short(self) -> str:
        """``Am``, ``F#``: the form used in file names."""
        return PITCH_NAMES[self.tonic] + ("m" if self.mode == "minor" else "")

    @property
    def relative_major(self) -> int:
        """Tonic of the major key with the same notes."""
        return self.tonic if self.mode == "major" else (self.tonic + 3) % 12

    @property
    def camelot(self) -> str:
        """The Camelot code, ``8A`` for A minor."""
        tonic_of_major = self.tonic if self.mode == "major" else (self.tonic + 3) % 12
        number = (7 * tonic_of_major + 7) % 12 + 1
        return f"{number}{'B' if self.mode == 'major' else 'A'}"

    def transposed(self, semitones: int) -> Key:
        """The same mode, ``semitones`` higher."""
        return Key((self.tonic + semitones) % 12, self.mode)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read ``A minor``, ``Am``, ``F#``, ``Bb major``, ``C:min`` or Camelot ``8A``.

        Raises:
            UsageError: the text names no major or minor key.
        """
        camelot = _CAMELOT_PATTERN.match(text)
        if camelot:
            major_tonic = ((int(camelot[1]) - 8) * 7) % 12
            if camelot[2].upper() == "B":
                return cls(major_tonic, "major")
            return cls((major_tonic + 9) % 12, "minor")
        match = _KEY_PATTERN.match(text)
        if match:
            accidental = match[2].replace("♯", "#").replace("♭", "b")
            name = (match[1] + accidental).upper()
            name = _FLATS.get(name, _SHARPS.get(name, name))
            if name in PITCH_NAMES:
                minor = (match[3] or "").lower() in ("m", "min", "minor", "moll")
                return cls(PITCH_NAMES.index(name), "minor" if minor else "major")
        raise UsageError(
            f"{text!r} is not a key.",
            hint="Write it like 'A minor', 'Am', 'F# major', 'F#' or Camelot '8A'.",
            code="bad_key",
        )


def parse_role(text: str) -> Role:
    """The role called ``text``.

    Raises:
        UsageError: no such role.
    """
    name = text.strip().lower()
    for role in ROLES:
        if role == name:
            return role
    raise UsageError(
        f"{text!r} is not a role.", hint=f"Roles are {', '.join(ROLES)}.", code="bad_role"
    )


def fine_tuning_cents(role: Role, off_cents: float) -> float:
    """What audio that is ``off_cents`` too high is shifted by: drums and small offsets stay."""
    pitched = role not in ("drums", "percussion")
    return -off_cents if pitched and abs(off_cents) >= LEAST_TUNING_CENTS else 0.0


def check_metre(beats_per_bar: float) -> None:
    """Refuses a metre that nobody counts in.

    Raises:
        UsageError: no whole number of beats in a bar from 2 to 12.
    """
    low, high = _STATED_METRES
    if not (low <= beats_per_bar <= high and float(beats_per_bar).is_integer()):
        raise UsageError(
            f"{beats_per_bar:g} is not a valid number of beats per bar.",
            hint=f"Give a whole number from {low} to {high}, 3 for a waltz.",
            code="bad_metre",
        )


def signed_semitones(source: int, target: int) -> int:
    """Shortest signed transposition from one pitch class to another, in [-6, 5]."""
    return (target - source + 6) % 12 - 6
