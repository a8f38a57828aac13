"""Which members which Live has. Sources: Ableton's release notes, stubs of the Live API."""

from __future__ import annotations

from dataclasses import dataclass

#: The versions that every test of insertion runs on.
TESTED = ("11.0.0", "11.3.25", "12.0.0", "12.0.5", "12.2.0")


@dataclass(frozen=True, order=True)
class LiveVersion:
    """A Live, such as 12.0.5."""

    major: int
    minor: int
    bugfix: int

    @classmethod
    def parse(cls, text: str) -> LiveVersion:
        major, minor, bugfix = (*(int(part) for part in text.split(".")), 0, 0)[:3]
        return cls(major, minor, bugfix)

    def has(self, feature: str) -> bool:
        """Whether this Live has the member group ``feature``."""
        if feature == "create_audio_clip":
            # Came to Live 11 later than Live 12 was branched off, and to Live 12 again later.
            in_11 = LiveVersion(11, 3, 25) <= self < LiveVersion(12, 0, 0)
            return in_11 or self >= LiveVersion(12, 0, 5)
        return self >= _SINCE[feature]

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.bugfix}"


_SINCE = {
    "warp_editing": LiveVersion(11, 0, 5),
    "scale_mode": LiveVersion(12, 0, 5),
    "is_session_clip": LiveVersion(12, 2, 0),
}
