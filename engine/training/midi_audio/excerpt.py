"""Which bars of a song are rendered, and what is played in them, in seconds from their start.

A stretch starts and ends on bar lines. Among all starts those are kept in which every role of the
song that is wanted sounds in at least half of the bars; one of them is drawn. Notes that began
before the stretch are left out; controls and programs that hold there are carried over its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.grid import BeatGrid
from engine.theory import STORED_ROLES, Role
from engine.training.midi_audio.score import MidiEvent, Part, Score, activity

__all__ = ["BEATS_PER_BAR", "PlayedPart", "SungNote", "Stretch", "Timed", "choose_stretch"]

BEATS_PER_BAR: Final = 4
#: Share of the bars in which a role should sound.
LEAST_ACTIVE: Final = 0.5
#: Shortest stretch that is worth rendering [bars].
FEWEST_BARS: Final = 8
#: Notes of a melody that begin this close together are a chord; the highest is sung [s].
_CHORD_S: Final = 0.03
#: A note shorter than this cannot be sung [s].
_SHORTEST_S: Final = 0.05


@dataclass(frozen=True)
class Timed:
    """A channel message at a time from the stretch's start [s]."""

    time_s: float
    event: MidiEvent


@dataclass(frozen=True)
class PlayedPart:
    """A part of the stretch: role, channel [0, 15], General MIDI program, messages by time."""

    role: Role
    channel: int
    program: int
    events: tuple[Timed, ...]


@dataclass(frozen=True)
class SungNote:
    """One note of a melody in which no two notes sound at once.

    Args:
        start_s: from the stretch's start.
        end_s: after ``start_s``.
        pitch: MIDI number.
        velocity: [1, 127].
    """

    start_s: float
    end_s: float
    pitch: int
    velocity: int

    def moved(self, semitones: int) -> SungNote:
        """The same note, so many semitones higher."""
        return replace(self, pitch=self.pitch + semitones)


@dataclass(frozen=True, eq=False)
class Stretch:
    """Whole bars of a score, played at ``ratio_out_in`` times their own duration.

    Args:
        score: the song.
        first_bar: where it starts.
        bars: how many.
        ratio_out_in: output / own duration (above 1 is slower).
    """

    score: Score
    first_bar: int
    bars: int
    ratio_out_in: float

    @property
    def ticks(self) -> tuple[int, int]:
        """First tick, and the one after the last."""
        bar = BEATS_PER_BAR * self.score.ticks_per_beat
        return self.first_bar * bar, (self.first_bar + self.bars) * bar

    def _times(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        start = np.array([self.ticks[0]])
        return (self.score.seconds(ticks) - self.score.seconds(start)) * self.ratio_out_in

    @property
    def grid(self) -> BeatGrid:
        """Every beat of the stretch; beat 0 at 0 s."""
        start, end = self.ticks
        return BeatGrid(
            self._times(np.arange(start, end + 1, self.score.ticks_per_beat, dtype=np.int64)),
            BEATS_PER_BAR,
        )

    @property
    def duration_s(self) -> float:
        """Seconds from the first bar line to the last."""
        return float(self.grid.beats_s[-1])

    def parts(self, role: Role) -> tuple[PlayedPart, ...]:
        """What the parts of a role play in it."""
        return tuple(self._played(part) for part in self.score.of(role))

    def melody(self) -> tuple[SungNote, ...]:
        """The vocal's notes, the highest where several sound at once."""
        start, end = self.ticks
        notes = [
            note
            for part in self.score.of("vocals")
            for note in part.notes()
            if start <= note.start < end
        ]
        notes.sort(key=lambda note: (note.start, note.pitch))
        edges = np.array([[note.start, min(note.end, end)] for note in notes], dtype=np.int64)
        times = self._times(edges.reshape(-1, 2))
        found: list[SungNote] = []
        for note, (start_s, end_s) in zip(notes, times.tolist(), strict=True):
            if found and start_s - found[-1].start_s < _CHORD_S:
                found.pop()
            elif found and found[-1].end_s > start_s:
                last = found.pop()
                found.append(SungNote(last.start_s, start_s, last.pitch, last.velocity))
            found.append(SungNote(start_s, end_s, note.pitch, note.velocity))
        return tuple(note for note in found if note.end_s - note.start_s >= _SHORTEST_S)

    def _played(self, part: Part) -> PlayedPart:
        start, end = self.ticks
        state: dict[tuple[str, int], MidiEvent] = {}
        inside: list[MidiEvent] = []
        struck: set[int] = set()
        for event in part.events:
            is_note = event.kind in ("note_on", "note_off")
            if event.tick < start and not is_note:
                state[event.kind, event.number] = event
            elif start <= event.tick < end:
                if event.kind == "note_on" and event.value:
                    struck.add(event.number)
                if not is_note or event.number in struck:
                    inside.append(event)
        times = self._times(np.array([event.tick for event in inside], dtype=np.int64))
        timed = [Timed(0.0, event) for event in state.values()]
        timed += [Timed(time, event) for time, event in zip(times.tolist(), inside, strict=True)]
        return PlayedPart(part.role, part.channel, part.program, tuple(timed))


def choose_stretch(
    score: Score,
    rng: np.random.Generator,
    *,
    seconds: float | None = None,
    ratio_out_in: float = 1.0,
) -> Stretch:
    """Bars to render: a whole song, or a drawn stretch of about ``seconds``.

    Args:
        score: the song.
        rng: draws the start.
        seconds: of the output; the whole song when None or when the song is shorter.
        ratio_out_in: see :class:`Stretch`.

    Raises:
        UnusableInput: fewer than eight bars.
    """
    active = _active(score)
    bars = next(iter(active.values())).size
    if bars < FEWEST_BARS:
        raise UnusableInput(f"The song has {bars} bars, {FEWEST_BARS} are needed.", code="short")
    length = bars
    if seconds is not None:
        whole = Stretch(score, 0, bars, ratio_out_in).duration_s
        length = min(max(round(seconds / whole * bars), FEWEST_BARS), bars)
    return Stretch(score, _first_bar(active, length, rng), length, ratio_out_in)


def _active(score: Score) -> Mapping[Role, NDArray[np.bool_]]:
    notes = {
        role: [note for part in score.of(role) for note in part.notes()] for role in STORED_ROLES
    }
    if not any(notes.values()):
        raise UnusableInput("The song has no notes.", code="short")
    return activity(score, notes, BEATS_PER_BAR * score.ticks_per_beat)


def _first_bar(
    active: Mapping[Role, NDArray[np.bool_]], length: int, rng: np.random.Generator
) -> int:
    """A drawn start among those whose rarest role sounds often enough, else among the best."""
    shares = []
    for sounds in active.values():
        if sounds.any():
            total = np.concatenate([[0], np.cumsum(sounds)])
            shares.append((total[length:] - total[:-length]) / length)
    least = np.min(shares, axis=0)
    starts = np.flatnonzero(least >= min(LEAST_ACTIVE, float(least.max())))
    return int(rng.choice(starts))
