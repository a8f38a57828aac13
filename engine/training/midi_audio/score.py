"""A MIDI file as parts with roles, on its own tempo map.

A part is what one channel plays in one track. Its messages keep their ticks; times in seconds
follow from the tempo changes of all tracks (Standard MIDI File 1.0, 1996, "Set Tempo"). The named
melody part is the vocal, channel 10 the drums, General MIDI programs 33 to 40 (here 32 to 39) the
bass, every other part ``other``. Beats are quarter notes from tick 0, which is a downbeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.theory import Role

if TYPE_CHECKING:
    import mido

__all__ = ["MidiEvent", "Note", "Part", "Score", "open_midi", "read_score"]

DRUM_CHANNEL: Final = 9
BASS_PROGRAMS: Final = range(32, 40)
#: Tempo where a file names none [µs per quarter note]: 120 BPM.
_DEFAULT_TEMPO: Final = 500_000
_MICROSECONDS: Final = 1e6
#: Longest wait before a message that a file can hold (Standard MIDI File 1.0: 28 bits) [ticks].
_LONGEST_WAIT: Final = 0x0FFFFFFF
#: Messages that shape a part's sound; bank selects and effect sends are the recipe's business.
_KEPT_CONTROLS: Final = frozenset({1, 6, 7, 10, 11, 38, 64, 100, 101})


@dataclass(frozen=True)
class MidiEvent:
    """One channel message.

    Args:
        tick: since the file's start.
        kind: ``note_on``, ``note_off``, ``control_change`` or ``pitchwheel``.
        number: pitch, or the control's number; 0 for the wheel.
        value: velocity, the control's value, or the wheel [-8192, 8191].
    """

    tick: int
    kind: str
    number: int
    value: int


@dataclass(frozen=True)
class Note:
    """A note: first and last tick, MIDI pitch, velocity [1, 127]."""

    start: int
    end: int
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """What one channel of one track plays.

    Args:
        role: vocals, drums, bass or other.
        channel: [0, 15].
        program: its first General MIDI program [0, 127]; the drum kit on channel 9.
        events: sorted by tick.
    """

    role: Role
    channel: int
    program: int
    events: tuple[MidiEvent, ...]

    def notes(self) -> tuple[Note, ...]:
        """The notes, sorted by start; one that is struck again ends there."""
        found: list[Note] = []
        sounding: dict[int, tuple[int, int]] = {}
        for event in self.events:
            if event.kind not in ("note_on", "note_off"):
                continue
            begun = sounding.pop(event.number, None)
            if begun is not None and event.tick > begun[0]:
                found.append(Note(begun[0], event.tick, event.number, begun[1]))
            if event.kind == "note_on" and event.value > 0:
                sounding[event.number] = (event.tick, event.value)
        return tuple(sorted(found, key=lambda note: (note.start, note.pitch)))


@dataclass(frozen=True, eq=False)
class Score:
    """A file's parts and its tempo map.

    Args:
        parts: those with notes.
        ticks_per_beat: of the file.
        tempo_ticks: (changes,) ticks of the tempo changes, the first 0.
        tempo_s: (changes,) seconds of those ticks.
        beat_s: (changes,) length of a beat from there on [s].
    """

    parts: tuple[Part, ...]
    ticks_per_beat: int
    tempo_ticks: NDArray[np.int64]
    tempo_s: NDArray[np.float64]
    beat_s: NDArray[np.float64]

    @property
    def beats(self) -> int:
        """Whole beats up to the last message that sounds."""
        last = max((note.end for part in self.parts for note in part.notes()), default=0)
        return -(-last // self.ticks_per_beat)

    def seconds(self, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Times of ticks in the file's own tempo [s]."""
        at = np.searchsorted(self.tempo_ticks, ticks, side="right") - 1
        beats = (ticks - self.tempo_ticks[at]) / self.ticks_per_beat
        times: NDArray[np.float64] = self.tempo_s[at] + beats * self.beat_s[at]
        return times

    def of(self, role: Role) -> tuple[Part, ...]:
        """The parts of one role."""
        return tuple(part for part in self.parts if part.role == role)


def open_midi(path: Path) -> mido.MidiFile:
    """A MIDI file whose ticks are parts of beats; data bytes above 127 are read as 127.

    Raises:
        UnusableInput: it is missing, no MIDI file, damaged, or counts in film frames (SMPTE).
    """
    import mido

    try:
        midi = mido.MidiFile(path, clip=True)
    except EOFError as error:
        raise _unusable(path, "it ends too early") from error
    except (OSError, ValueError, LookupError, mido.KeySignatureError) as error:
        raise _unusable(path, str(error).rstrip(".")) from error
    if midi.ticks_per_beat < 1:
        raise _unusable(path, f"{midi.ticks_per_beat} ticks per beat")
    if any(message.time > _LONGEST_WAIT for track in midi.tracks for message in track):
        raise _unusable(path, "a wait of more than 28 bits")
    return midi


