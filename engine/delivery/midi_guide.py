"""A MIDI file beside a render: tempo, metre, a marker on every bar line, and the chords.

Tracks: the tempo map with key and markers, then a chord guide, one block chord per change around
middle C, named in a text event. The chords are read from the rendered harmony on the session's own
grid (:mod:`engine.analysis.chords`): right for most bars of most songs, and a guide, not a score.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.analysis.chords import Chord, chords_of
from engine.audio.waveform import Waveform
from engine.grid import BeatGrid
from engine.rendering.renderer import Session
from engine.theory import Key

if TYPE_CHECKING:
    import mido

__all__ = ["MidiGuide", "session_chords", "write_guide"]

#: Ticks per beat: divides by 3, 4, 5 and 16.
_TICKS: Final = 960
_VELOCITY: Final = 72
#: The octave that chords are written in: their root lies from here up to a seventh above.
_LOWEST_ROOT: Final = 55
_MICROSECONDS: Final = 60_000_000


@dataclass(frozen=True)
class MidiGuide:
    """What the file says.

    Args:
        title: of the song.
        session: tempo, metre, length.
        key: of the session, when known.
        chords: in order.
    """

    title: str
    session: Session
    key: Key | None
    chords: Sequence[Chord]


def session_chords(stems: Sequence[Waveform], session: Session) -> tuple[Chord, ...]:
    """Chords of the sum of rendered pitched stems, on the session's grid; none without stems."""
    from engine.analysis.features import beat_features

    if not stems:
        return ()
    total = np.zeros((1, session.frames), dtype=np.float32)
    for stem in stems:
        total[0] += stem.mono()
    beats_s = np.arange(session.beats + 1, dtype=np.float64) * (60.0 / session.tempo_bpm)
    grid = BeatGrid(beats_s, session.beats_per_bar)
    rows = beat_features(Waveform(total, session.sample_rate), grid)
    chroma = rows["chroma"][: session.beats].astype(np.float32)
    return chords_of(chroma, session.beats_per_bar)


def write_guide(path: Path, guide: MidiGuide) -> None:
    """Write the file; the same guide gives the same bytes.

    Raises:
        OSError: it cannot be written.
    """
    import mido

    file = mido.MidiFile(type=1, ticks_per_beat=_TICKS)
    file.tracks.extend([_tempo_track(guide), _chord_track(guide)])
    buffer = io.BytesIO()
    file.save(file=buffer)
    path.write_bytes(buffer.getvalue())


def _tempo_track(guide: MidiGuide) -> mido.MidiTrack:
    import mido

    session = guide.session
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name=_latin(guide.title)))
    tempo = round(_MICROSECONDS / session.tempo_bpm)
    track.append(mido.MetaMessage("set_tempo", tempo=min(tempo, 0xFFFFFF)))
    metre = {"numerator": session.beats_per_bar, "denominator": 4}
    track.append(mido.MetaMessage("time_signature", **metre))
    if guide.key is not None:
        track.append(mido.MetaMessage("key_signature", key=_signature(guide.key)))
    for bar in range(session.bars):
        wait = session.beats_per_bar * _TICKS if bar else 0
        track.append(mido.MetaMessage("marker", text=f"Bar {bar + 1}", time=wait))
    end = session.beats_per_bar * _TICKS
    track.append(mido.MetaMessage("end_of_track", time=end))
    return track


def _chord_track(guide: MidiGuide) -> mido.MidiTrack:
    import mido

    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name="Chords (guide)"))
    now = 0
    for chord in guide.chords:
        start = chord.start_beat * _TICKS
        track.append(mido.MetaMessage("text", text=chord.name, time=start - now))
        notes = _notes(chord)
        for note in notes:
            track.append(mido.Message("note_on", note=note, velocity=_VELOCITY))
        for number, note in enumerate(notes):
            length = 0 if number else chord.beats * _TICKS
            track.append(mido.Message("note_off", note=note, time=length))
        now = start + chord.beats * _TICKS
    end = guide.session.beats * _TICKS
    track.append(mido.MetaMessage("end_of_track", time=max(end - now, 0)))
    return track


def _notes(chord: Chord) -> tuple[int, ...]:
    """Root position, the root in the octave from G3 on."""
    root = _LOWEST_ROOT + (chord.root - _LOWEST_ROOT) % 12
    return tuple(root + (pitch - chord.root) % 12 for pitch in chord.pitch_classes)


def _signature(key: Key) -> str:
    """The key as MIDI files can state it, with at most seven accidentals."""
    minor = key.mode == "minor"
    names = _MINOR if minor else _MAJOR
    return names[key.tonic] + ("m" if minor else "")


def _latin(text: str) -> str:
    """MIDI files hold Latin letters; others become question marks."""
    return text.encode("latin-1", errors="replace").decode("latin-1")


_MAJOR: Final = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
