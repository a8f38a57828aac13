"""What a set says about itself: its tempo and metre, and whether Live would open it.

Live shows the tempo of the main track's automation, and falls back on its mixer. Metres are
numbers: 99 for each power of two of the denominator, and the numerator from 0 on (201 is 4/4).
Somebody's own set is looked at here before anything is rendered for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from dawlink.daw.live.set_file import LiveSet, read_set
from engine.errors import UnusableInput

__all__ = ["OwnSet", "faults_of", "look_at", "require_sound", "set_tempo"]

#: The newest Live whose elements dawlink knows.
_NEWEST: Final = (12, 4)
_PER_DENOMINATOR: Final = 99
_HINT: Final = "Save it again in Live, or leave --into out to get a new set."


@dataclass(frozen=True)
class OwnSet:
    """A set that something is added to.

    Args:
        path: the file.
        tempo_bpm: at its beginning.
        tempo_moves: the tempo is automated.
        metre: numerator and denominator; None when the set does not say.
        newer: it was saved by a newer Live than dawlink knows.
    """

    path: Path
    tempo_bpm: float
    tempo_moves: bool
    metre: tuple[int, int] | None
    newer: bool

    def notes(self, tempo_bpm: float, beats_per_bar: int) -> Iterator[str]:
        """What a person should know of a render at this tempo and metre in this set."""
        if not math.isclose(tempo_bpm, self.tempo_bpm, rel_tol=1e-6):
            yield (
                f"{self.path.name} runs at {self.tempo_bpm:g} BPM and keeps it: Live stretches "
                f"what is rendered at {tempo_bpm:g} BPM. Leave the tempo out to render at its own."
            )
        if self.tempo_moves:
            yield f"The tempo of {self.path.name} changes; Live stretches the clips along with it."
        if self.metre is not None and self.metre != (beats_per_bar, 4):
            yield (
                f"{self.path.name} is in {self.metre[0]}/{self.metre[1]}, the clips have "
                f"{beats_per_bar} beats a bar: their bar lines differ from the set's."
            )
        if self.newer:
            yield (
                f"{self.path.name} was saved by a newer Live than dawlink knows; the copy may not "
                "open in it."
            )


def look_at(path: Path) -> OwnSet:
    """What is to be known of a set before something is rendered for it.

    Raises:
        UnusableInput: it cannot be read, is no set, or Live would refuse it.
    """
    live = read_set(path)
    require_sound(live, path)
    return OwnSet(
        path=path,
        tempo_bpm=set_tempo(live),
        tempo_moves=len({event.get("Value") for event in _events(live, "Tempo")}) > 1,
        metre=_metre(live),
        newer=live.version > _NEWEST,
    )


def require_sound(live: LiveSet, path: Path) -> None:
    """Refuse a set that Live would refuse.

    Raises:
        UnusableInput: it has such faults.
    """
    faults = faults_of(live)
    if faults:
        raise UnusableInput(
            f"{path} cannot be extended: {', '.join(faults[:3])}.", hint=_HINT, code="faulty_set"
        )


def faults_of(live: LiveSet) -> list[str]:
    """What Live would refuse about the ids of a set; nothing when it is sound."""
    ids = live.pointee_ids
    faults = []
    if len(ids) != len(set(ids)):
        faults.append("pointee ids are not unique")
    if ids and max(ids) >= live.next_pointee_id:
        faults.append("NextPointeeId is too low")
    track_ids = [track.get("Id") for track in live.tracks]
    if len(track_ids) != len(set(track_ids)):
        faults.append("track ids are not unique")
    scenes = live.scenes
    for track in live.tracks:
        for slots in track.findall("DeviceChain/*/ClipSlotList"):
            if len(slots) not in (0, scenes):
                faults.append(f"track {track.get('Id')} has {len(slots)} slots of {scenes}")
    return faults


def set_tempo(live: LiveSet) -> float:
    """Beats per minute at the beginning of a set.

    Raises:
        UnusableInput: what it says is no tempo.
    """
    manual = live.master.find("DeviceChain/Mixer/Tempo/Manual")
    text = "120" if manual is None else manual.get("Value", "")
    for event in _events(live, "Tempo"):
        text = event.get("Value", "")
        break
    try:
        tempo_bpm = float(text)
    except ValueError:
        tempo_bpm = math.nan
    if not (math.isfinite(tempo_bpm) and tempo_bpm > 0):
        raise UnusableInput(
            f"The set states its tempo as {text[:40]!r}, which is none.",
            hint=_HINT,
            code="not_a_set",
        )
    return tempo_bpm


def _metre(live: LiveSet) -> tuple[int, int] | None:
    manual = live.master.find("DeviceChain/Mixer/TimeSignature/Manual")
    text = "" if manual is None else manual.get("Value", "")
    for event in _events(live, "TimeSignature"):
        text = event.get("Value", "")
        break
    if not text.isdecimal() or int(text[:5]) >= 5 * _PER_DENOMINATOR:
        return None
    power, numerator = divmod(int(text[:5]), _PER_DENOMINATOR)
    return numerator + 1, 1 << power


def _events(live: LiveSet, parameter: str) -> list[Element]:
    """The automation of a parameter of the main track, in order of time."""
    target = live.master.find(f"DeviceChain/Mixer/{parameter}/AutomationTarget")
    wanted = None if target is None else target.get("Id")
    for envelope in live.master.iterfind("AutomationEnvelopes/Envelopes/AutomationEnvelope"):
        pointee = envelope.find("EnvelopeTarget/PointeeId")
        if wanted is not None and pointee is not None and pointee.get("Value") == wanted:
            return envelope.findall("Automation/Events/*")
    return []