def _unusable(path: Path, why: str) -> UnusableInput:
    return UnusableInput(
        f"{path} is no usable MIDI file: {why}.",
        hint="Save it again with a MIDI editor, or take it out of the corpus.",
        code="no_midi",
    )


def read_score(path: Path, *, melody: tuple[int, int] | None) -> Score:
    """Read a MIDI file.

    Args:
        path: the file.
        melody: track and channel [0, 15] of the sung part.

    Raises:
        UnusableInput: it is no MIDI file, or is damaged.
    """
    midi = open_midi(path)
    parts = [
        part
        for number, track in enumerate(midi.tracks)
        for part in _parts(number, cast("Sequence[object]", track), melody)
    ]
    ticks, beat_s = _tempo_changes(midi.tracks)
    if not beat_s.all():
        raise _unusable(path, "a beat of 0 s")
    steps = np.diff(ticks) / midi.ticks_per_beat * beat_s[:-1]
    tempo_s = np.concatenate([[0.0], np.cumsum(steps)])
    return Score(tuple(parts), int(midi.ticks_per_beat), ticks, tempo_s, beat_s)


def _tempo_changes(
    tracks: Iterable[Iterable[object]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    changes: dict[int, int] = {0: _DEFAULT_TEMPO}
    for track in tracks:
        tick = 0
        for message in track:
            tick += _int(message, "time")
            if getattr(message, "type", "") == "set_tempo":
                changes[tick] = _int(message, "tempo")
    ticks = np.array(sorted(changes), dtype=np.int64)
    return ticks, np.array([changes[int(tick)] for tick in ticks]) / _MICROSECONDS


def _parts(number: int, track: Iterable[object], melody: tuple[int, int] | None) -> Iterator[Part]:
    events: dict[int, list[MidiEvent]] = {}
    programs: dict[int, int] = {}
    for tick, message in _timed(track):
        channel = _int(message, "channel")
        if getattr(message, "type", "") == "program_change":
            programs.setdefault(channel, _int(message, "program"))
        event = _event(tick, message)
        if event is not None:
            events.setdefault(channel, []).append(event)
    for channel, found in events.items():
        if not any(event.kind == "note_on" and event.value for event in found):
            continue
        program = programs.get(channel, 0)
        role = _role(program, channel, is_melody=(number, channel) == melody)
        yield Part(role, channel, program, tuple(found))


def _timed(track: Iterable[object]) -> Iterator[tuple[int, object]]:
    tick = 0
    for message in track:
        tick += _int(message, "time")
        if hasattr(message, "channel"):
            yield tick, message


def _event(tick: int, message: object) -> MidiEvent | None:
    kind = str(getattr(message, "type", ""))
    if kind in ("note_on", "note_off"):
        velocity = _int(message, "velocity") if kind == "note_on" else 0
        return MidiEvent(tick, kind, _int(message, "note"), velocity)
    if kind == "control_change" and _int(message, "control") in _KEPT_CONTROLS:
        return MidiEvent(tick, kind, _int(message, "control"), _int(message, "value"))
    if kind == "pitchwheel":
        return MidiEvent(tick, kind, 0, _int(message, "pitch"))
    return None


def _role(program: int, channel: int, *, is_melody: bool) -> Role:
    if channel == DRUM_CHANNEL:
        return "drums"
    if is_melody:
        return "vocals"
    return "bass" if program in BASS_PROGRAMS else "other"


def _int(message: object, name: str) -> int:
    return int(getattr(message, name, 0))


def activity(
    score: Score, notes: Mapping[Role, Sequence[Note]], ticks_per_bar: int
) -> Mapping[Role, NDArray[np.bool_]]:
    """(bars,) bool by role: whether a note sounds in a bar."""
    bars = max(-(-score.beats * score.ticks_per_beat // ticks_per_bar), 1)
    found: dict[Role, NDArray[np.bool_]] = {}
    for role, played in notes.items():
        sounds = np.zeros(bars, dtype=np.bool_)
        for note in played:
            sounds[note.start // ticks_per_bar : -(-note.end // ticks_per_bar)] = True
        found[role] = sounds
    return found
